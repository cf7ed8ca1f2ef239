/**
 * Nobody who may create objects in a schema of the search path gets any of them run by the program's own statements,
 * whatever they are called and whatever they take.
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { recordingText } from "../../src/insight/recording.ts";
import { checksumOf } from "../../src/plan/migration.ts";
import { openSession } from "../support/program/application.ts";
import { closeGate, GATE, openGate } from "../support/program/gate.ts";
import { migration } from "../support/program/migrations.ts";
import {
  layOverloads,
  unqualifiedNames,
} from "../support/program/overloads.ts";
import { withPgBouncer } from "../support/server/pgbouncer.ts";
import type { TestRole } from "../support/server/postgres.ts";
import { type Proxy, startProxy } from "../support/net/proxy.ts";
import { type Scenario, scenario } from "../support/program/scenario.ts";

/** A migration that leaves nothing to the search path. */
const own = (name: string) =>
  migration({
    up: `create table mine.${name} (id integer)`,
    down: `drop table mine.${name}`,
  });
const index = (idempotent: boolean) =>
  migration({
    up: "create unique index concurrently b_id_idx on mine.b (id)",
    down: "drop index concurrently mine.b_id_idx",
    options: `{ transaction: false, idempotent: ${idempotent} }`,
  });
const AB = { "0001_a": own("a"), "0002_b": own("b") };
const FAILS = { ...AB, "0003_fails": own("a") };
const ONCE = { ...AB, "0004_index": index(false) };
const AGAIN = { ...AB, "0004_index": index(true) };
const LONG = {
  ...AGAIN,
  "0005_long": migration({
    up: GATE.replace("pg_sleep", "pg_catalog.pg_sleep"),
  }),
};
const BLOCKED = {
  ...LONG,
  "0006_blocked": migration({ up: "alter table mine.a add other integer" }),
};
const LAST = { ...BLOCKED, "0007_last": own("last") };

/** Whether the stranger's schema stands before or behind PostgreSQL's own: before it, the same arguments are enough. */
const PATHS = {
  "before pg_catalog": "mine, strange, pg_catalog",
  "behind pg_catalog": "mine, strange",
};

for (
  const [where, option] of [
    ["before pg_catalog", ""],
    ["before pg_catalog", "--schema mine"],
    ["behind pg_catalog", ""],
  ] as const
) {
  scenario(
    `no overload ${where} in the search path runs, whatever the command ${option}`,
    AB,
    async (s) => {
      const victim = await s.db.createRole((name) => [
        "create schema mine",
        "create schema strange",
        "create table public.migration_history (id integer)",
        `alter role ${name} superuser`,
        `alter role ${name} in database ${s.db.name} set search_path = ${
          PATHS[where]
        }`,
      ]);
      await layOverloads(s.db, "strange");
      // It is a trap: a statement that somebody would write runs some of it.
      await s.db.query(
        `set search_path = ${PATHS[where]};
        select to_jsonb('x'::pg_catalog.name), 'a'::pg_catalog.name = 'a'::pg_catalog.text`,
      ).then(() => assert(false, "It is no trap"), () => {});
      const before = await callsOf(s);
      assert(before > 0, "It does not count");
      await using proxy = await startProxy(s.db);

      await everyCommand(s, {
        victim,
        proxy,
        option,
        check: async (command) =>
          assertEquals([command, await callsOf(s)], [command, before]),
      });

      assertQualified(proxy);
    },
    // What is found first does not depend on the version: one way on all of them, the others on the oldest and the newest.
    where === "before pg_catalog" && option === ""
      ? {}
      : { versions: [15, 18] },
  );
}

scenario(
  "behind a pooler, too, nothing is left to the search path to find",
  AB,
  async (s) => {
    await s.db.query("create schema mine");
    await withPgBouncer(s.db, async (pooler) => {
      const { hostname, port } = new URL(pooler.url(s.db.url));
      await using proxy = await startProxy({
        host: hostname,
        port: Number(port),
      });
      const url = proxy.url(pooler.url(s.db.url));
      assertEquals((await s.run("up", { url })).code, 0);
      assertEquals((await s.run("down --yes", { url })).code, 0);
      assertQualified(proxy);
    });
  },
  { needs: ["pgbouncer"] },
);

