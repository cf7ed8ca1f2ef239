import { assertEquals } from "@std/assert";
import { migration, table } from "../support/program/migrations.ts";
import { CONNECTED, scenario } from "../support/program/scenario.ts";

const AB = { "0001_a": table("a"), "0002_b": table("b") };

scenario(
  "repair --accept-checksum takes an edit into the history, once",
  AB,
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    await s.release({ ...AB, "0002_b": `// A comment\n${table("b")}` });
    assertEquals((await s.run("up")).code, 1);
    assertEquals(await s.run("repair --accept-checksum 0002_b"), {
      code: 0,
      stdout: "Accepted the checksum of 0002_b\nRepaired 1 migration in T\n",
      stderr: CONNECTED,
    });
    assertEquals((await s.run("up")).code, 0);
    assertEquals(await s.history(), ["0001_a applied", "0002_b applied"]);

    assertEquals(await s.run("repair --accept-checksum 0002_b"), {
      code: 0,
      stdout: "Nothing to repair\n",
      stderr: CONNECTED,
    });
  },
);

scenario(
  "repair refuses what is not in the state that it repairs",
  AB,
  async (s) => {
    assertEquals((await s.run("up --to 0001_a")).code, 0);
    const refused = async (action: string, name: string, reason: string) => {
      assertEquals(await s.run(`repair --${action} ${name}`), {
        code: 1,
        stdout: "",
        stderr: `\
${CONNECTED}error: Cannot repair "${name}": ${reason}
Failed in T: nothing was changed
`,
      });
    };
    await refused(
      "retry",
      "0001_a",
      "it is applied; use down or redo to run it again",
    );
    for (const action of ["retry", "mark-applied", "accept-checksum"]) {
      await refused(action, "0002_b", "the history has no row of it");
    }
    assertEquals((await s.run("down --yes")).code, 0);
    await refused(
      "mark-applied",
      "0001_a",
      "it was rolled back; use up to apply it, or baseline to record it without running it",
    );
    await refused(
      "accept-checksum",
      "0001_a",
      "it is not applied, so it has no checksum to accept",
    );
    await s.release({ "0002_b": AB["0002_b"] });
    await refused("mark-applied", "0001_a", "this program does not carry it");
  },
);

scenario(
  "repair --retry forgives a failure, and --mark-applied takes it for done",
  { ...AB, "0002_b": migration({ up: "select 1 / 0" }) },
  async (s) => {
    assertEquals((await s.run("up")).code, 1);
    assertEquals((await s.run("repair --retry 0002_b")).code, 0);
    assertEquals((await s.json("status")).lines[0]?.summary, {
      applied: 0,
      baseline: 0,
      pending: 2,
      out_of_order: 0,
      failed: 0,
      running: 0,
      changed: 0,
      missing: 0,
    });
    assertEquals(
      (await s.run("repair --retry 0002_b")).stdout,
      "Nothing to repair\n",
    );

    assertEquals((await s.run("up")).code, 1);
    assertEquals((await s.run("baseline --to 0001_a")).code, 0);
    assertEquals((await s.run("repair --mark-applied 0002_b")).code, 0);
    assertEquals(
      (await s.run("repair --mark-applied 0002_b")).stdout,
      "Nothing to repair\n",
    );
    assertEquals((await s.run("status --check")).code, 0);
  },
);
