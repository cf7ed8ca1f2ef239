/**
 * The composition root: arguments, environment and signals in, an exit code out.
 *
 * @module
 */
import {
  type ProcessBackground,
  processBackground,
} from "./process/background.ts";
import { type Arguments, type Command, parseArguments } from "./cli/command.ts";
import { processClock } from "./process/clock.ts";
import { backfill } from "./commands/backfill.ts";
import { baseline } from "./commands/baseline.ts";
import type { Context, Result } from "./commands/context.ts";
import { down } from "./commands/down.ts";
import { commandFaults } from "./commands/faults.ts";
import { type LocalCommand, localLines, NEW_HERE } from "./commands/local.ts";
import { redo } from "./commands/redo.ts";
import { repair } from "./commands/repair.ts";
import { status } from "./commands/status.ts";
import { outcomeOf, summaryOf } from "./commands/summary.ts";
import { up } from "./commands/up.ts";
import {
  type Config,
  readConfig,
  readOutputConfig,
  readSettings,
} from "./cli/config.ts";
import { PostgresDatabase } from "./postgres/database.ts";
import { EMBEDDED } from "./embedded.ts";
import { causesOf, ExitCode, InterruptedError, UsageError } from "./errors.ts";
import { failureLines } from "./report/failure.ts";
import type { Migration, OpenLoader, Registry } from "./plan/migration.ts";
import {
  hostName,
  readEnvironment,
  unknownVariables,
} from "./process/environment.ts";
import { LOCAL_COMMANDS } from "./cli/options.ts";
import type { Background } from "./engine/ports.ts";
import { reporter } from "./process/reporter.ts";
import {
  drainOutput,
  terminalOperator,
  writeLine,
} from "./process/terminal.ts";
import { redactor } from "./text.ts";
import { exitCodeOf, withStop } from "./process/signals.ts";
import type { Environment } from "./cli/target.ts";
import { programInfo } from "./cli/version.ts";

/** Makes what keeps the password out of a text. */
type Hider = () => Hide | Promise<Hide>;

type Hide = (text: string) => string;

type DatabaseCommand = Exclude<Command, LocalCommand>;

/** How long a reader of the output may take nothing before the process ends without it, in milliseconds. */
const READER_LIMIT_MS = { done: 2_000, stopped: 300 };

/**
 * Runs the program and returns its exit code; never throws and never exits.
 *
 * @param args the arguments without the program's name
 * @param env the environment variables
 * @param registry the migrations; those of this program unless told otherwise
 */
export async function main(
  args: readonly string[],
  env: Environment,
  registry: Registry = EMBEDDED,
): Promise<number> {
  const parsed = parseArguments(args);
  const code = await run(parsed, env, registry);
  const { command } = parsed;
  const stopped = code === ExitCode.interrupted || code === ExitCode.terminated;
  const unwritten = await drainOutput(
    READER_LIMIT_MS[stopped ? "stopped" : "done"],
  );
  if (unwritten === undefined) return code;
  const changes = command !== undefined && needsDatabase(command) &&
    command.kind !== "status";
  writeLine({
    stream: "stderr",
    text: `error: Cannot write to standard output: ${unwritten}${
      changes ? "; what was done is in the history" : ""
    }`,
  });
  return code === ExitCode.done ? ExitCode.failed : code;
}

