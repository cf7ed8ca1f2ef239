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

scenario("down rolls back the newest migration", ABC, async (s) => {
  assertEquals((await s.run("up")).code, 0);
  assertEquals(await s.run("down --yes"), {
    code: 0,
    stdout: "Rolled back 0003_c (T)\nRolled back 1 migration in T\n",
    stderr: `${CONNECTED}Rolling back 0003_c (1 of 1)\n`,
  });
  assertEquals(await s.tables(), ["a", "b"]);
  assertEquals(await s.history(), [
    "0001_a applied",
    "0002_b applied",
    "0003_c rolled_back",
  ]);
});

scenario("down --all rolls back everything, newest first", ABC, async (s) => {
  assertEquals((await s.run("up")).code, 0);
  assertEquals(await s.run("down --all --yes"), {
    code: 0,
    stdout: `\
Rolled back 0003_c (T)
Rolled back 0002_b (T)
Rolled back 0001_a (T)
Rolled back 3 migrations in T
`,
    stderr: `\
${CONNECTED}Rolling back 0003_c (1 of 3)
Rolling back 0002_b (2 of 3)
Rolling back 0001_a (3 of 3)
`,
  });
  assertEquals(await s.tables(), []);

  assertEquals(await s.run("down --all --yes"), {
    code: 0,
    stdout: "Nothing to roll back\n",
    stderr: CONNECTED,
  });
});

scenario("down --to leaves the named migration applied", ABC, async (s) => {
  assertEquals((await s.run("up")).code, 0);
  assertEquals(await s.run("down --to 0001_a --yes"), {
    code: 0,
    stdout: `\
Rolled back 0003_c (T)
Rolled back 0002_b (T)
Rolled back 2 migrations in T
`,
    stderr: `\
${CONNECTED}Rolling back 0003_c (1 of 2)
Rolling back 0002_b (2 of 2)
`,
  });
  assertEquals(await s.tables(), ["a"]);

  assertEquals(await s.run("down --to 0002_b --yes"), {
    code: 1,
    stdout: "",
    stderr: `\
${CONNECTED}error: Cannot roll back to "0002_b": it is not applied
Failed in T: nothing was changed
`,
  });
  assertEquals(await s.run("down --to 0001 --yes"), {
    code: 2,
    stdout: "",
    stderr: `\
error: Option --to: this program carries no migration "0001"; did you mean "0001_a"?
`,
  });
});

scenario("down --steps rolls back as many as there are", ABC, async (s) => {
  assertEquals((await s.run("up")).code, 0);
  assertEquals((await s.run("down --steps 2 --yes")).code, 0);
  assertEquals(await s.tables(), ["a"]);
  assertEquals(await s.run("down --steps 2 --yes"), {
    code: 0,
    stdout: "Rolled back 0001_a (T)\nRolled back 1 migration in T\n",
    stderr: `${CONNECTED}Rolling back 0001_a (1 of 1)\n`,
  });
});

scenario("down --transaction each counts its steps once", ABC, async (s) => {
  assertEquals((await s.run("up")).code, 0);
  assertEquals(await s.run("down --steps 2 --yes --transaction each"), {
    code: 0,
    stdout: `\
Rolled back 0003_c (T)
Rolled back 0002_b (T)
Rolled back 2 migrations in T
`,
    stderr: `\
${CONNECTED}Rolling back 0003_c (1 of 2)
Rolling back 0002_b (2 of 2)
`,
  });
  assertEquals(await s.tables(), ["a"]);
});

scenario("down --dry-run asks nothing and changes nothing", ABC, async (s) => {
  assertEquals((await s.run("up")).code, 0);
  assertEquals(await s.run("down --dry-run --steps 2"), {
    code: 0,
    stdout: `\
Would roll back 0003_c
Would roll back 0002_b
Dry run: 2 migrations would run, nothing was changed
`,
    stderr: CONNECTED,
  });
  assertEquals(await s.tables(), ["a", "b", "c"]);
  assertEquals(await s.history(), [
    "0001_a applied",
    "0002_b applied",
    "0003_c applied",
  ]);
});

scenario("down on an empty database has nothing to do", ABC, async (s) => {
  assertEquals(await s.run("down --yes"), {
    code: 0,
    stdout: "Nothing to roll back\n",
    stderr: CONNECTED,
  });
  assertEquals(
    await s.db.query("select to_regclass('migration_history') as found"),
    [{ found: null }],
  );
});

