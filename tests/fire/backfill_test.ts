/** Backfills under fire: killed, ended, doubled, in the way of live traffic. */
import { assertEquals, assertMatch } from "@std/assert";
import postgres from "postgres";
import { backfill, fills, fillTable } from "../support/program/backfills.ts";
import { backends, waitUntilGone } from "../support/program/gate.ts";
import { type Scenario, scenario } from "../support/program/scenario.ts";
import type { RunningMigrate } from "../support/program/cli.ts";
import type { TestDatabase } from "../support/server/postgres.ts";
import { waitFor } from "../support/program/wait.ts";

/** Each batch takes 100 ms at least, so that a test comes in between. */
const SLOW = backfill({
  batch:
    '    await db.updateTable("t").set({ n: sql`n + 1` }).where(rows).execute();\n' +
    "    await sql`select pg_sleep(0.1)`.execute(db);",
});

const FILL = { "0001_fill": SLOW };

/** Rows that are done, as the position says. */
async function rowsDone(db: TestDatabase): Promise<number> {
  const [row] = await db.query<{ done: number }>(
    "select rows_done::int as done from migration_backfills order by history_id desc limit 1",
  ).catch(() => []);
  return row?.done ?? 0;
}

/** Waits until a batch more is done. */
async function nextBatch(db: TestDatabase, than: number): Promise<void> {
  await waitFor("a batch is done", async () => await rowsDone(db) > than);
}

/** From now on batches do not grow, so that there are enough of them on a busy machine, too. */
async function keepSmall(db: TestDatabase): Promise<void> {
  await db.query("update migration_backfills set aim_ms = 100, rest = 0");
}

/** A run that has done a batch, and goes on in small ones. */
async function startSmall(s: Scenario): Promise<RunningMigrate> {
  await fillTable(s.db);
  const running = s.start("up");
  await nextBatch(s.db, 0);
  await keepSmall(s.db);
  return running;
}

/** The rest may go fast. */
async function letGrow(db: TestDatabase): Promise<void> {
  await db.query("update migration_backfills set aim_ms = 5000");
}

scenario(
  "a backfill that is killed again and again fills every row once",
  FILL,
  async (s) => {
    await using first = await startSmall(s);
    first.kill("SIGKILL");
    await first.result;
    for (let kills = 0; kills < 4; kills++) {
      await using up = s.start("up");
      await nextBatch(s.db, await rowsDone(s.db));
      up.kill("SIGKILL");
      await up.result;
      await waitUntilGone(s.db);
      const { 1: done } = await fills(s.db);
      assertEquals(done, await rowsDone(s.db));
    }
    assertEquals(await s.history(), ["0001_fill running"]);
    await letGrow(s.db);
    const { code, stderr } = await s.run("up");
    assertEquals(code, 0, stderr);
    assertEquals(await fills(s.db), { 1: 20_000 });
    assertEquals(await s.history(), ["0001_fill applied"]);
  },
);

scenario(
  "a backfill whose backend is ended goes on with another one",
  FILL,
  async (s) => {
    await using up = await startSmall(s);
    for (let ends = 0; ends < 2; ends++) {
      await nextBatch(s.db, await rowsDone(s.db));
      const [{ pid } = { pid: 0 }] = await backends(s.db);
      await s.db.query(`select pg_terminate_backend(${pid})`);
    }
    await letGrow(s.db);
    const { code, stderr } = await up.result;
    assertEquals(code, 0, stderr);
    assertMatch(stderr, /^Trying 0001_fill again with \d+ rows: /m);
    assertEquals(await fills(s.db), { 1: 20_000 });
  },
);

scenario(
  "a backend that is ended while it writes where a batch has come to is nobody's unnoticed error",
  FILL,
  async (s) => {
    await using up = await startSmall(s);
    await s.db.query(
      `create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(0.5); return new; end $$;
       create trigger slow before update on migration_backfills for each row execute function slow()`,
    );
    for (let ends = 0; ends < 3; ends++) {
      await waitFor("the position is written", async () => {
        const ended = await s.db.query(
          `select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and application_name like 'battlescope-migrate%'
              and state = 'active' and wait_event = 'PgSleep' and query like '%rows_done%'`,
        );
        return ended.length > 0;
      });
    }
    await s.db.query("drop trigger slow on migration_backfills");
    await letGrow(s.db);
    const { code, stderr } = await up.result;
    assertEquals(code, 0, stderr);
    assertEquals(await fills(s.db), { 1: 20_000 });
  },
);

