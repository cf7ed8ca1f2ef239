/**
 * Planning: (migrations, history, request) → steps, or a refusal that names every fault at once. No I/O.
 *
 * @module
 */
import { currentRows, type HistoryRow, isApplied } from "./history.ts";
import { compareNames, type Migration } from "./migration.ts";
import {
  changedFault,
  isChanged,
  isUnfinished,
  type MigrationState,
  migrationStates,
  names,
  newestAppliedName,
  unfinishedFault,
} from "./states.ts";

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

type Migrations = readonly Migration[];
type History = readonly HistoryRow[];

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

function step(
  direction: "up" | "down",
  migration: Migration,
  rows: ReadonlyMap<string, HistoryRow>,
): Step {
  const row = rows.get(migration.name);
  return { direction, migration, ...(row && { row }) };
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}
