/**
 * The migrations of another Kysely project: the program makes of them what Kysely's own migrator makes of them.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { Kysely, PostgresDialect } from "kysely";
import { FileMigrationProvider, Migrator } from "kysely/migration";
import { promises as fs } from "node:fs";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import pg from "pg";
import Cursor from "pg-cursor";
import { readCatalog } from "../support/server/catalog.ts";
import { runMigrate } from "../support/program/cli.ts";
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

async function readSources(): Promise<Record<string, string>> {
  const sources: Record<string, string> = {};
  for await (const { name } of Deno.readDir(FOLDER)) {
    sources[name] = await Deno.readTextFile(new URL(name, FOLDER));
  }
  return sources;
}

/** Applies everything, or rolls the last migration back, as Kysely's documentation says: its own files and dialect, and `pg`. */
async function migrateWithKysely(
  url: string,
  direction: "up" | "down",
): Promise<void> {
  const pool = new pg.Pool({ connectionString: url, max: 1 });
  const db = new Kysely<unknown>({
    dialect: new PostgresDialect({ pool, cursor: Cursor }),
  });
  try {
    const provider = new FileMigrationProvider({
      fs,
      path,
      migrationFolder: fileURLToPath(FOLDER),
      import: (file: string) => import(pathToFileURL(file).href),
    });
    const migrator = new Migrator({ db, provider });
    const { error, results = [] } = direction === "up"
      ? await migrator.migrateToLatest()
      : await migrator.migrateDown();
    if (error) throw error;
    assertEquals(results.length, direction === "up" ? 8 : 1);
  } finally {
    await db.destroy();
  }
}
