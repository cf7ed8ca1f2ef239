/**
 * A command that needs a database, put together with all that it needs.
 *
 * @module
 */
import type { Command } from "./cli/command.ts";
import type { Config } from "./cli/config.ts";
import { backfill } from "./commands/backfill.ts";
import { baseline } from "./commands/baseline.ts";
import type { Context, Result } from "./commands/context.ts";
import { down } from "./commands/down.ts";
import type { LocalCommand } from "./commands/local.ts";
import { redo } from "./commands/redo.ts";
import { repair } from "./commands/repair.ts";
import { status } from "./commands/status.ts";
import {
  type LookingCommand,
  outcomeOf,
  summaryOf,
} from "./commands/summary.ts";
import { up } from "./commands/up.ts";
import type { Background } from "./engine/ports.ts";
import { causesOf, ExitCode, InterruptedError } from "./errors.ts";
import { PostgresDatabase } from "./postgres/database.ts";
import { processClock } from "./process/clock.ts";
import { unknownVariables } from "./process/environment.ts";
import { reporter } from "./process/reporter.ts";
import { exitCodeOf } from "./process/signals.ts";
import { terminalOperator } from "./process/terminal.ts";
import { failureLines } from "./report/failure.ts";
import { type Hide, redactor } from "./text.ts";

export type DatabaseCommand = Exclude<Command, LocalCommand>;

/** Whether the command looks, prints one object and changes nothing. */
export function isLooking(
  command: DatabaseCommand,
): command is Extract<DatabaseCommand, { kind: LookingCommand }> {
  return ["status", "verify", "plan"].includes(command.kind);
}

/** Runs a command that needs a database and reports what it came to. */
export async function execute(
  command: DatabaseCommand,
  config: Config,
  stop: AbortSignal,
  background: Background,
  { host, ...rest }: Omit<Context, "config" | "ports"> & {
    host: () => string | null;
  },
): Promise<number> {
  const hide = hiderOf(config);
  const report = reporter(config, {
    stream: !isLooking(command),
    hide,
  });
  for (const message of unknownVariables()) {
    report({ event: "warning", message });
  }
  const clock = processClock(stop);
  const started = clock.now();
  const run = {
    runId: crypto.randomUUID(),
    host,
    programVersion: rest.program.version,
    hide,
  };
  const database = new PostgresDatabase({
    // Its variable may be set for every command; only up grants.
    config: command.kind === "up"
      ? config
      : { ...config, statusRole: undefined },
    migrations: rest.migrations,
    run,
    clock,
    background,
    stop,
    report,
  });
  const operator = terminalOperator(stop, hide);
  const context: Context = {
    ...rest,
    config,
    ports: { database, clock, operator, report },
  };
  const conclude = (result: Result): number => {
    const { error, exitCode } = result;
    if (error !== undefined) {
      const outcome = !isLooking(command) && outcomeOf(result);
      report({ event: "failed", error, ...(outcome && { outcome }) });
    }
    if (!isLooking(command)) {
      const durationMs = clock.now() - started - operator.askedMs;
      const summary = summaryOf(command, result, durationMs);
      // Who watches has just read it; of a log only the end may be looked at.
      const [reason] = error === undefined || Deno.stderr.isTerminal()
        ? []
        : failureLines(error, hide);
      report({
        event: "summary",
        summary,
        ...(reason !== undefined && { reason }),
      });
    }
    return stop.aborted && exitCode !== ExitCode.done
      ? exitCodeOf(stop.reason)
      : exitCode;
  };
  return await dispatch(command, context)
    .catch((error): Result => ({ exitCode: exitCodeOf(error), error }))
    .then((result) => conclude(withStrayError(result, stop)));
}

/** What was done before a signal came is done; what a migration left to itself and failed makes no success. */
function withStrayError(result: Result, stop: AbortSignal): Result {
  const stray = stop.aborted && !(stop.reason instanceof InterruptedError) &&
    // What it ended may have failed in another way; the cause is the news.
    !causesOf(result.error).includes(stop.reason);
  return stray
    ? { ...result, exitCode: ExitCode.failed, error: stop.reason }
    : result;
}

function dispatch(command: DatabaseCommand, context: Context): Promise<Result> {
  switch (command.kind) {
    case "up":
      return up(context, command);
    case "down":
      return down(context, command);
    case "redo":
      return redo(context, command);
    case "status":
      return status(context, command);
    case "baseline":
      return baseline(context, command);
    case "repair":
      return repair(context, command);
    case "backfill":
      return backfill(context, command);
    case "plan":
      return import("./commands/plan.ts").then(({ plan }) =>
        plan(context, command)
      );
    case "verify":
      return import("./commands/verify.ts").then(({ verify }) =>
        verify(context, command)
      );
  }
}

/** Keeps the password out of everything that is printed or recorded. */
export function hiderOf({ target }: Config): Hide {
  const { password, user, database, hosts } = target;
  return redactor(password, [user, database, ...hosts.map(({ host }) => host)]);
}
