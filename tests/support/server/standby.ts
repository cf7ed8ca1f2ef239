/**
 * A standby of a server of a test's own: a copy of its data that follows it.
 *
 * @module
 */
import { join } from "node:path";
import { startServer } from "../../../scripts/dev/embedded_postgres.ts";
import {
  makePrivateFolder,
  type PostgresVersion,
} from "../../../scripts/dev/postgres_binaries.ts";
import { queryUrl } from "./postgres.ts";
import type { OwnServer } from "./server.ts";

export interface Standby extends AsyncDisposable {
  /** Runs SQL as the superuser in the maintenance database; it can only read. */
  query<Row = Record<string, unknown>>(text: string): Promise<Row[]>;
}

/** Stops the server, copies it, starts it again and the copy beside it. */
export async function startStandby(
  primary: OwnServer,
  name: string,
): Promise<Standby> {
  const base = await Deno.makeTempDir({
    dir: await makePrivateFolder(),
    prefix: "standby-",
  });
  // The server's user must get through to its own folder below.
  await Deno.chmod(base, 0o711);
  const folder = join(base, "server");
  await primary.stop("fast");
  await run("cp", "--archive", join(primary.data, ".."), folder);
  await primary.start();
  const { password } = new URL(primary.url());
  const from =
    `host=${primary.host} port=${primary.port} user=postgres password=${password} application_name=${name}`;
  await append(
    join(folder, "data", "postgresql.auto.conf"),
    `primary_conninfo = '${from}'\n`,
  );
  await append(join(folder, "data", "standby.signal"), "");
  const server = await startServer({
    version: primary.version as PostgresVersion,
    folder,
    settings: {
      hot_standby: "on",
      wal_level: "replica",
      max_wal_senders: "4",
      fsync: "off",
    },
  });
  return {
    query: (text) => queryUrl(server.url(), text),
    [Symbol.asyncDispose]: async () => {
      await server.stop();
      await Deno.remove(base, { recursive: true });
    },
  };
}

async function append(path: string, text: string): Promise<void> {
  await Deno.writeTextFile(path, text, { append: true });
}

async function run(program: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args })
    .output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}
