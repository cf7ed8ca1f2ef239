// deno-lint-ignore-file no-console -- for scripts of the terminal
/**
 * The program in a source checkout, on the embedded database.
 *
 * @module
 */
import postgres from "postgres";
import type { Environment } from "../../src/cli/environment.ts";
import { taskCommand } from "../build/deno_command.ts";
import { mergeEnv, parseEnvFile } from "./env_file.ts";
import {
  DATA_FOLDER,
  type LocalOptions,
  useLocalDatabase,
} from "./local_database.ts";
import {
  listFolder,
  MIGRATIONS_FOLDER,
  staleRegistry,
} from "../build/registry.ts";
import { watchSignals } from "./signals.ts";

/** The environment, and what `.env` adds to it. @throws {SyntaxError} */
export async function readEnvironment(): Promise<Environment> {
  return mergeEnv(Deno.env.toObject(), await readEnvFile());
}

/** @throws {Error} saying what is stale */
export async function refuseStaleRegistry(): Promise<void> {
  const differences = await staleRegistry(MIGRATIONS_FOLDER);
  if (differences.length === 0) return;
  throw new Error(
    `Cannot run with a stale registry:\n  ${differences.join("\n  ")}\n` +
      `Run "${taskCommand("registry")}" first`,
  );
}

/** Runs the program on the embedded database and returns its exit code: a signal ends the run, and only then the server. */
export async function runLocally(
  args: readonly string[],
  env: Environment,
  options: LocalOptions = {},
): Promise<number> {
  using signals = watchSignals("SIGINT", "SIGTERM");
  const database = await useLocalDatabase(DATA_FOLDER, console.error, options);
  try {
    // One that came while the server was starting leaves nothing to run.
    if (signals.code !== undefined) return signals.code;
    // Not a static import: a stale registry may name files that are gone.
    const { main } = await import("../../src/main.ts");
    const code = await main(args, { ...env, DATABASE_URL: database.url });
    if (code === 1 && await hasEditedMigration(database.url)) {
      console.error(
        "This is the embedded database, whose data nobody else has: " +
          `"${
            taskCommand("reset")
          }" throws it away and builds it anew with the edited migration`,
      );
    }
    return code;
  } finally {
    await database.release();
  }
}

/** Whether a migration was applied with another source than it has now. */
async function hasEditedMigration(url: string): Promise<boolean> {
  const migrations = await listFolder(MIGRATIONS_FOLDER);
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    const [table] =
      await sql`select to_regclass('migration_history') is not null as found`;
    if (!table!.found) return false;
    const rows = await sql<{ name: string; checksum: string }[]>`
      select name, checksum from migration_history
      where status in ('applied', 'baseline')`;
    return rows.some(({ name, checksum }) =>
      migrations.some((one) => one.name === name && one.checksum !== checksum)
    );
  } finally {
    await sql.end();
  }
}

async function readEnvFile(): Promise<Record<string, string>> {
  try {
    const url = new URL("../../.env", import.meta.url);
    return parseEnvFile(await Deno.readTextFile(url));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return {};
    throw error;
  }
}
