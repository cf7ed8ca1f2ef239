/**
 * Planning: (migrations, history, request) → steps, or a refusal that names every fault at once. No I/O.
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

/** What a migration can be, as `status` prints it. */
export type State =
  | "applied"
  | "pending"
  | "baseline"
  | "changed"
  | "missing"
  | "out_of_order"
  | "failed"
  | "running";

/** One line of `status`: a migration that the program carries, that the history knows, or both. */
export interface MigrationState {
  readonly name: string;
  readonly state: State;
  readonly migration?: Migration;
  readonly row?: HistoryRow;
}

/** One migration to run in one direction. `row` is the history's current row of it, if there is one. */
export interface Step {
  readonly direction: "up" | "down";
  readonly migration: Migration;
  readonly row?: HistoryRow;
}

/** Steps in the order in which they run, and what the operator should know although it stops nothing. */
export interface Plan {
  readonly steps: readonly Step[];
  readonly warnings: readonly string[];
}

/** Changes of the history alone, for `baseline` and `repair`. */
export interface HistoryPlan {
  readonly changes: readonly HistoryChange[];
}

export type Planned<T> = { readonly ok: true; readonly plan: T } | {
  readonly ok: false;
  readonly faults: readonly string[];
};

export interface UpRequest {
  readonly to?: string;
  readonly steps?: number;
  readonly allowOutOfOrder?: boolean;
}

export interface DownRequest {
  readonly to?: string;
  readonly steps?: number;
  readonly all?: boolean;
}

export interface RepairRequest {
  readonly action: "accept_checksum" | "retry" | "mark_applied";
  readonly name: string;
}

type Migrations = readonly Migration[];
type History = readonly HistoryRow[];

/** The state of every migration that the program or the history knows, in the one order. */
export function migrationStates(
  migrations: Migrations,
  history: History,
): readonly MigrationState[] {
  const rows = currentRows(history);
  const newestApplied = newestAppliedName(rows);
  const embedded = new Map(
    migrations.map((migration) => [migration.name, migration]),
  );
  const names = new Set(embedded.keys());
  // A rolled back migration that the program no longer carries is past history, not a state.
  for (const row of rows.values()) {
    if (row.status !== "rolled_back") names.add(row.name);
  }
  return [...names].sort(compareNames).map((name) => {
    const migration = embedded.get(name);
    const row = rows.get(name);
    return {
      name,
      state: stateOf(name, migration, row, newestApplied),
      ...(migration && { migration }),
      ...(row && { row }),
    };
  });
}

/** Applies pending migrations, oldest first. */
export function planUp(
  migrations: Migrations,
  history: History,
  request: UpRequest = {},
): Planned<Plan> {
  const states = migrationStates(migrations, history);
  const rows = currentRows(history);
  const newestApplied = newestAppliedName(rows);
  const steps = migrations
    .filter((migration) => !isApplied(rows.get(migration.name)))
    .sort((a, b) => compareNames(a.name, b.name))
    .filter((migration) =>
      request.to === undefined || compareNames(migration.name, request.to) <= 0
    )
    .slice(0, request.steps)
    .map((migration) => step("up", migration, rows));

  const faults = states.filter((state) => state.state === "changed").map(
    changedFault,
  );
  for (const { migration, row } of steps) {
    if (
      !request.allowOutOfOrder && newestApplied !== undefined &&
      compareNames(migration.name, newestApplied) < 0
    ) {
      faults.push(
        `Cannot apply "${migration.name}": it sorts before "${newestApplied}", which is already applied; ` +
          "give it a later name, or pass --allow-out-of-order",
      );
    }
    if (
      row !== undefined && isUnfinished(migration, row) && !migration.idempotent
    ) {
      faults.push(unfinishedFault("apply", row));
    }
  }
  const unknown = states.filter((state) =>
    state.migration === undefined && state.row !== undefined &&
    (isApplied(state.row) || state.state === "running")
  );
  if (steps.length > 0 && unknown.length > 0) {
    faults.push(
      `Cannot apply ${
        count(steps.length, "pending migration")
      }: the database is newer than this program, ` +
        `its history has ${
          names(unknown)
        }; run a version of the program that carries ${
          unknown.length === 1 ? "it" : "them"
        }`,
    );
  }
  if (faults.length > 0) return { ok: false, faults };
  const warnings = unknown.length === 0 ? [] : [
    `The database is newer than this program: its history has ${
      names(unknown)
    }`,
  ];
  return { ok: true, plan: { steps, warnings } };
}

