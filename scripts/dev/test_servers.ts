/**
 * The PostgreSQL servers of a test run: new, fast, and gone afterwards, also those of a run that was killed.
 *
 * @module
 */
import { join } from "node:path";
import { type Server, startServer, stopServer } from "./embedded_postgres.ts";
import {
  makePrivateFolder,
  POSTGRES_VERSIONS,
  type PostgresVersion,
} from "./postgres_binaries.ts";

/** Speed before safety: the data live as long as the run. */
const SETTINGS = {
  fsync: "off",
  synchronous_commit: "off",
  full_page_writes: "off",
  // It writes to the catalogs of databases in which a test counts what is written.
  autovacuum: "off",
  shared_buffers: "32MB",
  max_connections: "300",
  wal_level: "minimal",
  max_wal_senders: "0",
};

const PREFIX = "servers-";

/**
 * Starts a server for each version, and stops them whatever happens.
 *
 * @param use is told the folder as well: the server of a version has its own in it, named like the version
 */
export async function withServers(
  versions: readonly PostgresVersion[],
  say: (line: string) => void,
  use: (servers: readonly Server[], folder: string) => Promise<void>,
  settings: Readonly<Record<string, string>> = SETTINGS,
): Promise<void> {
  const folder = await claimFolder();
  const starts = await Promise.allSettled(
    versions.map((version) =>
      startServer({
        version,
        folder: join(folder.path, `${version}`),
        settings,
        say,
      })
    ),
  );
  try {
    const failed = starts.find((start) => start.status === "rejected");
    if (failed) throw failed.reason;
    await use(
      starts.flatMap((start) =>
        start.status === "fulfilled" ? [start.value] : []
      ),
      folder.path,
    );
  } finally {
    await removeFolder(folder.path);
    folder.lock.close();
  }
}

/** Makes a folder that is ours while we live, and removes those whose owners do not. */
async function claimFolder(): Promise<{ path: string; lock: Deno.FsFile }> {
  const base = await makePrivateFolder();
  // One run at a time, or a new folder could look abandoned before its owner has locked it.
  using gate = await openLock(join(base, "test.lock"));
  await gate.lock(true);
  for await (const { name } of Deno.readDir(base)) {
    if (!name.startsWith(PREFIX)) continue;
    using lock = await openLock(join(base, name, "lock")).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }) ?? null;
    // Without one its owner has just removed it.
    if (await lock?.tryLock(true)) await removeFolder(join(base, name));
  }
  const path = await Deno.makeTempDir({ dir: base, prefix: PREFIX });
  // The server's user must get through to its own folder below, which is closed to all others.
  await Deno.chmod(path, 0o711);
  const lock = await openLock(join(path, "lock"));
  await lock.lock(true);
  return { path, lock };
}

/** Stops what runs in the folder, then removes it. */
async function removeFolder(path: string): Promise<void> {
  await Promise.all(
    POSTGRES_VERSIONS.map(async (version) => {
      const folder = join(path, `${version}`);
      const isThere = await Deno.stat(folder).then(() => true, () => false);
      if (isThere) await stopServer({ version, folder });
    }),
  );
  await Deno.remove(path, { recursive: true });
}

async function openLock(path: string): Promise<Deno.FsFile> {
  return await Deno.open(path, { write: true, create: true, mode: 0o600 });
}
