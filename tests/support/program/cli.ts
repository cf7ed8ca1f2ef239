/**
 * The program as a process of its own, with the permissions that it has in production.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { OPTIONS_VARIABLE } from "../../../scripts/dev/test_environment.ts";
import type { Project } from "./project.ts";
import { LIMIT_MS } from "./wait.ts";

export interface MigrateOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Migrations of the test's own. @default {the migrations of this checkout} */
  readonly project?: Project;
  /** A promise is written when it resolves. @default {""} */
  readonly stdin?: string | Promise<string>;
  /** `false` passes the environment of the tests on. @default {true} */
  readonly clearEnv?: boolean;
  /** After this the process is killed and the test fails. @default {LIMIT_MS} */
  readonly timeoutMs?: number;
}

export interface MigrateResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const CHECKOUT = new URL("../../../", import.meta.url);

/** Options that every run of the program gets besides its own: `deno task test` sets them for a second round. */
export const MORE_OPTIONS: readonly string[] =
  Deno.env.get(OPTIONS_VARIABLE)?.split(" ") ?? [];

/** What Deno itself needs to find its cache. */
const DENO_VARIABLES = ["HOME", "DENO_DIR", "XDG_CACHE_HOME"];

/** A program at work. Leaving the scope of `await using` kills it. */
export interface RunningMigrate extends AsyncDisposable {
  readonly pid: number;
  /** Settles when the process has ended and its output has been read. A killed process has the code 128 + signal. */
  readonly result: Promise<MigrateResult>;
  /** What it has written so far. */
  output(): { readonly stdout: string; readonly stderr: string };
  /** Sends a signal; none if the process has ended already. */
  kill(signal: Deno.Signal): void;
  /** Waits until its stdout or stderr, as written so far, has the text. Fails when the process ends without it. */
  waitFor(text: string | RegExp): Promise<void>;
}

/** Runs the program to its end. */
export async function runMigrate(
  args: readonly string[],
  options: MigrateOptions = {},
): Promise<MigrateResult> {
  await using running = startMigrate(args, options);
  return await running.result;
}

/** Starts the program and returns while it works. */
export function startMigrate(
  args: readonly string[],
  options: MigrateOptions = {},
): RunningMigrate {
  return startProcess(migrateCommand(args, options), options);
}

export interface ProcessOptions
  extends Pick<MigrateOptions, "stdin" | "timeoutMs"> {
  /** The command is `detached`: signals go to the process and to all that it started. @default {false} */
  readonly group?: boolean;
}

/** Starts any command, all three streams piped, and gathers what it writes. */
export function startProcess(
  command: Deno.Command,
  options: ProcessOptions = {},
): RunningMigrate {
  const { stdin = "", timeoutMs = LIMIT_MS, group = false } = options;
  const child = command.spawn();
  const output = { stdout: "", stderr: "" };
  const listeners = new Set<() => void>();
  let exited = false;
  let ended = false;
  let timedOut = false;

  const result = run();
  // A test may fail before it looks at the result: that must not be an unhandled rejection on top.
  result.catch(() => {});
  return {
    pid: child.pid,
    result,
    output: () => ({ ...output }),
    kill,
    waitFor,
    async [Symbol.asyncDispose]() {
      kill("SIGKILL");
      await result.catch(() => {});
    },
  };

  async function run(): Promise<MigrateResult> {
    const timer = setTimeout(() => {
      timedOut = true;
      kill("SIGKILL");
    }, timeoutMs);
    const [status] = await Promise.all([
      child.status.finally(() => {
        exited = true;
        clearTimeout(timer);
      }),
      gather("stdout"),
      gather("stderr"),
      feed(),
    ]);
    ended = true;
    for (const listener of listeners) listener();
    if (timedOut) {
      throw new Error(`Still running after ${timeoutMs} ms${shown()}`);
    }
    return { code: status.code, ...output };
  }

  async function gather(stream: "stdout" | "stderr"): Promise<void> {
    const decoder = new TextDecoderStream();
    for await (const text of child[stream].pipeThrough(decoder)) {
      output[stream] += text;
      for (const listener of listeners) listener();
    }
  }

  async function feed(): Promise<void> {
    const writer = child.stdin.getWriter();
    // A process that ends without reading breaks the pipe; its result tells the rest.
    await writer.write(new TextEncoder().encode(await stdin)).catch(() => {});
    await writer.close().catch(() => {});
  }

  function kill(signal: Deno.Signal): void {
    // Its number may belong to another process by now.
    if (ended || (exited && !group)) return;
    try {
      Deno.kill(group ? -child.pid : child.pid, signal);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  async function waitFor(text: string | RegExp): Promise<void> {
    const found = () =>
      [output.stdout, output.stderr].some((written) =>
        typeof text === "string" ? written.includes(text) : text.test(written)
      );
    while (!found()) {
      if (ended) throw new Error(`Ended without writing ${text}${shown()}`);
      await new Promise<void>((resolve) => {
        const listener = () => {
          listeners.delete(listener);
          resolve();
        };
        listeners.add(listener);
      });
    }
  }

  function shown(): string {
    return `\n--- stdout\n${output.stdout}\n--- stderr\n${output.stderr}`;
  }
}

function migrateCommand(
  args: readonly string[],
  { env = {}, cwd, project, clearEnv = true }: MigrateOptions,
): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: programArguments(args, project),
    ...(cwd === undefined ? {} : { cwd }),
    clearEnv,
    env: { ...(clearEnv ? denoEnvironment() : {}), ...env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  });
}

/** The arguments of `deno` that start the program with these arguments of its own. */
export function programArguments(
  args: readonly string[],
  project?: Project,
): string[] {
  const entry = project?.entry ?? new URL("src/main.ts", CHECKOUT);
  return [
    ...["run", "--quiet", "--no-prompt", "--frozen"],
    ...["--allow-net", "--allow-env", "--allow-read"],
    `--config=${fileURLToPath(new URL("deno.json", CHECKOUT))}`,
    fileURLToPath(entry),
    ...args,
    ...MORE_OPTIONS,
  ];
}

/** What a process needs to find Deno's cache when it gets no other environment. */
export function denoEnvironment(): Record<string, string> {
  return Object.fromEntries(
    DENO_VARIABLES.flatMap((name) => {
      const value = Deno.env.get(name);
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

/**
 * Where nobody watches, the last line repeats the first line of the error; replaced by `$1` it is as on a terminal. What is
 * repeated stands before, or this is not it.
 */
export const REPEATED =
  /^((?:.* )?error: (.*)\n(?:.*\n)*?Failed in [^\n]*?); reason: \2$/gm;
