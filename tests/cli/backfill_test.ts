/** Backfills: what they write, where they stop, how they go on. */
import { assertEquals, assertMatch } from "@std/assert";
import { backfill, fills, fillTable } from "../support/program/backfills.ts";
import { table } from "../support/program/migrations.ts";
import { CONNECTED, scenario } from "../support/program/scenario.ts";
import { waitFor } from "../support/program/wait.ts";

/** Divides by a column: a row where it is 0 breaks its batch. */
const DIVIDE = backfill({
  batch:
    '    await db.updateTable("t").set({ n: sql`n + 10 / d` }).where(rows).execute();',
});

scenario(
  "a backfill of a large table splits the run, goes by batches and fills every row once",
  { "0001_a": table("a"), "0002_fill": backfill(), "0003_c": table("c") },
  async (s) => {
    await fillTable(s.db);
    assertEquals(await s.run("up"), {
      code: 0,
      stdout: `\
Applied 0001_a (T)
Applied 0002_fill (T)
Applied 0003_c (T)
Applied 3 migrations in T
`,
      stderr: `\
${CONNECTED}Applying 0001_a (1 of 3)
Applying 0002_fill (2 of 3)
Applying 0003_c (3 of 3)
`,
    });
    assertEquals(await fills(s.db), { 1: 20_000 });
    assertEquals(await s.history(), [
      "0001_a applied",
      "0002_fill applied",
      "0003_c applied",
    ]);
    const [position] = await s.db.query(
      `select keys, position, last_key, passes, rows_done::int, batches > 1 as several, control, rest, aim_ms
       from migration_backfills`,
    );
    assertEquals(position, {
      keys: ["id"],
      position: ["20000"],
      last_key: ["20000"],
      passes: 0,
      rows_done: 20_000,
      several: true,
      control: null,
      rest: 1,
      aim_ms: 500,
    });
  },
);

scenario(
  "a backfill of a small table is one call in the transaction of the run",
  {
    "0001_t": `import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql\`create table t (id integer primary key, n integer not null default 0)\`.execute(db);
  await sql\`insert into t select from generate_series(1, 10)\`.execute(db);
}
`.replace("select from", "select g, 0 from").replace("10)`", "10) g`"),
    "0002_fill": backfill({ where: "n = 0" }),
    "0003_c": table("c"),
  },
  async (s) => {
    assertEquals(await s.run("up"), {
      code: 0,
      stdout: `\
Applied 0001_t (T)
Applied 0002_fill (T)
Applied 0003_c (T)
Applied 3 migrations in T
`,
      stderr: `\
${CONNECTED}Applying 0001_t (1 of 3)
Applying 0002_fill (2 of 3)
Applying 0003_c (3 of 3)
`,
    });
    assertEquals(await fills(s.db), { 1: 10 });
    assertEquals(
      await s.db.query(
        "select count(distinct xmin::text)::int as transactions from migration_history",
      ),
      [{ transactions: 1 }],
    );
    assertEquals(await s.tables(), ["c", "t"]);
  },
);

