/** The program with the migrations that it is released with. */
import { assertEquals } from "@std/assert";
import { runMigrate } from "../support/program/cli.ts";
import { battlescope } from "../../scripts/dev/kysely.ts";
import { pgTest } from "../support/server/postgres.ts";

pgTest(
  "the program applies, redoes and rolls back BattleScope's own migrations",
  async (db) => {
    const env = { DATABASE_URL: db.url };
    const lastLine = async (command: string) => {
      const { code, stdout, stderr } = await runMigrate(command.split(" "), {
        env,
      });
      assertEquals(code, 0, stderr);
      return stdout.split("\n").at(-2)?.replace(/ in [\d.]+ m?s$/, "");
    };
    const count = battlescope.length;
    assertEquals(await lastLine("up"), `Applied ${count} migrations`);
    assertEquals(
      await db.query(
        "select name, checksum from migration_history order by id",
      ),
      battlescope.map(({ name, checksum }) => ({ name, checksum })),
    );
    assertEquals(
      await lastLine("status --check"),
      `${count} applied, 0 pending`,
    );
    assertEquals(
      await lastLine("redo --yes"),
      "Rolled back 1 migration and applied 1 again",
    );
    assertEquals(
      await lastLine("down --all --yes"),
      `Rolled back ${count} migrations`,
    );
    assertEquals(
      await lastLine("up --transaction each"),
      `Applied ${count} migrations`,
    );
  },
);
