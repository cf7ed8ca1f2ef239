import { assertEquals } from "@std/assert";
import { migration, table } from "../support/program/migrations.ts";
import { CONNECTED, scenario } from "../support/program/scenario.ts";

const AB = { "0001_a": table("a"), "0002_b": table("b") };

/** Says which transaction made it. */
const STAMPED = migration({
  up: "create table stamped as select pg_current_xact_id() as id",
  down:
    "create table undone as select id, pg_current_xact_id() as by from stamped; drop table stamped",
});

scenario(
  "redo rolls back the newest migration and applies it again",
  AB,
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    await s.db.query("insert into b values (1)");
    assertEquals(await s.run("redo --yes"), {
      code: 0,
      stdout: `\
Rolled back 0002_b (T)
Applied 0002_b (T)
Rolled back 1 migration and applied 1 again in T
`,
      stderr: `\
${CONNECTED}Rolling back 0002_b (1 of 2)
Applying 0002_b (2 of 2)
`,
    });
    assertEquals(await s.db.query("select * from b"), []);
    assertEquals(await s.history(), [
      "0001_a applied",
      "0002_b rolled_back",
      "0002_b applied",
    ]);
  },
);

scenario(
  "redo does both in one transaction",
  { "0001_s": STAMPED },
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    assertEquals((await s.run("redo --yes")).code, 0);
    assertEquals(
      await s.db.query("select by = stamped.id as same from undone, stamped"),
      [{ same: true }],
    );
  },
);

scenario("redo --transaction each does both, one after the other", {
  "0001_s": STAMPED,
}, async (s) => {
  assertEquals((await s.run("up")).code, 0);
  assertEquals(await s.run("redo --yes --transaction each"), {
    code: 0,
    stdout: `\
Rolled back 0001_s (T)
Applied 0001_s (T)
Rolled back 1 migration and applied 1 again in T
`,
    stderr: `\
${CONNECTED}Rolling back 0001_s (1 of 2)
Applying 0001_s (2 of 2)
`,
  });
  assertEquals(
    await s.db.query("select by < stamped.id as earlier from undone, stamped"),
    [{ earlier: true }],
  );
  assertEquals(await s.history(), ["0001_s rolled_back", "0001_s applied"]);
});

scenario(
  "redo that cannot apply again leaves the migration applied",
  AB,
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    await s.release({
      ...AB,
      "0002_b": migration({ up: "create table a ()", down: "drop table b" }),
    });
    assertEquals((await s.run("repair --accept-checksum 0002_b")).code, 0);
    assertEquals(await s.run("redo --yes"), {
      code: 1,
      stdout: "",
      stderr: `\
${CONNECTED}Rolling back 0002_b (1 of 2)
Applying 0002_b (2 of 2)
error: Cannot apply "0002_b": relation "a" already exists (SQLSTATE 42P07)
  statement: create table a ()
Failed in T: nothing was changed, 2 not run
`,
    });
    assertEquals(await s.tables(), ["a", "b"]);
    const [state] = (await s.json("status")).lines;
    assertEquals(state?.summary, {
      applied: 2,
      baseline: 0,
      pending: 0,
      out_of_order: 0,
      failed: 0,
      running: 0,
      changed: 0,
      missing: 0,
    });
  },
);

scenario("redo on an empty database has nothing to do", AB, async (s) => {
  assertEquals(await s.run("redo --yes"), {
    code: 0,
    stdout: "Nothing to redo: no migration is applied\n",
    stderr: CONNECTED,
  });
});

scenario(
  "redo refuses an irreversible migration",
  { "0001_a": migration({ up: "create table a ()" }) },
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    assertEquals(await s.run("redo --yes"), {
      code: 1,
      stdout: "",
      stderr: `\
${CONNECTED}error: Cannot roll back "0001_a": it has no down function
Failed in T: nothing was changed
`,
    });
  },
);