scenario(
  "a row that breaks a batch is found by halving and named; repair --retry goes on from there",
  { "0001_fill": DIVIDE, "0002_c": table("c") },
  async (s) => {
    await fillTable(s.db);
    await s.db.query(
      "alter table t add column d integer not null default 10; update t set d = 0 where id in (1234, 1300)",
    );
    const failed = (id: number) => ({
      code: 1,
      stdout: "",
      stderr: `\
${CONNECTED}Applying 0001_fill (1 of 2)
error: Cannot apply "0001_fill": the row of "t" with id = ${id}: division by zero (SQLSTATE 22012)
  statement: update "t" set "n" = n + 10 / d where (("t"."id") operator("pg_catalog".>) ($1) and ("t"."id") operator("pg_catalog".<=) ($2))
Failed in T: 1 migration left half-way, 1 not run
`,
    });
    assertEquals(await s.run("up"), failed(1234));
    assertEquals(await s.history(), ["0001_fill failed"]);
    assertEquals(
      await s.db.query(
        "select error, duration_ms from migration_history where status = 'failed'",
      ),
      [{
        error: '22012: the row of "t" with id = 1234: division by zero',
        duration_ms: null,
      }],
    );
    assertEquals(await fills(s.db), { 0: 20_000 - 1_233, 1: 1_233 });

    assertEquals(
      (await s.run("up")).stderr,
      `\
${CONNECTED}error: Cannot go on with "0001_fill": a batch of it has failed; put right what failed, then go on from there with repair --retry 0001_fill, or count it as applied with repair --mark-applied 0001_fill
Failed in T: nothing was changed
`,
    );
    await s.db.query("update t set d = 10 where id = 1234");
    assertEquals(await s.run("repair --retry 0001_fill"), {
      code: 0,
      stdout:
        "Ready to be applied again: 0001_fill\nRepaired 1 migration in T\n",
      stderr: CONNECTED,
    });
    assertEquals(await s.run("up"), failed(1300));
    await s.db.query("update t set d = 10 where id = 1300");
    assertEquals((await s.run("repair --retry 0001_fill")).code, 0);
    assertEquals((await s.run("up")).code, 0);
    assertEquals(await fills(s.db), { 1: 20_000 });
    assertEquals(await s.history(), ["0001_fill applied", "0002_c applied"]);
  },
);

scenario(
  "a failed backfill can be counted as applied, or rolled back and begun anew",
  { "0001_fill": DIVIDE },
  async (s) => {
    await fillTable(s.db);
    await s.db.query(
      "alter table t add column d integer not null default 10; update t set d = 0 where id = 5000",
    );
    assertEquals((await s.run("up")).code, 1);
    assertEquals((await s.run("down --yes")).code, 0);
    assertEquals(await s.history(), ["0001_fill rolled_back"]);
    assertEquals((await s.run("up")).code, 1);
    assertEquals((await s.run("repair --mark-applied 0001_fill")).code, 0);
    assertEquals(await s.history(), [
      "0001_fill rolled_back",
      "0001_fill applied",
    ]);
    // What the first application had written was written again: it began anew.
    assertEquals(await fills(s.db), { 0: 15_001, 2: 4_999 });
  },
);

scenario(
  "a batch that is wrong for every row fails at once",
  {
    "0001_fill": backfill({
      batch:
        '    await db.updateTable("t").set({ m: 1 }).where(rows).execute();',
    }),
  },
  async (s) => {
    await fillTable(s.db);
    const { code, stderr } = await s.run("up");
    assertEquals(code, 1);
    assertMatch(
      stderr,
      /^error: Cannot apply "0001_fill": column "m" of relation "t" does not exist \(SQLSTATE 42703\)$/m,
    );
    assertEquals(await s.history(), ["0001_fill failed"]);
  },
);

scenario(
  "a small backfill that fails leaves nothing behind, and the next up runs it again",
  { "0001_fill": DIVIDE },
  async (s) => {
    await fillTable(s.db, 10);
    await s.db.query(
      "alter table t add column d integer not null default 10; update t set d = 0 where id = 7",
    );
    assertEquals((await s.run("up")).code, 1);
    assertEquals(await fills(s.db), { 0: 10 });
    await s.db.query("update t set d = 10");
    assertEquals((await s.run("up")).code, 0);
    assertEquals(await fills(s.db), { 1: 10 });
  },
);

