/** How far a statement is while it runs: what the views of the server tell, and what the recording and the size of the database do. */
import { assertEquals, assertMatch } from "@std/assert";
import { openSession } from "../support/program/application.ts";
import { migration } from "../support/program/migrations.ts";
import { type Scenario, scenario } from "../support/program/scenario.ts";
import type { TestDatabase } from "../support/server/postgres.ts";

/**
 * `held(n, key, at)` is `n`, and waits at the row `at` until nobody has the advisory lock with the key. It polls: a wait for a
 * lock would be told as one.
 */
const HELD = `create schema hold;
  create function hold.held(n int, key int, at int) returns int language plpgsql immutable as $$ begin
    while n = at and not pg_try_advisory_lock_shared(key) loop perform pg_sleep(0.02); end loop;
    if n = at then perform pg_advisory_unlock_shared(key); end if;
    return n;
  end $$`;

/** A table whose rows take 1 KiB each; its index holds up whoever builds it. */
async function makeTable(db: TestDatabase, rows: number): Promise<void> {
  await db.query(
    `${HELD}; create table t (id int primary key, pad text);
    insert into t select i, repeat('x', 1000) from generate_series(1, ${rows}) i;`,
  );
}

/** Runs `up` until it has said this on stderr, lets it go on, and returns what it wrote. */
async function toldWhileHeld(s: Scenario, text: RegExp): Promise<string> {
  await using other = await openSession(s.db.url);
  await other.run("select pg_advisory_lock(1)");
  await using up = s.start("up");
  await up.waitFor(text);
  await other.run("select pg_advisory_unlock_all()");
  const { code, stderr } = await up.result;
  assertEquals(code, 0, stderr);
  return stderr;
}

const ALONE = "{ transaction: false }";

/** Statements that take their time on the table, and what is said of them. */
const TOLD = {
  "create index": [
    "create index t_held on t (hold.held(id, 1, 7))",
    /create index .* \(building index: scanning table, \d+ %\)/,
  ],
  "vacuum full": [
    "vacuum full t",
    /vacuum full t \(rebuilding index, 20 tuples\)/,
  ],
  cluster: [
    "cluster t using t_pkey",
    /cluster t using t_pkey \(rebuilding index, 20 tuples\)/,
  ],
  analyze: ["analyze t", /analyze t \(computing statistics\)/],
  copy: [
    "copy (select hold.held(id, 1, 7) from t order by id) to '/dev/null'",
    /copy .* \(COPY TO, 6 tuples\)/,
  ],
} as const;

for (const [what, [statement, text]] of Object.entries(TOLD)) {
  scenario(
    `a statement that takes long tells how far it is: ${what}`,
    { "0001_long": migration({ up: statement, options: ALONE }) },
    async (s) => {
      await makeTable(s.db, 20);
      if (what !== "create index" && what !== "copy") {
        await s.db.query("create index t_held on t (hold.held(id, 1, 7))");
      }
      assertMatch(await toldWhileHeld(s, text), text);
    },
  );
}

scenario(
  "a statement that takes long tells how far it is: vacuum",
  { "0001_long": migration({ up: "vacuum t", options: ALONE }) },
  async (s) => {
    await makeTable(s.db, 100);
    await s.db.query("delete from t where id % 2 = 0");
    const { code, stderr } = await s.run("up");
    assertEquals(code, 0, stderr);
    assertMatch(stderr, /vacuum t \(scanning heap, \d+ %\)/);
  },
  { settings: { vacuum_cost_delay: "100ms", vacuum_cost_limit: "1" } },
);
