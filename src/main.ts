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
import { baseline } from "./commands/baseline.ts";
import type { Context, Result } from "./commands/context.ts";
import { down } from "./commands/down.ts";
import { commandFaults } from "./commands/faults.ts";
import { redo } from "./commands/redo.ts";
import { repair } from "./commands/repair.ts";
import { status } from "./commands/status.ts";
import { outcomeOf, summaryOf } from "./commands/summary.ts";
import { up } from "./commands/up.ts";
import {
  type Config,
  type OutputConfig,
  readConfig,
  readOutputConfig,
} from "./cli/config.ts";
import { PostgresDatabase } from "./postgres/database.ts";
import { EMBEDDED } from "./embedded.ts";
import { causesOf, ExitCode, InterruptedError, UsageError } from "./errors.ts";
import { failureLines } from "./report/failure.ts";
import { helpLines } from "./cli/help.ts";
import type { Migration, OpenLoader, Registry } from "./plan/migration.ts";
import { hostName, readEnvironment } from "./process/environment.ts";
import { LOCAL_COMMANDS } from "./cli/options.ts";
import type { Background } from "./engine/ports.ts";
import { reporter } from "./process/reporter.ts";
import { readText } from "./process/files.ts";
import { drainOutput, writeLine } from "./process/output.ts";
import { terminalOperator } from "./process/terminal.ts";
import { type Hide, hideNothing, redactor } from "./text.ts";
import { abortable } from "./waits.ts";
import { exitCodeOf, withStop } from "./process/signals.ts";
import type { Environment } from "./cli/target.ts";
import { programInfo, versionLines } from "./cli/version.ts";

/** Makes what keeps the password out of a text. */
type Hider = () => Promise<Hide>;

type DatabaseCommand = Exclude<
  Command,
  { kind: "help" | "version" | "new" | "completions" }
>;

/**
 * How long a reader of the output may take nothing before the process ends without it, in milliseconds: who shows it on a
 * screen may leave a reader of results alone for a while, and nothing waits for it; a Job should end.
 */
const READER_LIMIT_MS = { results: 15_000, changes: 5_000, stopped: 250 };

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
  const { command } = parsed;
  const changes = command !== undefined && needsDatabase(command) &&
    command.kind !== "status";
  let failed: number = ExitCode.failed;
  const code = await withStop(async (stop, fail) => {
    stop.addEventListener("abort", () => failed = exitCodeOf(stop.reason));
    const code = await run(parsed, env, registry, stop, fail);
    await drainOutput(READER_LIMIT_MS[changes ? "changes" : "results"], stop);
    return code;
  });
  const unwritten = await drainOutput(READER_LIMIT_MS.stopped);
  if (unwritten === undefined) return code;
  writeLine({
    stream: "stderr",
    text: hideNothing(
      `error: Cannot write to standard output: ${unwritten}${
        changes ? "; what was done is in the history" : ""
      }`,
    ),
  });
  await drainOutput(READER_LIMIT_MS.stopped);
  return code === ExitCode.done ? failed : code;
}

async function run(
  { command, settings, faults: argumentFaults }: Arguments,
  env: Environment,
  registry: Registry,
  stop: AbortSignal,
  fail: (error: Error) => void,
): Promise<number> {
  const faults = [...argumentFaults];
  let hide: Hide = hideNothing;
  const read = (path: string) => abortable(readText(path), stop);
  try {
    if (command !== undefined && !needsDatabase(command)) {
      return await runLocal(
        command,
        // Whoever has something wrong in the environment may need the help most.
        readOutputConfig(settings, env, command.kind === "help" ? [] : faults),
        registry,
        faults,
        // What is wrong with the rest of the configuration has no say here.
        async () =>
          await readConfig(settings, env, read, []).then(
            hiderOf,
            () => hideNothing,
          ),
      );
    }
    const config = await readConfig(settings, env, read, faults);
    hide = hiderOf(config);
    stop.throwIfAborted();
    if (command === undefined) throw new UsageError(faults);
    using ends = new DisposableStack();
    const background = ends.use(processBackground());
    const open = loaderOf(background, ends, () => Promise.resolve(hide));
    const migrations = await registry.list(open);
    const isTerminal = Deno.stdin.isTerminal();
    faults.push(...commandFaults(command, migrations, { isTerminal }));
    if (faults.length > 0) throw new UsageError(faults);
    background.onFailure(fail);
    return await execute(command, config, stop, background, {
      migrations,
      program: programInfo(migrations, Deno.version.deno),
      prepare: () => registry.prepare(open),
      host: () => hostName(env),
    });
  } catch (error) {
    for (const text of failureLines(error, hide)) {
      writeLine({ stream: "stderr", text: hide(`error: ${text}`) });
    }
    return exitCodeOf(error);
  }
}

function needsDatabase(command: Command): command is DatabaseCommand {
  return !LOCAL_COMMANDS.includes(command.kind);
}

/** The commands that need no database. @throws {UsageError} */
async function runLocal(
  command: Exclude<Command, DatabaseCommand>,
  { format }: OutputConfig,
  registry: Registry,
  faults: string[],
  hider: Hider,
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
    const { completionLines } = await import("./cli/completions.ts");
    return print(completionLines(command.shell));
  }
  const program = programInfo(
    await listIfPossible(registry, hider),
    Deno.version.deno,
  );
  return print(
    format === "json" ? [JSON.stringify(program)] : versionLines(program),
  );
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
    const hide = await hider();
    for (const text of failureLines(error, hide)) {
      writeLine({ stream: "stderr", text: hide(`warning: ${text}`) });
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
    return guardProcess({ locate, background, hide: await hider() }, ends);
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
  const operator = terminalOperator(stop, hide);
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
function hiderOf({ target }: Config): Hide {
  const { password, user, database, hosts } = target;
  return redactor(password, [user, database, ...hosts.map(({ host }) => host)]);
}

function print(lines: readonly string[]): ExitCode {
  for (const text of lines) {
    writeLine({ stream: "stdout", text: hideNothing(text) });
  }
  return ExitCode.done;
}

if (import.meta.main) Deno.exit(await main(Deno.args, readEnvironment()));
