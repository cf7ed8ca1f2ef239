/**
 * A write to the history that does not write its rows cannot be committed: the server itself refuses it, in the statement
 * that writes. A trigger may return nothing, a policy may hide the row, somebody may have deleted or changed it meanwhile.
 *
 * @module
 */
import { causeOf, DatabaseError, RefusedError } from "../../errors.ts";
import { HISTORY_TABLE, historyName, historyTable } from "./place.ts";
import { refusal, refusedText } from "./server_refusal.ts";
import { quoteLiteral } from "../../sql/quote.ts";

/** What a statement is to write. */
export interface WriteCheck {
  /** The schema of the history. */
  readonly schema: string;
  /** What cannot be done when it writes something else: the beginning of a message. */
  readonly what: string;
  /** How many rows. */
  readonly count: number;
  /** A condition that holds for each of them afterwards. */
  readonly expected: string;
}

const KIND = "history";

/**
 * Makes an insert or update of the history fail that does not write what it should. It returns `id` and `took`,
 * milliseconds, of its rows, in their order.
 */
export function written(
  statement: string,
  { schema, what, count, expected }: WriteCheck,
): string {
  const text = quoteLiteral(
    `${what} in ${historyName(schema)}: of ${count} ${
      count === 1 ? "row" : "rows"
    } the server wrote `,
  );
  const rows = "pg_catalog.count(*) filter (where good)";
  const why =
    "'; look for a trigger, a rule or a policy on the table, or for somebody else who has changed or deleted a row'";
  return `with written as (${statement} returning id, duration_ms as took, ${expected} as good),
    checked as (select case when ${rows} operator(pg_catalog.=) ${count} then 0
      else ${historyRefusal([text, rows, why])} end as missing from written)
    select written.id, written.took, checked.missing from checked left join written on true`;
}

/** A value that cannot be had: the error, once it is {@link historyError}, says `texts`, which are expressions. */
export function historyRefusal(texts: readonly string[]): string {
  return refusal(KIND, texts);
}

/** An error of a write to the history, or of what looks after it, in our words; any other is what it was. */
export function historyError(error: unknown, schema: string): unknown {
  const text = refusedText(error, KIND);
  if (text !== undefined) return new RefusedError([text]);
  const server = causeOf(error, DatabaseError)?.server;
  // The statement is repeated where it is one of a migration.
  if (server === undefined || server.statement !== undefined) return error;
  const isGone = server.code === UNDEFINED_TABLE &&
    server.message.includes(`${schema}.${HISTORY_TABLE}`);
  if (isGone) {
    return new RefusedError([
      `Cannot write to ${
        historyName(schema)
      }: it is not there any more, somebody has dropped or renamed it, or its schema, meanwhile`,
    ]);
  }
  if (
    server.code === NOT_SUPPORTED &&
    /\bWITH\b|\bRETURNING\b/.test(server.message)
  ) {
    return new RefusedError([
      `Cannot write to ${
        historyName(schema)
      }: it has a rule, which can change what is written; use a trigger instead`,
    ]);
  }
  const isBehind = server.code === UNIQUE_VIOLATION &&
    server.table === HISTORY_TABLE && server.schema === schema &&
    /_pkey\d*$/.test(server.constraint ?? "");
  if (!isBehind) return error;
  const table = historyTable(schema);
  return new RefusedError([
    `Cannot write to ${
      historyName(schema)
    }: the sequence of its numbers is behind its rows, as after a copy without sequences; run ` +
    `select setval(pg_get_serial_sequence(${
      quoteLiteral(table)
    }, 'id'), (select max(id) from ${table}))`,
  ]);
}

const UNDEFINED_TABLE = "42P01";

/** feature_not_supported: what the server says of a rule on a table that is written `with …` or `returning …` */
const NOT_SUPPORTED = "0A000";

const UNIQUE_VIOLATION = "23505";
