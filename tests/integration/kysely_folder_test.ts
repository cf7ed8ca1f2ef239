/**
 * The migrations of another Kysely project: the program makes of them what Kysely's own migrator makes of them.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { type MigrationProvider, Migrator } from "kysely/migration";
import { readCatalog } from "../support/server/catalog.ts";
import { runMigrate } from "../support/program/cli.ts";
import { withKysely } from "../../scripts/dev/kysely.ts";
import { pgTest } from "../support/server/postgres.ts";
import { withProject } from "../support/program/project.ts";

const FOLDER = new URL("../testdata/kysely_folder/", import.meta.url);

/** What the two migrators keep for themselves. */
const without = [
  "migration_history",
  "kysely_migration",
  "kysely_migration_lock",
];

for (const transaction of ["all", "each"]) {
  pgTest(
    `the folder of another Kysely project gives what Kysely's Migrator gives, with --transaction ${transaction}`,
    async (db) => {
      const other = await db.createDatabase();
      await migrateWithKysely(other.url, "up");
      await withProject(await readSources(), async (project) => {
        const env = { DATABASE_URL: db.url };

        const up = await runMigrate(["up", "--transaction", transaction], {
          project,
          env,
        });
        assertEquals(up.code, 0, up.stderr);
        assertEquals(
          await readCatalog(db.url, { without }),
          await readCatalog(other.url, { without }),
        );

        await migrateWithKysely(other.url, "down");
        const down = await runMigrate(["down", "--yes"], { project, env });
        assertEquals(down.code, 0, down.stderr);
        assertEquals(
          await readCatalog(db.url, { without }),
          await readCatalog(other.url, { without }),
        );
      });
    },
  );
}

pgTest("the program takes over where Kysely's Migrator stopped", async (db) => {
  const other = await db.createDatabase();
  await migrateWithKysely(other.url, "up");
  await migrateWithKysely(db.url, "up");
  await migrateWithKysely(db.url, "down");
  await withProject(await readSources(), async (project) => {
    const env = { DATABASE_URL: db.url };

    const baseline = await runMigrate(
      ["baseline", "--from-kysely", "kysely_migration"],
      { project, env },
    );
    assertEquals(baseline.code, 0, baseline.stderr);
    const up = await runMigrate(["up"], { project, env });
    assertEquals(up.code, 0, up.stderr);

    assertEquals(
      await readCatalog(db.url, { without }),
      await readCatalog(other.url, { without }),
    );
  });
});

async function listNames(): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(FOLDER)))
    .map(({ name }) => name.replace(/\.ts$/, "")).sort();
}

async function readSources(): Promise<Record<string, string>> {
  const entries = (await listNames()).map(async (name) =>
    [name, await Deno.readTextFile(new URL(`${name}.ts`, FOLDER))] as const
  );
  return Object.fromEntries(await Promise.all(entries));
}

/** Applies everything, or rolls the last migration back. */
async function migrateWithKysely(
  url: string,
  direction: "up" | "down",
): Promise<void> {
  const provider: MigrationProvider = {
    async getMigrations() {
      const modules = (await listNames()).map(async (name) =>
        [name, await import(new URL(`${name}.ts`, FOLDER).href)] as const
      );
      return Object.fromEntries(await Promise.all(modules));
    },
  };
  await withKysely(url, async (db) => {
    const migrator = new Migrator({ db, provider });
    const { error, results = [] } = direction === "up"
      ? await migrator.migrateToLatest()
      : await migrator.migrateDown();
    if (error) throw error;
    assertEquals(results.length, direction === "up" ? 7 : 1);
  });
}
