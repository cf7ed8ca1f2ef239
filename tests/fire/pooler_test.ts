/** Behind a real PgBouncer: a server connection belongs to a client for one transaction only, then to the next. */
import { assertEquals, assertMatch } from "@std/assert";
import postgres from "postgres";
import { openSession } from "../support/program/application.ts";
import { backfill, fills, fillTable } from "../support/program/backfills.ts";
import { readCatalog } from "../support/server/catalog.ts";
import {
  closeGate,
  GATE,
  openGate,
  waitForStatement,
  waitUntilGone,
} from "../support/program/gate.ts";
import { applyBattlescope, battlescope } from "../../scripts/dev/kysely.ts";
import { runMigrate } from "../support/program/cli.ts";
import { migration, table } from "../support/program/migrations.ts";
import { type Pooler, withPgBouncer } from "../support/server/pgbouncer.ts";
import {
  pgTest,
  queryUrl,
  type TestDatabase,
} from "../support/server/postgres.ts";
import { scenario } from "../support/program/scenario.ts";
import { waitFor } from "../support/program/wait.ts";

/** One connection to the server: whatever a client leaves behind meets the next one. */
const ONE = { poolSize: 1 };

const NEEDS = { needs: ["pgbouncer"] } as const;

pgTest(
  "options in the connection string, which PgBouncer refuses, are refused with the way out",
  async (db) => {
    await withPgBouncer(db, async (pooler) => {
      const url = `${pooler.url(db.url)}?options=-c%20work_mem%3D8MB`;
      const { code, stderr } = await runMigrate([
        "status",
        `--database-url=${url}`,
      ]);
      assertEquals(code, 1);
      assertMatch(
        stderr,
        /^error: Cannot connect to .* startup parameter.* \(SQLSTATE 08P01\)\n {2}hint: Leave options out of the connection string: a pooler does not pass them on; or list options in its ignore_startup_parameters$/m,
      );
    });
  },
  NEEDS,
);

for (const transaction of ["all", "each"]) {
  pgTest(
    `up --transaction ${transaction} applies the real migrations through PgBouncer and leaves nothing behind`,
    async (db) => {
      await withPgBouncer(db, async (pooler) => {
        const env = { DATABASE_URL: pooler.url(db.url) };
        const before = await sessionOf(db, pooler);
        const up = await runMigrate(["up", `--transaction=${transaction}`], {
          env,
        });
        assertEquals(up.code, 0, up.stderr);
        assertMatch(up.stderr, /^Connected to .*, through a pooler\)$/m);
        assertEquals(await sessionOf(db, pooler), before);
        await assertNoLocks(db);

        const alone = await db.createDatabase();
        await applyBattlescope(alone.url);
        assertEquals(
          await readCatalog(db.url, { without: ["migration_history"] }),
          await readCatalog(alone.url),
        );

        const status = await runMigrate(["status", "--check"], { env });
        assertEquals(status.code, 0, status.stderr);
        const again = await runMigrate(["up"], { env });
        assertEquals(
          again.stdout,
          "Nothing to apply: the database is up to date\n",
        );
        const down = await runMigrate(["down", "--all", "--yes"], { env });
        assertEquals(down.code, 0, down.stderr);
        const rows = await db.query(
          "select status, count(*)::int as rows from migration_history group by 1",
        );
        assertEquals(rows, [
          { status: "rolled_back", rows: battlescope.length },
        ]);
        assertEquals(await sessionOf(db, pooler), before);
        await assertNoLocks(db);
      }, ONE);
    },
    NEEDS,
  );
}

scenario(
  "the session's settings apply behind a pooler too, for the transaction only",
  {
    "0001_settings": migration({
      up:
        "create table settings as select current_setting('lock_timeout') as lock, " +
        "current_setting('statement_timeout') as statement, " +
        "current_setting('idle_in_transaction_session_timeout') as idle, current_schema() as schema",
    }),
  },
  async (s) => {
    await s.db.query("create schema other");
    await withPgBouncer(s.db, async (pooler) => {
      const before = await sessionOf(s.db, pooler);
      const { code, stderr } = await s.run(
        "up --lock-timeout=7s --statement-timeout=2m --schema=other",
        { url: pooler.url(s.db.url) },
      );
      assertEquals(code, 0, stderr);
      assertEquals(await s.db.query("select * from other.settings"), [
        { lock: "7s", statement: "2min", idle: "1min", schema: "other" },
      ]);
      assertEquals(await sessionOf(s.db, pooler), before);
    }, ONE);
  },
  NEEDS,
);