Deno.test("unqualifiedNames() finds what a statement leaves to the search path", () => {
  const found = (text: string) => unqualifiedNames(text).length > 0;
  const left = [
    "select count(*)",
    "select public.count(*)",
    "select a = b",
    "select a operator(public.=) b",
    "select 'x'::text",
    "select a in (1, 2)",
    "select a between b and c",
    "select case a when b then c end",
    "select nullif(a, b)",
    "select a is not distinct from b",
    "select 1 from pg_class",
    "select 1 from t join pg_locks l on true",
    "update history set x = 1",
    "update pg_catalog.t set x = 1 where y = 2",
    "insert into t (a) values (1)",
  ];
  const qualified = [
    "select pg_catalog.count(*) from pg_catalog.pg_class c",
    "select a operator(pg_catalog.=) any (array['b']) and c::integer operator(pg_catalog.>) 1",
    "with t as (select 1) select * from t",
    "update only \"s\".migration_history set x = 1, y = 'z' where a operator(pg_catalog.=) 1",
    "select coalesce(a, b), case when a then b end, extract(epoch from c) from pg_catalog.unnest(d) as e(f, g)",
  ];
  assertEquals(left.filter((text) => !found(text)), []);
  assertEquals(qualified.filter(found), []);
});

async function callsOf(s: Scenario): Promise<number> {
  const [row] = await s.db.query<{ calls: number }>(
    "select case when is_called then last_value else 0 end::int as calls from strange.calls",
  );
  return row!.calls;
}

/** All statements that the sessions have sent. */
/** Begins a text whose later statements find nothing but what is PostgreSQL's own. */
const PINNED =
  "set transaction read only; select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true),";

function assertQualified(proxy: Proxy): void {
  const sent = new Set(proxy.sessions.flatMap(({ requests }) => requests));
  assert(sent.size > 10, `${sent.size} statements`);
  const left = [...sent].filter((text) => !text.startsWith(PINNED)).flatMap((
    text,
  ) =>
    unqualifiedNames(text).map((name) => `${name} in: ${text.slice(0, 80)}`)
  );
  assertEquals(left, []);
}

/** A recording that has the one table otherwise, and the other one not at all. */
async function otherRecording(s: Scenario): Promise<string> {
  const migrations = await Promise.all(
    Object.entries(AB).map(async ([name, source], i) => ({
      name,
      checksum: await checksumOf(source),
      status: "recorded" as const,
      delta: {
        "table a": {
          hash: "0".repeat(64),
          body: { columns: { id: i === 0 ? { notNull: true } : {} } },
        },
      },
      down: {
        statements: [{
          sql: "alter table a add b integer",
          verb: "alter",
          locks: { a: "AccessExclusive" as const },
          rewrites: ["a"],
          creates: [{ type: "table", object: "b" }],
        }],
      },
    })),
  );
  return recordingText({
    format: 1,
    recordedOn: { [s.db.version]: `${s.db.version}.0` },
    migrations,
  });
}

interface Trap {
  readonly victim: TestRole;
  readonly proxy: Proxy;
  readonly option: string;
  /** Fails when something that it should not has run. */
  check(command: string): Promise<void>;
}

