/** A cut at every request of a backfill: the run goes on with a new connection, and no row is filled twice. */
import { assertEquals, assertMatch } from "@std/assert";
import type { Sql } from "postgres";
import { backfill } from "../support/program/backfills.ts";
import { cutTest, everyCutByTurns } from "../support/program/cuts.ts";
import { table } from "../support/program/migrations.ts";
import { makeProject } from "../support/program/project.ts";

const PROJECT = await makeProject({
  "0001_a": table("a"),
  "0002_fill": backfill(),
  "0003_c": table("c"),
});

Deno.test.afterAll(async () => await PROJECT[Symbol.asyncDispose]());

const ROWS = 2_500;

cutTest(
  "a backfill survives a cut at every request, and fills every row once",
  {
    command: ["up"],
    registry: new URL("migrations/mod.ts", PROJECT.entry).href,
    cuts: everyCutByTurns,
    prepare: () => Promise.resolve(),
    before: async ({ sql }) => {
      // Two rows in a page: few of them are large.
      await sql.unsafe(
        `create table t (id bigint primary key, n integer not null default 0, pad text);
         alter table t alter pad set storage plain;
         insert into t select g, 0, repeat('x', 3600) from generate_series(1, ${ROWS}) g`,
      );
    },
    after: async ({ sql, run }, { result: { code, stderr } }) => {
      const before = await fills(sql);
      const [position] = await positions(sql);
      assertEquals(before.get(1) ?? 0, position?.rows_done ?? 0, stderr);
      if (code !== 0) {
        assertEquals(code, 1, stderr);
        assertMatch(
          stderr,
          /^error: .*The connection to the database was lost/m,
        );
        const next = await run(["up"]);
        assertEquals(next.code, 0, next.stderr);
      }
      assertEquals([...await fills(sql)], [[1, ROWS]]);
      assertEquals(
        await sql`select name, status from migration_history
          where status <> 'failed' order by name`.then((rows) => [...rows]),
        ["0001_a", "0002_fill", "0003_c"].map((name) => ({
          name,
          status: "applied",
        })),
      );
    },
  },
);

async function fills(sql: Sql): Promise<Map<number, number>> {
  const rows = await sql<{ n: number; count: number }[]>`
    select n, count(*)::int as count from t group by n`;
  return new Map(rows.map(({ n, count }) => [n, count]));
}

async function positions(sql: Sql): Promise<{ rows_done: number }[]> {
  const [table] =
    await sql`select to_regclass('migration_backfills') is not null as found`;
  if (!table!.found) return [];
  return [
    ...await sql<
      { rows_done: number }[]
    >`select rows_done::int from migration_backfills`,
  ];
}
