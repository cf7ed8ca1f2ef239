/**
 * Errors → what to say of them: one line for the history, lines for a person, a value for JSON.
 *
 * @module
 */
import {
  causeOf,
  ConnectionError,
  ConnectionLostError,
  DatabaseError,
  MigrationError,
  RefusedError,
  UsageError,
} from "./errors.ts";
import { visible } from "./quote.ts";

/** An error as data. Texts come from the server and from migrations: they are not yet fit for a terminal. */
export interface Failure {
  readonly message: string;
  readonly migration?: string;
  readonly direction?: "up" | "down";
  /** SQLSTATE. */
  readonly code?: string;
  readonly detail?: string;
  readonly hint?: string;
  readonly where?: string;
  readonly statement?: string;
  /** Counted in characters from 1. */
  readonly position?: number;
}

/** The longest statement that an error repeats, in characters. */
const STATEMENT_LIMIT = 2_000;

/** Reads everything worth saying from an error and its causes. */
export function failureOf(error: unknown): Failure {
  const migration = causeOf(error, MigrationError);
  const database = causeOf(error, DatabaseError);
  const connection = causeOf(error, ConnectionError);
  const server = database?.server;
  const statement = server?.statement;
  const hint = server?.hint ?? connection?.hint;
  return {
    message: messageOf(error),
    ...(migration && {
      migration: migration.migration,
      direction: migration.direction,
    }),
    ...(server && { code: server.code }),
    ...(server?.detail !== undefined && { detail: server.detail }),
    ...(hint !== undefined && { hint }),
    ...(server?.where !== undefined && { where: server.where }),
    ...(statement !== undefined && {
      statement: statement.length > STATEMENT_LIMIT
        ? `${statement.slice(0, STATEMENT_LIMIT)}…`
        : statement,
    }),
    ...(server?.position !== undefined && { position: server.position }),
  };
}

/** One line for the history: `42P01: relation "x" does not exist`. */
export function failureText(error: unknown): string {
  const reason = error instanceof MigrationError ? error.cause : error;
  const code = causeOf(error, DatabaseError)?.server.code;
  return code === undefined
    ? messageOf(reason)
    : `${code}: ${messageOf(reason)}`;
}

/** Lines for a person: the message, then what the server said, indented. */
export function failureLines(error: unknown): string[] {
  if (error instanceof UsageError || error instanceof RefusedError) {
    return error.faults.map(visible);
  }
  const failure = failureOf(error);
  const code = failure.code === undefined ? "" : ` (SQLSTATE ${failure.code})`;
  const lines = [`${visible(failure.message)}${code}`];
  const add = (name: string, text: string | undefined) => {
    if (text === undefined) return;
    text.split("\n").forEach((line, i) =>
      lines.push(`  ${i === 0 ? `${name}: ` : "  "}${visible(line)}`)
    );
  };
  add("detail", failure.detail);
  if (failure.statement !== undefined) {
    const [line, column] = lineAndColumn(failure.statement, failure.position);
    add("statement", line);
    if (column !== undefined) {
      lines.push(`${" ".repeat("  statement: ".length + column)}^`);
    }
  }
  add("where", failure.where);
  add("hint", failure.hint);
  return lines;
}

/** The message of an error with those of its causes: `Cannot apply "x": the reason`. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = error instanceof DatabaseError || isPlain(error)
    ? error.message
    : `${error.name}: ${error.message}`;
  // A migration may throw anything, also nothing.
  return !("cause" in error) || error instanceof DatabaseError ||
      error instanceof ConnectionError || error instanceof ConnectionLostError
    ? own
    : `${own}: ${messageOf(error.cause)}`;
}

/** Our own errors and bare `Error`s speak for themselves; of a `TypeError` the class is part of the news. */
function isPlain(error: Error): boolean {
  return error.name === "Error" ||
    !/^(?:Type|Range|Reference|Syntax|Eval|URI|Aggregate)Error$/.test(
      error.name,
    );
}

/** The line of the statement that the position is in, and the column in it from 0; else the whole statement. */
function lineAndColumn(
  statement: string,
  position: number | undefined,
): [string, number | undefined] {
  if (position === undefined) return [statement, undefined];
  // PostgreSQL counts characters, JavaScript UTF-16 units.
  const before = [...statement].slice(0, position - 1).join("");
  const start = before.lastIndexOf("\n") + 1;
  const end = statement.indexOf("\n", start);
  const line = statement.slice(start, end < 0 ? undefined : end);
  const column = before.length - start;
  const from = Math.max(0, column - 60);
  return from === 0
    ? [line.slice(0, column + 60), column]
    : [`…${line.slice(from, column + 60)}`, column - from + 1];
}
