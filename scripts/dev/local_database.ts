/**
 * The database of local work: one embedded PostgreSQL in `.data/`, shared by everything that runs at the same time.
 *
 * @module
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import postgres from "postgres";
import { type Server, startServer, stopServer } from "./embedded_postgres.ts";
import { WAY_OUT } from "./postgres_binaries.ts";
import { exists, lastPort, removeCluster } from "./server_data.ts";

/** The folder of this checkout's data. */
export const DATA_FOLDER: string = fileURLToPath(
  new URL("../../.data", import.meta.url),
);

export const LOCAL_VERSION = 18;
const DATABASE = "battlescope";

export interface LocalDatabase {
  /** The superuser's connection string of the database "battlescope". */
  readonly url: string;
  /** Ends the use; the last user's end stops the server. */
  release(): Promise<void>;
}

export interface LocalOptions {
  /** Throws the data away first; refused while somebody uses them. @default {false} */
  readonly anew?: boolean;
}

/**
 * Starts the server of the folder, or joins those who use it.
 *
 * The operating system drops a file lock with its process, so who is killed does not count as a user any more, and the
 * server that was left running serves the next one.
 *
 * @param say told what is going on when it takes more than a moment
 */
export async function useLocalDatabase(
  folder: string,
  say: (line: string) => void,
  { anew = false }: LocalOptions = {},
): Promise<LocalDatabase> {
  await makeFolder(folder);
  using closer = new DisposableStack();
  // Held while the server is started or stopped.
  const gate = closer.use(await openLock(join(folder, "gate.lock")));
  // Shared by the users, while they are.
  const users = closer.use(await openLock(join(folder, "users.lock")));

  await gate.lock(true);
  const place = {
    version: LOCAL_VERSION,
    folder: join(folder, `${LOCAL_VERSION}`),
    say,
  } as const;
  const port = anew ? await throwAway(place, users) : undefined;
  await users.lock(false);
  const server = await startServer({ ...place, ...(port && { port }) });
  try {
    await createDatabase(server);
  } catch (error) {
    await leave(users, server);
    throw error;
  }
  await gate.unlock();
  const open = closer.move();
  return {
    url: server.url(DATABASE),
    async release() {
      using _ = open;
      await gate.lock(true);
      await leave(users, server);
    },
  };
}

/** To be called behind the gate. Returns the port that the server had. */
async function throwAway(
  place: Parameters<typeof stopServer>[0],
  users: Deno.FsFile,
): Promise<number | undefined> {
  if (!await users.tryLock(true)) {
    throw new Error(
      `Cannot throw away the embedded database in "${place.folder}": it is in use; ` +
        'end "deno task db" and whatever else works on it first',
    );
  }
  try {
    const data = join(place.folder, "data");
    if (!await exists(data)) return undefined;
    // One whose users were killed is still there.
    await stopServer(place);
    const port = await lastPort(data);
    await removeCluster(place.folder);
    return port;
  } finally {
    await users.unlock();
  }
}

/** To be called behind the gate, so that nobody joins while the server stops. */
async function leave(users: Deno.FsFile, server: Server): Promise<void> {
  await users.unlock();
  if (await users.tryLock(true)) await server.stop();
}

async function createDatabase(server: Server): Promise<void> {
  const sql = postgres(server.url(), { max: 1, onnotice: () => {} });
  try {
    const found = await sql`
      select from pg_database where datname = ${DATABASE}
    `;
    if (found.count === 0) await sql`create database ${sql(DATABASE)}`;
  } finally {
    await sql.end();
  }
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
    await Deno.chmod(folder, 0o700);
  } catch (error) {
    throw refusal(folder, error);
  }
}

async function openLock(path: string): Promise<Deno.FsFile> {
  try {
    return await Deno.open(path, { write: true, create: true, mode: 0o600 });
  } catch (error) {
    throw refusal(path, error);
  }
}

function refusal(path: string, error: unknown): Error {
  const reason = error instanceof Deno.errors.PermissionDenied
    ? "it belongs to another user"
    : error instanceof Error
    ? error.message
    : error;
  return new Error(
    `Cannot use "${path}" for the embedded PostgreSQL: ${reason}; ` +
      `remove the folder or ${WAY_OUT}`,
  );
}
