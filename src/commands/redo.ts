import type { Command } from "../cli.ts";
import type { Migration } from "../migration.ts";
import { type Plan, type Planned, planRedo } from "../plan.ts";
import type { Context, Result } from "./context.ts";
import { runPlan } from "./run.ts";

/** Rolls back the newest applied migration and applies it again. */
export async function redo(
  context: Context,
  command: Command & { kind: "redo" },
): Promise<Result> {
  const { migrations } = context;
  let redone: Migration | undefined;
  return await runPlan(context, {
    dryRun: false,
    planner: (history, done): Planned<Plan> => {
      // The second half, when each step has a transaction of its own.
      if (done === 1 && redone !== undefined) {
        return {
          ok: true,
          plan: {
            steps: [{ direction: "up", migration: redone }],
            warnings: [],
          },
        };
      }
      const planned = done === 0
        ? planRedo(migrations, history)
        : { ok: true, plan: { steps: [], warnings: [] } } as const;
      if (planned.ok) redone = planned.plan.steps[0]?.migration;
      return planned;
    },
    ...(!command.yes &&
      { question: () => "Roll back this migration and apply it again?" }),
  });
}
