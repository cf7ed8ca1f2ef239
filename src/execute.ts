/**
 * A command that needs a database, put together with all that it needs.
 *
 * @module
 */
import type { Command } from "./cli/command.ts";
import type { Config } from "./cli/config.ts";
import { wantsTraces } from "./cli/trace_variables.ts";
import type { Environment } from "./cli/environment.ts";
import { PROGRAM } from "./cli/version.ts";
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
import type { Traces } from "./process/traces.ts";
import type { Event } from "./report/events.ts";
import { failureLines } from "./report/failure.ts";
import { type Hide, redactor } from "./text.ts";

export type DatabaseCommand = Exclude<Command, LocalCommand>;

/** Whether the command looks, prints one object and changes nothing. */
export function isLooking(
  command: DatabaseCommand,
): command is Extract<DatabaseCommand, { kind: LookingCommand }> {
  return ["status", "verify", "plan"].includes(command.kind);
}

/** Whether it may change something: what only looks is no news. */
function isTraced(command: DatabaseCommand): boolean {
  return !isLooking(command) && !("dryRun" in command && command.dryRun);
}

/** Runs a command that needs a database and reports what it came to. */
export async function execute(
  command: DatabaseCommand,
  config: Config,
  stop: AbortSignal,
  background: Background,
  { env, host, ...rest }: Omit<Context, "config" | "ports"> & {
    env: Environment;
    host: () => string | null;
  },
): Promise<number> {
  const hide = hiderOf(config);
  const write = reporter(config, {
    stream: !isLooking(command),
    hide,
  });
  let traces: Traces | undefined;
  const report = (event: Event) => {
    write(event);
    traces?.on(event);
  };
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
  if (isTraced(command) && wantsTraces(env)) {
    const { openTraces } = await import("./process/traces.ts");
    traces = openTraces({
      env,
      command: command.kind,
      runId: run.runId,
      statements: config.verbosity === "verbose",
      migrations: rest.migrations,
      host,
      hide,
      stop,
      report: write,
    });
  }
  const database = new PostgresDatabase({
    // Its variable may be set for every command; only up grants.
    config: command.kind === "up"
      ? config
      : { ...config, statusRole: undefined },
    migrations: rest.migrations,
    recording: rest.recording,
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
  const conclude = async (result: Result): Promise<number> => {
    const { error } = result;
    const exitCode = stop.aborted && result.exitCode !== ExitCode.done
      ? exitCodeOf(stop.reason)
      : result.exitCode;
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
      // Before the summary, which is to be the last line.
      await traces?.send({ exitCode, summary, error });
      report({
        event: "summary",
        summary,
        ...(reason !== undefined && { reason }),
      });
    }
    return exitCode;
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

/** Keeps the password, and other secrets, out of everything that is printed or recorded. */
export function hiderOf({ target, secrets }: Config): Hide {
  const { password, user, database, hosts } = target;
  const said = [user, database, ...hosts.map(({ host }) => host)];
  const hide = redactor(password, said);
  if (secrets.length === 0) return hide;
  const others = secrets.map((one) => redactor(one, [...said, PROGRAM]));
  return (text) => others.reduce((hidden, one) => one(hidden), hide(text));
}
