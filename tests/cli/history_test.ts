import { assertEquals, assertNotEquals } from "@std/assert";
import { migration, table } from "../support/program/migrations.ts";
import { scenario } from "../support/program/scenario.ts";

const AB = { "0001_a": table("a"), "0002_b": table("b") };

scenario(
  "the history is a table of exactly these columns, keys and checks",
  AB,
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    const columns = await s.db.query<{ line: string }>(`
    select concat_ws(' ', attname, format_type(atttypid, atttypmod), case when attnotnull then 'not null' end,
      case attidentity when 'a' then 'generated always as identity' end, pg_get_expr(adbin, adrelid)) as line
    from pg_attribute left join pg_attrdef on adrelid = attrelid and adnum = attnum
    where attrelid = 'migration_history'::regclass and attnum > 0 order by attnum`);
    assertEquals(columns.map(({ line }) => line), [
      "id bigint not null generated always as identity",
      "name text not null",
      "checksum text not null",
      "status text not null",
      "started_at timestamp with time zone not null",
      "finished_at timestamp with time zone",
      "duration_ms integer",
      "run_id uuid not null",
      "applied_by text not null",
      "host text",
      "binary_version text not null",
      "error text",
      "rolled_back_at timestamp with time zone",
      "rolled_back_by text",
      "rolled_back_run uuid",
    ]);
    const indexes = await s.db.query<{ indexdef: string }>(
      "select indexdef from pg_indexes where tablename = 'migration_history' order by indexname",
    );
    assertEquals(indexes.map(({ indexdef }) => indexdef), [
      "CREATE UNIQUE INDEX migration_history_name_idx ON public.migration_history USING btree (name) " +
      "WHERE (status = ANY (ARRAY['applied'::text, 'baseline'::text]))",
      "CREATE UNIQUE INDEX migration_history_pkey ON public.migration_history USING btree (id)",
    ]);
    const constraints = await s.db.query<{ line: string }>(`
    select pg_get_constraintdef(oid) as line from pg_constraint
    where conrelid = 'migration_history'::regclass and contype <> 'n' order by conname`);
    assertEquals(constraints.map(({ line }) => line), [
      "PRIMARY KEY (id)",
      "CHECK ((status = ANY (ARRAY['applied'::text, 'baseline'::text, 'rolled_back'::text, 'failed'::text, 'running'::text])))",
    ]);
  },
);

scenario(
  "an applied row says what, when, by whom, where, from which program and in which run",
  AB,
  async (s) => {
    const role = await s.db.createRole((name) => [
      `grant create on database ${s.db.name} to ${name}`,
      `grant create on schema public to ${name}`,
    ]);
    const env = { HOSTNAME: "pod-7" };
    assertEquals((await s.run("up", { as: role, env })).code, 0);
    const rows = await s.db.query(`
    select id::int, name, status, checksum ~ '^[0-9a-f]{64}$' as sum, duration_ms >= 0 as timed,
      started_at between now() - interval '1 minute' and finished_at and finished_at <= now() as lately,
      applied_by, host, binary_version, error, rolled_back_at, rolled_back_by, rolled_back_run
    from migration_history order by id`);
    assertEquals(
      rows,
      ["0001_a", "0002_b"].map((name, i) => ({
        id: i + 1,
        name,
        status: "applied",
        sum: true,
        timed: true,
        lately: true,
        applied_by: role.name,
        host: "pod-7",
        binary_version: "0.1.0",
        error: null,
        rolled_back_at: null,
        rolled_back_by: null,
        rolled_back_run: null,
      })),
    );
    assertEquals(
      await s.db.query(
        "select count(distinct run_id)::int as runs from migration_history",
      ),
      [{ runs: 1 }],
    );
  },
);

scenario(
  "a rollback marks the row and keeps it; each invocation is a run of its own",
  AB,
  async (s) => {
    const other = await s.db.createRole((name) => [
      `grant postgres to ${name}`,
      `alter role ${name} set role postgres`,
    ]);
    assertEquals((await s.run("up")).code, 0);
    assertEquals((await s.run("down --yes", { as: other })).code, 0);
    assertEquals((await s.run("up")).code, 0);
    const [a, undone, again] = await s.db.query<Record<string, unknown>>(
      `select *, rolled_back_at >= finished_at as later from migration_history order by id`,
    );
    assertEquals(a?.rolled_back_at, null);
    assertEquals(
      [
        undone?.name,
        undone?.status,
        undone?.later,
        undone?.rolled_back_by,
        undone?.applied_by,
      ],
      ["0002_b", "rolled_back", true, other.name, "postgres"],
    );
    assertEquals([again?.name, again?.status], ["0002_b", "applied"]);
    assertEquals(undone?.run_id, a?.run_id);
    assertNotEquals(undone?.rolled_back_run, undone?.run_id);
    assertNotEquals(again?.run_id, undone?.rolled_back_run);
    assertNotEquals(again?.run_id, a?.run_id);
  },
);

scenario(
  "a failed row says how long it took and what the server said",
  { "0001_a": migration({ up: ["select pg_sleep(0.2)", "select 1 / 0"] }) },
  async (s) => {
    assertEquals((await s.run("up")).code, 1);
    assertEquals(
      await s.db.query(`
        select name, status, error, duration_ms >= 200 as measured, length(checksum) as sum,
          finished_at - started_at >= interval '200 ms' as apart, applied_by, host, binary_version
        from migration_history`),
      [{
        name: "0001_a",
        status: "failed",
        error: "22012: division by zero",
        measured: true,
        sum: 64,
        apart: true,
        applied_by: "postgres",
        host: "test-host",
        binary_version: "0.1.0",
      }],
    );
  },
);

scenario(
  "the duration of each migration is its own, also in one transaction",
  {
    "0001_slow": migration({ up: "select pg_sleep(0.6)" }),
    "0002_fast": table("a"),
    "0003_slow": migration({ up: "do $$ begin perform pg_sleep(0.6); end $$" }),
    "0004_fast": table("b"),
  },
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    const rows = await s.db.query<{ slow: boolean; ordered: boolean }>(`
      select duration_ms >= 300 as slow, -- half of it: the answers are timed as they arrive
        started_at >= lag(started_at, 1, '-infinity') over (order by id) as ordered
      from migration_history order by id`);
    assertEquals(rows.map(({ slow }) => slow), [true, false, true, false]);
    assertEquals(rows.map(({ ordered }) => ordered), [true, true, true, true]);
  },
);

scenario("the history takes any host name", AB, async (s) => {
  const host = `it's "quoted"; \\ drop table a;`;
  assertEquals((await s.run("up", { env: { HOSTNAME: host } })).code, 0);
  assertEquals(
    await s.db.query("select distinct host from migration_history"),
    [{ host }],
  );
});

scenario(
  "a table of that name that is somebody else's is refused, and left alone",
  AB,
  async (s) => {
    await s.db.query("create table migration_history (id int, status text)");
    const reason =
      'error: Cannot use the table "public.migration_history": it is neither this program\'s history nor a migration ' +
      "table of Kysely; rename it, or choose another schema with --schema\n";
    assertEquals(await s.run("up"), {
      code: 1,
      stdout: "",
      stderr: `${reason}Failed in T: nothing was changed\n`,
    });
    await s.db.query("insert into migration_history values (1, 'new')");
    const status = await s.run("status");
    assertEquals([status.code, status.stdout], [1, ""]);
    assertEquals(await s.db.query("select * from migration_history"), [
      { id: 1, status: "new" },
    ]);
    assertEquals(await s.tables(), []);
  },
);
