/**
 * What a backfill is: work over a range of keys, whose position is committed with its data. No I/O.
 *
 * @module
 */
import type { Expression, Kysely, SqlBool } from "kysely";

/** Does the work for the rows that the condition picks. */
export type BatchFunction = (
  // deno-lint-ignore no-explicit-any -- migrations are frozen in time: they must not depend on today's table types
  db: Kysely<any>,
  rows: Expression<SqlBool>,
) => Promise<void>;

/** What a migration file exports as `backfill`. */
export interface Backfill {
  /** As the statements of the batch name it, with or without its schema. */
  readonly table: string;
  /** The columns that the ranges are made of. @default {the primary key} */
  readonly key?: readonly string[];
  /** What is left to do. */
  readonly where?: Expression<SqlBool>;
  readonly batch: BatchFunction;
}

/** The values of the key's columns, as the server writes them. */
export type Key = readonly string[];

/** A table whose keys can be walked. */
export interface FillTable {
  readonly schema: string;
  readonly name: string;
  readonly bytes: number;
  /** The key's columns, in the order of a unique index. */
  readonly keys: readonly string[];
  /** The schema of the operators that compare them. */
  readonly operators: string;
}

/** The keys that one batch takes: all that are greater than `after`, up to `through`. */
export interface KeyRange {
  readonly table: FillTable;
  /** `null`: from the first. */
  readonly after: Key | null;
  readonly through: Key;
  /** Only if a row matches what is left to do; told whether one does. */
  readonly look?: (found: boolean) => void;
}

/** A table of at most so many bytes is filled at once, in the transaction of the run. */
export const SMALL_BYTES = 8 * 1024 * 1024;

/** How long a batch should take, unless it was set otherwise; milliseconds. */
export const AIM_MS = 500;

/** A statement of a batch may take so many times the aim. */
export const AIMS_AT_MOST = 20;

/** How many times a table is walked at most, where rows come to match again. */
export const MOST_PASSES = 4;

/** What an operator tells a backfill at work. */
export type BackfillControl =
  | { readonly action: "pause" | "resume" }
  | {
    readonly action: "set";
    readonly rest: number | undefined;
    readonly aimMs: number | undefined;
  };

/** What is wrong with what a file exports as `backfill`. */
export function backfillFaults(backfill: unknown): string[] {
  if (typeof backfill !== "object" || backfill === null) {
    return ["its backfill is not an object"];
  }
  const { table, key, where, batch, ...others } = backfill as Record<
    string,
    unknown
  >;
  const isName = (name: unknown) => typeof name === "string" && name !== "";
  return [
    ...(isName(table) ? [] : ['its backfill names no "table"']),
    ...(key === undefined ||
        (Array.isArray(key) && key.length > 0 && key.every(isName))
      ? []
      : ['the "key" of its backfill is not a list of columns']),
    ...(where === undefined ||
        (typeof where === "object" && where !== null &&
          "toOperationNode" in where)
      ? []
      : ['the "where" of its backfill is not an expression of Kysely']),
    ...(typeof batch === "function"
      ? []
      : ['its backfill has no "batch" function']),
    ...Object.keys(others).map((name) =>
      `its backfill has an unknown key "${name}" (known: table, key, where, batch)`
    ),
  ];
}

/** A unique index of a table. */
export interface UniqueIndex {
  readonly primary: boolean;
  readonly columns: readonly string[];
  readonly notNull: boolean;
  /** The schemas of the operators that compare its columns. */
  readonly operators: readonly string[];
}

/** What the server says of the table of a backfill. */
export interface TableFacts {
  readonly schema: string;
  readonly name: string;
  /** As `pg_class.relkind`. */
  readonly kind: string;
  readonly bytes: number;
  readonly indexes: readonly UniqueIndex[];
}

/** The table as it can be walked, or why it cannot be. */
export function fillTable(
  { table, key }: Pick<Backfill, "table" | "key">,
  facts: TableFacts,
): FillTable | string {
  const { schema, name, kind, bytes, indexes } = facts;
  if (kind !== "r" && kind !== "p") return `"${table}" is not a table`;
  const index = key === undefined
    ? indexes.find(({ primary }) => primary)
    : indexes.find(({ columns }) => same(columns, key));
  if (index === undefined) {
    return key === undefined
      ? `"${table}" has no primary key: add one first, or name the columns of a unique index as key`
      : `"${table}" has no unique index on (${
        key.join(", ")
      }), in this order: add one first`;
  }
  if (!index.notNull) {
    return `the key (${
      index.columns.join(", ")
    }) of "${table}" may be null: set its columns not null first`;
  }
  const [operators, ...others] = index.operators;
  if (operators === undefined || others.length > 0) {
    return `the columns of the key (${
      index.columns.join(", ")
    }) of "${table}" cannot be compared as a row: their types come from several schemas`;
  }
  return { schema, name, bytes, keys: index.columns, operators };
}

/** Whether two lists of columns, or two keys, are the same. */
export function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((one, i) => one === b[i]);
}

/** A key for a message: `killmail_id = 42`. */
export function keyText(keys: readonly string[], key: Key): string {
  return keys.map((column, i) => `${column} = ${key[i]}`).join(", ");
}
