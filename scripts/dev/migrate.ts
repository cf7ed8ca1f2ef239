// deno-lint-ignore-file no-console -- a script for the terminal
/**
 * The program in a source checkout: `deno task migrate [command] [options]`.
 *
 * Reads `.env`, and starts an embedded PostgreSQL when no database is configured; the rest is `src/main.ts`.
 *
 * @module
 */
import { parseArguments } from "../../src/cli/command.ts";
import { LOCAL_COMMANDS } from "../../src/cli/arguments.ts";
import { isDatabaseConfigured } from "../../src/cli/variables.ts";
import { LOCAL_VERSION } from "./local_database.ts";
import {
  readEnvironment,
  refuseStaleRegistry,
  runLocally,
} from "./local_run.ts";
import { createMigration } from "../build/new.ts";

/** Nothing connects to it. */
const NOWHERE = "postgres://nobody@localhost/nowhere";

async function run(args: string[]): Promise<number> {
  const { command, settings, faults } = parseArguments(args);
  const valid = command !== undefined && faults.length === 0;
  if (valid && command.kind === "new") {
    console.log(await createMigration(command.name));
    return 0;
  }
  const env = await readEnvironment();
  const works = valid && !LOCAL_COMMANDS.includes(command.kind);
  if (works) await refuseStaleRegistry();
  const isConfigured = isDatabaseConfigured(settings, env);
  if (isConfigured || !works) {
    // Not a static import: a stale registry may name files that are gone.
    const { main } = await import("../../src/main.ts");
    // Where nothing works no database is needed to name what is wrong with the arguments, and its absence is no fault.
    return await main(
      args,
      isConfigured ? env : { ...env, DATABASE_URL: NOWHERE },
    );
  }
  if (settings.quiet === undefined) {
    console.error(
      `No database configured: using the embedded PostgreSQL ${LOCAL_VERSION} in .data ` +
        "(set DATABASE_URL to use another)",
    );
  }
  return await runLocally(args, env);
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
