/**
 * What a run is asked for, and what it comes to.
 *
 * @module
 */
import type { PlannedTime } from "../insight/planned_times.ts";
import type { PulseOptions } from "./backfill_pulse.ts";
import type { Limits } from "./commit.ts";
import type { HistoryRow } from "../plan/history.ts";
import type { Plan, Planned, Step } from "../plan/plan.ts";
import type { Verification } from "./verification.ts";

/** How to run: see the options of the same names. Times are milliseconds. */
export interface ApplyOptions extends Limits {
  readonly transaction: "all" | "each";
  readonly lockRetryMs: number;
  readonly fill: FillRequest;
  /** Compares what is made of the schema before it is committed; nothing is compared when missing. */
  readonly verification?: Verification;
  /** What was planned for migrations, by the name, and can be kept. */
  readonly planned: ReadonlyMap<string, PlannedTime>;
}

/** How to fill large tables. */
export interface FillRequest extends PulseOptions {
  /** After which time it ends although something is left; milliseconds. */
  readonly timeLimitMs: number | undefined;
}

/** Makes the plan anew from the history under the lock, after the steps that this run has done. */
export type Planner = (
  history: readonly HistoryRow[],
  done: readonly Step[],
) => Planned<Plan>;

/** What the run came to, also when it failed. */
export interface Applied {
  readonly applied: number;
  readonly rolledBack: number;
  /** Steps that were planned and are not in effect. */
  readonly notRun: number;
  /** Non-transactional steps that failed half-way; they are not counted in `notRun`. */
  readonly unfinished: number;
  /** Steps of which nobody can tell whether they are in effect; they are not counted in `notRun`. */
  readonly unknown: number;
  /** Backfills that have begun and are not done, and have not failed; they are not counted in `notRun`. */
  readonly open: number;
  readonly error: unknown;
}
