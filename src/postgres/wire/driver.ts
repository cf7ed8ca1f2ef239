/**
 * postgres.js on a session that is open: its options.
 *
 * Loaded when there is something to run. It shares no module with the rest of the program: what is loaded at the start
 * stays one file.
 *
 * @module
 */
import process from "node:process";
import postgres from "postgres";
import type { Target } from "../../cli/target.ts";
import type { DriverSocket } from "./driver_socket.ts";

import { IS_DENO_2_4, silenceDeprecations } from "./runtime.ts";

export { StatementRunner } from "./statement_runner.ts";

/** The driver obeys this one whatever its options say, and would refuse a server, or loop, for it. */
const OBEYED = "PGTARGETSESSIONATTRS";

/** The driver on one session that is open. It gets the socket once: it cannot connect again behind our back. */
export function openDriver(
  socket: DriverSocket,
  target: Pick<Target, "user" | "database">,
): postgres.Sql {
  if (IS_DENO_2_4) {
    silenceDeprecations();
    mendRuntime();
  }
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

/**
 * Deno 2.4's `setImmediate` is a timer of more than a millisecond, and the driver waits for one before nearly everything
 * it sends. The end of the running task will do, a hundred times in a row: then timers, the network and signals get their
 * turn, for which somebody may be waiting.
 */
function mendRuntime(): void {
  const { clearImmediate, setImmediate } = globalThis;
  let ticks = 0;
  class Tick {
    cleared = false;
  }
  Object.assign(globalThis, {
    setImmediate: (
      call: (...args: unknown[]) => void,
      ...args: unknown[]
    ): Tick | ReturnType<typeof setImmediate> => {
      if (ticks === 0) setImmediate(() => ticks = 0);
      if (++ticks > MOST_TICKS) return setImmediate(call, ...args);
      const tick = new Tick();
      process.nextTick(() => tick.cleared || call(...args));
      return tick;
    },
    clearImmediate: (one: Tick | Parameters<typeof clearImmediate>[0]) => {
      if (one instanceof Tick) one.cleared = true;
      else clearImmediate(one);
    },
  });
}

/** How many ends of tasks may follow each other before anything else gets its turn. */
const MOST_TICKS = 100;
