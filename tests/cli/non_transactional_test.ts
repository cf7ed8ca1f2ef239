import { assertEquals, assertStringIncludes } from "@std/assert";
import { migration, table } from "../support/program/migrations.ts";
import { CONNECTED, scenario } from "../support/program/scenario.ts";

const INDEX = migration({
  up: "create unique index concurrently a_n on a (n)",
  down: "drop index concurrently a_n",
  options: "{ transaction: false }",
});
const IDEMPOTENT = migration({
  up: [
    "drop index concurrently if exists a_n",
    "create unique index concurrently a_n on a (n)",
  ],
  down: "drop index concurrently a_n",
  options: "{ transaction: false, idempotent: true }",
});
const TABLE = migration({
  up: "create table a (n int)",
  down: "drop table a",
});
/** The index on it cannot be made. */
const DOUBLE = migration({
  up: "create table a as values (1), (1); alter table a rename column1 to n",
  down: "drop table a",
});

scenario(
  "a non-transactional migration splits the run around it",
  {
    "0001_a": TABLE,
    "0002_i": INDEX,
    "0003_c": table("c"),
    "0004_d": table("d"),
  },
  async (s) => {
    assertEquals(await s.run("up"), {
      code: 0,
      stdout: `\
Applied 0001_a (T)
Applied 0002_i (T)
Applied 0003_c (T)
Applied 0004_d (T)
Applied 4 migrations in T
`,
      stderr: `\
${CONNECTED}Applying 0001_a (1 of 4)
Applying 0002_i (2 of 4)
Applying 0003_c (3 of 4)
Applying 0004_d (4 of 4)
`,
    });
    assertEquals(
      await s.db.query(
        "select count(distinct xmin::text)::int as n from migration_history",
      ),
      [{ n: 3 }],
    );
    assertEquals(
      await s.db.query(
        `select status, error, duration_ms is not null as timed, finished_at >= started_at as ended
         from migration_history where name = '0002_i'`,
      ),
      [{ status: "applied", error: null, timed: true, ended: true }],
    );

    assertEquals(await s.run("down --all --yes"), {
      code: 0,
      stdout: `\
Rolled back 0004_d (T)
Rolled back 0003_c (T)
Rolled back 0002_i (T)
Rolled back 0001_a (T)
Rolled back 4 migrations in T
`,
      stderr: `\
${CONNECTED}Rolling back 0004_d (1 of 4)
Rolling back 0003_c (2 of 4)
Rolling back 0002_i (3 of 4)
Rolling back 0001_a (4 of 4)
`,
    });
    assertEquals(await s.tables(), []);
    assertEquals(await s.history(), [
      "0001_a rolled_back",
      "0002_i rolled_back",
      "0003_c rolled_back",
      "0004_d rolled_back",
    ]);
  },
);

scenario(
  "a failed non-transactional migration keeps what came before and waits for a decision",
  { "0001_a": DOUBLE, "0002_i": INDEX, "0003_c": table("c") },
  async (s) => {
    assertEquals(await s.run("up"), {
      code: 1,
      stdout: "Applied 0001_a (T)\n",
      stderr: `\
${CONNECTED}Applying 0001_a (1 of 3)
Applying 0002_i (2 of 3)
error: Cannot apply "0002_i": could not create unique index "a_n" (SQLSTATE 23505)
  detail: Key (n)=(1) is duplicated.
  statement: create unique index concurrently a_n on a (n)
  hint: It has left the index public.a_n behind, invalid: drop index concurrently public.a_n
Failed in T: 1 migration applied, 1 migration left half-way, 1 not run
`,
    });
    assertEquals(
      await s.db.query(
        "select status, error, duration_ms is not null as timed from migration_history where name = '0002_i'",
      ),
      [{
        status: "failed",
        error: '23505: could not create unique index "a_n"',
        timed: true,
      }],
    );

    const waiting = {
      code: 1,
      stdout: "",
      stderr: `\
${CONNECTED}error: Cannot apply "0002_i": it failed half-way outside a transaction; look at the database, then run repair --retry 0002_i or repair --mark-applied 0002_i
Failed in T: nothing was changed
`,
    };
    assertEquals(await s.run("up"), waiting);
    assertEquals(await s.run("up --dry-run"), waiting);
    assertEquals(await s.run("down --yes"), {
      ...waiting,
      stderr: waiting.stderr.replace("apply", "roll back past"),
    });
    assertEquals((await s.run("status --check")).code, 3);
    assertEquals(await s.tables(), ["a"]);
  },
);