scenario(
  "a table that cannot be walked is refused before anything runs",
  {
    "0001_fill": backfill(),
    "0002_fill": backfill({ table: "v" }),
    "0003_fill": backfill({ table: "gone" }),
    "0004_fill": backfill({ table: "u", key: '["b"]' }),
  },
  async (s) => {
    await fillTable(s.db, 10, "bigint");
    await s.db.query(
      "create view v as select 1 as id; create table u (a int primary key, b int)",
    );
    assertEquals(await s.run("up"), {
      code: 1,
      stdout: "",
      stderr: `\
${CONNECTED}error: Cannot apply "0001_fill": "t" has no primary key: add one first, or name the columns of a unique index as key
error: Cannot apply "0002_fill": "v" is not a table
error: Cannot apply "0003_fill": there is no table "gone"
error: Cannot apply "0004_fill": "u" has no unique index on (b), in this order: add one first
Failed in T: nothing was changed, 4 not run
`,
    });
    assertEquals(await s.tables(), ["t", "u"]);
  },
);

scenario(
  "a key of several columns of several types, in any schema, is walked once",
  {
    "0001_fill": backfill({
      table: "app.parts",
      key: '["day", "Code", "id"]',
      batch:
        '    await db.withSchema("app").updateTable("parts").set({ n: sql`n + 1` }).where(rows).execute();',
    }),
  },
  async (s) => {
    await s.db.query(
      `create schema app;
       create table app.parts (id uuid default gen_random_uuid() not null, day date not null, "Code" text not null,
         n integer not null default 0, pad text default repeat('x', 500));
       insert into app.parts (day, "Code") select date '2026-01-01' + g % 7, E'it''s \\\\ "' || g % 3
         from generate_series(1, 20000) g;
       create unique index on app.parts (day, "Code", id)`,
    );
    const { code, stderr } = await s.run("up");
    assertEquals(code, 0, stderr);
    assertEquals(
      await s.db.query(
        "select n, count(*)::int as count from app.parts group by n",
      ),
      [{ n: 1, count: 20_000 }],
    );
  },
);

scenario(
  "a key that is changed while a backfill is open is refused",
  { "0001_fill": backfill() },
  async (s) => {
    await fillTable(s.db);
    assertEquals((await s.run("up --time-limit 0")).code, 4);
    await s.db.query(
      "alter table t drop constraint t_pkey; alter table t alter n drop default, add primary key (id, n)",
    );
    const { code, stderr } = await s.run("up");
    assertEquals([code, stderr], [
      1,
      `${CONNECTED}error: Cannot go on with "0001_fill": it was begun by the key (id) of "t", and the key is (id, n) now; ` +
      `restore it, or roll "0001_fill" back with down and begin anew\n` +
      "Failed in T: 1 migration left open\n",
    ]);
    assertMatch(
      (await s.run("status")).stdout,
      /^ {2}left with: Cannot go on with "0001_fill": it was begun by the key/m,
    );
    assertEquals(await s.run("baseline --to 0001_fill"), {
      code: 1,
      stdout: "",
      stderr:
        `${CONNECTED}error: Cannot record "0001_fill": it is a backfill that has begun; let it finish, or count it as applied with repair --mark-applied 0001_fill\n` +
        "Failed in T: nothing was changed\n",
    });
  },
);

scenario(
  "a backfill that is edited after it began is refused, and repair --retry goes on with the edited one",
  { "0001_fill": backfill() },
  async (s) => {
    await fillTable(s.db);
    assertEquals((await s.run("up --time-limit 1ms")).code, 4);
    await s.release({ "0001_fill": backfill({ more: "// edited" }) });
    const { code, stderr } = await s.run("up");
    assertEquals(code, 1);
    assertMatch(
      stderr,
      /^error: Cannot go on with "0001_fill": it has begun, but its checksum is \S+ and the history has \S+; restore the file, or go on with the edited one with repair --retry 0001_fill$/m,
    );
    assertEquals((await s.run("repair --retry 0001_fill")).code, 0);
    assertEquals((await s.run("up")).code, 0);
    assertEquals(await fills(s.db), { 1: 20_000 });
    assertEquals((await s.run("status --check")).code, 0);
  },
);

