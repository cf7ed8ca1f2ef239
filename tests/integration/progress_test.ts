/** How far a statement is while it runs: what the views of the server tell. What is told of rewrites is in tests/cli/growth_test.ts. */
import { assertEquals, assertMatch } from "@std/assert";
import { HELD, toldWhileHeld } from "../support/program/held.ts";
import { migration } from "../support/program/migrations.ts";
import { scenario } from "../support/program/scenario.ts";
import type { TestDatabase } from "../support/server/postgres.ts";

/** A table whose rows take 1 KiB each; its index holds up whoever builds it. */
async function makeTable(db: TestDatabase, rows: number): Promise<void> {
  await db.query(
    `${HELD.join("; ")}; create table t (id int primary key, pad text);
    insert into t select i, repeat('x', 1000) from generate_series(1, ${rows}) i;`,
  );
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
    assertMatch(stderr, /vacuum t \((?:scanning|vacuuming) heap, \d+ %\)/);
  },
  { settings: { vacuum_cost_delay: "100ms", vacuum_cost_limit: "1" } },
);
