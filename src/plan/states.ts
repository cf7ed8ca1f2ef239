/**
 * (Migrations, history) → the state of each migration. No I/O.
 *
 * @module
 */
import { currentRows, type HistoryRow, isApplied } from "./history.ts";
import { compareNames, type Migration, type Phase } from "./migration.ts";
import { shellWord } from "../text.ts";

/** What a migration can be, as `status` prints it. */
export type State =
  | "applied"
  | "pending"
  | "baseline"
  | "changed"
  | "missing"
  | "out_of_order"
  | "failed"
  | "running"
  /** A backfill that has begun: the next run goes on with it. */
  | "open";

/** One line of `status`: a migration that the program carries, that the history knows, or both. */
export interface MigrationState {
  readonly name: string;
  readonly state: State;
  readonly migration?: Migration;
  /** None when it was rolled back. */
  readonly row?: HistoryRow;
}

/** The state of every migration that the program or the history knows, in the one order. */
export function migrationStates(
  migrations: readonly Migration[],
  history: readonly HistoryRow[],
): readonly MigrationState[] {
  // A rolled back migration is past history, not a state.
  const rows = new Map(
    [...currentRows(history)].filter(([, row]) => row.status !== "rolled_back"),
  );
  const embedded = byName(migrations);
  const newest = newestInLane(rows, embedded);
  const names = new Set([...embedded.keys(), ...rows.keys()]);
  return [...names].sort(compareNames).map((name) => {
    const migration = embedded.get(name);
    const row = rows.get(name);
    return {
      name,
      state: stateOf(name, migration, row, newest(migration)),
      ...(migration && { migration }),
      ...(row && { row }),
    };
  });
}

export function byName<T extends { readonly name: string }>(
  list: readonly T[],
): ReadonlyMap<string, T> {
  return new Map(list.map((one) => [one.name, one]));
}

/** A copy in the one order. */
export function inOrder<T extends { readonly name: string }>(
  list: readonly T[],
): T[] {
  return list.toSorted((a, b) => compareNames(a.name, b.name));
}

/**
 * Finds the newest applied migration of the lane of another one: those of a phase are applied in their order, and those of
 * the other one do not count. One that the program does not carry counts in both.
 */
export function newestInLane(
  rows: ReadonlyMap<string, HistoryRow>,
  migrations: ReadonlyMap<string, Migration>,
): (of: Migration | undefined) => string | undefined {
  const newest = new Map<Phase, string>();
  for (const row of rows.values()) {
    if (!isApplied(row)) continue;
    const known = migrations.get(row.name)?.phase;
    for (const phase of known === undefined ? PHASES : [known]) {
      const other = newest.get(phase);
      if (other === undefined || compareNames(row.name, other) > 0) {
        newest.set(phase, row.name);
      }
    }
  }
  return (of) => newest.get(of?.phase ?? "pre");
}

const PHASES: readonly Phase[] = ["pre", "post"];

/** Whether the migration is another one than the one that was applied. */
export function isChanged(migration: Migration, row: HistoryRow): boolean {
  return row.checksum !== null && row.checksum !== migration.checksum;
}

/**
 * Whether the row stands for something half done. A failed transactional migration left nothing behind; of one that the
 * program does not carry (`undefined`) nobody knows whether it was transactional, unless it was rolling back.
 */
export function isUnfinished(
  migration: Migration | undefined,
  row: HistoryRow,
): boolean {
  if (row.status === "running") return !isOpen(migration, row);
  if (row.status !== "failed") return false;
  return row.rollingBack ||
    (migration?.transaction === false && !ranInTransaction(migration, row)) ||
    isStuck(migration, row);
}

/**
 * Whether it is a backfill that has failed after a batch, and so has a position: it has no duration, since it is not at its
 * end. One that failed in the transaction of a run left nothing behind.
 */
export function isStuck(
  migration: Migration | undefined,
  row: HistoryRow | undefined,
): boolean {
  return migration?.backfill !== undefined && row?.status === "failed" &&
    !row.rollingBack && row.durationMs === null;
}

/** Whether it is a backfill that has begun, and may go on at any time. */
export function isOpen(
  migration: Migration | undefined,
  row: HistoryRow | undefined,
): boolean {
  return migration?.backfill !== undefined && row?.status === "running" &&
    !row.rollingBack;
}

/** PostgreSQL's active_sql_transaction, as the history has it: what ran cannot run inside a transaction, and did. */
const IN_TRANSACTION = /^25001\b/;

/** It was still transactional when it failed, and has since been told to run outside, as the error's hint advises. */
function ranInTransaction(migration: Migration, row: HistoryRow): boolean {
  return isChanged(migration, row) && IN_TRANSACTION.test(row.error ?? "");
}

export function changedFault({ name, migration, row }: MigrationState): string {
  return `Cannot go on with "${name}": it is applied, but its checksum is ${
    short(migration!.checksum)
  } and the ` +
    `history has ${
      short(row!.checksum!)
    }; restore the file, or accept the edit with ` +
    `repair --accept-checksum ${shellWord(name)}`;
}

/** Why a backfill that has begun cannot go on. */
export function backfillFault(
  { name, checksum }: Migration,
  row: HistoryRow,
): string {
  if (row.status === "failed") {
    return `Cannot go on with "${name}": a batch of it has failed; put right what failed, then go on from there with ` +
      `repair --retry ${
        shellWord(name)
      }, or count it as applied with repair --mark-applied ${shellWord(name)}`;
  }
  return `Cannot go on with "${name}": it has begun, but its checksum is ${
    short(checksum)
  } and the history has ${
    short(row.checksum ?? "")
  }; restore the file, or go on with the edited one with repair --retry ${
    shellWord(name)
  }`;
}

export function unfinishedFault(action: string, row: HistoryRow): string {
  const what = row.rollingBack ? "its rollback" : "it";
  const state = row.status === "running"
    ? `${what} began and did not end`
    : `${what} failed half-way`;
  return `Cannot ${action} "${row.name}": ${state} outside a transaction; look at the database, then run ` +
    `repair --retry ${shellWord(row.name)} or repair --mark-applied ${
      shellWord(row.name)
    }`;
}

/** The names of at most five, quoted, and how many more there are. */
export function names(list: readonly { readonly name: string }[]): string {
  const shown = list.slice(0, 5).map(({ name }) => `"${name}"`).join(", ");
  return list.length > 5 ? `${shown} and ${list.length - 5} more` : shown;
}

function stateOf(
  name: string,
  migration: Migration | undefined,
  row: HistoryRow | undefined,
  newestApplied: string | undefined,
): State {
  if (isOpen(migration, row)) return "open";
  if (
    row !== undefined && (row.status === "failed" || row.status === "running")
  ) return row.status;
  if (isApplied(row)) {
    if (migration === undefined) return "missing";
    return isChanged(migration, row)
      ? "changed"
      : row.status === "baseline"
      ? "baseline"
      : "applied";
  }
  return newestApplied !== undefined && compareNames(name, newestApplied) < 0
    ? "out_of_order"
    : "pending";
}

function short(checksum: string): string {
  return `${checksum.slice(0, 12)}…`;
}
