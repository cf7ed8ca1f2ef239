// deno-lint-ignore-file no-console -- a script for the terminal
/**
 * Creates a migration file: `deno task new NAME`.
 *
 * @module
 */
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { compareNames } from "../../src/plan/migration.ts";
import { MIGRATIONS_FOLDER, writeRegistry } from "./registry.ts";
import { migrationName } from "./migration_files.ts";

export interface CreateMigrationOptions {
  /** @default {MIGRATIONS_FOLDER} */
  readonly folder?: URL;
  /** @default {new Date()} */
  readonly now?: Date;
}

/** It is to be read in a table. */
const LONGEST = 200;

const TEMPLATE = `\
import { type Kysely, sql } from "kysely";

// To run outside a transaction, as "create index concurrently" must:
// export const options = { transaction: false };

// deno-lint-ignore no-explicit-any -- a migration is frozen in time: it must not depend on today's table types
export async function up(db: Kysely<any>): Promise<void> {
  // The schema builder, db.schema.createTable("…"), or SQL:
  await sql\`select 1\`.execute(db);
}

// deno-lint-ignore no-explicit-any -- see up
export async function down(db: Kysely<any>): Promise<void> {
  // Undo exactly what up does; without a down function the migration cannot be rolled back.
  await sql\`select 1\`.execute(db);
}
`;

/** Creates a migration, registers it and returns the path of its file. Never overwrites a file. */
export async function createMigration(
  name: string,
  options: CreateMigrationOptions = {},
): Promise<string> {
  const { folder = MIGRATIONS_FOLDER, now = new Date() } = options;
  const path = await createFile(name, folder, now);
  try {
    await writeRegistry(folder);
  } catch (error) {
    throw new Error(
      `Created "${path}", but cannot update the registry: ${messageOf(error)}`,
      { cause: error },
    );
  }
  return path;
}

/**
 * The name of a new migration: a timestamp that no other has and that is later than all of them, then the words in
 * snake_case.
 *
 * @throws {TypeError} when nothing legal is left of the words.
 * @throws {RangeError} when no timestamp sorts after the existing names, or the name gets too long.
 */
export function nextMigrationName(
  words: string,
  existing: readonly string[],
  now: Date,
): string {
  const slug = snakeCase(words);
  if (slug === "") {
    throw new TypeError(
      `Cannot name a migration ${
        JSON.stringify(words)
      }: it has no letter or digit of the ASCII alphabet`,
    );
  }
  const newest = existing.flatMap(timestampOf).toSorted(compareNames).at(-1);
  const timestamp = newest !== undefined && formatTimestamp(now) <= newest
    ? formatTimestamp(secondAfter(newest))
    : formatTimestamp(now);
  const name = `${timestamp}_${slug}`;
  if (name.length > LONGEST) {
    throw new RangeError(
      `Cannot name a migration "${name}": it is longer than ${LONGEST} characters`,
    );
  }
  const last = existing.toSorted(compareNames).at(-1);
  if (last !== undefined && compareNames(name, last) <= 0) {
    throw new RangeError(
      `Cannot name a migration "${name}": "${last}" sorts after it, so it would be out of order; create the file by hand, under a name that sorts last`,
    );
  }
  return name;
}

/** "Add battle tags", "addBattleTags" and "add-battle-tags" → `add_battle_tags`. */
export function snakeCase(words: string): string {
  return words
    .replace(/\.ts$/, "")
    .normalize("NFKD")
    .replace(/\p{Mark}/gu, "")
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
    .replace(/([A-Z])([A-Z][a-z])/g, "$1_$2")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "_")
    .replace(/^_|_$/g, "");
}

/** Why a file could not be made or a folder not be read, in words. */
export function reasonOf(error: unknown): string {
  const readOnly = error instanceof Deno.errors.PermissionDenied ||
    (error instanceof Error && "code" in error && error.code === "EROFS");
  if (readOnly) return "this user may not write to it, or it is read-only";
  if (error instanceof Deno.errors.NotFound) return "it does not exist";
  return messageOf(error);
}

async function createFile(
  words: string,
  folder: URL,
  now: Date,
): Promise<string> {
  while (true) {
    const name = nextMigrationName(words, await listNames(folder), now);
    const url = new URL(`${name}.ts`, folder);
    try {
      await Deno.writeTextFile(url, TEMPLATE, { createNew: true });
      return relative(Deno.cwd(), fileURLToPath(url));
    } catch (error) {
      // Another process took the name after the folder was listed: list again, so that the timestamp moves on.
      if (error instanceof Deno.errors.AlreadyExists) continue;
      throw new Error(
        `Cannot create the migration "${name}" in "${fileURLToPath(folder)}": ${
          reasonOf(error)
        }`,
        { cause: error },
      );
    }
  }
}

async function listNames(folder: URL): Promise<string[]> {
  try {
    const entries = await Array.fromAsync(Deno.readDir(folder));
    return entries.flatMap(({ name }) => migrationName(name) ?? []);
  } catch (error) {
    throw new Error(
      `Cannot read the folder "${fileURLToPath(folder)}": ${reasonOf(error)}`,
      { cause: error },
    );
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function timestampOf(name: string): string[] {
  return /^\d{14}(?!\d)/.exec(name) ?? [];
}

function formatTimestamp(date: Date): string {
  return date.toISOString().replace(/\D/g, "").slice(0, 14);
}

function secondAfter(timestamp: string): Date {
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = [
    [0, 4],
    [4, 6],
    [6, 8],
    [8, 10],
    [10, 12],
    [12, 14],
  ]
    .map(([from, to]) => Number(timestamp.slice(from, to)));
  return new Date(Date.UTC(year, month - 1, day, hour, minute, second + 1));
}

async function main(args: readonly string[]): Promise<number> {
  const [name] = args;
  if (name === undefined || args.length > 1 || name.startsWith("-")) {
    console.error(
      `Usage: deno task new NAME, for example: deno task new "add battle tags"`,
    );
    return 2;
  }
  try {
    console.log(await createMigration(name));
    return 0;
  } catch (error) {
    console.error(messageOf(error));
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
