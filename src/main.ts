/**
 * The composition root: arguments, environment and signals in, an exit code out.
 *
 * @module
 */
import { migrations as embedded } from "../migrations/mod.ts";
import { processBackground } from "./background.ts";
import { type Command, parseArguments } from "./cli.ts";
import { processClock } from "./clock.ts";
import { baseline } from "./commands/baseline.ts";
import type { Context, Result } from "./commands/context.ts";
import { down } from "./commands/down.ts";
import { commandFaults } from "./commands/faults.ts";
import { redo } from "./commands/redo.ts";
import { repair } from "./commands/repair.ts";
import { status } from "./commands/status.ts";
import { outcomeOf, summaryOf } from "./commands/summary.ts";
import { keepTelling } from "./commands/telling.ts";
import { up } from "./commands/up.ts";
import {
  type Config,
  type OutputConfig,
  readConfig,
  readOutputConfig,
} from "./config.ts";
import { PostgresDatabase } from "./database.ts";
import {
  causesOf,
  ExitCode,
  InterruptedError,
  RefusedError,
  UsageError,
} from "./errors.ts";
import type { Event } from "./events.ts";
import { failureLines } from "./failure.ts";
import { helpLines } from "./help.ts";
import {
  type Migration,
  readRegistry,
  type RegistryEntry,
} from "./migration.ts";
import { LOCAL_COMMANDS, VARIABLES } from "./options.ts";
import type { Background } from "./ports.ts";
import { render } from "./report.ts";
import { redactor } from "./quote.ts";
import { exitCodeOf, withStop } from "./stop.ts";
import type { Environment } from "./target.ts";
import { divertConsole, terminalOperator, writeLine } from "./terminal.ts";
import { programInfo, versionLines } from "./version.ts";

type DatabaseCommand = Exclude<
  Command,
  { kind: "help" | "version" | "new" | "completions" }
>;

/**
 * Runs the program and returns its exit code; never throws and never exits.
 *
 * @param args the arguments without the program's name
 * @param env the environment variables
 * @param registry the migrations; those of `migrations/mod.ts` unless told otherwise
 */
export async function main(
  args: readonly string[],
  env: Environment,
  registry: readonly RegistryEntry[] = embedded,
): Promise<number> {
  const { command, settings, faults: argumentFaults } = parseArguments(args);
  const faults = [...argumentFaults];
  try {
    if (command !== undefined && !needsDatabase(command)) {
      return await runLocal(
        command,
        // Whoever has something wrong in the environment may need the help most.
        readOutputConfig(settings, env, command.kind === "help" ? [] : faults),
        registry,
        faults,
      );
    }
    const migrations = readMigrations(registry);
    const program = programInfo(migrations, Deno.version.deno);
    const config = await readConfig(settings, env, Deno.readTextFile, faults);
    if (command !== undefined) {
      const isTerminal = Deno.stdin.isTerminal();
      faults.push(...commandFaults(command, migrations, { isTerminal }));
    }
    if (faults.length > 0) throw new UsageError(faults);
    divertConsole(hiderOf(config));
    return await withStop(async (stop, fail) => {
      using background = processBackground(fail);
      return await execute(command!, config, stop, background, {
        migrations,
        program,
        host: () => hostName(env),
      });
    });
  } catch (error) {
    for (const text of failureLines(error)) {
      writeLine({ stream: "stderr", text: `error: ${text}` });
    }
    return error instanceof UsageError ? ExitCode.usage : ExitCode.failed;
  }
}

function needsDatabase(command: Command): command is DatabaseCommand {
  return !LOCAL_COMMANDS.includes(command.kind);
}

/** The commands that need no database. @throws {UsageError} */
async function runLocal(
  command: Exclude<Command, DatabaseCommand>,
  { format }: OutputConfig,
  registry: readonly RegistryEntry[],
  faults: string[],
): Promise<ExitCode> {
  if (command.kind === "new") {
    faults.push(
      "The command new works in a source checkout only: deno task new NAME",
    );
  }
  if (faults.length > 0) throw new UsageError(faults);
  if (command.kind === "help") return print(helpLines(command.topic));
  if (command.kind === "completions") {
    // Who runs migrations never needs it.
    const { completionLines } = await import("./completions.ts");
    return print(completionLines(command.shell));
  }
  const program = programInfo(readMigrations(registry), Deno.version.deno);
  return print(
    format === "json" ? [JSON.stringify(program)] : versionLines(program),
  );
}

/** @throws {RefusedError} when the program was built from something else than migrations */
function readMigrations(
  registry: readonly RegistryEntry[],
): readonly Migration[] {
  try {
    return readRegistry(registry);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new RefusedError(error.message.split("\n"));
  }
}

/** Runs a command that needs a database and reports what it came to. */
async function execute(
  command: DatabaseCommand,
  config: Config,
  stop: AbortSignal,
  background: Background,
  { host, ...rest }: Pick<Context, "migrations" | "program"> & {
    host: () => string | null;
  },
): Promise<number> {
  const hide = hiderOf(config);
  const { report, failure } = keepTelling(
    reporter(config, { stream: command.kind !== "status", hide }),
  );
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
      report({ event: "summary", summary });
    }
    // What could not be told on standard output is told again, as a failure, on standard error.
    if (error === undefined && failure() !== undefined) {
      return conclude({
        ...result,
        exitCode: ExitCode.failed,
        error: failure(),
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
  }
}

/** Keeps the password out of everything that is printed or recorded. */
function hiderOf({ target }: Config): (text: string) => string {
  const { password, user, database, hosts } = target;
  return redactor(password, [user, database, ...hosts.map(({ host }) => host)]);
}

function reporter(
  config: Config,
  options: { stream: boolean; hide: (text: string) => string },
): (event: Event) => void {
  const { hide } = options;
  const color = config.color && config.format === "text" &&
    Deno.stdout.isTerminal() && Deno.stderr.isTerminal();
  return (event) => {
    const at = new Date();
    for (
      const line of render(event, { ...config, ...options, color, at, hide })
    ) {
      writeLine(line);
    }
  };
}

function print(lines: readonly string[]): ExitCode {
  for (const text of lines) writeLine({ stream: "stdout", text });
  return ExitCode.done;
}

/** The name of the pod or machine, for the history. */
function hostName(env: Environment): string | null {
  if (env.HOSTNAME) return env.HOSTNAME;
  try {
    return Deno.readTextFileSync("/etc/hostname").trim() || null;
  } catch {
    return null;
  }
}

/** Asks for each variable by name: the executable may not see the others, nor a list of them. */
function readEnvironment(): Environment {
  return Object.fromEntries(
    VARIABLES.map((name) => [name, Deno.env.get(name)]),
  );
}

if (import.meta.main) Deno.exit(await main(Deno.args, readEnvironment()));
