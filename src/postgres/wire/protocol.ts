/**
 * Messages of PostgreSQL's protocol 3.0, as far as a log-in and a simple query need them.
 *
 * https://www.postgresql.org/docs/current/protocol-message-formats.html
 *
 * @module
 */
import { DatabaseError } from "../../errors.ts";

/** A row of a result. */
export type Row = Readonly<Record<string, unknown>>;

/** The rows of one statement, with its command tag. */
export type Rows = readonly Row[] & {
  readonly command?: string | null;
  readonly count?: number | null;
};

/** Where an answer leaves the session: in no transaction, in one, or in one that an error has aborted. */
export type TransactionStatus = "idle" | "open" | "failed";

/** What the server said to one query, which may have been several statements. */
export interface Answer {
  /** The command tag of each statement that was completed, such as `INSERT 0 1`. */
  tags: readonly string[];
  /** Missing as long as there is no answer. */
  status?: TransactionStatus;
  /** When it came in, on `performance.now()`. */
  at?: number;
}

/** A message of the server. */
export interface Message {
  /** The letter of its type. */
  readonly type: string;
  /** What follows the type and the length. */
  readonly body: Uint8Array;
  /** All of it, as it came. */
  readonly bytes: Uint8Array;
}

/** A column of a result: its name and the OID of its type. */
export interface Column {
  readonly name: string;
  readonly type: number;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The letters of `ReadyForQuery`, `ErrorResponse`, `CommandComplete` and `ParameterStatus`. */
const [READY, ERROR, COMPLETE, PARAMETER] = [0x5a, 0x45, 0x43, 0x53];

/** The letter of the status that no transaction is open. */
const IDLE = 0x49;

/** What `ReadyForQuery` says of the transaction, by its letter. */
const STATUS: Readonly<Record<string, TransactionStatus>> = {
  I: "idle",
  T: "open",
  E: "failed",
};

/** The farewell of a client. */
export const TERMINATE: Uint8Array = message("X");

/** Cuts what a server sends into messages, whatever pieces it comes in. */
export class MessageReader {
  #rest: Uint8Array = new Uint8Array();

  /** What has come in of a message that is not complete yet. */
  get rest(): Uint8Array {
    return this.#rest;
  }

