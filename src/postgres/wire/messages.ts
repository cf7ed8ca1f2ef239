/**
 * The messages on a socket: the one reader of what comes in, and the one writer of the program's own.
 *
 * What comes in is bounded in bytes, and is looked at whole, message by message, before anybody acts on it.
 *
 * @module
 */
import {
  concat,
  isWholeDescription,
  type Message,
  message,
  readError,
  readUint16,
  readUint32,
} from "./protocol.ts";
import type { SessionState } from "./session_state.ts";
import type { Socket } from "./socket.ts";

/** Type and length. */
const HEAD_BYTES = 5;

const NOT_POSTGRESQL =
  "what answers there does not speak PostgreSQL's protocol";

/** What a server may send, by the letters of its messages, and how much from one `ReadyForQuery` to the next. */
interface Phase {
  readonly letters: string;
  readonly bytes: number;
}

/** In the log-in; while one of the questions that ride with it is answered; at work, through the driver. */
const PHASES = {
  logIn: { letters: "REKNSZv", bytes: 1_000_000 },
  question: { letters: "TDCIENSZAHdc", bytes: 2 ** 26 },
  work: { letters: "TDCIENSZAtn123s", bytes: 2 ** 28 },
} as const satisfies Record<string, Phase>;

/** The letters of a COPY: `CopyInResponse`, `CopyOutResponse`, `CopyBothResponse`, `CopyData`, `CopyDone`. */
const COPY = "GHWdc";

const COPY_DATA = "d".charCodeAt(0);

/** Takes the body of a `CopyData`, where it stands in the data. */
export type OnCopied = (data: Uint8Array, begin: number, end: number) => void;

/** Cuts what a server sends into messages, whatever pieces it comes in. */
export class MessageReader {
  #pieces: Uint8Array[] = [];
  #length = 0;
  /** How many bytes there must be before there is anything to cut. */
  #needed = HEAD_BYTES;

  /** How much has come in of the message in hand, in bytes. */
  get length(): number {
    return this.#length;
  }

  /** The letter of the message in hand. */
  get letter(): string | undefined {
    const first = this.#pieces.find(({ length }) => length > 0)?.[0];
    return first === undefined ? undefined : String.fromCharCode(first);
  }

  /** How long the message in hand says that it is, in bytes; 0 as long as it has not said so. */
  get announced(): number {
    return this.#needed > HEAD_BYTES ? this.#needed : 0;
  }

  /**
   * The messages that are complete now, but for those that `onCopied` takes: of a long copy there are too many to make an
   * object of each.
   *
   * @throws {Error} for a length that cannot be
   */
  push(chunk: Uint8Array, onCopied?: OnCopied): Message[] {
    this.#pieces.push(chunk);
    this.#length += chunk.length;
    if (this.#length < this.#needed) return [];
    const data = this.#pieces.length === 1 ? chunk : concat(this.#pieces);
    const messages: Message[] = [];
    let at = 0;
    this.#needed = HEAD_BYTES;
    while (at + HEAD_BYTES <= data.length) {
      const length = readUint32(data, at + 1);
      if (length < 4) throw new Error(NOT_POSTGRESQL);
      const end = at + 1 + length;
      if (end > data.length) {
        this.#needed = 1 + length;
        break;
      }
      if (data[at] === COPY_DATA && onCopied !== undefined) {
        onCopied(data, at + HEAD_BYTES, end);
        at = end;
        continue;
      }
      messages.push({
        type: String.fromCharCode(data[at]!),
        body: data.subarray(at + HEAD_BYTES, end),
        bytes: data.subarray(at, end),
      });
      at = end;
    }
    const rest = data.subarray(at);
    this.#pieces = rest.length === 0 ? [] : [rest];
    this.#length = rest.length;
    return messages;
  }
}

/** Told of what the server says beside its answers: the severity and the message. */
export type OnNotice = (severity: string, message: string) => void;

/** What the two sides say on one socket. */
export class Messages {
  readonly #socket: Socket;
  readonly #state: SessionState;
  readonly #onNotice: OnNotice;
  readonly #reader = new MessageReader();
  #phase: Phase = PHASES.logIn;
  /** What has come in since the server was ready, in bytes. */
  #received = 0;
  /** How many columns the rows of the answer have. */
  #columns: number | undefined;
  readonly #queue: Message[] = [];
  /** How many of them were taken: to shift a long list again and again takes longer than to read it. */
  #taken = 0;
  #waiting: PromiseWithResolvers<Message> | undefined;
  /** Takes the rows that the answer to a question copies. */
  onCopied: OnCopied | undefined;
  /** Who gets everything, once it is handed over. */
  #taker: ((bytes: Uint8Array) => void) | undefined;
  #failure: Error | undefined;
  readonly #onFailure: (error: Error) => void;

