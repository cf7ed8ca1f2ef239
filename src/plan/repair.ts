/**
 * Planning of what changes the history and runs nothing: `baseline` and `repair`. No I/O.
 *
 * @module
 */
import {
  currentRows,
  type HistoryChange,
  type HistoryRow,
  isApplied,
} from "./history.ts";
import { compareNames, type Migration } from "./migration.ts";
import type { Planned } from "./plan.ts";
import { kyselyNames } from "./kysely.ts";
import { quote, quoteValue } from "../text.ts";
import {
  inOrder,
  isChanged,
  isOpen,
  isStuck,
  isUnfinished,
  names,
  unfinishedFault,
} from "./states.ts";

/** Changes of the history alone. */
export interface HistoryPlan {
  readonly changes: readonly HistoryChange[];
}

export interface RepairRequest {
  readonly action: "accept_checksum" | "retry" | "mark_applied";
  readonly name: string;
}

type Migrations = readonly Migration[];
type History = readonly HistoryRow[];

/** Records the migrations up to `to` as applied without running them. */
export function planBaseline(
  migrations: Migrations,
  history: History,
  to: string,
): Planned<HistoryPlan> {
  const rows = currentRows(history);
  const wanted = inOrder(migrations).filter((migration) =>
    compareNames(migration.name, to) <= 0 &&
    !isApplied(rows.get(migration.name))
  );
  return baseline(wanted.map((migration) => ({ migration })), rows);
}

/** Records the migrations that Kysely's own table lists, with its times, as applied without running them. */
export function planBaselineFromKysely(
  migrations: Migrations,
  history: History,
  kysely: readonly { readonly name: string; readonly timestamp: string }[],
): Planned<HistoryPlan> {
  const rows = currentRows(history);
  const find = kyselyNames(migrations);
  const unknown = inOrder(kysely).filter(({ name }) => !find(name));
  if (unknown.length > 0) {
    const [it, file] = unknown.length === 1
      ? ["it", "the file"]
      : ["them", "the files"];
    const same = inOrder(migrations)[kysely.length - 1];
    const fault =
      `Cannot record ${
        names(unknown)
      } as applied: this program does not carry ${it}; add ${file} to migrations/ or run the version of the program that does; ` +
      `if it carries ${it} under other names, record what this database has: baseline --to NAME${
        same === undefined
          ? ""
          : ` (the table lists ${kysely.length}, and number ${kysely.length} here is ${
            quote(same.name)
          })`
      }`;
    return { ok: false, faults: [fault] };
  }
  const times = new Map<Migration, string>();
  for (const { name, timestamp } of kysely) {
    const migration = find(name)!;
    if (isApplied(rows.get(migration.name)) || times.has(migration)) continue;
    times.set(migration, timestamp);
  }
  return baseline(
    inOrder([...times.keys()]).map((migration) => ({
      migration,
      appliedAt: times.get(migration)!,
    })),
    rows,
  );
}

/** Settles a failed, interrupted or edited migration. An empty list of changes means that nothing needs repair. */
export function planRepair(
  migrations: Migrations,
  history: History,
  { action, name }: RepairRequest,
): Planned<HistoryPlan> {
  const row = currentRows(history).get(name);
  const migration = migrations.find((migration) => migration.name === name);
  // Of what the program does not carry, rows that were rolled back may not have been read.
  const result = row === undefined
    ? migration === undefined
      ? "this program does not carry it"
      : "the history has no row of it"
    : action === "retry"
    ? retry(row, migration)
    : migration === undefined
    ? "this program does not carry it"
    : action === "mark_applied"
    ? markApplied(migration, row)
    : acceptChecksum(migration, row);
  return typeof result === "string"
    ? { ok: false, faults: [`Cannot repair ${quoteValue(name)}: ${result}`] }
    : { ok: true, plan: { changes: result } };
}

/** Changes, or why there can be none. */
type Repair = readonly HistoryChange[] | string;

function retry(row: HistoryRow, migration: Migration | undefined): Repair {
  if (isApplied(row)) return "it is applied; use down or redo to run it again";
  const isOpened = isOpen(migration, row);
  if (isOpened && !isChanged(migration!, row)) return [];
  if (isOpened || isStuck(migration, row)) {
    return [{ kind: "reopen", id: row.id, checksum: migration!.checksum }];
  }
  return row.status === "rolled_back"
    ? []
    : [{ kind: "roll_back", id: row.id }];
}

function markApplied({ checksum }: Migration, row: HistoryRow): Repair {
  if (isApplied(row)) return [];
  return row.status === "rolled_back"
    ? "it was rolled back; use up to apply it, or baseline to record it without running it"
    : [{ kind: "mark_applied", id: row.id, checksum }];
}

function acceptChecksum(migration: Migration, row: HistoryRow): Repair {
  if (!isApplied(row)) {
    return "it is not applied, so it has no checksum to accept";
  }
  return isChanged(migration, row)
    ? [{
      kind: "accept_checksum",
      id: row.id,
      checksum: migration.checksum,
    }]
    : [];
}

function baseline(
  wanted: readonly { migration: Migration; appliedAt?: string }[],
  rows: ReadonlyMap<string, HistoryRow>,
): Planned<HistoryPlan> {
  const faults = wanted.flatMap(({ migration }) => {
    const row = rows.get(migration.name);
    if (isOpen(migration, row)) {
      return [
        `Cannot record "${migration.name}": it is a backfill that has begun; let it finish, or count it as applied with ` +
        `repair --mark-applied ${migration.name}`,
      ];
    }
    return row !== undefined && isUnfinished(migration, row)
      ? [unfinishedFault("record", row)]
      : [];
  });
  if (faults.length > 0) return { ok: false, faults };
  const changes = wanted.map(({ migration, appliedAt }): HistoryChange => ({
    kind: "insert",
    name: migration.name,
    checksum: migration.checksum,
    status: "baseline",
    startedAgoMs: 0,
    durationMs: null,
    error: null,
    ...(appliedAt !== undefined && { appliedAt }),
  }));
  return { ok: true, plan: { changes } };
}
