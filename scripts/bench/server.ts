/**
 * The throw-away server of a benchmark, and its databases.
 *
 * @module
 */
import { statfs } from "node:fs/promises";
import { join } from "node:path";
import postgres from "postgres";
import { type Server, startServer } from "../dev/embedded_postgres.ts";
import { makePrivateFolder } from "../dev/postgres_binaries.ts";

export interface BenchServer extends AsyncDisposable {
  readonly port: number;
  /** What the server says of itself. */
  readonly version: string;
  /** Whether its data are in memory, not on a disk. */
  readonly inMemory: boolean;
  /** Creates an empty database, in the place of one of the same name. */
  create(database: string): Promise<void>;
  drop(database: string): Promise<void>;
  /** The connection string of a database, on the server's own port unless told. */
  url(database: string, port?: number): string;
  /** How many tables and indexes of the work a database holds. */
  relations(database: string): Promise<number>;
}

/** Speed before safety: what is compared is the migrators, not the disk. */
export const SETTINGS = {
  fsync: "off",
  synchronous_commit: "off",
  full_page_writes: "off",
  shared_buffers: "256MB",
  max_wal_size: "1GB",
  max_locks_per_transaction: "4096",
  autovacuum: "off",
};

/** The databases of all tools, and the log of what is written to them. */
const NEEDED_BYTES = 4 * 1_024 ** 3;

/** Starts a PostgreSQL 18; leaving the scope of `await using` stops and removes it. */
export async function startBenchServer(
  say: (line: string) => void,
): Promise<BenchServer> {
  const memory = await memoryFolder();
  const folder = await Deno.makeTempDir({
    dir: memory ?? await makePrivateFolder(),
    prefix: "bench-server-",
  });
  // The server's user must get through to its own folder below, which is closed to all others.
  await Deno.chmod(folder, 0o711);
  let server: Server | undefined;
  const remove = async () => {
    await server?.stop();
    await Deno.remove(folder, { recursive: true });
  };
  try {
    server = await startServer({
      version: 18,
      folder: join(folder, "18"),
      settings: SETTINGS,
      say,
    });
    return {
      ...await connect(server, remove),
      inMemory: memory !== undefined,
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

/**
 * A file system in memory, where there is one with enough room. How long a disk takes to create thousands of files
 * changes from minute to minute, by more than the tools differ.
 */
async function memoryFolder(): Promise<string | undefined> {
  const path = "/dev/shm";
  const { bavail, bsize } = await statfs(path).catch(() => ({
    bavail: 0,
    bsize: 0,
  }));
  return bavail * bsize >= NEEDED_BYTES ? path : undefined;
}

async function connect(
  server: Server,
  remove: () => Promise<void>,
): Promise<Omit<BenchServer, "inMemory">> {
  const admin = postgres(server.url(), { max: 1, onnotice: () => {} });
  const [row] = await admin.unsafe("show server_version");
  const url = (database: string, port = server.port) => {
    const url = new URL(server.url(database));
    url.port = `${port}`;
    url.searchParams.set("sslmode", "disable");
    return url.href;
  };
  const count = async (database: string) => {
    const sql = postgres(server.url(database), { max: 1 });
    const [row] = await sql.unsafe(
      "select count(*)::int as n from pg_class where relname ~ '^t_[0-9]+(_name|$)'",
    );
    await sql.end();
    return row!.n as number;
  };
  const drop = async (database: string) => {
    await admin.unsafe(`drop database if exists ${database} with (force)`);
  };
  return {
    port: server.port,
    version: `${row!.server_version}`,
    async create(database) {
      await drop(database);
      await admin.unsafe(`create database ${database} template template0`);
      // The first connection to a database builds its cache of the catalog.
      await count(database);
    },
    drop,
    url,
    relations: count,
    async [Symbol.asyncDispose]() {
      await admin.end();
      await remove();
    },
  };
}
