/** Backfills in the executable, which knows of them before their code is loaded. */
import { assertEquals } from "@std/assert";
import { backfill, fills, fillTable } from "../support/program/backfills.ts";
import { runBinary, withExecutable } from "../support/program/binary.ts";
import { migration } from "../support/program/migrations.ts";
import { pgTest } from "../support/server/postgres.ts";

pgTest(
  "executable: a backfill goes by batches, in its phase",
  async (db) => {
    const env = { DATABASE_URL: db.url };
    await fillTable(db);
    const migrations = {
      "0001_m": migration({ up: "alter table t add column m integer" }),
      "0002_fill": backfill({ key: '["id"]', where: "n = 0" }),
      "0003_drop": migration({
        up: "alter table t drop column pad",
        options: '{ phase: "post" }',
      }),
    };
    await withExecutable(migrations, async (path) => {
      const run = async (...args: string[]) => {
        const { code, stdout, stderr } = await runBinary(args, { path, env });
        assertEquals(code, 0, stderr);
        return stdout.replaceAll(/\([^)]*\)| in .*s$/gm, "").split("\n");
      };
      assertEquals(await run("up", "--to=0001_m"), [
        "Applied 0001_m ",
        "Applied 1 migration",
        "",
      ]);
      assertEquals(await run("up", "--phase=pre"), [
        "Nothing to apply in the phase pre",
        "",
      ]);
      assertEquals(await run("up", "--phase=post"), [
        "Applied 0002_fill ",
        "Applied 0003_drop ",
        "Applied 2 migrations",
        "",
      ]);
    });
    assertEquals(await fills(db), { 1: 20_000 });
  },
);