async function run(
  { command, kind, settings, faults: argumentFaults }: Arguments,
  env: Environment,
  registry: Registry,
): Promise<number> {
  const faults = [...argumentFaults];
  try {
    if (command !== undefined && !needsDatabase(command)) {
      // Whoever has something wrong in the environment may need the help most.
      const output = readOutputConfig(
        settings,
        env,
        command.kind === "help" ? [] : faults,
      );
      if (command.kind === "new") faults.push(NEW_HERE);
      if (faults.length > 0) throw new UsageError(faults);
      return print(
        await localLines(command, {
          format: output.format,
          denoVersion: Deno.version.deno,
          // What is wrong with the rest of the configuration has no say here.
          migrations: () =>
            listIfPossible(
              registry,
              async () =>
                hiderOf(await readConfig(settings, env, Deno.readTextFile, [])),
            ),
        }),
      );
    }
    if (kind === undefined) {
      // Whether it would need a database nobody knows.
      readOutputConfig(settings, env, faults);
      readSettings(settings, env, faults);
      throw new UsageError(faults);
    }
    const config = await readConfig(settings, env, Deno.readTextFile, faults);
    if (command === undefined) throw new UsageError(faults);
    using ends = new DisposableStack();
    const background = ends.use(processBackground());
    const open = loaderOf(background, ends, () => hiderOf(config));
    const migrations = await registry.list(open);
    const isTerminal = Deno.stdin.isTerminal();
    faults.push(...commandFaults(command, migrations, { isTerminal }));
    if (faults.length > 0) throw new UsageError(faults);
    return await withStop((stop, fail) => {
      background.onFailure(fail);
      return execute(command, config, stop, background, {
        migrations,
        program: programInfo(migrations, Deno.version.deno),
        prepare: () => registry.prepare(open),
        host: () => hostName(env),
      });
    });
  } catch (error) {
    // In the form that was asked for, as far as that can be read.
    const output = readOutputConfig(settings, env, []);
    reporter(output, { stream: true, hide: (text) => text })({
      event: "failed",
      error,
    });
    return error instanceof UsageError ? ExitCode.usage : ExitCode.failed;
  }
}

function needsDatabase(command: Command): command is DatabaseCommand {
  return !LOCAL_COMMANDS.includes(command.kind);
}

/** What the program is can be said without its migrations; why they cannot be loaded is said, too. */
async function listIfPossible(
  registry: Registry,
  hider: Hider,
): Promise<readonly Migration[] | undefined> {
  using ends = new DisposableStack();
  const background = ends.use(processBackground());
  try {
    return await registry.list(loaderOf(background, ends, hider));
  } catch (error) {
    for (const text of failureLines(error)) {
      writeLine({ stream: "stderr", text: `warning: ${text}` });
    }
    return undefined;
  }
}

/** Loads what guards the process against the code of migrations when there is some to load. */
function loaderOf(
  background: ProcessBackground,
  ends: DisposableStack,
  hider: Hider,
): OpenLoader {
  return async (locate) => {
    const { guardProcess } = await import("./process/migration_code.ts");
    const hide = await Promise.try(hider).catch(() => (text: string) => text);
    return guardProcess({ locate, background, hide }, ends);
  };
}

/** Runs a command that needs a database and reports what it came to. */
async function execute(
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
    stream: command.kind !== "status",
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
    config,
    migrations: rest.migrations,
    run,
    clock,
    background,
    stop,
    report,
  });
  const operator = terminalOperator(stop);
  const context: Context = {
    ...rest,
    config,
    ports: { database, clock, operator, report },
  };
  const conclude = (result: Result): number => {
    const { error, exitCode } = result;
    if (error !== undefined) {
      const outcome = command.kind !== "status" && outcomeOf(result);
      report({ event: "failed", error, ...(outcome && { outcome }) });
    }
    if (command.kind !== "status") {
      const durationMs = clock.now() - started - operator.askedMs;
      const summary = summaryOf(command, result, durationMs);
      // Who watches has just read it; of a log only the end may be looked at.
      const [reason] = error === undefined || Deno.stderr.isTerminal()
        ? []
        : failureLines(error);
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
  }
}

/** Keeps the password out of everything that is printed or recorded. */
function hiderOf({ target }: Config): (text: string) => string {
  const { password, user, database, hosts } = target;
  return redactor(password, [user, database, ...hosts.map(({ host }) => host)]);
}

function print(lines: readonly string[]): ExitCode {
  for (const text of lines) writeLine({ stream: "stdout", text });
  return ExitCode.done;
}

if (import.meta.main) Deno.exit(await main(Deno.args, readEnvironment()));
