/**
 * The steps of one work, one after the other.
 *
 * @module
 */
import type { Step } from "../plan/plan.ts";
import type { Sender } from "./connection/in_flight.ts";
import type { RunningStep } from "./step.ts";

/** The step with the function that it runs: that of a backfill is made for its rows. */
export async function functionOf(step: Step): Promise<Step> {
  const { direction, migration: { backfill } } = step;
  if (backfill === undefined || direction === "down") return step;
  const { filling } = await import("./backfill/filling.ts");
  return filling(step, backfill);
}

/** A step took from the end of the one before it, or from its own start, until its last answer. */
export function durationsOf(steps: readonly RunningStep[]): number[] {
  let end = 0;
  return steps.map(({ startedAt, answeredAt = startedAt }) => {
    const start = Math.max(startedAt, end);
    end = Math.max(end, answeredAt);
    return Math.max(0, Math.round(answeredAt - start));
  });
}

/** The steps up to the one that has sent something; none when it was another's. */
export function stepsUntil(
  steps: readonly RunningStep[],
  sender: Sender | undefined,
): readonly Step[] {
  const at = steps.findIndex((one) => one === sender);
  return steps.slice(0, at + 1).map(({ step }) => step);
}