scenario("down and redo without a terminal need --yes", ABC, async (s) => {
  assertEquals((await s.run("up")).code, 0);
  for (const command of ["down", "redo"]) {
    assertEquals(await s.run(command), {
      code: 2,
      stdout: "",
      stderr:
        `error: The command ${command} asks before it rolls back: pass --yes where there is no terminal\n`,
    });
  }
  assertEquals(await s.tables(), ["a", "b", "c"]);
});

scenario(
  "down refuses an irreversible migration before the first step",
  { ...ABC, "0002_b": migration({ up: "create table b ()" }) },
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    assertEquals(await s.run("down --all --yes"), {
      code: 1,
      stdout: "",
      stderr: `\
${CONNECTED}error: Cannot roll back "0002_b": it has no down function
Failed in T: nothing was changed
`,
    });
    assertEquals(await s.tables(), ["a", "b", "c"]);
    assertEquals((await s.run("down --yes")).code, 0);
  },
);

scenario(
  "down refuses edited and foreign migrations, with every fault at once",
  ABC,
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    await s.db.query(
      "update migration_history set checksum = repeat('0', 64) where name = '0002_b'",
    );
    await s.release({
      "0001_a": migration({ up: "create table a ()" }),
      "0002_b": ABC["0002_b"],
    });
    const { code, stdout, stderr } = await s.run("down --all --yes");
    assertEquals([code, stdout], [1, ""]);
    assertEquals(
      stderr.replaceAll(/[0-9a-f]{12}…/g, "SUM…"),
      `\
${CONNECTED}error: Cannot roll back "0003_c": this program does not carry it; run the version of the program that does
error: Cannot go on with "0002_b": it is applied, but its checksum is SUM… and the history has SUM…; restore the file, or accept the edit with repair --accept-checksum 0002_b
error: Cannot roll back "0001_a": it has no down function
Failed in T: nothing was changed
`,
    );
    assertEquals(await s.tables(), ["a", "b", "c"]);
  },
);

scenario(
  "down in one transaction leaves everything applied when a step fails, and keeps the error",
  {
    ...ABC,
    "0002_b": migration({ up: "create table b ()", down: "drop table bb" }),
  },
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    assertEquals(withoutProgress(await s.run("down --all --yes")), {
      code: 1,
      stdout: "",
      stderr: `\
${CONNECTED}error: Cannot roll back "0002_b": table "bb" does not exist (SQLSTATE 42P01)
  statement: drop table bb
Failed in T: nothing was changed, 3 not run
`,
    });
    assertEquals(await s.tables(), ["a", "b", "c"]);
    assertEquals(
      await s.db.query(
        "select name, status, error from migration_history order by id",
      ),
      [
        { name: "0001_a", status: "applied", error: null },
        {
          name: "0002_b",
          status: "applied",
          error: '42P01: table "bb" does not exist',
        },
        { name: "0003_c", status: "applied", error: null },
      ],
    );
  },
);

scenario(
  "down --transaction each keeps the rollbacks before the failure",
  {
    ...ABC,
    "0002_b": migration({ up: "create table b ()", down: "drop table bb" }),
  },
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    assertEquals(await s.run("down --all --yes --transaction each"), {
      code: 1,
      stdout: "Rolled back 0003_c (T)\n",
      stderr: `\
${CONNECTED}Rolling back 0003_c (1 of 3)
Rolling back 0002_b (2 of 3)
error: Cannot roll back "0002_b": table "bb" does not exist (SQLSTATE 42P01)
  statement: drop table bb
Failed in T: 1 migration rolled back, 2 not run
`,
    });
    assertEquals(await s.tables(), ["a", "b"]);
  },
);

scenario("up applies again what down has rolled back", ABC, async (s) => {
  assertEquals((await s.run("up")).code, 0);
  assertEquals((await s.run("down --steps 2 --yes")).code, 0);
  assertEquals((await s.run("up")).code, 0);
  assertEquals(await s.tables(), ["a", "b", "c"]);
  assertEquals(await s.history(), [
    "0001_a applied",
    "0002_b rolled_back",
    "0003_c rolled_back",
    "0002_b applied",
    "0003_c applied",
  ]);
});
