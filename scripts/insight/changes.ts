/**
 * What a statement changes in the rows and columns of tables that were there before the migration.
 *
 * @module
 */
import type {
  ColumnChange,
  StatementFootprint,
} from "../../src/insight/footprint.ts";
import { isStronger } from "../../src/insight/locks.ts";
import {
  compare,
  type Counts,
  isTable,
  locksOf,
  type Relations,
  type Said,
  type Seen,
} from "./seen.ts";

/** All that is known of a statement that has ended. */
export interface Observation {
  readonly head: Pick<StatementFootprint, "sql" | "parameters" | "verb">;
  /** It could not run in a transaction. */
  readonly outside: boolean;
  /** What there was before the migration. */
  readonly start: Relations;
  readonly before: Seen;
  readonly after: Seen;
  readonly said: Said;
  /** The schema that names are written without. */
  readonly schema: string;
}

/** Statements that change rows. */
const CHANGING: readonly string[] = [
  "update",
  "delete",
  "merge",
  "with",
  "do",
  "call",
];

/** Tables whose rows it changes, as far as the tables of a recording have none: locked to be written, and read. */
export function changedTables(
  { head, before, after, start }: Observation,
  counts: ReadonlyMap<number, Counts>,
): number[] {
  if (!CHANGING.includes(head.verb)) return [];
  const held = locksOf(before, start);
  return [...locksOf(after, start)].flatMap(([id, mode]) => {
    const { scans = 0, lookups = 0, updated = 0, deleted = 0 } =
      counts.get(id) ?? {};
    const isNew = mode === "RowExclusive" && isStronger(mode, held.get(id));
    const isVerb = head.verb !== "with" && head.verb !== "do" &&
      head.verb !== "call";
    const mayWrite = isStronger(mode, "RowShare") && (isNew || isVerb);
    return mayWrite && scans + lookups + updated + deleted > 0 ? [id] : [];
  });
}

export function columnChanges(
  { before, after, start }: Observation,
  nameOf: (id: number) => string,
): ColumnChange[] {
  const dropped = [...before.columns].flatMap(([at, was]): ColumnChange[] => {
    const { table, name: column, type: to } = was;
    return isTable(start.get(table)) && after.relations.has(table) &&
        !after.columns.has(at)
      ? [{ table: nameOf(table), column, change: "dropped", to }]
      : [];
  });
  const changed = [...after.columns].flatMap(([at, now]): ColumnChange[] => {
    const { table, name, type } = now;
    if (!isTable(start.get(table))) return [];
    const was = before.columns.get(at);
    const place = { table: nameOf(table), column: was?.name ?? name };
    if (was === undefined) {
      const unfilled = now.required && !now.filled;
      return [{
        ...place,
        change: "added",
        to: type,
        ...(unfilled && { unfilled }),
      }];
    }
    return [
      ...(was.name !== name
        ? [{ ...place, change: "renamed" as const, to: name }]
        : []),
      ...(was.type !== type
        ? [{ ...place, change: "retyped" as const, to: type }]
        : []),
      ...(now.required && !was.required
        ? [{ ...place, change: "required" as const, to: type }]
        : []),
    ];
  });
  return [...dropped, ...changed].sort((a, b) =>
    compare(a.table, b.table) || compare(a.column, b.column)
  );
}
