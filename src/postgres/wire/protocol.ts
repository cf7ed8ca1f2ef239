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
  /** The first error that it says; there already when it is not complete. */
  failure?: DatabaseError;
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

/** The letter of the status that no transaction is open. */
const IDLE = 0x49;

/** The farewell of a client. */
export const TERMINATE: Uint8Array = message("X");

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

/** Reads the first two bytes, the highest first; `undefined` when there are not as many. */
export function readUint16([high, low]: Uint8Array): number | undefined {
  return high === undefined || low === undefined
    ? undefined
    : (high << 8) | low;
}

/** Reads four bytes, the highest first. @throws {RangeError} when there are not as many */
export function readUint32(bytes: Uint8Array, at: number): number {
  const { buffer, byteOffset, byteLength } = bytes;
  return new DataView(buffer, byteOffset, byteLength).getUint32(at);
}

/** What a server says at the end of a log-in, to a driver that waits until it is ready for the first query. */
export function loggedInMessages(announced: readonly Message[]): Uint8Array {
  const ready = message("Z", Uint8Array.of(IDLE));
  return concat([
    message("R", uint32(0)),
    ...announced.map(({ bytes }) => bytes),
    ready,
    // The second news that the server is ready settles the driver's `reserve`, which the first one only opens.
    ready,
  ]);
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

/** Reads a `ParameterStatus`: name and value. */
export function readSetting(body: Uint8Array): readonly [string, string] {
  const [name = "", value = ""] = decoder.decode(body).split("\0");
  return [name, value];
}

/** Reads a `ReadyForQuery`. What it does not know leaves nothing that can be committed. */
export function readStatus(body: Uint8Array): TransactionStatus {
  return STATUS[String.fromCharCode(body[0] ?? 0)] ?? "failed";
}

/** What `ReadyForQuery` says of the transaction, by its letter. */
const STATUS: Readonly<Record<string, TransactionStatus>> = {
  I: "idle",
  T: "open",
  E: "failed",
};

/** Whether a `RowDescription` is as long as it says: a driver would go on reading behind its end. */
export function isWholeDescription(body: Uint8Array): boolean {
  const columns = readUint16(body);
  if (columns === undefined) return false;
  let at = 2;
  for (let left = columns; left > 0; left--) {
    const end = body.indexOf(0, at);
    if (end < 0) return false;
    at = end + 1 + COLUMN_BYTES;
  }
  return at === body.length;
}

/** What a `RowDescription` says of a column behind its name. */
const COLUMN_BYTES = 18;

/** The text of a message that ends with a zero byte. */
export function textOf(body: Uint8Array): string {
  const end = body.indexOf(0);
  return decoder.decode(end < 0 ? body : body.subarray(0, end));
}

/** The fields of an `ErrorResponse` that are kept, by their letters. https://www.postgresql.org/docs/current/protocol-error-fields.html */
const FIELDS = {
  D: "detail",
  H: "hint",
  W: "where",
  s: "schema",
  t: "table",
  n: "constraint",
} as const;

/** Reads an `ErrorResponse` or a `NoticeResponse`. */
export function readError(body: Uint8Array): DatabaseError {
  const fields = new Map(
    decoder.decode(body).split("\0").map((text) =>
      [text[0], text.slice(1)] as const
    ),
  );
  const position = fields.get("P");
  return new DatabaseError({
    code: fields.get("C") ?? "",
    // V is the severity in no other language than English.
    severity: fields.get("V") ?? fields.get("S") ?? "ERROR",
    message: fields.get("M") ?? "",
    ...Object.fromEntries(
      Object.entries(FIELDS).flatMap(([letter, name]) =>
        fields.has(letter) ? [[name, fields.get(letter)!]] : []
      ),
    ),
    ...(position !== undefined && { position: Number(position) }),
  });
}

/** An error with the statement that it is about; the position in a statement that is not shown is of no use. */
export function aboutStatement(
  { server: { position, ...server } }: DatabaseError,
  statement: string | undefined,
): DatabaseError {
  return new DatabaseError({
    ...server,
    ...(statement !== undefined && { statement }),
    ...(statement !== undefined && position !== undefined && { position }),
  });
}

/** Whether the server has ended the session with this error. */
export function endsSession(error: DatabaseError): boolean {
  return error.server.severity === "FATAL" || error.server.severity === "PANIC";
}

/** One after the other; of a single part no copy is made. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
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
