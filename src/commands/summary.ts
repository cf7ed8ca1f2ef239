import type { Command } from "../cli/command.ts";
import type { Summary } from "../report/events.ts";
import type { Outcome } from "../plan/outcome.ts";
import type { Result } from "./context.ts";

/** The commands that look, print one object and change nothing. */
export type LookingCommand = "status" | "verify" | "plan";

/** What a command came to, for its last words. `durationMs` is without the time for which a person was asked. */
export function summaryOf(
  command: Exclude<
    Command,
    { kind: "help" | "version" | "new" | LookingCommand }
  >,
  result: Result,
  durationMs: number,
): Summary {
  const {
    applied = 0,
    rolledBack = 0,
    recorded = 0,
    notRun = 0,
    unfinished = 0,
    unknown = 0,
    open = 0,
    dryRun = false,
  } = result;
  return {
    command: command.kind,
    ...(command.kind === "up" && command.request.to !== undefined &&
      { to: command.request.to }),
    ...(result.phase !== undefined && { phase: result.phase }),
    applied,
    rolledBack,
    recorded,
    notRun,
    unfinished,
    unknown,
    ...(open > 0 && { open }),
    ...(!dryRun && { outcome: outcomeOf(result) }),
    durationMs: Math.round(durationMs),
    dryRun,
    failed: result.error !== undefined,
  };
}

/** What became of all that is not counted as done; `committed` when everything is. */
export function outcomeOf(result: Result): Outcome {
  const { unfinished = 0, unknown = 0, notRun = 0, error } = result;
  if (unfinished + unknown > 0) return "unknown";
  const { applied = 0, rolledBack = 0, recorded = 0 } = result;
  const isDone = notRun === 0 && applied + rolledBack + recorded > 0;
  return error === undefined || isDone ? "committed" : "rolled_back";
}
