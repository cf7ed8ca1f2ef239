/**
 * A PostgreSQL server of a test's own, which may be stopped, crashed and started again.
 *
 * @module
 */
import { join } from "node:path";
import { startServer } from "../../../scripts/dev/embedded_postgres.ts";
import type { PostgresVersion } from "../../../scripts/dev/postgres_binaries.ts";
import { findPostmaster } from "../../../scripts/dev/server_process.ts";
import type { NeedName } from "../../../scripts/dev/test_needs.ts";
import { withServers } from "../../../scripts/dev/test_servers.ts";
import { withNeeds } from "../program/needs.ts";
import { queryUrl, testServers } from "./postgres.ts";
import { waitFor } from "../program/wait.ts";

export interface OwnServer {
  readonly version: number;
  readonly host: string;
  readonly port: number;
  /** The folder of its data. */
  readonly data: string;
  /** The superuser's connection string of a database, of the maintenance database unless told. */
  url(database?: string): string;
  /** Runs SQL as the superuser in the maintenance database. */
  query<Row = Record<string, unknown>>(text: string): Promise<Row[]>;
  /** Starts it again, on the same port, with other settings if they are given. */
  start(settings?: Readonly<Record<string, string>>): Promise<void>;
  /** Stops it: `fast` ends the sessions, `immediate` is a crash. */
  stop(mode: "fast" | "immediate"): Promise<void>;
  /** Makes it stop as soon as the last session has ended; until then it takes no new one. */
  stopWhenIdle(): Promise<void>;
}

/** Fast; but what it has committed survives its own crash. */
const SETTINGS = {
  fsync: "off",
  full_page_writes: "off",
  shared_buffers: "16MB",
};

/** Registers a test for each running version, `<name> [pg18]`, with a server of its own. */
export function serverTest(
  name: string,
  test: (server: OwnServer) => Promise<void>,
  settings: Readonly<Record<string, string>> = {},
  needs: readonly NeedName[] = [],
): void {
  for (const { version } of testServers()) {
    Deno.test({
      ...withNeeds(`${name} [pg${version}]`, needs),
      fn: () => withServer(version, test, settings),
    });
  }
}

/** Runs a server of that version while `use` runs. */
export async function withServer(
  number: number,
  use: (server: OwnServer) => Promise<void>,
  ownSettings: Readonly<Record<string, string>> = {},
): Promise<void> {
  const version = number as PostgresVersion;
  const settings = { ...SETTINGS, ...ownSettings };
  await withServers([version], () => {}, async ([server], parent) => {
    const { host, port, url } = server!;
    const folder = join(parent, `${version}`);
    const data = join(folder, "data");
    const signal = async (name: Deno.Signal) => {
      const pid = (await findPostmaster(data))?.pid;
      if (pid === undefined) throw new Error(`No server runs in "${data}"`);
      Deno.kill(pid, name);
    };
    await use({
      version,
      host,
      port,
      data,
      url,
      query: (text) => queryUrl(url(), text),
      start: async (other = {}) => {
        const again = await startServer({
          version,
          folder,
          settings: { ...settings, ...other },
        });
        if (again.port !== port) {
          throw new Error(`The server is back on another port than ${port}`);
        }
      },
      stop: async (mode) => {
        await signal(mode === "fast" ? "SIGINT" : "SIGQUIT");
        await waitFor(
          "the server has stopped",
          async () => await findPostmaster(data) === undefined,
        );
      },
      stopWhenIdle: () => signal("SIGTERM"),
    });
  }, settings);
}