scenario(
  "what a migration sets for its session does not meet the pooler's next client",
  {
    "0001_set": migration({
      up: [
        "set work_mem = '77MB'",
        "set search_path = pg_catalog",
        "set role pg_monitor",
        "reset role",
        "select set_config('statement_timeout', '7s', false)",
      ],
    }),
  },
  async (s) => {
    await withPgBouncer(s.db, async (pooler) => {
      const before = await sessionOf(s.db, pooler);
      const up = await s.run("up", { url: pooler.url(s.db.url) });
      assertEquals(up.code, 0, up.stderr);
      assertEquals(await sessionOf(s.db, pooler), before);
    }, ONE);
  },
  NEEDS,
);

for (const mode of ["transaction", "session"] as const) {
  scenario(
    `a non-transactional migration is refused behind PgBouncer in ${mode} mode before anything runs`,
    {
      "0001_a": table("a"),
      "0002_index": migration({
        up: "create index concurrently a_id_idx on a (id)",
        down: "drop index concurrently a_id_idx",
        options: "{ transaction: false }",
      }),
      "0003_b": table("b"),
    },
    async (s) => {
      await withPgBouncer(s.db, async (pooler) => {
        const url = pooler.url(s.db.url);
        const { code, stdout, stderr } = await s.run("up", { url });
        assertEquals(code, 1, stderr);
        assertEquals(stdout, "");
        assertMatch(
          stderr,
          /^error: Cannot apply "0002_index": it runs outside a transaction, and 127\.0\.0\.1:\d+ is a connection pooler; use the direct address of the server$/m,
        );
        assertMatch(stderr, /^Failed in T: nothing was changed, 3 not run$/m);
        assertEquals(await s.tables(), []);
        assertEquals(
          await s.db.query(
            "select to_regclass('migration_history') as history",
          ),
          [{ history: null }],
        );

        assertEquals((await s.run("up")).code, 0);
        const down = await s.run("down --steps 2 --yes", { url });
        assertEquals(down.code, 1);
        assertMatch(
          down.stderr,
          /^error: Cannot roll back "0002_index": it runs outside a transaction, and /m,
        );
        assertEquals(await s.tables(), ["a", "b"]);
        assertEquals((await s.history()).length, 3);
      }, { mode });
    },
    NEEDS,
  );
}

scenario(
  "a migration that fails behind PgBouncer is rolled back and recorded, and its connection serves the next client",
  {
    "0001_a": table("a"),
    "0002_broken": migration({ up: "select 1 / 0" }),
  },
  async (s) => {
    await withPgBouncer(s.db, async (pooler) => {
      const { code, stderr } = await s.run("up", { url: pooler.url(s.db.url) });
      assertEquals(code, 1, stderr);
      assertMatch(
        stderr,
        /^error: Cannot apply "0002_broken": division by zero \(SQLSTATE 22012\)$/m,
      );
      assertEquals(await s.tables(), []);
      assertEquals(await s.history(), ["0002_broken failed"]);
      await assertNoLocks(s.db);
      assertEquals(
        await queryUrl(pooler.url(s.db.url), "select 1 as alive"),
        [{ alive: 1 }],
      );
    }, ONE);
  },
  NEEDS,
);

scenario(
  "a long statement through the one connection of a pool does not wait for its own watcher",
  { "0001_wait": migration({ up: GATE }) },
  async (s) => {
    await closeGate(s.db);
    await withPgBouncer(s.db, async (pooler) => {
      await using up = s.start("up --lock-timeout=200ms", {
        url: pooler.url(s.db.url),
      });
      await waitForStatement(s.db, /gate\.opened/);
      await waitFor(
        "the watcher queues behind the statement that it is to watch",
        async () => await pooler.waiting() > 0,
      );
      await openGate(s.db);
      const { code, stderr } = await up.result;
      assertEquals(code, 0, stderr);
    }, ONE);
  },
  NEEDS,
);

