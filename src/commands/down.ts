import type { Command } from "../cli.ts";
import { planDown } from "../plan.ts";
import { assertKnown, type Context, type Result } from "./context.ts";
import { assertAnswerable, runPlan } from "./run.ts";

/** Rolls back, newest first. */
export async function down(
  context: Context,
  command: Command & { kind: "down" },
): Promise<Result> {
  const { migrations, ports } = context;
  const { request, dryRun, yes } = command;
  assertKnown(migrations, "to", request.to);
  if (!dryRun) assertAnswerable("down", yes, ports.operator);
  const steps = request.all || request.to !== undefined
    ? undefined
    : request.steps ?? 1;
  return await runPlan(context, {
    dryRun,
    planner: (history, done) =>
      planDown(migrations, history, {
        ...request,
        ...(steps !== undefined && { steps: steps - done }),
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
