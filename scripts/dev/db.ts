// deno-lint-ignore-file no-console -- a script for the terminal
/**
 * Keeps the embedded PostgreSQL of this checkout running: `deno task db`.
 *
 * @module
 */
import { DATA_FOLDER, useLocalDatabase } from "./local_database.ts";
import { watchSignals } from "./signals.ts";

async function main(): Promise<number> {
  // Closing the terminal's window ends it too.
  using signals = watchSignals("SIGINT", "SIGTERM", "SIGHUP");
  try {
    const database = await useLocalDatabase(DATA_FOLDER, console.error);
    console.log(database.url);
    console.error("Press Ctrl-C to stop");
    // Listening for signals alone does not keep a process alive.
    const alive = setInterval(() => {}, 1 << 30);
    await signals.signalled;
    clearInterval(alive);
    await database.release();
    return 0;
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main());