scenario(
  "repair --retry lets up run a failed non-transactional migration again",
  { "0001_a": DOUBLE, "0002_i": INDEX, "0003_c": table("c") },
  async (s) => {
    assertEquals((await s.run("up")).code, 1);
    await s.db.query("drop index a_n; truncate a");
    assertEquals(await s.run("repair --retry 0002_i"), {
      code: 0,
      stdout: "Ready to be applied again: 0002_i\nRepaired 1 migration in T\n",
      stderr: CONNECTED,
    });
    assertEquals((await s.run("up")).code, 0);
    assertEquals(await s.tables(), ["a", "c"]);
    assertEquals(await s.history(), [
      "0001_a applied",
      "0002_i rolled_back",
      "0002_i applied",
      "0003_c applied",
    ]);
  },
);

scenario(
  "repair --mark-applied takes a failed non-transactional migration for applied",
  { "0001_a": DOUBLE, "0002_i": INDEX, "0003_c": table("c") },
  async (s) => {
    assertEquals((await s.run("up")).code, 1);
    await s.db.query(
      "drop index a_n; truncate a; create unique index a_n on a (n)",
    );
    assertEquals(await s.run("repair --mark-applied 0002_i"), {
      code: 0,
      stdout: "Marked as applied: 0002_i\nRepaired 1 migration in T\n",
      stderr: CONNECTED,
    });
    assertEquals(
      (await s.run("up")).stdout,
      `\
Applied 0003_c (T)
Applied 1 migration in T
`,
    );
    assertEquals(await s.history(), [
      "0001_a applied",
      "0002_i applied",
      "0003_c applied",
    ]);
    assertEquals((await s.run("down --all --yes")).code, 0);
  },
);

scenario(
  "an idempotent migration is tried again by the next up",
  { "0001_a": DOUBLE, "0002_i": IDEMPOTENT },
  async (s) => {
    assertEquals((await s.run("up")).code, 1);
    assertEquals((await s.run("up")).code, 1);
    await s.db.query("truncate a");
    assertEquals(await s.run("up"), {
      code: 0,
      stdout: "Applied 0002_i (T)\nApplied 1 migration in T\n",
      stderr: `${CONNECTED}Applying 0002_i (1 of 1)\n`,
    });
    assertEquals(await s.history(), [
      "0001_a applied",
      "0002_i failed",
      "0002_i failed",
      "0002_i applied",
    ]);
  },
);

scenario(
  "a migration whose program was killed is found running, and waits for a decision",
  {
    "0001_i": migration({ up: "select 1", options: "{ transaction: false }" }),
  },
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    await s.db.query(
      "update migration_history set status = 'running', finished_at = null",
    );
    assertEquals(await s.run("up"), {
      code: 1,
      stdout: "",
      stderr: `\
${CONNECTED}error: Cannot apply "0001_i": it began and did not end outside a transaction; look at the database, then run repair --retry 0001_i or repair --mark-applied 0001_i
Failed in T: nothing was changed
`,
    });
    assertEquals((await s.run("status --check")).code, 3);
    assertEquals((await s.run("repair --mark-applied 0001_i")).code, 0);
    assertEquals((await s.run("status --check")).code, 0);
  },
);

scenario(
  "an idempotent migration whose program was killed is closed as interrupted and run again",
  {
    "0001_i": migration({
      up: "select 1",
      options: "{ transaction: false, idempotent: true }",
    }),
  },
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    await s.db.query(
      "update migration_history set status = 'running', finished_at = null",
    );
    assertEquals((await s.run("up")).code, 0);
    assertEquals(
      await s.db.query(
        "select status, error, finished_at is not null as ended from migration_history order by id",
      ),
      [
        { status: "failed", error: "interrupted", ended: true },
        { status: "applied", error: null, ended: true },
      ],
    );
  },
);

