/** "Bring your folder" of the README, followed as written with the folder of another Kysely project. */
import { assertEquals } from "@std/assert";
import { CamelCasePlugin, Kysely, PostgresDialect } from "kysely";
import { FileMigrationProvider, Migrator } from "kysely/migration";
import { promises as fs } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import pg from "pg";
import { readCatalog } from "../support/server/catalog.ts";
import { type Checkout, withCheckout } from "../support/program/checkout.ts";
import {
  blocksOf,
  CHECKOUT,
  readDocument,
} from "../support/program/documents.ts";
import { writeMigrations } from "../support/program/project.ts";
import { pgTest } from "../support/server/postgres.ts";

/** As it is found: types that nobody formats, imports that nobody uses, a package's name written in full. */
const FOLDER = {
  "2024-01-08T22:07:51.294Z users' table.ts":
    `import { Kysely, sql } from 'kysely'
import { timestamps } from './lib/timestamps.ts'

export async function up(db: Kysely<any>): Promise<void> {
  await timestamps(db.schema.createTable('userAccounts')
    .addColumn('userId', 'serial', (col) => col.primaryKey())
    .addColumn('fullName', 'text')).execute()
}

export async function down(db: Kysely<any>) {
  await db.schema.dropTable('userAccounts').execute()
}
`,
  "_20240109_seed.mts": `import type { Kysely } from 'kysely'
export const up = async (db: Kysely<any>) => {
  const { userId } = await db.insertInto('userAccounts')
    .values({ fullName: process.env.APP_ROLE ?? 'nobody' }).returning('userId').executeTakeFirstOrThrow()
  await db.updateTable('userAccounts').set({ fullName: 'x' + userId }).where('userId', '>', userId).execute()
}
`,
  "_20240110_añadir.js": `export default {
  async up(db) { await db.schema.alterTable('userAccounts').addColumn('isNew', 'boolean').execute() },
}
`,
  "lib/timestamps.ts": `import { type CreateTableBuilder, sql } from 'kysely'
export const timestamps = (table: CreateTableBuilder<any, any>) =>
  table.addColumn('createdAt', 'timestamptz', (col) => col.notNull().defaultTo(sql\`'2024-01-01'\`))
`,
};

const without = [
  "migration_history",
  "kysely_migration",
  "kysely_migration_lock",
];

pgTest(
  "README.md: Bring your folder, followed with the folder of another project",
  async (db) => {
    const other = await db.createDatabase();
    const env = { DATABASE_URL: db.url, APP_ROLE: "it's me" };
    const blocks = blocksOf(await readDocument("README.md"))
      .filter(({ heading }) => heading === "Bring your folder");
    assertEquals(blocks.map(({ language }) => language), ["ts", "sh", "sh"]);
    const [setup, copy, takeOver] = blocks.map(({ text }) => text);
    await withCheckout(async (checkout) => {
      const { folder } = checkout;
      const project = path.join(path.dirname(folder), "your-project");
      await writeMigrations(path.join(project, "migrations"), FOLDER);
      // It imports as it does in its own project.
      await fs.cp(`${folder}/deno.json`, `${project}/deno.json`);

      await Deno.writeTextFile(`${folder}/migrations/setup.ts`, setup!);
      const registry = await runShell(checkout, copy!, env);
      assertEquals([registry.code, registry.stdout], [0, ""], registry.stderr);

      Deno.env.set("APP_ROLE", env.APP_ROLE);
      await migrateWithKysely(db.url, project, 2);
      await migrateWithKysely(other.url, project, 3);
      const refused = await runShell(checkout, "deno task migrate up", env);
      assertEquals([refused.code, refused.stdout], [1, ""]);
      const { code, stdout, stderr } = await runShell(checkout, takeOver!, env);
      assertEquals(code, 0, stderr);
      assertEquals(
        stdout.split("\n").filter((line) => /^(?:Recorded|Applied)/.test(line))
          .map((line) => line.replace(/ (?:\(|in ).*/, "")),
        [
          "Recorded 2024-01-08T22:07:51.294Z users' table",
          "Recorded _20240109_seed",
          "Recorded 2 migrations",
          "Applied _20240110_añadir",
          "Applied 1 migration",
        ],
      );
      assertEquals(
        await readCatalog(db.url, { without }),
        await readCatalog(other.url, { without }),
      );

      await leaveForm(folder);
      await fs.cp(`${CHECKOUT}CONTRIBUTING.md`, `${folder}/CONTRIBUTING.md`);
      const gate =
        "deno fmt --check src migrations deno.json && deno lint && " +
        "deno check && deno task layers && deno task registry --check";
      const checked = await runShell(checkout, gate, {});
      assertEquals(checked.code, 0, checked.stderr);
    });
  },
  { versions: [18] },
);

async function runShell(
  { start }: Checkout,
  script: string,
  env: Readonly<Record<string, string>>,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const variables = Object.entries(env).map(([name, value]) =>
    `${name}=${value}`
  );
  return await start("env", [...variables, "sh", "-e", "-c", script]).result;
}

/** What the README says of those who leave the form of migrations alone. */
async function leaveForm(folder: string): Promise<void> {
  const file = `${folder}/deno.json`;
  const config = JSON.parse(await Deno.readTextFile(file));
  const exclude = ["migrations/"];
  config.lint.exclude = exclude;
  config.fmt = { exclude };
  await Deno.writeTextFile(file, `${JSON.stringify(config, null, 2)}\n`);
}

/** Applies the first migrations as the project does. */
async function migrateWithKysely(
  url: string,
  project: string,
  count: number,
): Promise<void> {
  const pool = new pg.Pool({ connectionString: url, max: 1 });
  const db = new Kysely<unknown>({
    dialect: new PostgresDialect({ pool }),
    plugins: [new CamelCasePlugin()],
  });
  try {
    const provider = new FileMigrationProvider({
      fs,
      path,
      migrationFolder: path.join(project, "migrations"),
      import: (file: string) => import(pathToFileURL(file).href),
    });
    const migrator = new Migrator({ db, provider });
    for (let i = 0; i < count; i++) {
      const { error } = await migrator.migrateUp();
      if (error) throw error;
    }
  } finally {
    await db.destroy();
  }
}
