/**
 * Migrations that wait for the test, and what the server knows of the program meanwhile.
 *
 * @module
 */
import type { TestDatabase } from "../server/postgres.ts";
import { waitFor } from "./wait.ts";

/** A statement that runs until {@link openGate}: long, and as long as a test needs it. */
export const GATE = `do $$ begin
  while not exists (select from gate.opened) loop perform pg_sleep(0.02); end loop;
end $$`;

/** Gates are closed from now on. The schema is one that no migration and no history looks at. */
export async function closeGate(db: TestDatabase): Promise<void> {
  await db.query(
    "create schema gate; create table gate.opened (at timestamptz)",
  );
}

/** Lets every statement that waits for the gate end. */
export async function openGate(db: TestDatabase): Promise<void> {
  await db.query("insert into gate.opened values (now())");
}

/** A session of the program, as the server sees it. */
export interface Backend {
  readonly pid: number;
  readonly state: string;
  readonly waits: string | null;
  readonly query: string;
  /** Whether it holds an advisory lock of any kind. */
  readonly locked: boolean;
}

/** The sessions of the program in this database. */
export function backends(
  db: Pick<TestDatabase, "query">,
): Promise<Backend[]> {
  return db.query<Backend & Record<string, unknown>>(
    `select a.pid, a.state, a.wait_event_type as waits, a.query, exists (
        select from pg_locks l where l.pid = a.pid and l.locktype = 'advisory' and l.granted
      ) as locked
     from pg_stat_activity a
     where a.datname = current_database() and a.application_name like 'battlescope-migrate%'
     order by a.backend_start`,
  );
}

/** Waits for a session of the program that runs such a statement. */
export function waitForStatement(
  db: Pick<TestDatabase, "query">,
  statement: RegExp,
): Promise<Backend> {
  return waitFor(
    `the program runs ${statement}`,
    async () =>
      (await backends(db)).find(({ state, query }) =>
        state === "active" && statement.test(query)
      ),
  );
}

/** Waits until the server has no session of the program and no advisory lock any more. */
export async function waitUntilGone(
  { query }: Pick<TestDatabase, "query">,
): Promise<void> {
  await waitFor(
    "the sessions of the program end and its locks are free",
    async () => {
      const [row] = await query<{ left: number }>(
        `select (select count(*) from pg_stat_activity
          where datname = current_database() and application_name like 'battlescope-migrate%')::int
        + (select count(*) from pg_locks where locktype = 'advisory'
          and database = (select oid from pg_database where datname = current_database()))::int as left`,
      );
      return row!.left === 0;
    },
  );
}
