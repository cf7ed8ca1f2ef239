/**
 * What the failure of a batch says of it.
 *
 * @module
 */
import { causeOf, MigrationError, sqlStateOf } from "../errors.ts";

/** What a batch fails of. */
export type Nature =
  /** It waited for somebody else, or took too long. */
  | "in_the_way"
  /** One of its rows. */
  | "data"
  /** Its code: any row would do. */
  | "code"
  /** Nothing of its own: what is wrong may pass. */
  | "passing";

/** lock_not_available, deadlock_detected and query_canceled, which is what a time limit says. */
const IN_THE_WAY: readonly string[] = ["55P03", "40P01", "57014"];

/** Classes of SQLSTATE that some rows may cause, and others not: data, constraints, what a function has raised. */
const DATA = ["21", "22", "23", "27", "38", "39", "44", "P0"];

/** Classes of SQLSTATE that say nothing of the batch: connection, resources, operators, the system. */
const PASSING = ["08", "53", "57", "58", "XX"];

/** Judges an error that was thrown while the connection is there. */
export function natureOf(error: unknown): Nature {
  const state = sqlStateOf(error);
  if (state !== undefined && IN_THE_WAY.includes(state)) return "in_the_way";
  const isOf = (classes: readonly string[]) =>
    state !== undefined && classes.includes(state.slice(0, 2));
  if (causeOf(error, MigrationError) === undefined || isOf(PASSING)) {
    return "passing";
  }
  return isOf(DATA) ? "data" : "code";
}
