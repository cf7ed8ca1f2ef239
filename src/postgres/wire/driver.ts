/**
 * postgres.js on a socket of ours: its options and its errors.
 *
 * Loaded when there is something to run. It shares no module with the rest of the program: what is loaded at the start
 * stays one file.
 *
 * @module
 */
import process from "node:process";
import postgres from "postgres";
import type { Target } from "../../cli/target.ts";
import type { ServerMessage } from "../../errors.ts";
import type { Socket } from "./socket.ts";

export { StatementRunner } from "./statement_runner.ts";

export interface DriverOptions {
  readonly target: Target;
  readonly onNotice: (severity: string, message: string) => void;
}

/** The driver on one connected socket. It gets the socket once: it cannot connect again behind our back. */
export function openDriver(
  socket: Socket,
  options: DriverOptions,
): postgres.Sql {
  const { target, onNotice } = options;
  let given = false;
  // The driver obeys this one whatever its options say, and would refuse a server, or loop, for it.
  Deno.env.delete("PGTARGETSESSIONATTRS");
  // Every option is given: what is missing the driver would look up in the environment.
  return postgres({
    socket: () => {
      if (given) {
        throw Object.assign(new Error("the server closed it"), {
          code: CLOSED,
        });
      }
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
    onnotice: (notice: postgres.Notice) =>
      onNotice(notice.severity ?? "NOTICE", notice.message ?? ""),
  } as unknown as postgres.Options<Record<string, postgres.PostgresType>>);
}

/** What the server said, if this is an error of the server's; `statement` is what it is about. */
export function serverError(
  error: unknown,
  statement: string | undefined,
): ServerMessage | undefined {
  if (!(error instanceof postgres.PostgresError)) return undefined;
  const { code, severity, message, detail, hint, where, position } = error;
  const { schema_name, table_name, constraint_name } = error;
  return {
    code,
    severity: severity ?? "ERROR",
    message,
    ...(detail !== undefined && { detail }),
    ...(hint !== undefined && { hint }),
    ...(where !== undefined && { where }),
    ...(schema_name !== undefined && { schema: schema_name }),
    ...(table_name !== undefined && { table: table_name }),
    ...(constraint_name !== undefined && { constraint: constraint_name }),
    ...(statement !== undefined && { statement }),
    ...(statement !== undefined && position !== undefined &&
      { position: Number(position) }),
  };
}

/** Whether it is the driver's way of saying that the connection is gone. */
export function isLoss(error: unknown): error is Error {
  const code = (error as { code?: unknown })?.code;
  return typeof code === "string" && LOSSES.includes(code);
}

/**
 * Deno 2.4's `setImmediate` is a timer of more than a millisecond, and the driver waits for one before nearly everything
 * it sends. The end of the running task will do, a hundred times in a row: then timers, the network and signals get their
 * turn, for which somebody may be waiting.
 */
export function mendRuntime(): void {
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

const CLOSED = "CONNECTION_CLOSED";

const LOSSES: readonly string[] = [
  CLOSED,
  "CONNECTION_DESTROYED",
  "CONNECTION_ENDED",
  "ECONNRESET",
  "EPIPE",
];
