import type { Command } from "../cli/command.ts";
import { planRepair } from "../plan/repair.ts";
import { changeHistory } from "./change_history.ts";
import type { Context, Result } from "./context.ts";

/** Settles a failed, interrupted or edited migration. */
export async function repair(
  context: Context,
  command: Command & { kind: "repair" },
): Promise<Result> {
  const { request } = command;
  return await changeHistory(
    context,
    request.action,
    (history) => planRepair(context.migrations, history, request),
    request.name,
  );
}
