/**
 * postgres.js on a socket of ours: its options, its errors, its types.
 *
 * @module
 */
import process from "node:process";
import postgres from "postgres";
import type { Conversions } from "./array_type.ts";
import type { Target } from "./target.ts";
import { ConnectionLostError, DatabaseError } from "./errors.ts";
import type { Socket } from "./socket.ts";
import { IS_DENO_2_4 } from "./tls.ts";

/** A row of a result. */
export type Row = Readonly<Record<string, unknown>>;

/** The rows of one statement, with its command tag. */
export type Rows = readonly Row[] & {
  readonly command?: string | null;
  readonly count?: number | null;
};

/** Which backend the driver talks to, and the key that cancels what it does. */
export interface Backend {
  readonly pid: number;
  readonly secret: number;
}

export interface DriverOptions {
  readonly target: Target;
  readonly applicationName: string;
  readonly onNotice: (severity: string, message: string) => void;
  readonly onClose: () => void;
}

/** The driver on one connected socket. It gets the socket once: it cannot connect again behind our back. */
export function openDriver(
  socket: Socket,
  options: DriverOptions,
): postgres.Sql {
  const { target, applicationName, onNotice, onClose } = options;
  let given = false;
  // The driver obeys this one whatever its options say, and would refuse a server, or loop, for it.
  Deno.env.delete("PGTARGETSESSIONATTRS");
  // Every option is given: what is missing the driver would look up in the environment.
  return postgres({
    socket: () => {
      if (given) throw new ConnectionLostError("the server closed it");
      given = true;
      return socket;
    },
    host: ["connected"], // it must not see a list of hosts that it could walk
    port: [0],
    user: target.user,
    pass: () => target.password ?? "",
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
    fetch_types: false, // see array_type.ts
    publications: "alltables",
    no_subscribe: true,
    target_session_attrs: null,
    connection: {
      application_name: target.applicationName ?? applicationName,
      ...(target.options !== undefined && { options: target.options }),
    },
    onnotice: (notice: postgres.Notice) =>
      onNotice(notice.severity ?? "NOTICE", notice.message ?? ""),
    onclose: onClose,
  } as unknown as postgres.Options<Record<string, postgres.PostgresType>>);
}

/** The driver's tables of conversions; what is added holds for the queries that follow. */
export function conversionsOf(sql: postgres.Sql): Conversions {
  return sql.options as unknown as Conversions;
}

/** Turns an error of the driver into one of ours: {@link DatabaseError}, {@link ConnectionLostError}, or itself. */
export function fromDriver(error: unknown, statement?: string): unknown {
  if (error instanceof postgres.PostgresError) {
    return databaseError(error, statement);
  }
  const code = (error as { code?: unknown })?.code;
  return typeof code === "string" && LOSSES.includes(code)
    ? new ConnectionLostError((error as Error).message, { cause: error })
    : error;
}

/** Whether the server has ended the session with this error. */
export function endsSession(error: DatabaseError): boolean {
  return error.server.severity === "FATAL" || error.server.severity === "PANIC";
}

/**
 * The error with which the server ended the session, if `data`, the last that came from it, holds one. The messages are
 * those of https://www.postgresql.org/docs/current/protocol-message-formats.html.
 */
export function lastFatal(data: Uint8Array): DatabaseError | undefined {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  for (let at = 0; at + 5 <= data.length;) {
    const end = at + 1 + view.getUint32(at + 1);
    if (end > data.length || end < at + 5) return undefined; // not the beginning of a message
    if (data[at] === 0x45) { // ErrorResponse
      const fields = new TextDecoder().decode(data.subarray(at + 5, end)).split(
        "\0",
      );
      const field = (letter: string) =>
        fields.find((text) => text.startsWith(letter))?.slice(1);
      const severity = field("V") ?? field("S") ?? "";
      const error = new DatabaseError({
        code: field("C") ?? "",
        severity,
        message: field("M") ?? "",
      });
      if (endsSession(error)) return error;
    }
    at = end;
  }
  return undefined;
}

/** The backend that gave a result. */
export function backendOf(result: unknown): Backend | undefined {
  const one = Array.isArray(result) && Array.isArray(result[0])
    ? result[0]
    : result;
  const state = (one as { state?: Partial<Backend> } | undefined)?.state;
  return typeof state?.pid === "number" && typeof state.secret === "number"
    ? { pid: state.pid, secret: state.secret }
    : undefined;
}

/**
 * Deno 2.4's `setImmediate` is a timer of more than a millisecond, and the driver's function `nextWrite` waits for one
 * before nearly everything it sends. The end of the running task will do. Its log-in uses what this Deno calls deprecated.
 */
function mendRuntime(): void {
  Object.assign(process, { noDeprecation: true });
  const { setImmediate, clearImmediate } = globalThis;
  type Immediate = ReturnType<typeof setImmediate>;
  class Tick {
    cleared = false;
  }
  Object.assign(globalThis, {
    setImmediate: (
      call: (...args: unknown[]) => void,
      ...args: unknown[]
    ): Immediate | Tick => {
      if (call.name !== "nextWrite") return setImmediate(call, ...args);
      const tick = new Tick();
      process.nextTick(() => tick.cleared || call());
      return tick;
    },
    clearImmediate: (one: Immediate | Tick | null) => {
      if (one instanceof Tick) one.cleared = true;
      else if (one !== null) clearImmediate(one);
    },
  });
}

if (IS_DENO_2_4) mendRuntime();

const LOSSES: readonly string[] = [
  "CONNECTION_CLOSED",
  "CONNECTION_DESTROYED",
  "CONNECTION_ENDED",
  "ECONNRESET",
  "EPIPE",
];

function databaseError(
  error: postgres.PostgresError,
  statement: string | undefined,
): DatabaseError {
  const { code, severity, message, detail, hint, where, position } = error;
  return new DatabaseError({
    code,
    severity: severity ?? "ERROR",
    message,
    ...(detail !== undefined && { detail }),
    ...(hint !== undefined && { hint }),
    ...(where !== undefined && { where }),
    ...(statement !== undefined && { statement }),
    ...(statement !== undefined && position !== undefined &&
      { position: Number(position) }),
  });
}
