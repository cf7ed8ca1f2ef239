/** Migrations that PostgreSQL does not take in a transaction: what happens when one of them does not end well. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { openSession } from "../support/program/application.ts";
import {
  closeGate,
  GATE,
  openGate,
  waitForStatement,
  waitUntilGone,
} from "../support/program/gate.ts";
import { startForwarder } from "../support/net/forwarder.ts";
import { migration, table } from "../support/program/migrations.ts";
import type { TestDatabase } from "../support/server/postgres.ts";
import { scenario } from "../support/program/scenario.ts";
import { waitFor } from "../support/program/wait.ts";

const ALONE = "{ transaction: false }";
const AGAIN = "{ transaction: false, idempotent: true }";
const INDEX =
  "create unique index concurrently rows_id_idx on rows_of_text (id)";
const TABLE = migration({
  up: "create table rows_of_text (id integer, note text)",
  down: "drop table rows_of_text",
});

scenario(
  "create index concurrently, alter type and vacuum run, around transactional migrations",
  {
    "0001_table": migration({
      up: [
        "create table rows_of_text (id integer, note text)",
        "create type mood as enum ('sad')",
      ],
    }),
    "0002_index": migration({ up: INDEX, options: ALONE }),
    "0003_mood": migration({
      up: "alter type mood add value 'glad'",
      options: ALONE,
    }),
    "0004_column": migration({
      up: "alter table rows_of_text add column mood mood default 'glad'",
    }),
    "0005_vacuum": migration({
      up: "vacuum (analyze) rows_of_text",
      options: ALONE,
    }),
  },
  async (s) => {
    const { code, stdout, stderr } = await s.run("up");
    assertEquals(code, 0, stderr);
    assertEquals(
      stdout,
      "Applied 0001_table (T)\nApplied 0002_index (T)\nApplied 0003_mood (T)\n" +
        "Applied 0004_column (T)\nApplied 0005_vacuum (T)\nApplied 5 migrations in T\n",
    );
    assertEquals(await s.history(), [
      "0001_table applied",
      "0002_index applied",
      "0003_mood applied",
      "0004_column applied",
      "0005_vacuum applied",
    ]);
    assertEquals(await validity(s.db), [{ name: "rows_id_idx", valid: true }]);
    assertEquals(
      (await s.run("up")).stdout,
      "Nothing to apply: the database is up to date\n",
    );
  },
);

scenario(
  "a network that delivers byte by byte changes nothing",
  {
    "0001_table": TABLE,
    "0002_index": migration({ up: INDEX, options: ALONE }),
  },
  async (s) => {
    await using slow = startForwarder(s.db, { piece: 1 });
    const url = new URL(s.db.url);
    url.port = `${slow.port}`;
    const { code, stderr } = await s.run("up", { url: url.href });
    assertEquals(code, 0, stderr);
    assertEquals(await s.history(), [
      "0001_table applied",
      "0002_index applied",
    ]);
  },
);

scenario(
  "the history says running while one runs, applied afterwards, and another session sees both",
  { "0001_wait": migration({ up: GATE, options: ALONE }) },
  async (s) => {
    await closeGate(s.db);
    await using up = s.start("up");
    await waitForStatement(s.db, /gate\.opened/);
    assertEquals(await s.history(), ["0001_wait running"]);
    assertMatch((await s.run("status")).stdout, /^running +0001_wait/m);
    await openGate(s.db);
    assertEquals((await up.result).code, 0);
    assertEquals(await s.history(), ["0001_wait applied"]);
  },
);

scenario(
  "a run in one transaction is split around one: what came before stays, what came after is rolled back",
  {
    "0001_table": TABLE,
    "0002_index": migration({ up: INDEX, options: ALONE }),
    "0003_b": table("b"),
    "0004_broken": migration({ up: "select 1 / 0" }),
  },
  async (s) => {
    const { code, stdout, stderr } = await s.run("up");
    assertEquals(code, 1, stderr);
    assertEquals(stdout, "Applied 0001_table (T)\nApplied 0002_index (T)\n");
    assertMatch(
      stderr,
      /^error: Cannot apply "0004_broken": division by zero/m,
    );
    assertMatch(stderr, /^Failed in T: 2 migrations applied, 2 not run$/m);
    assertEquals(await s.history(), [
      "0001_table applied",
      "0002_index applied",
      "0004_broken failed",
    ]);
    assertEquals(await s.tables(), ["rows_of_text"]);
  },
);

scenario(
  "one that fails is recorded, and nothing more is applied until repair decides",
  {
    "0001_table": TABLE,
    "0002_index": migration({ up: INDEX, options: ALONE }),
    "0003_b": table("b"),
  },
  async (s) => {
    await s.run("up --to 0001_table");
    await s.db.query("insert into rows_of_text values (1), (1)");
    const failed = await s.run("up");
    assertEquals(failed.code, 1, failed.stderr);
    assertEquals(failed.stdout, "");
    assertMatch(
      failed.stderr,
      /^error: Cannot apply "0002_index": could not create unique index "rows_id_idx" \(SQLSTATE 23505\)$/m,
    );
    const [row] = await s.db.query(
      "select status, error from migration_history where name = '0002_index'",
    );
    assertEquals(row, {
      status: "failed",
      error: '23505: could not create unique index "rows_id_idx"',
    });

    const refused = await s.run("up");
    assertEquals(refused.code, 1);
    assertMatch(
      refused.stderr,
      /^error: Cannot apply "0002_index": it failed half-way outside a transaction; look at the database, then run repair --retry 0002_index or repair --mark-applied 0002_index$/m,
    );
    assertEquals(await s.history(), [
      "0001_table applied",
      "0002_index failed",
    ]);
    assertEquals(await s.tables(), ["rows_of_text"]);

    // The operator cleans up, as the message asks.
    await s.db.query("drop index rows_id_idx; delete from rows_of_text");
    assertEquals((await s.run("repair --retry 0002_index")).code, 0);
    const last = await s.run("up");
    assertEquals(last.code, 0, last.stderr);
    assertEquals(await s.history(), [
      "0001_table applied",
      "0002_index rolled_back",
      "0002_index applied",
      "0003_b applied",
    ]);
    assertEquals(await validity(s.db), [{ name: "rows_id_idx", valid: true }]);
  },
);

scenario(
  "repair --mark-applied settles one that the operator has finished by hand",
  {
    "0001_table": TABLE,
    "0002_index": migration({ up: INDEX, options: ALONE }),
    "0003_b": table("b"),
  },
  async (s) => {
    await s.run("up --to 0001_table");
    await s.db.query("insert into rows_of_text values (1), (1)");
    assertEquals((await s.run("up")).code, 1);
    await s.db.query(
      "delete from rows_of_text; drop index rows_id_idx; create unique index rows_id_idx on rows_of_text (id)",
    );
    assertEquals((await s.run("repair --mark-applied 0002_index")).code, 0);
    const last = await s.run("up");
    assertEquals(last.code, 0, last.stderr);
    assertEquals(await s.history(), [
      "0001_table applied",
      "0002_index applied",
      "0003_b applied",
    ]);
  },
);

for (const ifNotExists of ["", "if not exists "]) {
  scenario(
    `an idempotent one that failed is tried again by the next up, its invalid index dropped (${
      ifNotExists || "plain "
    }create)`,
    {
      "0001_table": TABLE,
      "0002_index": migration({
        up: INDEX.replace("concurrently ", `concurrently ${ifNotExists}`),
        options: AGAIN,
      }),
    },
    async (s) => {
      await s.run("up --to 0001_table");
      await s.db.query("insert into rows_of_text values (1), (1)");
      assertEquals((await s.run("up")).code, 1);
      assertEquals(await validity(s.db), [{
        name: "rows_id_idx",
        valid: false,
      }]);
      assertEquals((await s.run("up")).code, 1);

      await s.db.query("delete from rows_of_text");
      const { code, stderr } = await s.run("up");
      assertEquals(code, 0, stderr);
      assertEquals(await validity(s.db), [{
        name: "rows_id_idx",
        valid: true,
      }]);
      assertEquals((await s.history()).at(-1), "0002_index applied");
      assertEquals((await s.run("status --check")).code, 0);
    },
  );
}

scenario(
  "an invalid index that the migration does not make is left alone",
  {
    "0001_table": TABLE,
    "0002_index": migration({
      up: INDEX.replace("concurrently ", "concurrently if not exists "),
      options: AGAIN,
    }),
  },
  async (s) => {
    await s.run("up --to 0001_table");
    await s.db.query("insert into rows_of_text values (1, 'a'), (1, 'a')");
    await s.db.query(
      "create unique index concurrently others_idx on rows_of_text (note)",
    ).catch(() => {});
    assertEquals((await s.run("up")).code, 1);
    await s.db.query("delete from rows_of_text");
    assertEquals((await s.run("up")).code, 0);
    assertEquals(await validity(s.db), [
      { name: "others_idx", valid: false },
      { name: "rows_id_idx", valid: true },
    ]);
  },
);

for (
  const [what, statement, left] of [
    [
      "an index without a name",
      "create unique index concurrently on rows_of_text (id)",
      "public.rows_of_text_id_idx",
    ],
    [
      "a rebuilt index",
      "reindex index concurrently known_idx",
      "public.known_idx_ccnew",
    ],
    [
      "a rebuilt index of a partition",
      "reindex table concurrently parts",
      'public."Odd, name_ccnew"',
    ],
  ] as const
) {
  for (const idempotent of [true, false]) {
    scenario(
      `what a failed concurrent build leaves is found in the catalog: ${what} (idempotent: ${idempotent})`,
      {
        "0001_table": migration({
          up: [
            "create function checked(i integer) returns integer immutable language sql return i",
            "create table rows_of_text (id integer, note text)",
            "create table parts (id integer) partition by range (id)",
            "create table part_1 partition of parts for values from (0) to (10)",
            'create index "Odd, name" on part_1 (checked(id))',
            "create index known_idx on rows_of_text (checked(id))",
          ],
        }),
        "0002_index": migration({
          up: statement,
          options: `{ transaction: false, idempotent: ${idempotent} }`,
        }),
      },
      async (s) => {
        await s.run("up --to 0001_table");
        await s.db.query(
          "insert into rows_of_text values (1, 'a'), (1, 'a'); insert into parts values (1)",
        );
        // Somebody else's, which is left alone.
        await s.db.query(
          "create unique index concurrently others_idx on rows_of_text (note)",
        ).catch(() => {});
        await s.db.query(
          "create or replace function checked(i integer) returns integer immutable language sql return 1 / (i - 1)",
        );
        const failed = await s.run("up");
        assertEquals(failed.code, 1, failed.stderr);
        const next = idempotent
          ? "the next up drops it"
          : `drop index concurrently ${left}`;
        const hint =
          `  hint: It has left the index ${left} behind, invalid: ${next}\n`;
        assert(failed.stderr.includes(hint), failed.stderr);
        const [row] = await s.db.query<{ error: string }>(
          "select error from migration_history where status = 'failed'",
        );
        assert(
          row!.error.endsWith(` (left behind, invalid: ${left})`),
          row!.error,
        );
        if (!idempotent) return;

        await s.db.query(
          "create or replace function checked(i integer) returns integer immutable language sql return i",
        );
        // Not truncated: that would make the invalid index valid.
        await s.db.query("update rows_of_text set id = 2 where ctid = '(0,1)'");
        const again = await s.run("up");
        assertEquals(again.code, 0, again.stderr);
        assert(
          again.stderr.includes(
            `warning: Dropping the index ${left}: an earlier attempt has left it behind, invalid\n`,
          ),
          again.stderr,
        );
        assertEquals(
          await s.db.query(
            "select indexrelid::regclass::text as name from pg_index where not indisvalid",
          ),
          [{ name: "others_idx" }],
        );
      },
    );
  }
}

scenario(
  "one whose process was killed stays running: up refuses it, repair settles it",
  {
    "0001_table": TABLE,
    "0002_wait": migration({ up: GATE, options: ALONE }),
  },
  async (s) => {
    await closeGate(s.db);
    await using killed = s.start("up");
    await waitForStatement(s.db, /gate\.opened/);
    killed.kill("SIGKILL");
    await killed.result;
    await waitUntilGone(s.db);
    assertEquals(await s.history(), [
      "0001_table applied",
      "0002_wait running",
    ]);

    const refused = await s.run("up");
    assertEquals(refused.code, 1);
    assertMatch(
      refused.stderr,
      /^error: Cannot apply "0002_wait": it began and did not end outside a transaction; /m,
    );
    await openGate(s.db);
    assertEquals((await s.run("repair --retry 0002_wait")).code, 0);
    const last = await s.run("up");
    assertEquals(last.code, 0, last.stderr);
    assertEquals((await s.history()).at(-1), "0002_wait applied");
  },
);

scenario(
  "an idempotent one whose process was killed is tried again by the next up",
  {
    "0001_table": TABLE,
    "0002_index": migration({
      up: INDEX.replace("concurrently ", "concurrently if not exists "),
      options: AGAIN,
    }),
  },
  async (s) => {
    await s.run("up --to 0001_table");
    await using writer = await openSession(s.db.url);
    await writer.run("begin; insert into rows_of_text values (1)");
    await using killed = s.start("up --lock-timeout=10m");
    await waitForStatement(s.db, /^create unique index concurrently/);
    killed.kill("SIGKILL");
    await killed.result;
    await waitUntilGone(s.db);
    await writer.run("commit");
    assertEquals(await validity(s.db), [{ name: "rows_id_idx", valid: false }]);

    const { code, stderr } = await s.run("up");
    assertEquals(code, 0, stderr);
    assertEquals(await validity(s.db), [{ name: "rows_id_idx", valid: true }]);
    assertEquals(await s.history(), [
      "0001_table applied",
      "0002_index failed",
      "0002_index applied",
    ]);
    const [left] = await s.db.query(
      "select error from migration_history where status = 'failed'",
    );
    assertEquals(left, { error: "interrupted" });
  },
);

scenario(
  "a build that waits for an old transaction gives up after --lock-timeout and is tried again by the next up",
  {
    "0001_table": TABLE,
    "0002_index": migration({ up: INDEX, options: AGAIN }),
  },
  async (s) => {
    await s.run("up --to 0001_table");
    await using writer = await openSession(s.db.url);
    await writer.run("begin; insert into rows_of_text values (1)");
    const failed = await s.run("up --lock-timeout=300ms --lock-retry=0s");
    assertEquals(failed.code, 1, failed.stderr);
    assertMatch(
      failed.stderr,
      /^error: Cannot apply "0002_index": canceling statement due to lock timeout/m,
    );
    await writer.run("commit");
    const { code, stderr } = await s.run("up");
    assertEquals(code, 0, stderr);
    assertEquals(await validity(s.db), [{ name: "rows_id_idx", valid: true }]);
  },
);

scenario(
  "the down of one is journalled as well",
  {
    "0001_table": TABLE,
    "0002_index": migration({
      up: INDEX,
      down: "drop index concurrently rows_id_idx",
      options: ALONE,
    }),
  },
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    await using reader = await openSession(s.db.url);
    await reader.run("begin; select from rows_of_text");
    await using down = s.start("down --yes --lock-timeout=10m");
    await waitForStatement(s.db, /^drop index concurrently/);
    await waitFor(
      "the history says running",
      async () => (await s.history()).at(-1) === "0002_index running",
    );
    await reader.run("commit");
    const { code, stderr } = await down.result;
    assertEquals(code, 0, stderr);
    assertEquals(await s.history(), [
      "0001_table applied",
      "0002_index rolled_back",
    ]);
    assertEquals(await validity(s.db), []);
    const again = await s.run("up");
    assert(again.code === 0, again.stderr);
  },
);

scenario(
  "the session's settings apply to one",
  {
    "0001_wait": migration({
      up:
        "create table settings as select current_setting('lock_timeout') as lock, " +
        "current_setting('statement_timeout') as statement, current_schema() as schema",
      options: ALONE,
    }),
  },
  async (s) => {
    await s.db.query("create schema other");
    const { code, stderr } = await s.run(
      "up --lock-timeout=7s --statement-timeout=2m --schema=other",
    );
    assertEquals(code, 0, stderr);
    assertEquals(await s.db.query("select * from other.settings"), [
      { lock: "7s", statement: "2min", schema: "other" },
    ]);
  },
);

/** The indexes of the migrations' table. */
function validity(
  db: TestDatabase,
): Promise<{ name: string; valid: boolean }[]> {
  return db.query(
    `select c.relname::text as name, i.indisvalid as valid
     from pg_index i join pg_class c on c.oid = i.indexrelid
     where i.indrelid = to_regclass('rows_of_text') order by 1`,
  );
}
