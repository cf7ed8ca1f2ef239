// deno-lint-ignore-file no-console -- a script for the terminal
/**
 * The program in a source checkout: `deno task migrate [command] [options]`.
 *
 * Reads `.env`, and starts an embedded PostgreSQL when no database is configured; the rest is `src/main.ts`.
 *
 * @module
 */
import { parseArguments } from "../src/cli.ts";
import { isDatabaseConfigured } from "../src/target.ts";
import { mergeEnv, parseEnvFile } from "./env_file.ts";
import {
  DATA_FOLDER,
  LOCAL_VERSION,
  useLocalDatabase,
} from "./local_database.ts";
import { createMigration } from "./new.ts";
import { MIGRATIONS_FOLDER, staleRegistry } from "./registry.ts";
import { watchSignals } from "./signals.ts";

/** Nothing connects to it. */
const NOWHERE = "postgres://nobody@localhost/nowhere";

async function run(args: string[]): Promise<number> {
  const { command, settings, faults } = parseArguments(args);
  const valid = command !== undefined && faults.length === 0;
  if (valid && command.kind === "new") {
    console.log(await createMigration(command.name));
    return 0;
  }
  const env = mergeEnv(Deno.env.toObject(), await readEnvFile());
  const works = valid && command.kind !== "help" && command.kind !== "version";
  if (works) await refuseStaleRegistry();
  // Not a static import: a stale registry may name files that are gone.
  const program = await import("../src/main.ts");
  if (isDatabaseConfigured(settings, env)) return await program.main(args, env);
  if (!works) {
    // Here no database is needed to name what is wrong with the arguments, and its absence is no fault.
    return await program.main(args, { ...env, DATABASE_URL: NOWHERE });
  }
  if (settings.quiet === undefined) {
    console.error(
      `No database configured: using the embedded PostgreSQL ${LOCAL_VERSION} in .data ` +
        "(set DATABASE_URL to use another)",
    );
  }
  return await withLocalDatabase((url) =>
    program.main(args, { ...env, DATABASE_URL: url })
  );
}

async function refuseStaleRegistry(): Promise<void> {
  const differences = await staleRegistry(MIGRATIONS_FOLDER);
  if (differences.length === 0) return;
  throw new Error(
    `Cannot run with a stale registry:\n  ${differences.join("\n  ")}\n` +
      'Run "deno task registry" first',
  );
}

/** Brackets the run: a signal ends the run, and only then the server. */
async function withLocalDatabase(
  use: (url: string) => Promise<number>,
): Promise<number> {
  using signals = watchSignals("SIGINT", "SIGTERM");
  const database = await useLocalDatabase(DATA_FOLDER, console.error);
  try {
    // One that came while the server was starting leaves nothing to run.
    return signals.code ?? await use(database.url);
  } finally {
    await database.release();
  }
}

async function readEnvFile(): Promise<Record<string, string>> {
  try {
    const url = new URL("../.env", import.meta.url);
    return parseEnvFile(await Deno.readTextFile(url));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return {};
    throw error;
  }
}

async function main(args: string[]): Promise<number> {
  try {
    return await run(args);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return error instanceof SyntaxError ? 2 : 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
