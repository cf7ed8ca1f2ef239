import type { Command } from "../cli/command.ts";
import { planDown } from "../plan/plan.ts";
import type { Context, Result } from "./context.ts";
import { runPlan } from "./run.ts";

/** Rolls back, newest first. */
export async function down(
  context: Context,
  command: Command & { kind: "down" },
): Promise<Result> {
  const { migrations } = context;
  const { request, dryRun, yes } = command;
  const steps = request.all || request.to !== undefined
    ? undefined
    : request.steps ?? 1;
  return await runPlan(context, {
    dryRun,
    planner: (history, done) =>
      planDown(migrations, history, {
        ...request,
        ...(steps !== undefined && { steps: steps - done.length }),
      }),
    ...(!yes && {
      question: (plan) =>
        `Roll back ${
          plan.steps.length === 1
            ? "this migration"
            : `these ${plan.steps.length} migrations`
        }?`,
    }),
  });
}
