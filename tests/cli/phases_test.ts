/** Phases: what runs before a release is rolled out, and what after it. */
import { assertEquals } from "@std/assert";
import { backfill, fills, fillTable } from "../support/program/backfills.ts";
import { readCatalog } from "../support/server/catalog.ts";
import { runMigrate } from "../support/program/cli.ts";
import { migration, table } from "../support/program/migrations.ts";
import { pgTest } from "../support/server/postgres.ts";
import { CONNECTED, scenario } from "../support/program/scenario.ts";

const FIRST = { "0001_a": table("a") };

/** A column that is made, filled and, once no pod is left that needs the old one, taken for good. */
const RELEASE = {
  ...FIRST,
  "0002_column": migration({
    up: "alter table t add column m integer",
    down: "alter table t drop column m",
  }),
  "0003_fill": backfill({
    where: "m is null",
    batch:
      '    await db.updateTable("t").set({ m: 1, n: sql`n + 1` }).where(rows).execute();',
  }),
  "0004_drop": migration({
    up: "alter table t drop column pad",
    options: '{ phase: "post" }',
  }),
  "0005_c": table("c"),
};

scenario(
  "up --phase pre leaves backfills and contract steps to up --phase post",
  FIRST,
  async (s) => {
    await fillTable(s.db);
    await s.run("up");
    await s.release(RELEASE);
    assertEquals(await s.run("up --phase post"), {
      code: 1,
      stdout: "",
      stderr: `\
${CONNECTED}error: Cannot apply "0003_fill": "0002_column" sorts before it and is pending in the phase pre; run up --phase pre first
Failed in T: nothing was changed
`,
    });
    assertEquals(
      (await s.run("up --phase pre --dry-run")).stdout,
      `\
Would apply 0002_column
Would apply 0005_c
Dry run: 2 migrations would run, nothing was changed
`,
    );
    assertEquals(await s.run("up --phase pre"), {
      code: 0,
      stdout: `\
Applied 0002_column (T)
Applied 0005_c (T)
Applied 2 migrations in T
`,
      stderr: `\
${CONNECTED}Applying 0002_column (1 of 2)
Applying 0005_c (2 of 2)
`,
    });
    assertEquals((await s.run("status --check --phase pre")).code, 0);
    assertEquals(
      (await s.run("up --phase pre")).stdout,
      "Nothing to apply in the phase pre\n",
    );
    assertEquals((await s.run("status --wait 0 --phase pre")).code, 0);
    assertEquals((await s.run("status --check")).code, 3);
    assertEquals(
      (await s.run("status --check", { env: { MIGRATE_PHASE: "post" } })).code,
      3,
    );
    assertEquals(
      (await s.run("up --phase post")).stdout,
      `\
Applied 0003_fill (T)
Applied 0004_drop (T)
Applied 2 migrations in T
`,
    );
    assertEquals(await fills(s.db), { 1: 20_000 });
    assertEquals(
      (await s.run("status --check")).stdout.split("\n").at(-2),
      "5 applied, 0 pending",
    );
  },
);

scenario(
  "a new database runs every phase, whichever is asked for, in as many transactions as it takes",
  {
    "0001_a": table("a"),
    "0002_alone": migration({
      up: "create index concurrently a_id on a (id)",
      options: "{ transaction: false }",
    }),
    "0003_post": migration({
      up: "create table p ()",
      options: '{ phase: "post" }',
    }),
    "0004_c": table("c"),
  },
  async (s) => {
    assertEquals(
      (await s.run("up --phase pre --transaction each")).code,
      0,
    );
    assertEquals(await s.tables(), ["a", "c", "p"]);
  },
);

pgTest(
  "BattleScope's own migrations make the same in one go and in two phases",
  async (db) => {
    const up = async (url: string, ...options: string[]) => {
      const { code, stderr } = await runMigrate(["up", ...options], {
        env: { DATABASE_URL: url },
      });
      assertEquals(code, 0, stderr);
    };
    const other = await db.createDatabase();
    await up(db.url);
    // Behind the first step the database is not new any more: each phase keeps to its lane.
    await up(other.url, "--steps=1");
    await up(other.url, "--phase=pre");
    await up(other.url, "--phase=post");
    // Rows have times and numbers of their own.
    const shape = async (url: string) => ({
      ...await readCatalog(url, { without: ["migration_history"] }),
      rows: [],
    });
    assertEquals(await shape(other.url), await shape(db.url));
  },
);
