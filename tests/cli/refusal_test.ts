import { assertEquals } from "@std/assert";
import { table } from "../support/program/migrations.ts";
import { CONNECTED, scenario } from "../support/program/scenario.ts";

const AB = { "0001_a": table("a"), "0002_b": table("b") };
const ABC = { ...AB, "0003_c": table("c") };

/** Checksums differ with the sources of this test. */
function withoutSums<T extends { stderr: string }>(result: T): T {
  const stderr = result.stderr.replaceAll(/[0-9a-f]{12}…/g, "SUM…");
  return { ...result, stderr };
}

scenario(
  "up refuses an edited migration, also with nothing pending",
  AB,
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    const edited = { "0001_a": table("a  "), "0002_b": table("b") };
    for (const migrations of [edited, { ...edited, "0003_c": table("c") }]) {
      await s.release(migrations);
      assertEquals(withoutSums(await s.run("up")), {
        code: 1,
        stdout: "",
        stderr: `\
${CONNECTED}error: Cannot go on with "0001_a": it is applied, but its checksum is SUM… and the history has SUM…; restore the file, or accept the edit with repair --accept-checksum 0001_a
Failed in T: nothing was changed
`,
      });
    }
    assertEquals(await s.tables(), ["a", "b"]);

    assertEquals((await s.run("repair --accept-checksum 0001_a")).code, 0);
    assertEquals((await s.run("up")).code, 0);
    assertEquals(await s.tables(), ["a", "b", "c"]);
  },
);

scenario(
  "up takes a migration with other line endings and a byte order mark for the same",
  AB,
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    await s.release({
      "0001_a": table("a").replaceAll("\n", "\r\n"),
      "0002_b": `\ufeff${table("b")}`,
    });
    assertEquals((await s.run("up")).code, 0);
  },
);

scenario(
  "up on a newer database warns when nothing is pending, and refuses to apply",
  ABC,
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    await s.release({ "0001_a": ABC["0001_a"] });
    assertEquals(await s.run("up"), {
      code: 0,
      stdout: "Nothing to apply: the database is up to date\n",
      stderr: `\
${CONNECTED}warning: The database is newer than this program: its history has "0002_b", "0003_c"
`,
    });

    await s.release({ "0001_a": ABC["0001_a"], "0004_d": table("d") });
    assertEquals(await s.run("up"), {
      code: 1,
      stdout: "",
      stderr: `\
${CONNECTED}error: Cannot apply 1 pending migration: the database is newer than this program, its history has "0002_b", "0003_c"; run a version of the program that carries them
Failed in T: nothing was changed
`,
    });
    assertEquals(await s.tables(), ["a", "b", "c"]);
  },
);

scenario(
  "up refuses what sorts before an applied migration, unless told otherwise",
  { "0001_a": table("a"), "0003_c": table("c") },
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    await s.release({ ...ABC, "0002_bb": table("bb"), "0004_d": table("d") });
    assertEquals(await s.run("up"), {
      code: 1,
      stdout: "",
      stderr: `\
${CONNECTED}error: Cannot apply "0002_b": it sorts before "0003_c", which is already applied; give it a later name, or pass --allow-out-of-order
error: Cannot apply "0002_bb": it sorts before "0003_c", which is already applied; give it a later name, or pass --allow-out-of-order
Failed in T: nothing was changed
`,
    });
    assertEquals(await s.tables(), ["a", "c"]);

    assertEquals(await s.run("up --allow-out-of-order"), {
      code: 0,
      stdout: `\
Applied 0002_b (T)
Applied 0002_bb (T)
Applied 0004_d (T)
Applied 3 migrations in T
`,
      stderr: `\
${CONNECTED}Applying 0002_b (1 of 3)
Applying 0002_bb (2 of 3)
Applying 0004_d (3 of 3)
`,
    });
    assertEquals((await s.run("up")).code, 0);
  },
);

scenario(
  "up --allow-out-of-order with one transaction each passes its own steps",
  { "0001_a": table("a"), "0004_d": table("d") },
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    await s.release({ ...ABC, "0004_d": table("d"), "0005_e": table("e") });
    assertEquals(
      (await s.run("up --allow-out-of-order --transaction each")).stdout,
      `\
Applied 0002_b (T)
Applied 0003_c (T)
Applied 0005_e (T)
Applied 3 migrations in T
`,
    );
  },
);

scenario("up names every fault at once", ABC, async (s) => {
  assertEquals((await s.run("up")).code, 0);
  await s.release({
    "0001_a": table("a  "),
    "0002_aa": table("aa"),
    "0003_c": table("c"),
  });
  assertEquals(withoutSums(await s.run("up")), {
    code: 1,
    stdout: "",
    stderr: `\
${CONNECTED}error: Cannot go on with "0001_a": it is applied, but its checksum is SUM… and the history has SUM…; restore the file, or accept the edit with repair --accept-checksum 0001_a
error: Cannot apply "0002_aa": it sorts before "0003_c", which is already applied; give it a later name, or pass --allow-out-of-order
error: Cannot apply 1 pending migration: the database is newer than this program, its history has "0002_b"; run a version of the program that carries it
Failed in T: nothing was changed
`,
  });
  assertEquals(await s.run("up --dry-run"), await s.run("up"));
});