  /** @param onFailure told when what comes in cannot be gone on with */
  constructor(
    socket: Socket,
    state: SessionState,
    onNotice: OnNotice,
    onFailure: (error: Error) => void = () => {},
  ) {
    this.#socket = socket;
    this.#state = state;
    this.#onNotice = onNotice;
    this.#onFailure = onFailure;
    socket.on("data", (data: Uint8Array) => this.#receive(data));
  }

  /** Whether a part of a message has come in, and no more of it. */
  get isHalfRead(): boolean {
    return this.#reader.length > 0;
  }

  /** Sends a message of the program's own; a text in it ends with a zero byte. */
  send(type: string, ...parts: readonly (string | Uint8Array)[]): void {
    if (type === "Q") this.#phase = PHASES.question;
    this.#socket.write(message(type, ...parts));
  }

  /** Sends bytes as they are: the first message, which has no letter, and what the driver says. */
  write(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** The next message. @throws {Error} when what comes in is none that may come */
  next(): Promise<Message> {
    const next = this.#queue[this.#taken++];
    if (next !== undefined) return Promise.resolve(next);
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    this.#queue.length = this.#taken = 0;
    this.#waiting = Promise.withResolvers();
    return this.#waiting.promise;
  }

  /** From now on whole messages go to `taker`, several at once. */
  handOver(taker: (bytes: Uint8Array) => void): void {
    this.#phase = PHASES.work;
    this.#taker = taker;
  }

  #receive(data: Uint8Array): void {
    if (this.#failure !== undefined) return;
    try {
      const forTaker: Uint8Array[] = [];
      const onCopied = this.#phase === PHASES.question
        ? this.#copied
        : undefined;
      for (const one of this.#reader.push(data, onCopied)) {
        this.#check(one.type, one.bytes.length);
        this.#checkRows(one);
        this.#state.take(one);
        this.#received = one.type === "Z"
          ? 0
          : this.#received + one.bytes.length;
        if (one.type === "N") this.#notice(one);
        else if (this.#taker === undefined) this.#give(one);
        else forTaker.push(one.bytes);
      }
      const { letter, announced } = this.#reader;
      if (letter !== undefined) this.#check(letter, announced);
      if (forTaker.length > 0) this.#taker?.(concat(forTaker));
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  readonly #copied: OnCopied = (data, begin, end) => {
    const bytes = HEAD_BYTES + end - begin;
    this.#check("d", bytes);
    this.#received += bytes;
    this.onCopied?.(data, begin, end);
  };

  /** @throws {Error} for a description that is not as long as it says, and for a row that has other columns */
  #checkRows({ type, body }: Message): void {
    if (type === "T" && isWholeDescription(body)) {
      this.#columns = readUint16(body);
    } else if (
      type === "T" || (type === "D" && readUint16(body) !== this.#columns)
    ) {
      throw new Error(NOT_POSTGRESQL);
    } else if (type === "Z") this.#columns = undefined;
  }

  /** @throws {Error} for a message that may not come now, or is too long; its length may not be known yet */
  #check(letter: string, bytes: number): void {
    const { letters, bytes: most } = this.#phase;
    if (!letters.includes(letter)) {
      throw this.#taker !== undefined && COPY.includes(letter)
        ? new Error(
          "the server began to copy data that nobody has asked for",
        )
        : new Error(NOT_POSTGRESQL);
    }
    if (this.#received + bytes <= most) return;
    if (this.#phase === PHASES.logIn) throw new Error(NOT_POSTGRESQL);
    throw new Error(
      `an answer of the server is longer than ${
        most / 2 ** 20
      } MiB, which is the most that this program takes in`,
    );
  }

  #notice({ body }: Message): void {
    const { severity, message } = readError(body).server;
    this.#onNotice(severity, message);
  }

  #give(one: Message): void {
    if (this.#waiting === undefined) {
      this.#queue.push(one);
    } else {
      this.#waiting.resolve(one);
      this.#waiting = undefined;
    }
  }

  #fail(error: Error): void {
    this.#failure = error;
    if (this.#waiting !== undefined) this.#waiting.reject(error);
    else if (this.#taker !== undefined) this.#onFailure(error);
  }
}

/** What comes in is no message of PostgreSQL's, or not what it should be. */
export function notPostgresql(cause?: unknown): Error {
  return new Error(NOT_POSTGRESQL, { cause });
}
