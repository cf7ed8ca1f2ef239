/** Many copies of the program at one database: a Job that is started twice, a deployment with many pods. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { openSession } from "../support/program/application.ts";
import { readCatalog } from "../support/server/catalog.ts";
import { type MigrateResult, runMigrate } from "../support/program/cli.ts";
import {
  backends,
  closeGate,
  GATE,
  openGate,
  waitForStatement,
  waitUntilGone,
} from "../support/program/gate.ts";
import { applyBattlescope, battlescope } from "../../scripts/dev/kysely.ts";
import { migration, table } from "../support/program/migrations.ts";
import { withPgBouncer } from "../support/server/pgbouncer.ts";
import { pgTest, type TestDatabase } from "../support/server/postgres.ts";
import { scenario } from "../support/program/scenario.ts";
import { waitFor } from "../support/program/wait.ts";

const COPIES = 10;
const NOTHING = "Nothing to apply: the database is up to date\n";

pgTest("ten copies of up: one applies, all succeed", async (db) => {
  const results = await runCopies(db.url, []);

  assertEquals(codes(results), Array(COPIES).fill(0), shown(results));
  const idle = results.filter(({ stdout }) => stdout === NOTHING);
  assertEquals(idle.length, COPIES - 1, shown(results));
  await assertAppliedOnce(db);
  const runs = await db.query("select distinct run_id from migration_history");
  assertEquals(runs.length, 1);
});

pgTest(
  "ten copies of up --transaction each: each migration is applied once, all succeed",
  async (db) => {
    const results = await runCopies(db.url, ["--transaction=each"]);

    assertEquals(codes(results), Array(COPIES).fill(0), shown(results));
    const said = results.flatMap(({ stdout }) =>
      [...stdout.matchAll(/^Applied (\d+_\w+) /gm)].map(([, name]) => name)
    );
    assertEquals(said.sort(), battlescope.map(({ name }) => name));
    await assertAppliedOnce(db);
  },
);

pgTest(
  "ten copies of up through PgBouncer: one applies, all succeed",
  async (db) => {
    await withPgBouncer(db, async (pooler) => {
      const results = await runCopies(pooler.url(db.url), []);

      assertEquals(codes(results), Array(COPIES).fill(0), shown(results));
      const idle = results.filter(({ stdout }) => stdout === NOTHING);
      assertEquals(idle.length, COPIES - 1, shown(results));
      await assertAppliedOnce(db);
      await assertNoLocks(db);
    });
  },
  { needs: ["pgbouncer"] },
);

scenario(
  "ten copies of up around a non-transactional migration: each migration is applied once, all succeed",
  {
    "0001_a": table("a"),
    "0002_index": migration({
      up: "create index concurrently a_id_idx on a (id)",
      options: "{ transaction: false }",
    }),
    "0003_b": table("b"),
  },
  async (s) => {
    const results = await Promise.all(
      Array.from({ length: COPIES }, () => s.run("up")),
    );

    assertEquals(codes(results), Array(COPIES).fill(0), shown(results));
    assertEquals(await s.history(), [
      "0001_a applied",
      "0002_index applied",
      "0003_b applied",
    ]);
    assertEquals(await s.tables(), ["a", "b"]);
    await assertNoLocks(s.db);
  },
);

scenario(
  "a waiting copy does not deadlock the holder's create index concurrently",
  {
    "0001_a": table("a"),
    "0002_index": migration({
      up: "create index concurrently a_id_idx on a (id)",
      options: "{ transaction: false }",
    }),
  },
  async (s) => {
    assertEquals((await s.run("up --to 0001_a")).code, 0);
    // A writer keeps the build waiting until the second copy waits too.
    await using writer = await openSession(s.db.url);
    await writer.run("begin; insert into a values (1)");
    await using first = s.start("up --lock-timeout=10m");
    const { pid } = await waitForStatement(s.db, /^create index concurrently/);
    await using second = s.start("up --lock-timeout=10m");
    await second.waitFor("Waiting for the migration lock");
    assertMatch(
      second.output().stderr,
      new RegExp(
        `^Waiting for the migration lock, .* left: backend ${pid} ` +
          String
            .raw`\(battlescope-migrate \d+\.\d+\.\d+, 127\.0\.0\.1:\d+, for .*\) holds it$`,
        "m",
      ),
    );
    await writer.run("commit");

    const [one, two] = [await first.result, await second.result];
    assertEquals([one.code, two.code], [0, 0], shown([one, two]));
    assertMatch(one.stdout, /^Applied 0002_index /);
    assertEquals(two.stdout, NOTHING);
    const [index] = await s.db.query<{ indisvalid: boolean }>(
      "select indisvalid from pg_index where indexrelid = 'a_id_idx'::regclass",
    );
    assertEquals(index, { indisvalid: true });
  },
);

scenario(
  "a copy gives up after --lock-wait, names the holder and changes nothing",
  { "0001_a": table("a"), "0002_wait": migration({ up: GATE }) },
  async (s) => {
    await closeGate(s.db);
    await using first = s.start("up");
    const holder = await waitForStatement(s.db, /gate\.opened/);
    assert(holder.locked);

    const second = await s.run("up --lock-wait=500ms");
    assertEquals(second.code, 1, second.stderr);
    assertEquals(second.stdout, "");
    assertMatch(
      second.stderr,
      new RegExp(
        `^error: Cannot take the migration lock within 500 ms: backend ${holder.pid} ` +
          String
            .raw`\(battlescope-migrate \d+\.\d+\.\d+, 127\.0\.0\.1:\d+, for [\d.]+ m?s\) holds it; ` +
          "let it finish, or wait longer with --lock-wait$",
        "m",
      ),
    );
    assertEquals(await s.tables(), []);

    await openGate(s.db);
    assertEquals((await first.result).code, 0);
    assertEquals(await s.history(), ["0001_a applied", "0002_wait applied"]);
  },
);

scenario(
  "a copy that was waiting finds the work done and applies only what is left",
  { "0001_a": table("a"), "0002_wait": migration({ up: GATE }) },
  async (s) => {
    await closeGate(s.db);
    await using first = s.start("up");
    await waitForStatement(s.db, /gate\.opened/);
    await s.release({
      "0001_a": table("a"),
      "0002_wait": migration({ up: GATE }),
      "0003_b": table("b"),
    });
    await using second = s.start("up");
    await second.waitFor("Waiting for the migration lock");
    await openGate(s.db);

    const results = [await first.result, await second.result];
    assertEquals(codes(results), [0, 0], shown(results));
    assertMatch(results[1]!.stdout, /^Applied 0003_b .*\nApplied 1 migration /);
    assertEquals(await s.history(), [
      "0001_a applied",
      "0002_wait applied",
      "0003_b applied",
    ]);
  },
);

scenario(
  "a waiting copy holds no transaction open between its looks at the lock",
  { "0001_wait": migration({ up: GATE }) },
  async (s) => {
    await closeGate(s.db);
    await using first = s.start("up");
    const { pid } = await waitForStatement(s.db, /gate\.opened/);
    await using second = s.start("up");
    await second.waitFor("Waiting for the migration lock");
    // An open snapshot would keep vacuum and every concurrent index build of the application waiting.
    await waitFor("the waiting copy is idle", async () => {
      const other = (await backends(s.db)).find((one) => one.pid !== pid);
      return other?.state === "idle";
    });
    await openGate(s.db);
    assertEquals((await first.result).code, 0);
    assertEquals((await second.result).code, 0);
    await waitUntilGone(s.db);
  },
);

scenario(
  "copies that work in different schemas do not wait for each other",
  { "0001_wait": migration({ up: GATE }), "0002_a": table("a") },
  async (s) => {
    await closeGate(s.db);
    await s.db.query("create schema one; create schema two");
    await using first = s.start("up --schema=one");
    await waitForStatement(s.db, /gate\.opened/);

    const other = await s.run("up --schema=two --to 0001_wait --dry-run");
    assertEquals(other.code, 0, other.stderr);
    await using second = s.start("up --schema=two");
    await waitFor(
      "both are at work",
      async () =>
        (await backends(s.db)).filter(({ locked }) => locked).length === 2,
    );
    await openGate(s.db);
    assertEquals((await first.result).code, 0);
    assertEquals((await second.result).code, 0);
    assertEquals([await s.tables("one"), await s.tables("two")], [["a"], [
      "a",
    ]]);
    assertEquals(await s.history("one"), await s.history("two"));
  },
);

scenario(
  "status answers at once while another copy is at work",
  { "0001_a": table("a"), "0002_wait": migration({ up: GATE }) },
  async (s) => {
    await closeGate(s.db);
    await using first = s.start("up");
    await waitForStatement(s.db, /gate\.opened/);
    const status = await s.run("status --check");
    assertEquals(status.code, 3, status.stderr);
    assertMatch(status.stdout, /0 applied, 2 pending\n$/);
    await openGate(s.db);
    assertEquals((await first.result).code, 0);
  },
);

function runCopies(
  url: string,
  args: readonly string[],
): Promise<MigrateResult[]> {
  return Promise.all(
    Array.from(
      { length: COPIES },
      () => runMigrate(["up", ...args], { env: { DATABASE_URL: url } }),
    ),
  );
}

/** Every migration has one row, and the schema is that of a run without company. */
async function assertAppliedOnce(db: TestDatabase): Promise<void> {
  const rows = await db.query(
    'select name, status from migration_history order by name collate "C"',
  );
  assertEquals(
    rows,
    battlescope.map(({ name }) => ({ name, status: "applied" })),
  );
  const alone = await db.createDatabase();
  await applyBattlescope(alone.url);
  assertEquals(
    await readCatalog(db.url, { without: ["migration_history"] }),
    await readCatalog(alone.url),
  );
}

async function assertNoLocks(db: TestDatabase): Promise<void> {
  const locks = await db.query(
    `select pid from pg_locks where locktype = 'advisory'
       and database = (select oid from pg_database where datname = current_database())`,
  );
  assertEquals(locks, []);
}

function codes(results: readonly MigrateResult[]): number[] {
  return results.map(({ code }) => code);
}

function shown(results: readonly MigrateResult[]): string {
  return results.map(({ stdout, stderr }) => `${stdout}${stderr}`).join(
    "---\n",
  );
}
