import { assertEquals } from "@std/assert";
import { migration, table } from "../support/program/migrations.ts";
import {
  CONNECTED,
  scenario,
  withoutProgress,
} from "../support/program/scenario.ts";

const ABC = {
  "0001_a": table("a"),
  "0002_b": table("b"),
  "0003_c": table("c"),
};

scenario("up applies every pending migration, oldest first", ABC, async (s) => {
  assertEquals(await s.run("up"), {
    code: 0,
    stdout: `\
Applied 0001_a (T)
Applied 0002_b (T)
Applied 0003_c (T)
Applied 3 migrations in T
`,
    stderr: `\
${CONNECTED}Applying 0001_a (1 of 3)
Applying 0002_b (2 of 3)
Applying 0003_c (3 of 3)
`,
  });
  assertEquals(await s.tables(), ["a", "b", "c"]);

  assertEquals(await s.run("up"), {
    code: 0,
    stdout: "Nothing to apply: the database is up to date\n",
    stderr: CONNECTED,
  });
});

scenario("up is what runs without a command", ABC, async (s) => {
  assertEquals(await s.run("--steps 1"), {
    code: 0,
    stdout: "Applied 0001_a (T)\nApplied 1 migration in T\n",
    stderr: `${CONNECTED}Applying 0001_a (1 of 1)\n`,
  });
});

scenario("up applies what a newer program adds", ABC, async (s) => {
  assertEquals((await s.run("up")).code, 0);
  await s.release({ ...ABC, "0004_d": table("d") });
  assertEquals(await s.run("up"), {
    code: 0,
    stdout: "Applied 0004_d (T)\nApplied 1 migration in T\n",
    stderr: `${CONNECTED}Applying 0004_d (1 of 1)\n`,
  });
});

scenario("up --to and --steps apply a part", ABC, async (s) => {
  assertEquals(await s.run("up --to 0002_b --steps 1"), {
    code: 0,
    stdout: "Applied 0001_a (T)\nApplied 1 migration in T\n",
    stderr: `${CONNECTED}Applying 0001_a (1 of 1)\n`,
  });
  assertEquals((await s.run("up --to 0002_b")).code, 0);
  assertEquals(await s.tables(), ["a", "b"]);

  assertEquals(await s.run("up --to 0001_a"), {
    code: 0,
    stdout: "Nothing to apply up to 0001_a\n",
    stderr: CONNECTED,
  });
  assertEquals((await s.run("up --steps 5")).code, 0);
  assertEquals(await s.tables(), ["a", "b", "c"]);
});

scenario(
  "up --to refuses an unknown name before it connects",
  ABC,
  async (s) => {
    assertEquals(await s.run("up --to 0002"), {
      code: 2,
      stdout: "",
      stderr:
        'error: Option --to: this program carries no migration "0002"; did you mean "0002_b"?\n',
    });
    assertEquals(await s.run("up --to 9999_z"), {
      code: 2,
      stdout: "",
      stderr:
        'error: Option --to: this program carries no migration "9999_z"; status lists the migrations\n',
    });
  },
);

scenario(
  "up --dry-run shows what it would apply and changes nothing",
  ABC,
  async (s) => {
    assertEquals(await s.run("up --dry-run --to 0002_b"), {
      code: 0,
      stdout: `\
Would apply 0001_a
Would apply 0002_b
Dry run: 2 migrations would run, nothing was changed
`,
      stderr: CONNECTED,
    });
    assertEquals(await s.tables(), []);
    assertEquals(
      await s.db.query("select to_regclass('migration_history') as found"),
      [{ found: null }],
    );

    assertEquals((await s.run("up")).code, 0);
    assertEquals(await s.run("up --dry-run"), {
      code: 0,
      stdout: "Dry run: nothing to do\n",
      stderr: CONNECTED,
    });
  },
);

scenario(
  "up in one transaction leaves nothing of a run that fails in the middle, and keeps the failure",
  {
    "0001_a": table("a"),
    "0002_b": migration({
      up: [
        "create table b (id int)",
        "create table b2 (\n  id int,\n  select\n)",
      ],
    }),
    "0003_c": table("c"),
  },
  async (s) => {
    assertEquals(withoutProgress(await s.run("up")), {
      code: 1,
      stdout: "",
      stderr: `\
${CONNECTED}error: Cannot apply "0002_b": syntax error at or near "select" (SQLSTATE 42601)
  statement:   select
               ^
Failed in T: nothing was changed, 3 not run
`,
    });
    assertEquals(await s.tables(), []);
    assertEquals(
      await s.db.query("select name, status, error from migration_history"),
      [{
        name: "0002_b",
        status: "failed",
        error: '42601: syntax error at or near "select"',
      }],
    );
  },
);

scenario(
  "up --transaction each keeps what was applied before the failure",
  {
    "0001_a": table("a"),
    "0002_b": migration({ up: "insert into a values (1), (1)" }),
    "0003_c": table("c"),
  },
  async (s) => {
    assertEquals(await s.run("up --transaction each"), {
      code: 1,
      stdout: "Applied 0001_a (T)\n",
      stderr: `\
${CONNECTED}Applying 0001_a (1 of 3)
Applying 0002_b (2 of 3)
error: Cannot apply "0002_b": duplicate key value violates unique constraint "a_pkey" (SQLSTATE 23505)
  detail: Key (id)=(1) already exists.
  statement: insert into a values (1), (1)
Failed in T: 1 migration applied, 2 not run
`,
    });
    assertEquals(await s.tables(), ["a"]);
    assertEquals(await s.history(), ["0001_a applied", "0002_b failed"]);
  },
);

scenario(
  "up applies a failed migration once it is repaired, and keeps the failure in the history",
  { "0001_a": migration({ up: "select 1 / 0" }) },
  async (s) => {
    assertEquals((await s.run("up")).code, 1);
    assertEquals((await s.run("up")).code, 1);
    await s.release({ "0001_a": table("a") });
    assertEquals((await s.run("up")).code, 0);
    assertEquals(await s.history(), [
      "0001_a failed",
      "0001_a failed",
      "0001_a applied",
    ]);
  },
);

scenario(
  "up of many migrations in one transaction commits them at one moment",
  {
    ...ABC,
    "0004_d": migration({
      up: "create table d as select pg_current_xact_id() as id",
    }),
    "0005_e": migration({
      up: "create table e as select pg_current_xact_id() as id",
    }),
  },
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    assertEquals(
      await s.db.query("select d.id = e.id as same from d, e"),
      [{ same: true }],
    );
    assertEquals(
      await s.db.query(
        "select count(distinct xmin::text)::int as n from migration_history",
      ),
      [{ n: 1 }],
    );
  },
);

scenario(
  "up --transaction each commits every migration by itself",
  ABC,
  async (s) => {
    const env = { MIGRATE_TRANSACTION: "each" };
    assertEquals(await s.run("up", { env }), {
      code: 0,
      stdout: `\
Applied 0001_a (T)
Applied 0002_b (T)
Applied 0003_c (T)
Applied 3 migrations in T
`,
      stderr: `\
${CONNECTED}Applying 0001_a (1 of 3)
Applying 0002_b (2 of 3)
Applying 0003_c (3 of 3)
`,
    });
    assertEquals(
      await s.db.query(
        "select count(distinct xmin::text)::int as n from migration_history",
      ),
      [{ n: 3 }],
    );
  },
);
