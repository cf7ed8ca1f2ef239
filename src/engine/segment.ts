/**
 * The steps that one transaction runs.
 *
 * @module
 */
import {
  causeOf,
  DiffersError,
  MigrationError,
  RefusedError,
} from "../errors.ts";
import { type FillTable, SMALL_BYTES } from "../plan/backfill.ts";
import type { HistoryChange } from "../plan/history.ts";
import type { Step } from "../plan/plan.ts";
import { isOpen } from "../plan/states.ts";
import type { PlannedTime } from "../insight/planned_times.ts";
import type { KeptPlan, Work } from "./ports.ts";
import type { Check } from "./verification.ts";

/** A step that ran. It counts once its transaction is committed. */
export interface Ran {
  readonly step: Step;
  /** On the port's clock. */
  readonly startedAt: number;
  /** Milliseconds; missing where the server measures it. */
  readonly durationMs?: number;
}

/** Has a step begin. @returns the time on the port's clock, and what to call when its function is */
export type Begin = (
  step: Step,
  before: number,
) => { readonly startedAt: number; readonly onBegun: () => void };

/** Whether it fills a table. */
export function isFilling({ direction, migration }: Step): boolean {
  return direction === "up" && migration.backfill !== undefined;
}

/** Whether it rolls back a backfill that may be at work. */
function isBegun({ direction, migration, row }: Step): boolean {
  return direction === "down" && migration.backfill !== undefined &&
    row?.status === "running";
}

/**
 * Whether the first of these steps, a backfill, is at a table so small that it is filled at once. Those that follow it are
 * looked at, too, as far as nothing comes between that could make their tables another: hours may lie between.
 */
async function fitsTransaction(
  work: Work,
  steps: readonly Step[],
): Promise<boolean> {
  const end = steps.findIndex((step) => !isFilling(step));
  const tables: (FillTable | undefined)[] = [];
  const faults: string[] = [];
  const fills = await work.backfill();
  for (const { migration } of steps.slice(0, end < 0 ? steps.length : end)) {
    const backfill = migration.backfill!;
    const table = await fills.inspect(backfill) ??
      `there is no table "${backfill.table}"`;
    if (typeof table === "string") {
      faults.push(`Cannot apply "${migration.name}": ${table}`);
    } else tables.push(table);
  }
  if (faults.length > 0) throw new RefusedError(faults);
  return !isOpen(steps[0]!.migration, steps[0]!.row) &&
    tables[0]!.bytes <= SMALL_BYTES;
}

/** How many of the steps one transaction runs: those before the first that runs outside, or one. */
export function segmentLength(
  steps: readonly Step[],
  transaction: "all" | "each",
): number {
  const counted = transaction === "each" ? steps.slice(0, 1) : steps;
  const end = counted.findIndex(({ migration }) => !migration.transaction);
  return end < 0 ? counted.length : end;
}

/**
 * Runs the steps in the open transaction, as far as one of them belongs there: the first backfill of a large table ends it.
 *
 * @param check looks at what they have made
 * @throws {RefusedError} when a table cannot be filled by its key
 */
export async function runSegment(
  work: Work,
  steps: readonly Step[],
  begin: Begin,
  check?: Check,
): Promise<readonly Ran[]> {
  await work.prepareHistory();
  const started: Ran[] = [];
  for (const [i, step] of steps.entries()) {
    if (isFilling(step) && !await fitsTransaction(work, steps.slice(i))) break;
    if (isBegun(step)) await (await work.backfill()).stop(step.row!.id);
    const { startedAt, onBegun } = begin(step, started.length);
    await work.run(step, onBegun);
    started.push({ step, startedAt });
  }
  // Alone in its transaction a migration is measured by the server: that costs no flight.
  const isAlone = started.length <= 1 && check === undefined;
  const durations = isAlone ? [] : await work.settle();
  await check?.(started.map(({ step }) => step)).catch((error) => {
    const differs = causeOf(error, DiffersError);
    if (differs === undefined) throw error;
    const maker = started.filter(({ step }) =>
      step.migration.name === differs.migration
    );
    throw commitError(maker.length > 0 ? maker : started, error);
  });
  return started.map((one, i) => ({
    ...one,
    ...(durations[i] !== undefined && { durationMs: durations[i] }),
  }));
}

/** What the history is to say of a step that ran. */
export function changeOf(
  { step, startedAt, durationMs }: Ran,
  now: number,
): HistoryChange {
  // A row that this run has inserted is not known yet: redo rolls back before it applies.
  if (step.direction === "down") return { kind: "roll_back", id: step.row!.id };
  return {
    kind: "insert",
    name: step.migration.name,
    checksum: step.migration.checksum,
    status: "applied",
    startedAgoMs: now - startedAt,
    durationMs: durationMs ?? null,
    error: null,
  };
}

/** What was planned for those that were applied. */
export function plansOf(
  ran: readonly Ran[],
  planned: ReadonlyMap<string, PlannedTime>,
): KeptPlan[] {
  return ran.flatMap(({ step: { direction, migration: { name } } }) => {
    const plan = direction === "up" ? planned.get(name) : undefined;
    return plan === undefined ? [] : [{ name, planned: plan }];
  });
}

/** Keeps plans of what is applied already. Whether that succeeds decides about no run: it never rejects. */
export async function keepNow(
  work: Work,
  plans: readonly KeptPlan[],
): Promise<void> {
  if (plans.length === 0) return;
  await work.keepPlans(plans).then((keep) => keep()).catch(() => {});
}

/** What is said of a constraint that is checked at commit, or of a connection that ended before it. */
export function commitError(ran: readonly Ran[], cause: unknown): unknown {
  // One that was sent ahead of the commit has been named already.
  if (causeOf(cause, MigrationError) !== undefined) return cause;
  const { migration, direction } = ran[0]!.step;
  return ran.length === 1
    ? new MigrationError(migration.name, direction, { cause })
    : new Error(`Cannot commit ${namesOf(ran)}`, { cause });
}

/** The one, or how many they are. */
export function namesOf(ran: readonly Ran[]): string {
  return ran.length === 1
    ? `"${ran[0]!.step.migration.name}"`
    : `${ran.length} migrations`;
}
