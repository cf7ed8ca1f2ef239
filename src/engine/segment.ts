/**
 * The steps that one transaction runs.
 *
 * @module
 */
import { causeOf, MigrationError } from "../errors.ts";
import type { HistoryChange } from "../plan/history.ts";
import type { Step } from "../plan/plan.ts";
import type { Work } from "./ports.ts";

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

/** How many of the steps one transaction runs: those before the first that runs outside, or one. */
export function segmentLength(
  steps: readonly Step[],
  transaction: "all" | "each",
): number {
  const counted = transaction === "each" ? steps.slice(0, 1) : steps;
  const end = counted.findIndex(({ migration }) => !migration.transaction);
  return end < 0 ? counted.length : end;
}

/** Runs the steps in the open transaction. */
export async function runSegment(
  work: Work,
  steps: readonly Step[],
  begin: Begin,
): Promise<readonly Ran[]> {
  await work.prepareHistory();
  const started: Ran[] = [];
  for (const step of steps) {
    const { startedAt, onBegun } = begin(step, started.length);
    await work.run(step, onBegun);
    started.push({ step, startedAt });
  }
  // Alone in its transaction a migration is measured by the server: that costs no flight.
  const durations = started.length > 1 ? await work.settle() : [];
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
