import type { Command } from "../cli/command.ts";
import { planUp } from "../plan/plan.ts";
import { assertBaselined, type Context, type Result } from "./context.ts";
import { runPlan } from "./run.ts";

/** Applies pending migrations. */
export async function up(
  context: Context,
  command: Command & { kind: "up" },
): Promise<Result> {
  const { migrations, config } = context;
  const { phase } = config;
  const { request, dryRun, verify } = command;
  const result = await runPlan(context, {
    dryRun,
    verify,
    before: (session, { steps }) => assertBaselined(context, session, steps),
    planner: (history, done) =>
      planUp(migrations, history, {
        ...request,
        phase,
        done: done.map(({ migration }) => migration.name),
        ...(request.steps !== undefined &&
          { steps: request.steps - done.length }),
      }),
  });
  return phase === "all" ? result : { ...result, phase };
}
