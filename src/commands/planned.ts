/**
 * How long the steps of a run are planned to take, to be kept beside the time that they take.
 *
 * @module
 */
import type { Session } from "../engine/ports.ts";
import { recordedPlan } from "../engine/recorded_plan.ts";
import {
  growingSteps,
  type PlannedTime,
  plannedTimes,
} from "../insight/planned_times.ts";
import { namesToAsk } from "../insight/tables.ts";
import type { Step } from "../plan/plan.ts";
import type { Context } from "./context.ts";

/**
 * By the name of the migration. One flight, where one of them was recorded to do work that grows with a table that is there; else
 * nothing is asked. Where it cannot be found out, or cannot be kept, nothing is planned, and the run goes on.
 */
export async function planned(
  { recording }: Context,
  session: Session,
  steps: readonly Step[],
): Promise<ReadonlyMap<string, PlannedTime>> {
  const nothing = new Map<string, PlannedTime>();
  try {
    // There is no row yet that it could be kept beside, and hardly a table.
    if (session.history.length === 0) return nothing;
    const recorded = recordedPlan(steps, await recording());
    if (growingSteps(recorded).length === 0) return nothing;
    const catalog = await session.catalog();
    const [keeps, facts] = await Promise.all([
      catalog.keepsPlans(),
      catalog.facts(namesToAsk(recorded)),
    ]);
    return keeps ? plannedTimes(recorded, facts) : nothing;
  } catch {
    return nothing;
  }
}
