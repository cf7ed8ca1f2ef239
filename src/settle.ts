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
import { isChanged, isUnfinished, names, unfinishedFault } from "./states.ts";

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
  const wanted = migrations.filter((migration) =>
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
  const embedded = new Map(
    migrations.map((migration) => [migration.name, migration]),
  );
  const unknown = kysely.filter(({ name }) => !embedded.has(name));
  if (unknown.length > 0) {
    const fault = `Cannot record ${
      names(unknown)
    } as applied: this program does not carry ${
      unknown.length === 1 ? "it" : "them"
    }; add the ${
      unknown.length === 1 ? "file" : "files"
    } to migrations/ or run the version of the program that does`;
    return { ok: false, faults: [fault] };
  }
  return baseline(
    kysely
      .filter(({ name }) => !isApplied(rows.get(name)))
      .sort((a, b) => compareNames(a.name, b.name))
      .map(({ name, timestamp }) => ({
        migration: embedded.get(name)!,
        appliedAt: timestamp,
      })),
    rows,
  );
}

/** Settles a failed, interrupted or edited migration. An empty list of changes means that nothing needs repair. */
export function planRepair(
  migrations: Migrations,
  history: History,
  request: RepairRequest,
): Planned<HistoryPlan> {
  const row = currentRows(history).get(request.name);
  const migration = migrations.find(({ name }) => name === request.name);
  const refuse = (text: string): Planned<HistoryPlan> => ({
    ok: false,
    faults: [`Cannot repair "${request.name}": ${text}`],
  });
  const change = (...changes: HistoryChange[]): Planned<HistoryPlan> => ({
    ok: true,
    plan: { changes },
  });

  if (row === undefined) return refuse("the history has no row of it");
  if (request.action === "retry") {
    if (isApplied(row)) {
      return refuse("it is applied; use down or redo to run it again");
    }
    if (row.status === "rolled_back") return change();
    return change({ kind: "roll_back", id: row.id });
  }
  if (migration === undefined) return refuse("this program does not carry it");
  if (request.action === "mark_applied") {
    if (isApplied(row)) return change();
    if (row.status === "rolled_back") {
      return refuse(
        "it was rolled back; use up to apply it, or baseline to record it without running it",
      );
    }
    return change({
      kind: "mark_applied",
      id: row.id,
      checksum: migration.checksum,
    });
  }
  if (!isApplied(row)) {
    return refuse("it is not applied, so it has no checksum to accept");
  }
  if (!isChanged(migration, row)) return change();
  return change({
    kind: "accept_checksum",
    id: row.id,
    checksum: migration.checksum,
  });
}

function baseline(
  wanted: readonly { migration: Migration; appliedAt?: string }[],
  rows: ReadonlyMap<string, HistoryRow>,
): Planned<HistoryPlan> {
  const faults = wanted.flatMap(({ migration }) => {
    const row = rows.get(migration.name);
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