scenario(
  "a failed rollback outside a transaction waits for a decision, and repair settles it either way",
  {
    "0001_i": migration({
      up: "create table a ()",
      down: "vacuum nothing",
      options: "{ transaction: false }",
    }),
  },
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    assertEquals(await s.run("down --yes"), {
      code: 1,
      stdout: "",
      stderr: `\
${CONNECTED}Rolling back 0001_i (1 of 1)
error: Cannot roll back "0001_i": relation "nothing" does not exist (SQLSTATE 42P01)
  statement: vacuum nothing
Failed in T: 1 migration left half-way
`,
    });
    assertEquals(await s.run("up"), {
      code: 1,
      stdout: "",
      stderr: `\
${CONNECTED}error: Cannot apply "0001_i": its rollback failed half-way outside a transaction; look at the database, then run repair --retry 0001_i or repair --mark-applied 0001_i
Failed in T: nothing was changed
`,
    });
    assertEquals((await s.run("repair --mark-applied 0001_i")).code, 0);
    assertEquals(await s.history(), ["0001_i applied"]);

    assertEquals((await s.run("down --yes")).code, 1);
    assertEquals((await s.run("repair --retry 0001_i")).code, 0);
    assertEquals(await s.history(), ["0001_i rolled_back"]);
  },
);

scenario(
  "redo runs a non-transactional migration down and up",
  { "0001_a": TABLE, "0002_i": INDEX },
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    assertEquals(await s.run("redo --yes"), {
      code: 0,
      stdout: `\
Rolled back 0002_i (T)
Applied 0002_i (T)
Rolled back 1 migration and applied 1 again in T
`,
      stderr: `\
${CONNECTED}Rolling back 0002_i (1 of 2)
Applying 0002_i (2 of 2)
`,
    });
    assertEquals(await s.history(), [
      "0001_a applied",
      "0002_i rolled_back",
      "0002_i applied",
    ]);
  },
);

scenario(
  "create index concurrently in a transaction fails with the server's words",
  {
    "0001_a": TABLE,
    "0002_i": migration({ up: "create index concurrently on a (n)" }),
  },
  async (s) => {
    assertEquals(
      (await s.run("up")).stderr,
      `\
${CONNECTED}Applying 0001_a (1 of 2)
Applying 0002_i (2 of 2)
error: Cannot apply "0002_i": CREATE INDEX CONCURRENTLY cannot run inside a transaction block (SQLSTATE 25001)
  statement: create index concurrently on a (n)
  hint: To run it outside a transaction: export const options = { transaction: false }
Failed in T: nothing was changed, 2 not run
`,
    );
  },
);

scenario(
  "a non-transactional migration that leaves a transaction open fails, and is not called applied",
  {
    "0001_a": migration({
      up: ["begin", "create table a ()"],
      options: "{ transaction: false }",
    }),
  },
  async (s) => {
    const { code, stdout, stderr } = await s.run("up");
    assertEquals([code, stdout], [1, ""]);
    assertStringIncludes(
      stderr,
      'error: Cannot apply "0001_a": its up function left a transaction open',
    );
    assertEquals(await s.tables(), []);
    assertEquals(await s.history(), ["0001_a failed"]);
  },
);

scenario(
  "a migration that failed for being in a transaction runs as soon as it is told to run outside",
  {
    "0001_a": TABLE,
    "0002_i": migration({
      up: "create unique index concurrently a_n on a (n)",
    }),
  },
  async (s) => {
    assertEquals((await s.run("up")).code, 1);
    await s.release({ "0001_a": TABLE, "0002_i": INDEX });
    assertEquals(
      (await s.run("up")).stdout,
      `\
Applied 0001_a (T)
Applied 0002_i (T)
Applied 2 migrations in T
`,
    );
    assertEquals(await s.history(), [
      "0002_i failed",
      "0001_a applied",
      "0002_i applied",
    ]);
  },
);
