/** How far a rewrite is, and how large a scan or an update: what the recording and the size of the database tell while it runs. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { withPgBouncer } from "../support/server/pgbouncer.ts";
import { openSession } from "../support/program/application.ts";
import { HELD, toldWhileHeld } from "../support/program/held.ts";
import { migration } from "../support/program/migrations.ts";
import { recorded } from "../support/program/recording.ts";
import {
  type Migrations,
  type RunOptions,
  type Scenario,
  scenario,
} from "../support/program/scenario.ts";
import type { TestDatabase } from "../support/server/postgres.ts";

const PREPARED = {
  "0000_hold": migration({ up: HELD }),
  "0001_table": migration({
    up:
      "create table t (id int primary key, pad text) with (autovacuum_enabled = false)",
  }),
};

const FILL = "insert into t select i, repeat('x', 1000) from generate_series";

/** Applies the first migrations, and fills their table: 1000 rows, seven a page. */
async function prepare(s: Scenario, migrations: Migrations): Promise<void> {
  await s.release(await recorded({ ...PREPARED, ...migrations }));
  assertEquals((await s.run("up --to 0001_table")).code, 0);
  await s.db.query(`${FILL}(1, 1000) i`);
  await s.db.query("vacuum analyze t");
}

/** What the server has last counted of the table and its index, bytes. */
async function countedBytes(db: TestDatabase): Promise<number> {
  const [row] = await db.query<{ bytes: number }>(
    `select sum(relpages)::int * current_setting('block_size')::int as bytes
    from pg_class where relname in ('t', 't_pkey')`,
  );
  return row!.bytes;
}

/**
 * Runs `up` while its statement waits at one row until it was looked at, and at a second until it was looked at again, and
 * returns what was said of its work, how much was written apart: 600 rows are, in between.
 */
async function worksOf(
  s: Scenario,
  options?: RunOptions,
): Promise<unknown[]> {
  await using other = await openSession(s.db.url);
  await other.run("select pg_advisory_lock(1), pg_advisory_lock(2)");
  await using up = s.start("up --format=json", options);
  await up.waitFor('"event":"running"');
  await other.run("select pg_advisory_unlock(1)");
  await up.waitFor(/"writtenBytes"|"summary"/);
  await other.run("select pg_advisory_unlock_all()");
  const { code, stdout, stderr } = await up.result;
  assertEquals(code, 0, stderr);
  return stdout.trimEnd().split("\n").map((line) => JSON.parse(line))
    .flatMap(({ event, work }) => event === "running" ? [work] : [])
    .map((work) => {
      if (work?.writtenBytes === undefined) return work;
      const { writtenBytes, ...rest } = work;
      assert(writtenBytes >= 500_000 && writtenBytes < 1_200_000, writtenBytes);
      return { ...rest, isWritten: true };
    });
}

const REWRITE =
  "alter table t alter id type bigint using hold.held(hold.held(id, 1, 300), 2, 900)";
const REWRITES = { "0002_rewrite": migration({ up: REWRITE }) };

scenario(
  "a rewrite tells how much of what it is going to write is written",
  {},
  async (s) => {
    await prepare(s, REWRITES);
    const work = {
      kind: "rewrites",
      tables: ["t"],
      bytes: await countedBytes(s.db),
      expected: { fromMs: 6, toMs: 151 },
    };
    assertEquals(await worksOf(s), [work, { ...work, isWritten: true }]);
  },
);

scenario(
  "a rewrite tells the same to a role that sees nobody else, in another schema",
  {},
  async (s) => {
    await s.release(await recorded({ ...PREPARED, ...REWRITES }));
    const role = await s.db.createRole((name) => [
      `create schema tenant authorization ${name}`,
      `grant create on database "${s.db.name}" to ${name}`,
    ]);
    const env = { MIGRATE_SCHEMA: "tenant" };
    const first = await s.run("up --to 0001_table", { as: role, env });
    assertEquals(first.code, 0, first.stderr);
    await s.db.query(`${FILL.replace(" t ", " tenant.t ")}(1, 1000) i`);
    await s.db.query("vacuum analyze tenant.t");
    const options = { as: role, env };
    const work = {
      kind: "rewrites",
      tables: ["t"],
      bytes: await countedBytes(s.db),
      expected: { fromMs: 6, toMs: 151 },
    };
    assertEquals(
      await worksOf(s, options),
      [work, { ...work, isWritten: true }],
    );
    const { stdout } = await s.run("status", options);
    assertMatch(stdout, /^applied +0002_rewrite .* under 1 s /m);
  },
);

scenario(
  "a rewrite tells the same behind a pooler",
  {},
  async (s) => {
    await prepare(s, REWRITES);
    await withPgBouncer(s.db, async ({ url }) => {
      const options = { url: url(s.db.url) };
      const [first, ...rest] = await worksOf(s, options) as {
        tables: string[];
      }[];
      assertEquals([first?.tables, rest.length], [["t"], 1]);
      const { stdout } = await s.run("status", options);
      assertMatch(stdout, /^applied +0002_rewrite .* under 1 s /m);
    });
  },
  { needs: ["pgbouncer"] },
);

scenario(
  "a rewrite of a table that the server has never counted tells what is written",
  {},
  async (s) => {
    await prepare(s, REWRITES);
    await s.db.query(`truncate t; ${FILL}(1, 1000) i`);
    const work = { kind: "rewrites", tables: ["t"], bytes: null };
    assertEquals(await worksOf(s), [work, { ...work, isWritten: true }]);
  },
);

scenario(
  "a rewrite of a table that the same run has renamed tells of the table",
  {},
  async (s) => {
    await prepare(s, {
      "0002_swap": migration({
        up: ["alter table t rename to u", "create table t (id int)"],
      }),
      "0003_rewrite": migration({
        up: REWRITE.replace("table t", "table u"),
      }),
    });
    const [first, ...rest] = await worksOf(s) as { tables: string[] }[];
    assertEquals([first?.tables, rest.length], [["t"], 1]);
  },
);

scenario(
  "a rewrite of which nothing was recorded, or something else, tells nothing of it",
  {},
  async (s) => {
    await prepare(s, REWRITES);
    const stale = { "0002_rewrite": `${REWRITES["0002_rewrite"]}// edited\n` };
    const { "insight.json": recording } = await recorded({
      ...PREPARED,
      ...REWRITES,
    });
    const releases: Migrations[] = [
      { ...PREPARED, ...REWRITES },
      { ...PREPARED, ...stale, "insight.json": recording! },
      { ...PREPARED, ...REWRITES, "insight.json": "what is this" },
    ];
    for (const release of releases) {
      await s.release(release);
      assertMatch(
        await toldWhileHeld(s, "Running since"),
        /^Running since .*, \?\)$/m,
      );
      await s.db.query(
        "alter table t alter id type int; delete from migration_history where name = '0002_rewrite'",
      );
    }
  },
);

scenario(
  "statements that read or change a large table tell how large it is",
  {},
  async (s) => {
    await prepare(s, {
      "0002_check": migration({
        up: "alter table t add check (hold.held(id, 1, 7) > 0)",
      }),
      "0003_update": migration({
        up: "update t set pad = 'y' where hold.held(id, 1, 7) > 0",
      }),
    });
    const told = await toldWhileHeld(s, "Running since", "up --steps 1");
    assertMatch(
      told,
      /: alter .* \(reads t: 1\.1\d MiB, expected under 1 s\)$/m,
    );
    assertMatch(
      await toldWhileHeld(s, "Running since", "up --steps 1"),
      /: update .* \(changes rows of t: 1\.\d+ MiB, expected under 1 s\)$/m,
    );
  },
);
