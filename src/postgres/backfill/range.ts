/**
 * Ranges of keys in our own SQL.
 *
 * A comparison of rows is an index condition on both ends; `a > x or (a = x and b > y)` would filter the whole index. The
 * operators are those of the index, by name: nothing else that a search path leads to compares otherwise.
 *
 * @module
 */
import type { FillTable, Key } from "../../plan/backfill.ts";
import { quoteIdentifier, quoteLiteral } from "../../sql/quote.ts";
import type { Rows } from "../wire/protocol.ts";

/** The condition for keys between two, on the table `t`. */
export function rangeCondition(
  table: FillTable,
  after: Key | null,
  through: Key,
): string {
  const row = `(${columns(table).join(", ")})`;
  const compared = (operator: string, key: Key) => {
    const values = key.map(quoteLiteral).join(", ");
    const schema = quoteIdentifier(table.operators);
    return `${row} operator(${schema}.${operator}) (${values})`;
  };
  return [
    ...(after === null ? [] : [compared(">", after)]),
    compared("<=", through),
  ].join(" and ");
}

/** The greatest key, or no row. */
export function lastKeyQuery(table: FillTable): string {
  return `select ${keyJson(table)} as key from ${from(table)}
    order by ${order(table, " desc")} limit 1`;
}

/** The last of at most so many keys, `key`, and how many they are, `n`; no row when there is none. */
export function boundQuery(
  table: FillTable,
  after: Key | null,
  through: Key,
  rows: number,
): string {
  return `select ${keyJson(table)} as key, t.n from (
      select t.*, pg_catalog.count(*) over ()::pg_catalog.int4 as n from (
        select ${columns(table).join(", ")} from ${from(table)}
          where ${rangeCondition(table, after, through)}
          order by ${order(table)} limit ${rows}) t) t
    order by ${order(table, " desc")} limit 1`;
}

/** What the planner expects of the keys between two: it looks at no row. */
export function estimateQuery(
  table: FillTable,
  after: Key | null,
  through: Key,
): string {
  return `explain (format json) select from ${from(table)} where ${
    rangeCondition(table, after, through)
  }`;
}

/** Reads the answer to {@link estimateQuery}. */
export function readEstimate([row]: Rows): number {
  const plan: unknown = row?.["QUERY PLAN"];
  const [{ Plan }] = typeof plan === "string" ? JSON.parse(plan) : plan;
  return Number(Plan["Plan Rows"]);
}

function from({ schema, name }: FillTable): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(name)} t`;
}

function columns({ keys }: FillTable): string[] {
  return keys.map((key) => `t.${quoteIdentifier(key)}`);
}

function order(table: FillTable, direction = ""): string {
  return columns(table).map((column) => column + direction).join(", ");
}

function keyJson(table: FillTable): string {
  const texts = columns(table).map((column) => `${column}::pg_catalog.text`);
  return `pg_catalog.json_build_array(${texts.join(", ")})::pg_catalog.text`;
}
