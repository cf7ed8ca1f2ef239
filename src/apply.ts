/**
 * The engine: walks a plan through a session, under the migration lock.
 *
 * @module
 */
import {
  causeOf,
  ConnectionLostError,
  InterruptedError,
  MigrationError,
  RefusedError,
  sqlStateOf,
} from "./errors.ts";
import { formatDuration } from "./duration.ts";
import type { HistoryChange, HistoryRow } from "./history.ts";
import type { Plan, Planned, Step } from "./plan.ts";
import type { Ports, Session, Work } from "./ports.ts";
import { describeFailure } from "./failure.ts";

/** How to run: see the options of the same names. Times are milliseconds. */
export interface ApplyOptions {
  readonly transaction: "all" | "each";
  readonly lockWaitMs: number;
  readonly lockRetryMs: number;
}

/** Makes the plan anew from the history under the lock, after `done` steps of this run. */
export type Planner = (
  history: readonly HistoryRow[],
  done: number,
) => Planned<Plan>;

/** What the run came to, also when it failed. */
export interface Outcome {
  readonly applied: number;
  readonly rolledBack: number;
  /** Steps that were planned and are not in effect. */
  readonly notRun: number;
  readonly error: unknown;
}

/** A step that ran; it counts once its transaction is committed. */
interface Ran {
  readonly step: Step;
  readonly startedAt: number;
  readonly durationMs: number;
}

/** PostgreSQL's lock_not_available and deadlock_detected: the transaction was rolled back and may be tried again. */
const RETRIED = ["55P03", "40P01"];

/**
 * Runs what the planner plans, segment by segment, each under the lock. Never throws for a failed step: the outcome says
 * what is in effect and what failed.
 */
export async function apply(
  ports: Ports,
  session: Session,
  planner: Planner,
  planned: Plan,
  options: ApplyOptions,
): Promise<Outcome> {
  const ran: Ran[] = [];
  let total = planned.steps.length;
  try {
    let next = firstSegment(planned.steps, options.transaction);
    while (next.length > 0) {
      const segment = next[0]!.migration.transaction
        ? await runTransaction(ports, session, planner, ran.length, options)
        : await runPinned(ports, session, planner, ran.length, options);
      total = ran.length + segment.planned.length;
      for (const step of segment.ran) {
        ran.push(step);
        reportRan(ports, step);
      }
      next = firstSegment(
        segment.planned.slice(segment.ran.length),
        options.transaction,
      );
    }
    return outcome(ran, total, undefined);
  } catch (error) {
    await recordFailure(ports, session, error);
    return outcome(ran, total, error);
  }
}