scenario(
  "a lock that is not to be had through a pooler is tried again like elsewhere",
  { "0001_note": migration({ up: "alter table orders add column note text" }) },
  async (s) => {
    await s.db.query("create table orders (id integer)");
    await using forgotten = await openSession(s.db.url);
    await forgotten.run("begin; select from orders");
    await withPgBouncer(s.db, async (pooler) => {
      await using up = s.start("up --lock-timeout=200ms", {
        url: pooler.url(s.db.url),
      });
      await up.waitFor("Trying again");
      await forgotten.run("commit");
      const { code, stderr } = await up.result;
      assertEquals(code, 0, stderr);
      await assertNoLocks(s.db);
    });
  },
  NEEDS,
);

for (const [signal, code] of [["SIGTERM", 143], ["SIGKILL", 137]] as const) {
  scenario(
    `after ${signal} the server's side of the pooler is free, and the next up succeeds`,
    { "0001_a": table("a"), "0002_wait": migration({ up: GATE }) },
    async (s) => {
      await closeGate(s.db);
      await withPgBouncer(s.db, async (pooler) => {
        const url = pooler.url(s.db.url);
        await using stopped = s.start("up", { url });
        const { pid } = await waitForStatement(s.db, /gate\.opened/);
        stopped.kill(signal);
        assertEquals((await stopped.result).code, code);
        await waitUntilFree(s.db, pid);
        assertEquals(await s.tables(), []);

        await openGate(s.db);
        const next = await s.run("up", { url });
        assertEquals(next.code, 0, next.stderr);
        assertEquals(await s.tables(), ["a"]);
      });
      await waitUntilGone(s.db);
    },
    NEEDS,
  );
}

/** The backend no longer runs the statement of a program that is gone, and no lock is left. */
async function waitUntilFree(db: TestDatabase, pid: number): Promise<void> {
  await waitFor("the backend is idle or gone", async () => {
    const busy = await db.query(
      `select from pg_stat_activity where pid = ${pid} and state <> 'idle'`,
    );
    return busy.length === 0;
  });
  await assertNoLocks(db);
}

/** What a client of the pooler finds on the connection that it is given; this one prepares nothing itself. */
async function sessionOf(
  db: TestDatabase,
  pooler: Pooler,
): Promise<unknown> {
  const sql = postgres(pooler.url(db.url), { max: 1, fetch_types: false });
  try {
    const [row] = await sql.unsafe(
      `select pg_backend_pid() as pid,
         (select json_object_agg(name, setting order by name) from pg_settings
           where context in ('user', 'superuser') and name <> 'application_name' and name !~ '[.]') as settings,
         (select count(*)::int from pg_prepared_statements) as prepared,
         (select count(*)::int from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) as locks,
         (select count(*)::int from pg_class where relpersistence = 't') as temporary,
         (select count(*)::int from pg_listening_channels()) as channels`,
    );
    return row;
  } finally {
    await sql.end();
  }
}

async function assertNoLocks(db: TestDatabase): Promise<void> {
  const locks = await db.query(
    `select pid from pg_locks where locktype = 'advisory'
       and database = (select oid from pg_database where datname = current_database())`,
  );
  assertEquals(locks, []);
}

scenario(
  "a backfill goes through PgBouncer, which has a server connection for each transaction, and leaves nothing behind",
  { "0001_fill": backfill() },
  async (s) => {
    await fillTable(s.db);
    await withPgBouncer(s.db, async (pooler) => {
      const url = pooler.url(s.db.url);
      const before = await sessionOf(s.db, pooler);
      const { code, stderr } = await s.run("up", { url });
      assertEquals(code, 0, stderr);
      assertEquals(await fills(s.db), { 1: 20_000 });
      assertEquals(await sessionOf(s.db, pooler), before);
    }, ONE);
  },
  NEEDS,
);
