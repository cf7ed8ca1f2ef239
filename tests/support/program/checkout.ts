/**
 * A copy of this checkout, where its tasks can be run without touching the real one.
 *
 * @module
 */
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { findPostmaster } from "../../../scripts/dev/server_process.ts";
import { denoEnvironment, type RunningMigrate, startProcess } from "./cli.ts";
import { waitFor } from "./wait.ts";

export interface Checkout {
  readonly folder: string;
  /** Starts `deno task …` in it. Signals go to all its processes, as those of a terminal do. */
  task(args: readonly string[], options?: TaskOptions): RunningMigrate;
  /** Starts any other program in it in the same way. */
  start(program: string, args: readonly string[]): RunningMigrate;
}

export interface TaskOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Another user to run as. */
  readonly uid?: number;
  /** @default {the one that runs the tests} */
  readonly deno?: string;
}

const ORIGINAL = fileURLToPath(new URL("../../../", import.meta.url));

/** What the tasks need; the tests have their own copy of nothing. */
const PARTS = [
  ...["deno.json", "deno.lock", "package.json", "Makefile"],
  ...["src", "scripts", "migrations"],
];

/** Makes a copy below a folder that only its owner may enter; ends its server and removes it afterwards. */
export async function withCheckout(
  use: (checkout: Checkout) => Promise<void>,
): Promise<void> {
  const closed = await Deno.makeTempDir({ prefix: "checkout-" });
  const folder = join(closed, "project");
  await Deno.mkdir(folder);
  try {
    for (const part of PARTS) {
      await cp(join(ORIGINAL, part), join(folder, part), { recursive: true });
    }
    await use({
      folder,
      task: (args, { deno = Deno.execPath(), ...options } = {}) =>
        startIn(folder, deno, ["task", "--quiet", ...args], options),
      start: (program, args) => startIn(folder, program, args),
    });
  } finally {
    if (await serverPid(folder) !== undefined) await killServer(folder);
    await Deno.remove(closed, { recursive: true });
  }
}

/** The number of the process of the copy's server; none if there is none. */
export async function serverPid(folder: string): Promise<number | undefined> {
  return (await findPostmaster(join(folder, ".data", "18", "data")))?.pid;
}

/** Kills the server's main process and waits until it is gone, all its files left as they were. */
export async function killServer(folder: string): Promise<void> {
  const pid = await serverPid(folder);
  if (pid === undefined) throw new Error(`No server runs in "${folder}"`);
  Deno.kill(pid, "SIGKILL");
  await waitFor(
    "the server's process is gone",
    async () => await serverPid(folder) === undefined,
  );
}

function startIn(
  folder: string,
  program: string,
  args: readonly string[],
  { env = {}, uid }: Omit<TaskOptions, "deno"> = {},
): RunningMigrate {
  const command = new Deno.Command(program, {
    args: [...args],
    cwd: folder,
    clearEnv: true,
    env: { ...denoEnvironment(), ...networkEnvironment(), ...env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    detached: true,
    ...(uid === undefined ? {} : { uid, gid: uid }),
  });
  return startProcess(command, { group: true });
}

/** What a task needs to find its tools, and to fetch a PostgreSQL that this machine does not have yet. */
function networkEnvironment(): Record<string, string> {
  const needed =
    /^(?:PATH|(?:npm_config|deno|ssl_cert)_.*|node_extra_ca_certs|(?:https?|no)_proxy)$/i;
  return Object.fromEntries(
    Object.entries(Deno.env.toObject()).filter(([name]) => needed.test(name)),
  );
}