scenario(
  "rows that come to match again are filled in a later pass, and a writer that goes on is told of",
  {
    "0001_fill": backfill({
      where: "n = 0",
      // Somebody writes the old form behind the position, as often as the table "old" says.
      batch:
        '    await db.updateTable("t").set({ n: 1 }).where(rows).execute();\n' +
        "    await sql`with o as (update old set times = times - 1 where times > 0 returning 1) update t set n = 0 where id = 5 and exists (select from o)`.execute(db);",
    }),
  },
  async (s) => {
    await fillTable(s.db);
    await s.db.query(
      "create table old (times int); insert into old values (0)",
    );
    const passes = async () => {
      const [row] = await s.db.query<{ passes: number }>(
        "select passes from migration_backfills order by history_id desc",
      );
      return row?.passes;
    };
    await s.db.query("update old set times = 1");
    assertEquals((await s.run("up")).code, 0);
    assertEquals(await fills(s.db), { 1: 20_000 });
    // One that found a row, and one that found none.
    assertEquals(await passes(), 2);

    await s.run("down --yes");
    await s.db.query("update t set n = 0; update old set times = 1000000");
    const { code, stderr } = await s.run("up");
    assertEquals(code, 1);
    assertMatch(
      stderr,
      /^error: Cannot apply "0001_fill": rows matched its where again in 3 passes: a writer still writes the old form; end that first$/m,
    );
    assertEquals((await s.history()).at(-1), "0001_fill failed");
  },
);

scenario(
  "--time-limit ends a backfill with exit 4, and the next up goes on",
  { "0001_fill": backfill(), "0002_c": table("c") },
  async (s) => {
    await fillTable(s.db);
    assertEquals(await s.run("up --time-limit 0"), {
      code: 4,
      stdout: "Stopped by --time-limit in T: 1 backfill left open, 1 not run\n",
      stderr: `${CONNECTED}Applying 0001_fill (1 of 2)\n`.replace(
        /Applying.*\n/,
        "",
      ),
    });
    const json = await s.json("up --time-limit 0");
    assertEquals(json.lines.at(-1), {
      event: "summary",
      at: "TIME",
      command: "up",
      applied: 0,
      rolledBack: 0,
      recorded: 0,
      notRun: 1,
      unfinished: 0,
      unknown: 0,
      open: 1,
      outcome: "committed",
      durationMs: "MS",
      dryRun: false,
      failed: false,
    });
    assertEquals((await s.run("status --check")).code, 3);
    assertEquals((await s.run("up")).code, 0);
    assertEquals(await fills(s.db), { 1: 20_000 });
  },
);

scenario(
  "status shows how far an open backfill is, and whether anybody runs it",
  { "0001_fill": backfill() },
  async (s) => {
    await fillTable(s.db);
    await s.run("up --time-limit 0");
    await s.db.query(
      `update migration_backfills set position = '["7400"]', last_key = '["20000"]', share = 0.37, rows_done = 7400,
        rows_total = 20000, rows_per_second = 3900, eta_seconds = 16200, batch_rows = 4000, last_batch_ms = 480,
        host = 'pod-1', pid = 77, beat_at = now()`,
    );
    const { stdout } = await s.run("status");
    assertEquals(
      stdout,
      `\
STATE  MIGRATION  APPLIED AT  TOOK  BY
open   0001_fill                    postgres
  37 %, 7400 of about 20 k rows, 3900/s, about 4 h T left

0 applied, 0 pending, 1 open
`,
    );
    const read = await s.json("status");
    const { migrations, summary } = read.lines[0] as {
      migrations: { state: string; backfill: Record<string, unknown> }[];
      summary: Record<string, number>;
    };
    assertEquals(summary.open, 1);
    assertEquals(migrations.map(({ state }) => state), ["open"]);
    const { runner, ...rest } = migrations[0]!.backfill;
    assertEquals(rest, {
      share: 0.3700000047683716,
      rowsDone: 7_400,
      rowsTotal: 20_000,
      rowsPerSecond: 3_900,
      etaSeconds: 16_200,
      control: null,
      heldFor: null,
      error: null,
      batchRows: 4_000,
      lastBatchMs: 480,
    });
    const { beatAt, ...who } = runner as Record<string, unknown>;
    assertEquals(who, { host: "pod-1", pid: 77 });
    assertMatch(String(beatAt), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);

    await s.db.query(
      "update migration_backfills set beat_at = now() - interval '2 min'",
    );
    assertMatch(
      (await s.run("status")).stdout,
      /^ {2}nobody is running it since 2 min(?: \d+ s)?: up goes on with it$/m,
    );
  },
);

