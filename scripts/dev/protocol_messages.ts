/**
 * Just enough of PostgreSQL's protocol to count what passes a proxy: messages of a plain connection, in both directions.
 *
 * https://www.postgresql.org/docs/current/protocol-message-formats.html
 *
 * @module
 */

export interface Message {
  /** The letter of its type; `startup`, `ssl` and `cancel` have none. */
  readonly type: string;
  /** The whole message, as it was sent. */
  readonly bytes: Uint8Array;
}

const SSL_REQUEST = 80_877_103;
const CANCEL_REQUEST = 80_877_102;
const decoder = new TextDecoder();

/** Cuts a stream of bytes into messages, whatever pieces it comes in. */
export class MessageReader {
  readonly #side: "client" | "server";
  #started: boolean;
  #rest = new Uint8Array();

  constructor(side: "client" | "server") {
    this.#side = side;
    // The first message of a client has no letter.
    this.#started = side === "server";
  }

  /** The messages that are complete now. */
  push(chunk: Uint8Array): Message[] {
    const all = new Uint8Array(this.#rest.length + chunk.length);
    all.set(this.#rest);
    all.set(chunk, this.#rest.length);
    this.#rest = all;
    const messages: Message[] = [];
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      messages.push(next);
    }
    return messages;
  }

  #next(): Message | undefined {
    const letters = this.#started ? 1 : 0;
    if (this.#rest.length < letters + 4) return undefined;
    const view = new DataView(this.#rest.buffer, this.#rest.byteOffset);
    const length = view.getInt32(letters) + letters;
    if (this.#rest.length < length) return undefined;
    const bytes = this.#rest.slice(0, length);
    this.#rest = this.#rest.slice(length);
    if (this.#started) {
      return { type: String.fromCharCode(bytes[0]!), bytes };
    }
    const code = length >= 8 ? view.getInt32(4) : 0;
    if (code === SSL_REQUEST) return { type: "ssl", bytes };
    if (code === CANCEL_REQUEST) return { type: "cancel", bytes };
    this.#started = this.#side === "client";
    return { type: "startup", bytes };
  }
}

/** Whether the server owes an answer to this message of the client: a statement, a step of the log-in. */
export function isRequest({ type }: Message): boolean {
  return type === "startup" || type === "p" || type === "Q" || type === "S" ||
    type === "H";
}

/** Whether this message of the server completes the answer to such a request. */
export function endsAnswer(
  request: Message,
  { type, bytes }: Message,
): boolean {
  // A flush asks for what has been prepared so far: the description of a statement.
  if (request.type === "H") return type === "T" || type === "n" || type === "E";
  if (type === "Z") return true;
  // AuthenticationSASL and AuthenticationSASLContinue wait for the client.
  const kind = type === "R" ? new DataView(bytes.buffer).getInt32(5) : 0;
  return kind === 10 || kind === 11;
}

/** The text of a simple query or of the statement that is parsed; empty for other messages. */
export function statementOf({ type, bytes }: Message): string {
  if (type === "Q") return decoder.decode(bytes.subarray(5, -1));
  if (type !== "P") return "";
  const start = bytes.indexOf(0, 5) + 1;
  return decoder.decode(bytes.subarray(start, bytes.indexOf(0, start)));
}
