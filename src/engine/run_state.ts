/**
 * What a run has done so far, what is left of its plan, and what was in flight when it failed.
 *
 * @module
 */
import { causeOf, MigrationError } from "../errors.ts";
import type { Step } from "../plan/plan.ts";
import type { Ports, Session, Written } from "./ports.ts";
import { type Begun, recordFailure } from "./record_failure.ts";
import type { Applied } from "./run_request.ts";
import type { Begin, Ran } from "./segment.ts";

/** One run of the engine. */
export class RunState {
  readonly done: Step[] = [];
  /** What is planned and not begun, or not known to be in effect. */
  left: readonly Step[];
  /** Whose functions were called since the last commit. */
  begun: Begun[] = [];
  /** What the failure left in a state that has to be looked at. */
  unfinished: readonly Step[] = [];
  unknown: readonly Step[] = [];
  /** The backfill at work. */
  open: Step | undefined;

  constructor(
    readonly ports: Ports,
    planned: readonly Step[],
  ) {
    this.left = planned;
  }

  result(error: unknown): Applied {
    const count = (direction: Step["direction"]) =>
      this.done.filter((step) => step.direction === direction).length;
    return {
      applied: count("up"),
      rolledBack: count("down"),
      notRun: this.left.length,
      unfinished: this.unfinished.length,
      unknown: this.unknown.length,
      open: this.open === undefined ? 0 : 1,
      error,
    };
  }

  /** Tells what became of the steps that had begun, and records the failure of one that is known not to be in effect. */
  async fail(session: Session, error: unknown): Promise<void> {
    const failure = causeOf(error, MigrationError);
    const failed = failure &&
      this.begun.findLast(({ step }) =>
        step.migration.name === failure.migration &&
        step.direction === failure.direction
      );
    for (const { step } of this.begun) {
      const isKnown = !this.unknown.includes(step) &&
        !this.unfinished.includes(step);
      this.ports.report({
        event: "outcome",
        direction: step.direction,
        migration: step.migration.name,
        outcome: isKnown ? "rolled_back" : "unknown",
      });
    }
    if (failed !== undefined) {
      await recordFailure(this.ports, session, failed, error);
    }
  }

  /** What ran is in effect. */
  count(
    ran: readonly Ran[],
    rest: readonly Step[],
    written: readonly Written[] = [],
  ): void {
    this.done.push(...ran.map(({ step }) => step));
    this.left = rest;
    this.begun = [];
    for (const [i, { step, startedAt, durationMs }] of ran.entries()) {
      this.ports.report({
        event: step.direction === "up" ? "applied" : "rolled_back",
        migration: step.migration.name,
        // What a row of the history says of a migration that was rolled back is how long it took to apply.
        durationMs: durationMs ??
          (step.direction === "up" ? written[i]?.durationMs : null) ??
          this.elapsed(startedAt),
      });
    }
  }

  readonly begin: Begin = (step, before) => {
    const startedAt = this.ports.clock.now();
    this.begun.push({ step, startedAt });
    const event = {
      event: "started",
      direction: step.direction,
      migration: step.migration.name,
      number: this.done.length + before + 1,
      total: this.done.length + this.left.length,
    } as const;
    return { startedAt, onBegun: () => this.ports.report(event) };
  };

  elapsed(startedAt: number): number {
    return Math.round(this.ports.clock.now() - startedAt);
  }
}