/** Rolls back applied migrations, newest first; one step unless told otherwise. */
export function planDown(
  migrations: Migrations,
  history: History,
  request: DownRequest = {},
): Planned<Plan> {
  const rows = currentRows(history);
  const applied = [...rows.values()].filter(isApplied).sort((a, b) =>
    compareNames(b.name, a.name)
  );
  const selected = request.all
    ? applied
    : request.to !== undefined
    ? applied.filter((row) => compareNames(row.name, request.to!) > 0)
    : applied.slice(0, request.steps ?? 1);

  const embedded = new Map(
    migrations.map((migration) => [migration.name, migration]),
  );
  const faults: string[] = [];
  if (request.to !== undefined && !isApplied(rows.get(request.to))) {
    faults.push(`Cannot roll back to "${request.to}": it is not applied`);
  }
  for (const row of rows.values()) {
    const migration = embedded.get(row.name);
    if (migration ? isUnfinished(migration, row) : row.status === "running") {
      faults.push(unfinishedFault("roll back past", row));
    }
  }
  const steps: Step[] = [];
  for (const row of selected) {
    const migration = embedded.get(row.name);
    if (migration === undefined) {
      faults.push(
        `Cannot roll back "${row.name}": this program does not carry it; run the version of the program that does`,
      );
    } else if (migration.down === undefined) {
      faults.push(`Cannot roll back "${row.name}": it has no down function`);
    } else if (isChanged(migration, row)) {
      faults.push(
        changedFault({ name: row.name, state: "changed", migration, row }),
      );
    } else {
      steps.push(step("down", migration, rows));
    }
  }
  return faults.length > 0
    ? { ok: false, faults }
    : { ok: true, plan: { steps, warnings: [] } };
}

/** Rolls back the newest applied migration and applies it again. */
export function planRedo(
  migrations: Migrations,
  history: History,
): Planned<Plan> {
  const down = planDown(migrations, history);
  if (!down.ok) return down;
  const steps = down.plan.steps.flatMap((
    step,
  ): Step[] => [step, { direction: "up", migration: step.migration }]);
  return { ok: true, plan: { ...down.plan, steps } };
}

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

function step(
  direction: "up" | "down",
  migration: Migration,
  rows: ReadonlyMap<string, HistoryRow>,
): Step {
  const row = rows.get(migration.name);
  return { direction, migration, ...(row && { row }) };
}

function stateOf(
  name: string,
  migration: Migration | undefined,
  row: HistoryRow | undefined,
  newestApplied: string | undefined,
): State {
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

function newestAppliedName(
  rows: ReadonlyMap<string, HistoryRow>,
): string | undefined {
  let newest: string | undefined;
  for (const row of rows.values()) {
    if (
      isApplied(row) &&
      (newest === undefined || compareNames(row.name, newest) > 0)
    ) newest = row.name;
  }
  return newest;
}

function isChanged(migration: Migration, row: HistoryRow): boolean {
  return row.checksum !== null && row.checksum !== migration.checksum;
}

/** A failed transactional migration left nothing behind; anything else that did not end needs a decision. */
function isUnfinished(migration: Migration, row: HistoryRow): boolean {
  return row.status === "running" ||
    (row.status === "failed" && (!migration.transaction || row.rollingBack));
}

function changedFault({ name, migration, row }: MigrationState): string {
  return `Cannot go on with "${name}": it is applied, but its checksum is ${
    short(migration!.checksum)
  } and the ` +
    `history has ${
      short(row!.checksum!)
    }; restore the file, or accept the edit with ` +
    `repair --accept-checksum ${name}`;
}

function unfinishedFault(action: string, row: HistoryRow): string {
  const what = row.rollingBack ? "its rollback" : "it";
  const state = row.status === "running"
    ? `${what} began and did not end`
    : `${what} failed half-way`;
  return `Cannot ${action} "${row.name}": ${state} outside a transaction; look at the database, then run ` +
    `repair --retry ${row.name} or repair --mark-applied ${row.name}`;
}

function short(checksum: string): string {
  return `${checksum.slice(0, 12)}…`;
}

function names(list: readonly { readonly name: string }[]): string {
  const shown = list.slice(0, 5).map(({ name }) => `"${name}"`).join(", ");
  return list.length > 5 ? `${shown} and ${list.length - 5} more` : shown;
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}
