/**
 * The program with somebody at a terminal, through `script`, which every Debian and every Mac has.
 *
 * @module
 */
import { join } from "node:path";
import {
  denoEnvironment,
  type MigrateOptions,
  programArguments,
  type RunningMigrate,
  startProcess,
} from "./cli.ts";

/**
 * Starts the program with standard input on a terminal, where `stdin` is typed. Its streams stay apart: they go to
 * files, and are in the result only.
 */
export async function startOnTerminal(
  args: readonly string[],
  options: MigrateOptions,
): Promise<RunningMigrate> {
  const folder = await Deno.makeTempDir({ prefix: "terminal-" });
  const [stdout, stderr] = [join(folder, "stdout"), join(folder, "stderr")];
  const running = startScript(
    `${commandLine(args, options)} >${quote(stdout)} 2>${quote(stderr)}`,
    options,
  );
  const result = running.result.then(async ({ code }) => ({
    code,
    stdout: await Deno.readTextFile(stdout),
    stderr: await Deno.readTextFile(stderr),
  })).finally(() => Deno.remove(folder, { recursive: true }));
  result.catch(() => {});
  return {
    ...running,
    result,
    async [Symbol.asyncDispose]() {
      await running[Symbol.asyncDispose]();
      await result.catch(() => {});
    },
  };
}

/** Starts the program with all its streams on a terminal; `stdout` is what the screen shows. */
export function startOnScreen(
  args: readonly string[],
  options: MigrateOptions,
): RunningMigrate {
  return startScript(commandLine(args, options), options);
}

function startScript(
  line: string,
  { env = {}, ...options }: MigrateOptions,
): RunningMigrate {
  const command = new Deno.Command("script", {
    // -q no banner, -e the command's exit code, -c the command; it writes a record of its own, which nobody wants
    args: Deno.build.os === "darwin"
      ? ["-q", "/dev/null", "sh", "-c", line]
      : ["-qec", line, "/dev/null"],
    clearEnv: true,
    env: {
      ...denoEnvironment(),
      PATH: Deno.env.get("PATH") ?? "",
      SHELL: "/bin/sh",
      ...env,
    },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  });
  return startProcess(command, options);
}

/** `exec`: the shell must not stand between the terminal's signals and the program. */
function commandLine(
  args: readonly string[],
  { project }: MigrateOptions,
): string {
  const words = [Deno.execPath(), ...programArguments(args, project)];
  return `exec ${words.map(quote).join(" ")}`;
}

function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