  /** The messages that are complete now. */
  push(chunk: Uint8Array): Message[] {
    const data = this.#rest.length === 0 ? chunk : concat([this.#rest, chunk]);
    const messages: Message[] = [];
    let at = 0;
    while (at + 5 <= data.length) {
      const end = at + 1 + Math.max(4, readUint32(data, at + 1));
      if (end > data.length) break;
      messages.push({
        type: String.fromCharCode(data[at]!),
        body: data.subarray(at + 5, end),
        bytes: data.subarray(at, end),
      });
      at = end;
    }
    this.#rest = data.subarray(at);
    return messages;
  }
}

/** A message; a text in it ends with a zero byte, as the protocol wants it. */
export function message(
  type: string,
  ...parts: readonly (string | Uint8Array)[]
): Uint8Array {
  const body = concat(
    parts.map((part) =>
      typeof part === "string" ? encoder.encode(`${part}\0`) : part
    ),
  );
  return concat([encoder.encode(type), uint32(body.length + 4), body]);
}

/** The first message of a client: version 3.0 and the parameters of the session. */
export function startupMessage(
  parameters: Readonly<Record<string, string>>,
): Uint8Array {
  const texts = Object.entries(parameters).flat();
  // It is the one message without a type.
  return message(" ", uint32(0x0003_0000), ...texts, "").subarray(1);
}

/** Four bytes, the highest first. */
export function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

/** Reads four bytes, the highest first. @throws {RangeError} when there are not as many */
export function readUint32(bytes: Uint8Array, at: number): number {
  const { buffer, byteOffset, byteLength } = bytes;
  return new DataView(buffer, byteOffset, byteLength).getUint32(at);
}

/** The messages with which a server tells that a log-in has succeeded and that it waits for a statement. */
export function loggedInMessages(announced: readonly Message[]): Uint8Array[] {
  return [
    message("R", uint32(0)),
    ...announced.map(({ bytes }) => bytes),
    readyMessage(),
  ];
}

/** The server waits for a statement, and no transaction is open. */
export function readyMessage(): Uint8Array {
  return message("Z", Uint8Array.of(IDLE));
}

/** Reads a `RowDescription`. */
export function readColumns(body: Uint8Array): Column[] {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  let at = 2;
  return Array.from({ length: view.getUint16(0) }, () => {
    const end = body.indexOf(0, at);
    const name = decoder.decode(body.subarray(at, end));
    const type = readUint32(body, end + 7);
    at = end + 19;
    return { name, type };
  });
}

/** Reads a `DataRow`: integers, booleans and JSON as such, the rest as text. */
export function readRow(columns: readonly Column[], body: Uint8Array): Row {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const row: Record<string, unknown> = {};
  let at = 2;
  for (const { name, type } of columns) {
    const length = view.getInt32(at);
    at += 4;
    if (length < 0) {
      row[name] = null;
      continue;
    }
    const text = decoder.decode(body.subarray(at, at + length));
    row[name] = type in READERS ? READERS[type]!(text) : text;
    at += length;
  }
  return row;
}

/** Reads a `CopyData` of one row in the text format; `null` is the null of SQL. */
export function readCopied(body: Uint8Array): (string | null)[] {
  const line = decoder.decode(body.subarray(0, body.length - 1));
  return line.split("\t").map((field) =>
    field === "\\N"
      ? null
      : field.includes("\\")
      ? field.replace(/\\(.)/g, (_, letter) => ESCAPES[letter] ?? letter)
      : field
  );
}

/** https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.55.9.2 */
const ESCAPES: Readonly<Record<string, string>> = {
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

/** By the OIDs of `pg_type`: bool, int2, int4, json, jsonb. */
const READERS: Readonly<Record<number, (text: string) => unknown>> = {
  16: (text) => text === "t",
  21: Number,
  23: Number,
  114: JSON.parse,
  3802: JSON.parse,
};

/** The text of a message that ends with a zero byte. */
export function textOf(body: Uint8Array): string {
  const end = body.indexOf(0);
  return decoder.decode(end < 0 ? body : body.subarray(0, end));
}

/** Reads an `ErrorResponse` or a `NoticeResponse`. */
export function readError(body: Uint8Array): DatabaseError {
  const fields = new Map(
    decoder.decode(body).split("\0").map((text) =>
      [text[0], text.slice(1)] as const
    ),
  );
  const detail = fields.get("D");
  const hint = fields.get("H");
  const where = fields.get("W");
  return new DatabaseError({
    code: fields.get("C") ?? "",
    // V is the severity in no other language than English.
    severity: fields.get("V") ?? fields.get("S") ?? "ERROR",
    message: fields.get("M") ?? "",
    ...(detail !== undefined && { detail }),
    ...(hint !== undefined && { hint }),
    ...(where !== undefined && { where }),
  });
}

/** Whether the server has ended the session with this error. */
export function endsSession(error: DatabaseError): boolean {
  return error.server.severity === "FATAL" || error.server.severity === "PANIC";
}

/**
 * Listens to a server beside whoever reads its answers: what it says of each query, of its settings, and why it ended the
 * session. Only the messages that tell are looked into.
 */
export class MessageWatch {
  /** The settings that the server reports, such as `standard_conforming_strings`, as they are now. */
  readonly settings: ReadonlyMap<string, string> = new Map();
  /** Told of each answer when it is complete. */
  onAnswer: ((answer: Required<Answer>) => void) | undefined;
  /** The type and the length of the message in hand, as far as they have come in. */
  readonly #head = new Uint8Array(5);
  #headLength = 0;
  /** How much of its body is still to come. */
  #left = 0;
  /** The body of a message that tells. */
  #body: Uint8Array[] = [];
  /** The command tags of the answer in hand. */
  #tags: string[] = [];
  #isIdle = false;
  #fatal: DatabaseError | undefined;

  /** Whether the last of all messages says that the server waits for a statement and that no transaction is open. */
  get isIdle(): boolean {
    return this.#isIdle && this.#headLength === 0;
  }

  /** The error with which the server has ended the session. */
  get fatal(): DatabaseError | undefined {
    return this.#fatal;
  }

  push(data: Uint8Array): void {
    for (let at = 0; at < data.length;) {
      if (this.#headLength < this.#head.length) {
        this.#head[this.#headLength++] = data[at++]!;
        if (this.#headLength < this.#head.length) continue;
        this.#left = readUint32(this.#head, 1) - 4;
      }
      const end = Math.min(data.length, at + Math.max(0, this.#left));
      if (this.#tells) this.#body.push(data.slice(at, end));
      this.#left -= end - at;
      at = end;
      if (this.#left <= 0) this.#complete();
    }
  }

  get #tells(): boolean {
    const type = this.#head[0];
    return type === READY || type === ERROR || type === COMPLETE ||
      type === PARAMETER;
  }

  #complete(): void {
    const body = concat(this.#body);
    const type = this.#head[0];
    this.#isIdle = type === READY && body[0] === IDLE;
    this.#headLength = 0;
    this.#body = [];
    if (type === ERROR) {
      const error = readError(body);
      if (endsSession(error)) this.#fatal = error;
    } else if (type === COMPLETE) {
      this.#tags.push(textOf(body));
    } else if (type === PARAMETER) {
      const [name = "", value = ""] = decoder.decode(body).split("\0");
      (this.settings as Map<string, string>).set(name, value);
    } else if (type === READY) {
      const tags = this.#tags;
      this.#tags = [];
      const status = STATUS[String.fromCharCode(body[0] ?? 0)] ?? "failed";
      this.onAnswer?.({ tags, status, at: performance.now() });
    }
  }
}

/** One after the other. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(
    parts.reduce((length, part) => length + part.length, 0),
  );
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
