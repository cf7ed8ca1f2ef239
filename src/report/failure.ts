/**
 * Errors → what to say of them: one line for the history, lines for a person, a value for JSON.
 *
 * @module
 */
import {
  causeOf,
  causesOf,
  ConnectionError,
  ConnectionLostError,
  DatabaseError,
  DiffersError,
  LeftBehindError,
  LocatedError,
  MigrationError,
  RefusedError,
  sqlStateOf,
  UnsettledError,
  UsageError,
} from "../errors.ts";
import { type Hide, visible } from "../text.ts";

/** An error as data. Texts come from the server and from migrations: they are not yet fit for a terminal. */
export interface Failure {
  readonly message: string;
  readonly migration?: string;
  readonly direction?: "up" | "down";
  /** Where in the migration's source it was thrown, as `migrations/0002_b.ts:7:13`. */
  readonly location?: string;
  /** SQLSTATE. */
  readonly code?: string;
  readonly detail?: string;
  readonly hint?: string;
  readonly where?: string;
  readonly statement?: string;
  /** Counted in characters from 1. */
  readonly position?: number;
  /** How the schema is not what it should be, each as `verify` has it. */
  readonly differences?: readonly object[];
}

/** The longest statement that an error repeats, in characters. */
const STATEMENT_LIMIT = 2_000;

/** The longest message that the history keeps, in characters. */
const TEXT_LIMIT = 2_000;

/** Reads everything worth saying from an error and its causes. */
export function failureOf(error: unknown): Failure {
  const migration = causeOf(error, MigrationError);
  const database = causeOf(error, DatabaseError);
  const connection = causeOf(error, ConnectionError);
  const unsettled = causeOf(error, UnsettledError);
  const differs = causeOf(error, DiffersError);
  const located = causeOf(error, LocatedError);
  const server = database?.server;
  const statement = server?.statement;
  const detail = differs?.lines.join("\n") ?? unsettled?.detail ??
    server?.detail;
  const left = causeOf(error, LeftBehindError);
  const said = differs?.hint ?? unsettled?.hint ?? server?.hint ??
    connection?.hint;
  const hint = left === undefined ? said : leftBehindHint(left, said);
  return {
    message: messageOf(error),
    ...(migration && {
      migration: migration.migration,
      direction: migration.direction,
    }),
    ...(located && { location: located.location }),
    ...(server && { code: server.code }),
    ...(detail !== undefined && { detail }),
    ...(hint !== undefined && { hint }),
    ...(server?.where !== undefined && { where: server.where }),
    ...(statement !== undefined && {
      statement: head(statement),
    }),
    ...(server?.position !== undefined && { position: server.position }),
    ...(differs && { differences: differs.differences }),
  };
}

/** One line for the history: `42P01: relation "x" does not exist`, or `No rules (at migrations/0002_b.ts:7:13)`. */
export function failureText(error: unknown): string {
  const reason = error instanceof MigrationError ? error.cause : error;
  const code = sqlStateOf(error);
  const text = visible(messageOf(reason));
  const shown = text.length > TEXT_LIMIT
    ? `${text.slice(0, TEXT_LIMIT)}…`
    : text;
  const location = causeOf(error, LocatedError)?.location;
  const at = location === undefined ? "" : ` (at ${visible(location)})`;
  const left = causeOf(error, LeftBehindError);
  return `${code === undefined ? "" : `${code}: `}${shown}${at}${
    left === undefined ? "" : leftBehindText(left.unnamed)
  }`;
}

/** What the history keeps of indexes that were left behind; names never hold a comma and a space outside quotes. */
function leftBehindText(indexes: readonly string[]): string {
  return indexes.length === 0
    ? ""
    : `${LEFT_BEHIND}${indexes.map(visible).join(", ")})`;
}

const LEFT_BEHIND = " (left behind, invalid: ";

/** The indexes that {@link failureText} has told of, as they are written in SQL. */
export function leftBehind(text: string): readonly string[] {
  const at = text.lastIndexOf(LEFT_BEHIND);
  if (at < 0 || !text.endsWith(")")) return [];
  const list = text.slice(at + LEFT_BEHIND.length, -1);
  const name = `(?:"(?:[^"]|"")+"|[^\\s",.]+)`;
  return list.match(new RegExp(`${name}\\.${name}`, "g")) ?? [];
}