for (const [signal, code] of [["SIGTERM", 143], ["SIGINT", 130]] as const) {
  scenario(
    `${signal} ends a backfill between two rows of its table, and the next up goes on`,
    FILL,
    async (s) => {
      await fillTable(s.db);
      await using up = s.start("up");
      await nextBatch(s.db, 0);
      up.kill(signal);
      assertEquals(await up.result, {
        code,
        stdout: "",
        stderr: `\
Connected to "DB" at HOST:PORT (PostgreSQL V)
Applying 0001_fill (1 of 1)
error: Stopped by ${signal}
Failed in T: 1 migration left open
`,
      });
      await waitUntilGone(s.db);
      const { 1: done } = await fills(s.db);
      assertEquals(done, await rowsDone(s.db));
      assertEquals(await s.history(), ["0001_fill running"]);
      assertEquals((await s.run("up")).code, 0);
      assertEquals(await fills(s.db), { 1: 20_000 });
    },
  );
}

scenario(
  "a second runner names the first, waits for it, and takes over when it is killed",
  FILL,
  async (s) => {
    await fillTable(s.db);
    await using first = s.start("up", { env: { HOSTNAME: "first-pod" } });
    await nextBatch(s.db, 0);
    await s.db.query("update migration_backfills set aim_ms = 100");

    const short = await s.run("up --lock-wait 200ms");
    assertEquals(short.code, 1);
    assertMatch(
      short.stderr,
      /^error: Cannot go on with "0001_fill" within 200 ms: first-pod \(backend \d+\) is at work on it, last heard of .+ ago; let it finish, or wait longer with --lock-wait$/m,
    );
    await using second = s.start("up");
    await second.waitFor("Waiting for the backfill 0001_fill, ");
    first.kill("SIGKILL");
    const { code, stderr } = await second.result;
    assertEquals(code, 0, stderr);
    assertEquals(await fills(s.db), { 1: 20_000 });
  },
);

scenario(
  "a runner whose backfill is rolled back meanwhile ends with 1, and what it had written stays",
  FILL,
  async (s) => {
    await fillTable(s.db);
    await using up = s.start("up");
    await nextBatch(s.db, 0);
    const down = await s.run("down --yes");
    assertEquals(down, {
      code: 0,
      stdout: `\
Would roll back 0001_fill
Rolled back 0001_fill (T)
Rolled back 1 migration in T
`.replace("Would roll back 0001_fill\n", ""),
      stderr: `\
Connected to "DB" at HOST:PORT (PostgreSQL V)
warning: What "0001_fill" has written stays, but for what its own down undoes
Rolling back 0001_fill (1 of 1)
`,
    });
    const { code, stderr } = await up.result;
    assertEquals(code, 1, stderr);
    assertMatch(
      stderr,
      /^error: Cannot go on with "0001_fill": another run has rolled it back, or settled it, meanwhile$/m,
    );
    assertEquals(await s.history(), ["0001_fill rolled_back"]);
    const done = await rowsDone(s.db);
    assertEquals(await fills(s.db), { 0: 20_000 - done, 1: done });
  },
);

scenario(
  "schema changes run beside a backfill, which holds no migration lock",
  FILL,
  async (s) => {
    await fillTable(s.db);
    await using up = s.start("up");
    await nextBatch(s.db, 0);
    await s.release({
      "0000_column": `import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql\`alter table t add column m integer\`.execute(db);
}
`,
      "0001_fill": SLOW,
    });
    const pre = await s.run("up --phase pre");
    assertEquals(pre.code, 0, pre.stderr);
    assertEquals(await s.history(), [
      "0001_fill running",
      "0000_column applied",
    ]);
    const { code, stderr } = await up.result;
    assertEquals(code, 0, stderr);
    assertEquals(await fills(s.db), { 1: 20_000 });
  },
);

scenario(
  "a batch gives way to a transaction that has its rows, with fewer rows, and gets through when it ends",
  FILL,
  async (s) => {
    await fillTable(s.db);
    const other = postgres(s.db.url, { max: 1 });
    try {
      const held = Promise.withResolvers<void>();
      const locked = Promise.withResolvers<void>();
      const transaction = other.begin(async (sql) => {
        await sql`update t set pad = 'y' where id = 700`;
        locked.resolve();
        await held.promise;
      });
      await locked.promise;
      await using up = s.start("up");
      await up.waitFor("Trying 0001_fill again with 500 rows: 55P03");
      await up.waitFor("Trying 0001_fill again with 100 rows: 55P03");
      held.resolve();
      await transaction;
      const { code, stderr } = await up.result;
      assertEquals(code, 0, stderr);
      assertEquals(await fills(s.db), { 1: 20_000 });
    } finally {
      await other.end();
    }
  },
);
