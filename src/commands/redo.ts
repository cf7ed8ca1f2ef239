import type { Command } from "../cli/command.ts";
import { planRedo, type Step } from "../plan/plan.ts";
import type { Context, Result } from "./context.ts";
import { runPlan } from "./run.ts";

/** Rolls back the newest applied migration and applies it again. */
export function redo(
  context: Context,
  command: Command & { kind: "redo" },
): Promise<Result> {
  const { migrations } = context;
  return runPlan(context, {
    dryRun: false,
    planner: (history, done) =>
      done.length === 0
        ? planRedo(migrations, history)
        : { ok: true, plan: { steps: secondHalf(done), warnings: [] } },
    ...(!command.yes &&
      { question: () => "Roll back this migration and apply it again?" }),
  });
}

/** What is left where each step has a transaction of its own. */
function secondHalf([step, ...others]: readonly Step[]): Step[] {
  return step === undefined || others.length > 0
    ? []
    : [{ direction: "up", migration: step.migration }];
}
