import type { Command } from "../cli/command.ts";
import { RefusedError } from "../errors.ts";
import { kyselyFindings } from "../plan/kysely.ts";
import { planUp } from "../plan/plan.ts";
import type { Context, Result } from "./context.ts";
import { runPlan } from "./run.ts";

/** Applies pending migrations. */
export async function up(
  context: Context,
  command: Command & { kind: "up" },
): Promise<Result> {
  const { migrations, ports, config } = context;
  const { phase } = config;
  const { request, dryRun, verify } = command;
  const result = await runPlan(context, {
    dryRun,
    verify,
    before: ({ kyselyTables, server }, { steps }) => {
      const { faults, warnings } = kyselyFindings(kyselyTables, {
        migrations,
        pending: steps.map(({ migration }) => migration),
        schema: server.schema,
        isChosen: config.schema !== undefined,
      });
      if (faults.length > 0) throw new RefusedError(faults);
      for (const message of warnings) {
        ports.report({ event: "warning", message });
      }
    },
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
