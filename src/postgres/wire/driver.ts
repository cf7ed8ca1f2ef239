/**
 * postgres.js on a session that is open: its options.
 *
 * Loaded when there is something to run. It shares no module with the rest of the program: what is loaded at the start
 * stays one file.
 *
 * @module
 */
import postgres from "postgres";
import type { Target } from "../../cli/target.ts";
import type { DriverSocket } from "./driver_socket.ts";
import { mendRuntime } from "./runtime_of_driver.ts";

export { StatementRunner } from "./statement_runner.ts";

/** The driver obeys this one whatever its options say, and would refuse a server, or loop, for it. */
const OBEYED = "PGTARGETSESSIONATTRS";

/** The driver on one session that is open. It gets the socket once: it cannot connect again behind our back. */
export function openDriver(
  socket: DriverSocket,
  target: Pick<Target, "user" | "database">,
): postgres.Sql {
  mendRuntime();
  const attributes = Deno.env.get(OBEYED);
  if (attributes === undefined) return open(socket, target);
  Deno.env.delete(OBEYED);
  try {
    return open(socket, target);
  } finally {
    Deno.env.set(OBEYED, attributes);
  }
}

function open(
  socket: DriverSocket,
  target: Pick<Target, "user" | "database">,
): postgres.Sql {
  let given = false;
  // Every option is given: what is missing the driver would look up in the environment.
  return postgres({
    socket: () => {
      if (given) throw new Error("there is one session");
      given = true;
      return socket;
    },
    host: ["connected"], // it must not see a list of hosts that it could walk
    port: [0],
    user: target.user,
    pass: () => "", // the log-in is over
    database: target.database,
    ssl: false, // the socket is encrypted already
    sslnegotiation: null,
    max: 1,
    max_lifetime: null,
    idle_timeout: null,
    connect_timeout: 0, // the deadline is ours
    max_pipeline: 10_000,
    backoff: () => 0,
    keep_alive: 0,
    // Behind a transaction pooler a prepared statement belongs to somebody else's backend.
    prepare: false,
    debug: false,
    fetch_types: false, // see statement_runner.ts
    publications: "alltables",
    no_subscribe: true,
    target_session_attrs: null,
    onnotice: () => {}, // they do not come this far
  } as unknown as postgres.Options<Record<string, postgres.PostgresType>>);
}

/** Whether this is the driver's form of an error that the server has said. */
export function isServerError(error: unknown): boolean {
  return error instanceof postgres.PostgresError;
}