scenario(
  "on a terminal a line of progress is written over the one before, in a log it is not",
  {
    "0001_fill": backfill({
      batch: "    await sql`select pg_sleep(1)`.execute(db);",
    }),
  },
  async (s) => {
    await fillTable(s.db);
    const over = "\u001b[1A\u001b[2K";
    const { code, stdout } = await s.screen("up --time-limit 25s");
    assertEquals(code, 4, stdout);
    assertEquals(stdout.includes(over), true, stdout);
    const log = await s.run("up --time-limit 12s");
    assertEquals(log.code, 4, log.stderr);
    assertMatch(log.stderr, /^0001_fill: /m);
    assertEquals(log.stderr.includes(over), false, log.stderr);
  },
);

scenario(
  "backfill pause, resume and set reach a run at work through its row",
  { "0001_fill": backfill() },
  async (s) => {
    await fillTable(s.db);
    await s.run("up --time-limit 0");
    assertEquals(await s.run("backfill pause 0001_fill"), {
      code: 0,
      stdout: "Paused 0001_fill\nDone in T\n",
      stderr: CONNECTED,
    });
    await using up = s.start("up");
    await up.waitFor("Holding 0001_fill: it is paused");
    await waitFor(
      "status says so",
      async () => (await s.run("status")).stdout.includes("\n  paused\n"),
    );
    assertEquals(await fills(s.db), { 0: 20_000 });
    assertEquals(
      (await s.run("backfill set 0001_fill --rest 0 --aim 200ms")).stdout,
      "Set 0001_fill: rest 0, aim 200 ms\nDone in T\n",
    );
    assertEquals(
      (await s.run("backfill resume 0001_fill")).stdout,
      "Resumed 0001_fill\nDone in T\n",
    );
    const { code, stderr } = await up.result;
    assertEquals(code, 0, stderr);
    assertEquals(await fills(s.db), { 1: 20_000 });
    assertEquals(
      await s.db.query("select rest, aim_ms, control from migration_backfills"),
      [{ rest: 0, aim_ms: 200, control: null }],
    );
    assertEquals(await s.run("backfill pause 0001_fill"), {
      code: 1,
      stdout: "",
      stderr:
        `${CONNECTED}error: Cannot pause "0001_fill": it is no backfill at work, the history says applied\n` +
        "Failed in T: nothing was changed\n",
    });
    assertMatch(
      (await s.run("backfill resume other")).stderr,
      /^error: Cannot resume "other": the history has no row of it$/m,
    );
  },
);

scenario(
  "--hold-query holds a backfill while it says true, and when it fails",
  { "0001_fill": backfill() },
  async (s) => {
    await fillTable(s.db);
    await s.db.query("create table busy as select true as yes");
    await using up = s.start([
      "up",
      "--hold-query",
      "select yes from public.busy",
    ]);
    await up.waitFor("Holding 0001_fill: --hold-query says so\n");
    assertEquals(await fills(s.db), { 0: 20_000 });
    await s.db.query("alter table busy rename yes to no");
    await up.waitFor(
      'Holding 0001_fill: --hold-query failed: 42703: column "yes" does not exist\n',
    );
    await s.db.query(
      "alter table busy rename no to yes; update busy set yes = false",
    );
    const { code, stderr } = await up.result;
    assertEquals(code, 0, stderr);
    assertEquals(await fills(s.db), { 1: 20_000 });
  },
);

