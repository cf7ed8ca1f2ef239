/**
 * The tools side by side: how each is told to apply its migrations.
 *
 * @module
 */
import { join } from "node:path";
import type { Build } from "./build.ts";
import { type Installation, PACKAGES } from "./install.ts";
import {
  kyselyFiles,
  nodePgMigrateFiles,
  sqlFiles,
  type WorkItem,
} from "./work.ts";

/** A tool, told to apply the migrations of one work. */
export interface Tool {
  readonly name: string;
  /** Of the tool and of what it runs on. */
  readonly version: string;
  command(url: string): readonly string[];
  readonly env?: (url: string) => Readonly<Record<string, string>>;
  /** It keeps no history: there is no second run. */
  readonly once?: true;
  /** It applies nothing: it only connects and asks, or does not even that. It shows what there is to gain. */
  readonly does?: "ask" | "nothing";
}

/** The program itself, against which the others are measured. */
export const OURS = "battlescope-migrate";

/** The program, in the ways in which it can be run. */
export function ourTools(
  { executable, source, folder }: Build,
  runtime: string,
): Tool[] {
  const env = (url: string) => ({ DATABASE_URL: url, HOSTNAME: "benchmark" });
  const permissions = ["--allow-net", "--allow-env", "--allow-read"];
  const run = [
    ...[Deno.execPath(), "run", "--quiet", "--no-prompt", "--cached-only"],
    ...[...permissions, `--config=${join(folder, "deno.json")}`, source],
  ];
  const compiled = `executable, Deno ${runtime}`;
  return [
    { name: OURS, version: compiled, command: () => [executable, "up"], env },
    {
      name: `${OURS} --no-pipeline`,
      version: compiled,
      command: () => [executable, "up", "--no-pipeline"],
      env,
    },
    {
      name: `${OURS}, from source`,
      version: `Deno ${Deno.version.deno}`,
      command: () => [...run, "up"],
      env,
    },
  ];
}

/** The others that are installed; their migrations are written into a new folder. */
export async function otherTools(
  installation: Installation,
  folder: string,
  items: readonly WorkItem[],
): Promise<Tool[]> {
  const { node, dbmate, sqlMigrate } = installation;
  await Deno.mkdir(folder);
  // What Node is given is modules.
  await Deno.writeTextFile(join(folder, "package.json"), '{"type":"module"}');
  const tools: Tool[] = [];
  if (node !== undefined) {
    tools.push(
      await kyselyMigrator(node, installation, join(folder, "kysely"), items),
      await nodePgMigrate(node, installation, join(folder, "node"), items),
    );
  }
  if (dbmate !== undefined) {
    const migrations = join(folder, "dbmate");
    const marks = { up: "-- migrate:up", down: "-- migrate:down" };
    await write(migrations, sqlFiles(items, marks));
    tools.push({
      name: "dbmate",
      version: `${dbmate.version}, Go`,
      command: () => [
        ...[dbmate.path, "--migrations-dir", migrations],
        ...["--no-dump-schema", "migrate"],
      ],
      env: (url) => ({ DATABASE_URL: url }),
    });
  }
  if (sqlMigrate !== undefined) {
    const migrations = join(folder, "sql-migrate");
    const marks = { up: "-- +migrate Up", down: "-- +migrate Down" };
    await write(migrations, sqlFiles(items, marks));
    const config = join(folder, "sql-migrate.yml");
    await Deno.writeTextFile(
      config,
      `bench:\n  dialect: postgres\n  datasource: \${BENCH_DSN}\n  dir: ${migrations}\n`,
    );
    tools.push({
      name: "sql-migrate",
      version: `${sqlMigrate.version}, Go`,
      command: () => [
        ...[sqlMigrate.path, "up", "-config", config, "-env", "bench"],
      ],
      env: (url) => ({ BENCH_DSN: url }),
    });
  }
  return tools.concat(await floor(installation, folder, items));
}

/** What the runtime costs without this program. */
export function bareTools(
  asking: string,
  empty: string,
  runtime: string,
): Tool[] {
  const version = `executable, Deno ${runtime}`;
  return [
    {
      name: "a Deno program that only asks",
      version,
      command: () => [asking],
      env: (url) => ({ DATABASE_URL: url }),
      does: "ask",
    },
    {
      name: "an empty Deno program",
      version,
      command: () => [empty],
      does: "nothing",
    },
  ];
}

/** The lower bound: the same SQL in one transaction, a statement at a time, with no history. */
export async function floor(
  { psql }: Installation,
  folder: string,
  items: readonly WorkItem[],
): Promise<Tool[]> {
  if (psql === undefined) return [];
  await Deno.mkdir(folder, { recursive: true });
  const file = join(folder, "all.sql");
  await Deno.writeTextFile(file, items.map(({ sql }) => `${sql}\n`).join(""));
  return [{
    name: "psql -1 -f",
    version: psql.version,
    command: (url) => [
      ...[psql.path, "--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1"],
      ...["-1", "-f", file, url],
    ],
    once: true,
  }];
}

/** What the old Node image does. */
async function kyselyMigrator(
  node: { readonly path: string; readonly version: string },
  { folder: packages }: Installation,
  folder: string,
  items: readonly WorkItem[],
): Promise<Tool> {
  await write(folder, kyselyFiles(items, "js"));
  const script = join(packages, "kysely_migrator.mjs");
  await Deno.writeTextFile(
    script,
    `import { promises as fs } from "node:fs";
import path from "node:path";
import { Kysely, PostgresDialect } from "kysely";
import { FileMigrationProvider, Migrator } from "kysely/migration";
import pg from "pg";

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 1 });
const db = new Kysely({ dialect: new PostgresDialect({ pool }) });
const provider = new FileMigrationProvider({ fs, path, migrationFolder: process.argv[2] });
const { error, results = [] } = await new Migrator({ db, provider }).migrateToLatest();
for (const { migrationName, status } of results) console.log(migrationName, status);
if (error) {
  console.error(error);
  process.exitCode = 1;
}
await db.destroy();
`,
  );
  return {
    name: "Kysely's Migrator",
    version: `${PACKAGES.kysely}, pg ${PACKAGES.pg}, Node ${node.version}`,
    command: () => [node.path, script, folder],
    env: (url) => ({ DATABASE_URL: url }),
  };
}

async function nodePgMigrate(
  node: { readonly path: string; readonly version: string },
  { folder: packages }: Installation,
  folder: string,
  items: readonly WorkItem[],
): Promise<Tool> {
  await write(folder, nodePgMigrateFiles(items));
  const script = join(
    packages,
    "node_modules/node-pg-migrate/bin/node-pg-migrate.js",
  );
  return {
    name: "node-pg-migrate",
    version: `${
      PACKAGES["node-pg-migrate"]
    }, pg ${PACKAGES.pg}, Node ${node.version}`,
    command: () => [
      ...[node.path, script, "up", "--migrations-dir", folder],
      ...["--verbose", "false"],
    ],
    env: (url) => ({ DATABASE_URL: url }),
  };
}

async function write(
  folder: string,
  files: ReadonlyMap<string, string>,
): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  for (const [name, text] of files) {
    await Deno.writeTextFile(join(folder, name), text);
  }
}
