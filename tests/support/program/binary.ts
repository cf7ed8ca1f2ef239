/**
 * The compiled program, as users have it: run by another user, in an empty folder, with an empty environment.
 *
 * @module
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildOnce, builtCommit } from "./build_once.ts";
import { withCheckout } from "./checkout.ts";
import {
  type MigrateResult,
  type RunningMigrate,
  startProcess,
} from "./cli.ts";
import { writeMigrations } from "./project.ts";

export interface BinaryOptions {
  /** @default {the executable of this checkout} */
  readonly path?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** `false` starts it in a network namespace of its own, which has not even a loopback. @default {true} */
  readonly network?: boolean;
  /** After this the process is killed and the test fails. @default {LIMIT_MS} */
  readonly timeoutMs?: number;
}

/** What the executable is made from. */
export const EXECUTABLE_SOURCES = [
  "deno.json",
  "deno.lock",
  "migrations",
  "src",
  "scripts/build",
];

/** Nobody in particular, as in the image. */
const USER = 65532;

const COMPILE = fileURLToPath(
  new URL("../../../scripts/build/compile.ts", import.meta.url),
);

let compilation: Promise<string> | undefined;

/**
 * The folder that `deno task compile` has filled for these tests. With Deno's own runtime, or, where that cannot be
 * downloaded, with the one from npm.
 */
export function compiled(): Promise<string> {
  return compilation ??= compileOnce();
}

async function compileOnce(): Promise<string> {
  const commit = await builtCommit();
  return await buildOnce({
    name: "executable",
    sources: EXECUTABLE_SOURCES,
    key: `${Deno.version.deno} ${commit}`,
    build: async (output) => {
      const own = await runCompile([`--output=${output}`], { COMMIT: commit });
      if (own.code === 0) return;
      const npm = await runCompile([`--output=${output}`, "--runtime=npm"], {
        COMMIT: commit,
      });
      if (npm.code === 0) return;
      throw new Error(
        `Cannot compile the executable: ${own.stderr}\n${npm.stderr}`,
      );
    },
  });
}

/** The path of the executable for this machine. */
export async function executable(): Promise<string> {
  return join(await compiled(), executableName());
}

function executableName(): string {
  const arch = Deno.build.arch === "x86_64" ? "x64" : "arm64";
  const os = Deno.build.os === "darwin" ? "macos" : Deno.build.os;
  return `battlescope-migrate-${os}-${arch}`;
}

/** Compiles a program that carries other migrations (`name → source`); `use` gets the path of the executable. */
export async function withExecutable(
  migrations: Readonly<Record<string, string>>,
  use: (path: string) => Promise<void>,
): Promise<void> {
  await withCheckout(async ({ folder, task }) => {
    await Deno.remove(join(folder, "migrations"), { recursive: true });
    await writeMigrations(join(folder, "migrations"), migrations);
    const output = await Deno.makeTempDir({ prefix: "executable-" });
    try {
      const { deno } = await binaryVersion();
      const runtime = deno === Deno.version.deno ? [] : ["--runtime=npm"];
      for (
        const words of [["registry"], [
          "compile",
          `--output=${output}`,
          ...runtime,
        ]]
      ) {
        const { code, stderr } = await task(words).result;
        if (code !== 0) throw new Error(`Cannot ${words[0]}: ${stderr}`);
      }
      await Deno.chmod(output, 0o755);
      await use(join(output, executableName()));
    } finally {
      await Deno.remove(output, { recursive: true });
    }
  });
}

/** Runs `scripts/build/compile.ts`. */
export async function runCompile(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<MigrateResult> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", COMPILE, ...args],
    env: { NO_COLOR: "1", ...env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  });
  await using running = startProcess(command, { timeoutMs: 180_000 });
  return await running.result;
}

/** Starts the executable and returns while it works. */
export async function startBinary(
  args: readonly string[],
  { env = {}, network = true, timeoutMs, path }: BinaryOptions = {},
): Promise<RunningMigrate> {
  // To root no folder is unwritable.
  const user = ["setpriv", `--reuid=${USER}`, `--regid=${USER}`];
  const words = [
    ...(network ? [] : ["unshare", "--net"]),
    ...(Deno.uid() === 0 ? [...user, "--clear-groups"] : []),
    path ?? await executable(),
    ...args,
  ];
  const cwd = await Deno.makeTempDir({ prefix: "empty-" });
  await Deno.chmod(cwd, 0o555);
  const command = new Deno.Command(words[0]!, {
    args: words.slice(1),
    cwd,
    clearEnv: true,
    env: { ...env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  });
  const running = startProcess(
    command,
    timeoutMs === undefined ? {} : { timeoutMs },
  );
  const remove = () => Deno.remove(cwd).catch(() => {});
  return {
    ...running,
    // Not recursive: a program that has written something there fails the test.
    result: running.result.finally(() => Deno.remove(cwd)),
    async [Symbol.asyncDispose]() {
      await running[Symbol.asyncDispose]();
      await remove();
    },
  };
}

/** Runs the executable to its end. */
export async function runBinary(
  args: readonly string[],
  options: BinaryOptions = {},
): Promise<MigrateResult> {
  await using running = await startBinary(args, options);
  return await running.result;
}

/** The executable's own word for what it is. */
export async function binaryVersion(): Promise<Record<string, unknown>> {
  const { stdout } = await runBinary(["version", "--format", "json"]);
  return JSON.parse(stdout);
}
