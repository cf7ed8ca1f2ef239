/**
 * The application whose database is migrated: sessions that hold locks, and traffic that must not stall.
 *
 * @module
 */
import postgres from "postgres";

export interface ApplicationSession extends AsyncDisposable {
  readonly pid: number;
  /** Runs SQL, of one or several statements, in this session. */
  run(text: string): Promise<void>;
}

/** Opens a session that stays until the scope of `await using` is left; a transaction that it has open goes with it. */
export async function openSession(
  url: string,
  applicationName = "shop",
): Promise<ApplicationSession> {
  const sql = postgres(url, {
    max: 1,
    onnotice: () => {},
    connection: { application_name: applicationName },
  });
  const [row] = await sql`select pg_backend_pid() as pid`;
  return {
    pid: row!.pid,
    run: async (text) => void await sql.unsafe(text),
    [Symbol.asyncDispose]: () => sql.end({ timeout: 0 }),
  };
}

export interface Traffic extends AsyncDisposable {
  /** How many statements have been answered. */
  readonly count: number;
}

/** Runs statements again and again, each text on a session of its own, until the scope of `await using` is left. */
export function startTraffic(
  url: string,
  statements: readonly string[],
): Traffic {
  let count = 0;
  let stopped = false;
  const clients = statements.map((text) => ({
    text,
    sql: postgres(url, { max: 1, onnotice: () => {} }),
  }));
  const loops = clients.map(async ({ text, sql }) => {
    await sql`select 1`;
    while (!stopped) {
      await sql.unsafe(text);
      count++;
    }
  });
  const all = Promise.all(loops);
  all.catch(() => {}); // it shows when the traffic is ended
  return {
    get count() {
      return count;
    },
    async [Symbol.asyncDispose]() {
      stopped = true;
      try {
        await all;
      } finally {
        await Promise.all(clients.map(({ sql }) => sql.end({ timeout: 1 })));
      }
    },
  };
}