scenario(
  "what a backfill is at is one JSON object for each event",
  { "0001_fill": backfill() },
  async (s) => {
    await fillTable(s.db);
    const { lines } = await s.json("up");
    assertEquals(lines.map(({ event }) => event), [
      "connected",
      "started",
      "applied",
      "summary",
    ]);
    const paused = await s.json("backfill pause 0001_fill");
    assertEquals(paused.code, 1);
  },
);

scenario(
  "a reading role sees an open backfill, and a positions table of somebody else is not read or written",
  { "0001_fill": backfill() },
  async (s) => {
    await fillTable(s.db);
    const application = await s.db.createRole((name) => [
      `alter default privileges in schema public grant all on tables to ${name}`,
    ]);
    const reader = await s.db.createRole();
    const blind = await s.db.createRole();
    await s.release({ "0000_a": table("a") });
    await s.run("up");
    await s.db.query(
      `grant select on migration_history to ${reader.name}; grant select on migration_history to ${blind.name};
       revoke all on migration_history from ${application.name}`,
    );
    await s.release({ "0000_a": table("a"), "0001_fill": backfill() });
    await s.run("up --time-limit 0");
    assertEquals(
      await s.db.query(
        `select a.grantee::regrole::text as name, privilege_type as privilege from pg_class, aclexplode(relacl) a
         where relname = 'migration_backfills' and a.grantee <> relowner order by 1`,
      ),
      [reader.name, blind.name].sort().map((name) => ({
        name,
        privilege: "SELECT",
      })),
    );
    await s.db.query(`revoke all on migration_backfills from ${blind.name}`);
    assertMatch(
      (await s.run("status", { as: blind })).stdout,
      /^open {5}0001_fill.*\n\n/m,
    );
    assertMatch(
      (await s.run("status", { as: reader })).stdout,
      /^open {5}0001_fill.*\n {2}0 of about \d+ k? ?rows/m,
    );
    const stranger = await s.db.createRole();
    await s.db.query(
      `alter table migration_backfills owner to ${stranger.name}`,
    );
    assertMatch((await s.run("status")).stdout, /^open {5}0001_fill.*\n\n/m);
    const pause = await s.run("backfill pause 0001_fill");
    assertMatch(
      pause.stderr,
      /^error: Cannot pause "0001_fill": it is no backfill$/m,
    );
  },
);

scenario(
  "redo rolls a backfill back and runs it again",
  { "0001_fill": backfill() },
  async (s) => {
    await fillTable(s.db);
    assertEquals((await s.run("up")).code, 0);
    const { code, stderr } = await s.run("redo --yes");
    assertEquals(code, 0, stderr);
    assertEquals(await fills(s.db), { 2: 20_000 });
    assertEquals(await s.history(), [
      "0001_fill rolled_back",
      "0001_fill applied",
    ]);
  },
);

scenario(
  "a down that a backfill exports runs in one transaction, with nobody at a batch",
  {
    "0001_fill": backfill({
      // So that it is still at work when it is rolled back.
      batch:
        '    await db.updateTable("t").set({ n: sql`n + 1` }).where(rows).execute();\n' +
        "    await sql`select pg_sleep(0.5)`.execute(db);",
      more: `
// deno-lint-ignore no-explicit-any -- frozen in time
export async function down(db: Kysely<any>): Promise<void> {
  await db.updateTable("t").set({ n: 0 }).execute();
}
`,
    }),
  },
  async (s) => {
    await fillTable(s.db);
    await using up = s.start("up");
    await waitFor(
      "a batch is done",
      async () => (await fills(s.db))[1] !== undefined,
    );
    assertEquals((await s.run("down --yes")).code, 0);
    assertEquals((await up.result).code, 1);
    assertEquals(await fills(s.db), { 0: 20_000 });
  },
);
