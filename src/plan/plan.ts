/**
 * Planning: (migrations, history, request) → steps, or a refusal that names every fault at once. No I/O.
 *
 * @module
 */
import type { KeyRange } from "./backfill.ts";
import { currentRows, type HistoryRow, isApplied } from "./history.ts";
import { compareNames, type Migration, type Phase } from "./migration.ts";
import {
  backfillFault,
  byName,
  changedFault,
  inOrder,
  isChanged,
  isOpen,
  isStuck,
  isUnfinished,
  type MigrationState,
  migrationStates,
  names,
  newestInLane,
  unfinishedFault,
} from "./states.ts";

/** One migration to run in one direction. `row` is the history's current row of it, if there is one. */
export interface Step {
  readonly direction: "up" | "down";
  readonly migration: Migration;
  readonly row?: HistoryRow;
  /** Which keys of a backfill; all when missing. */
  readonly keys?: KeyRange;
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
  /** @default {"all"} */
  readonly phase?: Phase | "all";
  /** Names of those that this run has applied. */
  readonly done?: readonly string[];
}

export interface DownRequest {
  readonly to?: string;
  readonly steps?: number;
  readonly all?: boolean;
}

type Migrations = readonly Migration[];
type History = readonly HistoryRow[];

/**
 * Applies pending migrations of a phase, oldest first. `to` and `steps` both bound the plan. Where nothing is applied yet all
 * phases are: there are no older pods.
 */
export function planUp(
  migrations: Migrations,
  history: History,
  request: UpRequest = {},
): Planned<Plan> {
  const states = migrationStates(migrations, history);
  const rows = currentRows(history);
  const embedded = byName(migrations);
  const pending = inOrder(migrations)
    .filter(({ name }) => !isApplied(rows.get(name)));
  const isFresh = ![...rows.values()].some((row) =>
    !request.done?.includes(row.name) &&
    (isApplied(row) || isOpen(embedded.get(row.name), row))
  );
  const phase = isFresh ? "all" : request.phase ?? "all";
  const steps = pending
    .filter((migration) => phase === "all" || migration.phase === phase)
    .filter(({ name }) =>
      request.to === undefined || compareNames(name, request.to) <= 0
    )
    .slice(0, request.steps)
    .map((migration) => step("up", migration, rows));
  const unknown = states.filter(isUnknown);

  const faults = states.filter(({ state }) => state === "changed").map(
    changedFault,
  );
  if (phase === "post") faults.push(...earlierFaults(steps, pending));
  const newestApplied = newestInLane(rows, embedded);
  for (const { migration, row } of steps) {
    const newest = newestApplied(migration);
    if (row !== undefined && needsSettling(migration, row)) {
      faults.push(backfillFault(migration, row));
      continue;
    }
    if (
      !request.allowOutOfOrder && newest !== undefined &&
      compareNames(migration.name, newest) < 0
    ) {
      faults.push(
        `Cannot apply "${migration.name}": it sorts before "${newest}", which is already applied; ` +
          "give it a later name, or pass --allow-out-of-order",
      );
    }
    if (
      row !== undefined && isUnfinished(migration, row) && !migration.idempotent
    ) {
      faults.push(unfinishedFault("apply", row));
    }
  }
  if (steps.length > 0 && unknown.length > 0) {
    faults.push(newerFault(steps.length, unknown));
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
  const embedded = byName(migrations);
  const faults: string[] = [];
  if (request.to !== undefined && !isApplied(rows.get(request.to))) {
    faults.push(`Cannot roll back to "${request.to}": it is not applied`);
  }
  const isBegun = (row: HistoryRow) => {
    const migration = embedded.get(row.name);
    return isOpen(migration, row) || isStuck(migration, row);
  };
  for (const row of inOrder([...rows.values()])) {
    if (isUnfinished(embedded.get(row.name), row) && !isBegun(row)) {
      faults.push(unfinishedFault("roll back past", row));
    }
  }
  const applied = inOrder(
    [...rows.values()].filter((row) => isApplied(row) || isBegun(row)),
  ).reverse();
  const selected = request.all
    ? applied
    : request.to !== undefined
    ? applied.filter(({ name }) => compareNames(name, request.to!) > 0)
    : applied.slice(0, request.steps ?? 1);
  const steps: Step[] = [];
  for (const row of selected) {
    const migration = embedded.get(row.name);
    const fault = downFault(migration, row);
    if (fault !== undefined) faults.push(fault);
    else steps.push(step("down", migration!, rows));
  }
  return faults.length > 0
    ? { ok: false, faults }
    : { ok: true, plan: { steps, warnings: steps.flatMap(staysWarning) } };
}

/** A backfill is rolled back without any code of its own. */
function staysWarning({ migration: { name, backfill } }: Step): string[] {
  return backfill === undefined
    ? []
    : [`What "${name}" has written stays, but for what its own down undoes`];
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

/** Contract steps and backfills follow what they rest on. */
function earlierFaults(
  steps: readonly Step[],
  pending: readonly Migration[],
): string[] {
  const [first] = pending.filter(({ phase }) => phase === "pre");
  const late = first &&
    steps.find(({ migration }) => compareNames(migration.name, first.name) > 0);
  return late === undefined ? [] : [
    `Cannot apply "${late.migration.name}": "${
      first!.name
    }" sorts before it and is pending in the phase pre; run up --phase pre first`,
  ];
}

/** Whether it is a backfill that cannot go on as it is. */
function needsSettling(migration: Migration, row: HistoryRow): boolean {
  return isStuck(migration, row) ||
    (isOpen(migration, row) && isChanged(migration, row));
}

/** Whether the history has more of this migration than the program can know. */
function isUnknown({ migration, row }: MigrationState): boolean {
  return migration === undefined && row !== undefined &&
    (isApplied(row) || isUnfinished(undefined, row));
}

function newerFault(
  pending: number,
  unknown: readonly MigrationState[],
): string {
  return `Cannot apply ${pending} pending migration${
    pending === 1 ? "" : "s"
  }: the database is newer than this program, its history has ${
    names(unknown)
  }; run a version of the program that carries ${
    unknown.length === 1 ? "it" : "them"
  }`;
}

/** Why the migration of an applied row cannot be rolled back. */
function downFault(
  migration: Migration | undefined,
  row: HistoryRow,
): string | undefined {
  const { name } = row;
  if (migration === undefined) {
    return `Cannot roll back "${name}": this program does not carry it; run the version of the program that does`;
  }
  if (migration.down === undefined) {
    return `Cannot roll back "${name}": it has no down function`;
  }
  return isApplied(row) && isChanged(migration, row)
    ? changedFault({ name, state: "changed", migration, row })
    : undefined;
}

function step(
  direction: "up" | "down",
  migration: Migration,
  rows: ReadonlyMap<string, HistoryRow>,
): Step {
  const row = rows.get(migration.name);
  return { direction, migration, ...(row && { row }) };
}
