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
import { commandFaults } from "./commands/faults.ts";
import { localLines, NEW_HERE } from "./commands/local.ts";
import { readConfig, readOutputConfig, readSettings } from "./cli/config.ts";
import { EMBEDDED } from "./embedded.ts";
import { ExitCode, UsageError } from "./errors.ts";
import {
  type DatabaseCommand,
  execute,
  hiderOf,
  isLooking,
} from "./execute.ts";
import { failureLines } from "./report/failure.ts";
import type { Migration, OpenLoader, Registry } from "./plan/migration.ts";
import { hostName, readEnvironment } from "./process/environment.ts";
import { LOCAL_COMMANDS } from "./cli/arguments.ts";
import { reporter } from "./process/reporter.ts";
import { readText } from "./process/files.ts";
import { drainOutput, writeLine } from "./process/output.ts";
import { type Hide, hideNothing } from "./text.ts";
import { abortable } from "./waits.ts";
import { exitCodeOf, withStop } from "./process/signals.ts";
import type { Environment } from "./cli/environment.ts";
import { programInfo } from "./cli/version.ts";

/** Makes what keeps the password out of a text. */
type Hider = () => Promise<Hide>;

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
    !isLooking(command);
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
  { command, kind, settings, faults: argumentFaults }: Arguments,
  env: Environment,
  registry: Registry,
  stop: AbortSignal,
  fail: (error: Error) => void,
): Promise<number> {
  const output = readOutputConfig(settings, env);
  let hide: Hide = hideNothing;
  const read = (path: string) => abortable(readText(path), stop);
  try {
    if (command !== undefined && !needsDatabase(command)) {
      // Whoever has something wrong in the environment may need the help most.
      const faults = command.kind === "help"
        ? argumentFaults
        : [...argumentFaults, ...output.faults];
      if (command.kind === "new") throw new UsageError([...faults, NEW_HERE]);
      if (faults.length > 0) throw new UsageError(faults);
      return print(
        await localLines(command, {
          format: output.value.format,
          denoVersion: Deno.version.deno,
          recording: async () => await registry.recording?.(),
          // What is wrong with the rest of the configuration has no say here.
          migrations: () =>
            listIfPossible(
              registry,
              async () =>
                await readConfig(settings, env, read).then(
                  ({ value }) => hiderOf(value),
                  () => hideNothing,
                ),
            ),
        }),
      );
    }
    if (kind === undefined) {
      // Whether it would need a database nobody knows.
      const rest = readSettings(settings, env);
      throw new UsageError([
        ...argumentFaults,
        ...output.faults,
        ...rest.faults,
      ]);
    }
    const checked = await readConfig(settings, env, read);
    const config = checked.value;
    const faults = [...argumentFaults, ...checked.faults];
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
      recording: async () => await registry.recording?.(),
      env,
      host: () => hostName(env),
    });
  } catch (error) {
    // In the form that was asked for, as far as that can be read.
    reporter(output.value, { stream: true, hide })({ event: "failed", error });
    return exitCodeOf(error);
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

function print(lines: readonly string[]): ExitCode {
  for (const text of lines) {
    writeLine({ stream: "stdout", text: hideNothing(text) });
  }
  return ExitCode.done;
}

if (import.meta.main) Deno.exit(await main(Deno.args, readEnvironment()));
