// deno-lint-ignore-file no-console -- a script for the terminal
/**
 * Throws the embedded database of this checkout away and builds it anew: `deno task reset [--yes]`. No other database is
 * touched, whatever is configured.
 *
 * @module
 */
import { join } from "node:path";
import { DATA_FOLDER, LOCAL_VERSION } from "./local_database.ts";
import {
  readEnvironment,
  refuseStaleRegistry,
  runLocally,
} from "./local_run.ts";

/** What would lead the program to another database. */
const OF_A_DATABASE = /^(?:DATABASE_URL|POSTGRES_)/;

async function main(args: readonly string[]): Promise<number> {
  const unknown = args.find((argument) => argument !== "--yes");
  if (unknown !== undefined) {
    console.error(`Unknown argument "${unknown}" (known: --yes)`);
    return 2;
  }
  try {
    // Before anything is lost: without a registry nothing could be built.
    await refuseStaleRegistry();
    const env = Object.entries(await readEnvironment())
      .filter(([name]) => !OF_A_DATABASE.test(name));
    if (!args.includes("--yes")) {
      if (!Deno.stdin.isTerminal()) {
        console.error(
          "The command reset throws data away: pass --yes where there is no terminal",
        );
        return 2;
      }
      const folder = join(DATA_FOLDER, `${LOCAL_VERSION}`);
      if (!confirm(`Throw away all data of the database in ${folder}?`)) {
        console.error("Cannot go on without a yes: nothing was changed");
        return 1;
      }
    }
    return await runLocally(["up"], Object.fromEntries(env), { anew: true });
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