/** Every command, and whatever makes it send other statements. */
async function everyCommand(
  s: Scenario,
  { victim, proxy, option, check }: Trap,
): Promise<void> {
  const options = { as: victim, url: proxy.url(victim.url) };
  const run = async (command: string, code = 0, said = "") => {
    const result = await s.run(`${command} ${option}`, options);
    await check(command);
    assertEquals([command, result.code], [command, code], result.stderr);
    assertStringIncludes(result.stdout + result.stderr, said);
  };
  /** Starts `up`, waits for what it says, and lets it go on. */
  const watch = async (said: string, meanwhile: () => Promise<void>) => {
    await using up = s.start(`up ${option}`, options);
    await up.waitFor(said);
    await meanwhile();
    const { code, stderr } = await up.result;
    await check(said);
    assertEquals(code, 0, stderr);
  };

  await run("status --check", 3);
  await run("up", 0, "Applied 2 migrations");
  await run("up", 0, "Nothing to apply");
  await run("status");
  await run("status --check --format json");
  await run("up --dry-run --verbose");
  await run("redo --yes --no-pipeline", 0, "Applied 0002_b");
  await run("down --all --yes --transaction each", 0, "2 migrations");
  await run("up --transaction each --verbose", 0, "Applied 2 migrations");
  await s.release({ ...AB, "insight.json": await otherRecording(s) });
  await run("verify --grants", 3, "extra      table b");
  await s.db.query("insert into mine.a values (1)");
  await run("plan down --all --probe", 0, "probe a.id: not null: all rows");
  await run("down --all --yes", 0, "2 migrations");
  await run("up --verify", 1, "the schema is not what was recorded");
  await s.release(AB);
  await run("baseline --to 0001_a", 0, "Recorded 0001_a");
  await s.db.query(`
    create table mine.a (id integer); create table mine.b (id integer);
    create table mine.kysely_migration (name varchar(255) primary key, timestamp varchar(255) not null);
    insert into mine.kysely_migration values ('0002_b', '2024-02-03T04:05:06.789Z')`);
  await run("baseline --from-kysely mine.kysely_migration", 0, "Recorded 0002");
  await run("baseline --from-kysely kysely_migration", 0, "Nothing");

  await s.release(FAILS);
  await run("up", 1, 'relation "a" already exists');
  assertStringIncludes((await s.history("mine")).join(), "0003_fails failed");
  await s.db.query("insert into mine.b values (1), (1)");
  await s.release(ONCE);
  await run("up", 1, "could not create unique index");
  await run("repair --retry 0004_index");
  await run("up", 1, "could not create unique index");
  await run("repair --mark-applied 0004_index");
  await run("repair --retry 0004_index", 1, "it is applied");
  await s.db.query(
    `update mine.migration_history set status = 'failed', checksum = 'f' where name in ('0004_index')`,
  );
  await s.release(AGAIN);
  await s.db.query("truncate mine.b");
  await run("up", 0, "Dropping the index");
  await s.db.query(
    "update mine.migration_history set checksum = 'f' where name = '0001_a'",
  );
  await run("repair --accept-checksum 0001_a");

  await s.release(LONG);
  await closeGate(s.db);
  await watch("Running since", () => openGate(s.db));
  await s.release(BLOCKED);
  await using other = await openSession(s.db.url);
  await other.run("begin; lock table mine.a");
  await watch("Waiting for a lock since", () => other.run("rollback"));
  await s.release(LAST);
  await other.run(`select pg_advisory_lock(${0x62736d67}, hashtext('mine'))`);
  await watch(
    "left: backend",
    () => other.run("select pg_advisory_unlock_all()"),
  );

  await s.db.query(`
    drop table mine.migration_history;
    create table mine.migration_history (like mine.kysely_migration);
    insert into mine.migration_history select * from mine.kysely_migration`);
  await s.release({ "0002_b": own("b"), "0008_more": own("more") });
  await run("status --check", 3);
  await run("up", 0, "Applied 0008_more");
  await s.db.query(
    "alter table mine.migration_history rename to other; create view mine.migration_history as select 1 as id",
  );
  await run("status", 1, "it is a view");
  await s.db.query(`
    drop view mine.migration_history; create schema elsewhere;
    alter table mine.other rename to migration_history;
    alter table mine.migration_history set schema elsewhere`);
  if (option === "") await run("status", 1, "there is one in the schema");
}
