// deno-lint-ignore-file no-console -- a process of its own: its output is its answer
/**
 * A PostgreSQL server in the network namespace of this process: prints its connection string, and stops on SIGTERM.
 *
 * @module
 */
import { startServer } from "../../../scripts/dev/embedded_postgres.ts";

const stop = Promise.withResolvers<void>();
Deno.addSignalListener("SIGTERM", () => stop.resolve());
const server = await startServer({
  version: 18,
  folder: Deno.args[0]!,
  settings: { fsync: "off" },
});
console.log(`ready ${server.url()}`);
await stop.promise;
await server.stop();
Deno.exit(0);
