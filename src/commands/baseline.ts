import type { Command } from "../cli/command.ts";
import { planBaseline, planBaselineFromKysely } from "../plan/repair.ts";
import type { Context, Result } from "./context.ts";
import { changeHistory } from "./change_history.ts";

/** Records migrations as applied without running them. */
export async function baseline(
  context: Context,
  command: Command & { kind: "baseline" },
): Promise<Result> {
  const { migrations } = context;
  const { from } = command;
  if ("to" in from) {
    return await changeHistory(
      context,
      "baseline",
      (history) => planBaseline(migrations, history, from.to),
    );
  }
  return await changeHistory(context, "baseline", async (history, session) => {
    const rows = await session.kyselyTable(from.kyselyTable);
    return planBaselineFromKysely(migrations, history, rows);
  });
}