function leftBehindHint(
  { indexes, isDropped }: LeftBehindError,
  hint: string | undefined,
): string {
  const list = indexes.join(", ");
  const one = indexes.length === 1;
  const left = `left the ${one ? "index" : "indexes"} ${list} behind, invalid`;
  const next = isDropped
    ? `the next up drops ${one ? "it" : "them"}`
    : `drop index concurrently ${indexes.join("; drop index concurrently ")}`;
  return hint === undefined
    ? `It has ${left}: ${next}`
    : `${hint}; it has ${left}: ${next}`;
}

/**
 * Lines for a person: the message, then what the server said, indented.
 *
 * @param hide goes over what is cut before it is: of a secret that is cut off at its beginning nobody could tell the rest
 */
export function failureLines(error: unknown, hide: Hide): string[] {
  if (error instanceof UsageError || error instanceof RefusedError) {
    return error.faults.map(visible);
  }
  const failure = failureOf(error);
  const code = failure.code === undefined ? "" : ` (SQLSTATE ${failure.code})`;
  const [first, ...rest] = shownLines(failure.message);
  const lines = [`${first}${code}`, ...rest.map((line) => `  ${line}`)];
  if (failure.location !== undefined) {
    lines.push(`  at ${visible(failure.location)}`);
  }
  const add = (name: string, text: string | undefined) => {
    if (text === undefined) return;
    const [first, ...rest] = shownLines(text);
    lines.push(`  ${name}: ${first}`, ...rest.map((line) => `    ${line}`));
  };
  add("detail", failure.detail);
  const statement = causeOf(error, DatabaseError)?.server.statement;
  // Where something was hidden the position is another one.
  const isWhole = statement !== undefined && hide(statement) === statement;
  if (isWhole && failure.position !== undefined) {
    const { line, column } = lineAt(statement, failure.position);
    add("statement", line);
    lines.push(`${" ".repeat("  statement: ".length + column)}^`);
  } else {
    add(
      "statement",
      statement === undefined ? undefined : head(hide(statement)),
    );
  }
  add("where", failure.where);
  add("hint", failure.hint);
  return lines;
}

/** The message of an error with those of its causes: `Cannot apply "x": the reason`. */
function messageOf(error: unknown): string {
  const chain = causesOf(error);
  const last = chain.findIndex((e) =>
    e instanceof DatabaseError || e instanceof ConnectionError ||
    e instanceof ConnectionLostError
  );
  const said = last < 0 ? chain : chain.slice(0, last + 1);
  const texts = said
    .filter((e) => !(e instanceof LocatedError || e instanceof LeftBehindError))
    .map(ownMessage);
  const end = chain.length === 0 ? { cause: error } : chain.at(-1)!;
  // A migration may throw anything, also nothing.
  if (last < 0 && "cause" in end && !(end.cause instanceof Error)) {
    texts.push(thrownText(end.cause));
  }
  return texts.join(": ");
}

function ownMessage(error: Error): string {
  const message = String(error.message);
  if (message === "") return String(error.name);
  return isPlain(error) ? message : `${error.name}: ${message}`;
}

/** Something that is no error and was thrown. */
function thrownText(value: unknown): string {
  try {
    if (typeof value !== "object" || value === null) return String(value);
    const { message } = value as { message?: unknown };
    return typeof message === "string" ? message : JSON.stringify(value);
  } catch {
    return "something that cannot be shown";
  }
}

/** Our own errors and bare `Error`s speak for themselves; of a `TypeError` the class is part of the news. */
function isPlain(error: Error): boolean {
  return error instanceof DatabaseError ||
    !/^(?:Type|Range|Reference|Syntax|Eval|URI|Aggregate)Error$/.test(
      error.name,
    );
}

/** The beginning of a statement. */
function head(statement: string): string {
  return statement.length > STATEMENT_LIMIT
    ? `${statement.slice(0, STATEMENT_LIMIT)}…`
    : statement;
}

/** The part of the statement's line around a position, as it is shown, and the column of the position in it from 0. */
function lineAt(
  statement: string,
  position: number,
): { line: string; column: number } {
  // PostgreSQL counts characters, JavaScript UTF-16 units.
  const before = [...statement.slice(0, 2 * position)].slice(0, position - 1)
    .join("");
  const after = statement.slice(before.length, before.length + STATEMENT_LIMIT);
  const left = [...shownLines(before).at(-1)!];
  const right = [...shownLines(after)[0]!];
  const near = left.length > 60 ? ["…", ...left.slice(-59)] : left;
  const line = [...near, ...right.slice(0, 60)].join("");
  return { line, column: near.length };
}

/** The lines of a text, with tabs as spaces: a mark below them stands where it should. */
function shownLines(text: string): string[] {
  return text.replaceAll("\t", " ").split(/\r?\n/).map(visible);
}
