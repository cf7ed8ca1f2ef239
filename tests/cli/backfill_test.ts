/** Backfills: what they write, where they stop, how they go on. */
import { assertEquals } from "@std/assert";
import { backfill, fills, fillTable } from "../support/program/backfills.ts";
import { table } from "../support/program/migrations.ts";
import { CONNECTED, scenario } from "../support/program/scenario.ts";

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
