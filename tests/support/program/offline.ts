/**
 * A place without a network: a network namespace with a loopback, a PostgreSQL on it, and nothing else.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  makePrivateFolder,
  postgresFolder,
} from "../../../scripts/dev/postgres_binaries.ts";
import { type MigrateResult, startProcess } from "./cli.ts";
import { assertSaid } from "./needs.ts";

export interface OfflineSite {
  /** An empty folder. */
  readonly folder: string;
  /** The superuser's connection string of the server. */
  readonly url: string;
  /** Runs a command of the shell in the folder, with nothing in the environment but `PATH` and what is given. */
  run(
    command: string,
    env?: Readonly<Record<string, string>>,
  ): Promise<MigrateResult>;
}

const SERVER = fileURLToPath(
  new URL("../net/offline_server.ts", import.meta.url),
);

/** Makes such a place and removes it afterwards. Needs root, as a namespace does. */
export async function withOfflineSite(
  use: (site: OfflineSite) => Promise<void>,
): Promise<void> {
  assertSaid("namespaces");
  await using cleanup = new AsyncDisposableStack();
  // Whatever is to be fetched must be here before the network is gone.
  await postgresFolder(18, () => {});
  const folder = await Deno.makeTempDir({ prefix: "offline-" });
  cleanup.defer(() => Deno.remove(folder, { recursive: true }));
  const data = await Deno.makeTempDir({
    dir: await makePrivateFolder(),
    prefix: "own-",
  });
  cleanup.defer(() => Deno.remove(data, { recursive: true }));
  // The server's own user must get through to it.
  await Deno.chmod(data, 0o711);

  const namespace = cleanup.use(startProcess(
    command(["unshare", "--net", "sh", "-c"], [
      "ip link set lo up && echo up && exec sleep 900",
    ]),
    { timeoutMs: 900_000 },
  ));
  await namespace.waitFor("up");
  const enter = ["nsenter", `--net=/proc/${namespace.pid}/ns/net`];

  const server = startProcess(
    command([...enter, Deno.execPath(), "run", "-A", "--cached-only"], [
      SERVER,
      join(data, "server"),
    ], { env: Deno.env.toObject() }),
    { timeoutMs: 900_000 },
  );
  cleanup.defer(async () => {
    server.kill("SIGTERM");
    assertEquals((await server.result).code, 0);
  });
  await server.waitFor(/^ready /m);

  await use({
    folder,
    url: server.output().stdout.trim().replace("ready ", ""),
    run: async (text, env = {}) => {
      await using running = startProcess(
        command([...enter, "sh", "-c"], [text], {
          cwd: folder,
          env: { PATH: Deno.env.get("PATH") ?? "", ...env },
        }),
        { timeoutMs: 300_000 },
      );
      return await running.result;
    },
  });
}

function command(
  [program, ...first]: readonly string[],
  rest: readonly string[],
  options: Pick<Deno.CommandOptions, "cwd" | "env"> = {},
): Deno.Command {
  return new Deno.Command(program!, {
    args: [...first, ...rest],
    clearEnv: true,
    env: { PATH: Deno.env.get("PATH") ?? "" },
    ...options,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  });
}
