/**
 * The guarded connection: one socket, one backend, never replaced.
 *
 * postgres.js under Kysely would reconnect in the middle of a transaction and run the rest of it in autocommit, throw
 * from a timer or never settle when the peer is gone, and report a rolled back commit as success. Here every statement
 * of a lost connection rejects, every wait ends, and the tag of a commit is checked. Related reports:
 * https://github.com/porsager/postgres/issues/1208, /1154, /1066, /751.
 *
 * @module
 */
import postgres from "postgres";
import type { Target } from "./config.ts";
import { ConnectionLostError, DatabaseError } from "./errors.ts";
import { openSocket, sendCancel, type Socket } from "./socket.ts";
import type { HostAndPort } from "./url.ts";

export type Row = Readonly<Record<string, unknown>>;

/** Rows of one statement, with its command tag. */
export type Rows = readonly Row[] & {
  readonly command?: string | null;
  readonly count?: number | null;
};

/** What an observer may see of the statements and notices of a connection. */
export interface ConnectionObserver {
  readonly onStatement?: (sql: string, durationMs: number) => void;
  readonly onNotice?: (severity: string, message: string) => void;
}

/** How long a peer has to take a request to cancel, in milliseconds. */
const CANCEL_TIMEOUT_MS = 2_000;

/** Statements that end a transaction by undoing it: on a lost connection the server has already done so. */
const ROLLBACK = /^\s*rollback\s*;?\s*$/i;
const ROLLBACK_TO = /^\s*rollback\s+to\b/i;
const COMMIT = /^\s*commit\s*;?\s*$/i;
const BEGIN = /^\s*(?:begin|start\s+transaction)\b/i;

type Query = postgres.PendingQuery<postgres.Row[]>;

export class Connection {
  readonly #at: HostAndPort;
  readonly #target: Target;
  readonly #socket: Socket;
  readonly #sql: postgres.Sql;
  readonly #observer: ConnectionObserver;
  readonly #loss = Promise.withResolvers<never>();
  #handle: postgres.ReservedSql | undefined;
  #lost: ConnectionLostError | undefined;
  #ending = false;
  #inFlight = 0;
  #backend: { pid: number; secret: number } | undefined;
  /** The first error of the open transaction: from there on the server ignores every statement of it. */
  #aborted: DatabaseError | undefined;
  /** Rejects statements of the work in flight with this reason, except the rollback. */
  #stopped: Error | undefined;

  private constructor(
    at: HostAndPort,
    target: Target,
    socket: Socket,
    options: { applicationName: string; observer: ConnectionObserver },
  ) {
    this.#at = at;
    this.#target = target;
    this.#socket = socket;
    this.#observer = options.observer;
    this.#loss.promise.catch(() => {}); // nobody may be waiting when it happens
    socket.on("error", (error: Error) => this.#lose(error.message, error));
    socket.on("close", () => this.#lose("the server closed it"));
    let given = false;
    this.#sql = postgres({
      ...driverOptions(target, options),
      socket: () => {
        if (given) throw new ConnectionLostError("the server closed it");
        given = true;
        return socket;
      },
      onnotice: (notice: postgres.Notice) =>
        options.observer.onNotice?.(
          notice.severity ?? "NOTICE",
          notice.message ?? "",
        ),
      onclose: () => this.#lose("the server closed it"),
    } as unknown as postgres.Options<Record<string, postgres.PostgresType>>);
  }

  /**
   * Connects to one host, logs in and runs a first statement, all before the signal aborts.
   *
   * @throws {DatabaseError} when the server refuses the log-in
   * @throws {Error} with the `code` of the operating system or of TLS, or the signal's reason
   */
  static async open(
    at: HostAndPort,
    target: Target,
    options: {
      applicationName: string;
      observer: ConnectionObserver;
      signal: AbortSignal;
    },
  ): Promise<Connection> {
    const socket = await openSocket(at, target.tls, options.signal);
    const connection = new Connection(at, target, socket, options);
    const abort = () => connection.#lose(reasonOf(options.signal));
    options.signal.addEventListener("abort", abort, { once: true });
    try {
      if (options.signal.aborted) abort();
      await connection.#race(connection.#sql.unsafe("select 1"));
      connection.#handle = await connection.#race(connection.#sql.reserve());
      return connection;
    } catch (error) {
      connection.destroy();
      throw options.signal.aborted ? options.signal.reason : error;
    } finally {
      options.signal.removeEventListener("abort", abort);
    }
  }

  /** The process id of the backend, as the server announced it at log-in. */
  get announcedPid(): number | undefined {
    return this.#backend?.pid;
  }

  /** The error that the server's transaction is stuck on, although the caller may have caught it. */
  get abortedBy(): DatabaseError | undefined {
    return this.#aborted;
  }

  get isLost(): boolean {
    return this.#lost !== undefined;
  }

  /**
   * Runs one statement, or several without parameters.
   *
   * @throws {DatabaseError} when the server refuses it
   * @throws {ConnectionLostError} when the connection is, or gets, lost
   */
  async query(
    text: string,
    parameters: readonly unknown[] = [],
  ): Promise<Rows> {
    return await this.#execute(text, parameters) as unknown as Rows;
  }

  /**
   * The connection in the form that Kysely's dialect for postgres.js takes. `reserve` hands out the one connection
   * there is; its statements go through the guard.
   */
  driver(): postgres.Sql {
    const handle = {
      unsafe: (text: string, parameters: readonly unknown[] = []) =>
        this.#execute(text, parameters),
      release: () => {},
    };
    return Object.assign(() => {}, {
      reserve: () => Promise.resolve(handle),
      end: () => Promise.resolve(),
      options: this.#sql.options,
    }) as unknown as postgres.Sql;
  }

  /** Rejects every further statement but a rollback with `reason`, until {@link resume}, and cancels the running one. */
  async stop(reason: Error): Promise<void> {
    this.#stopped = reason;
    await this.cancel();
  }

  resume(): void {
    this.#stopped = undefined;
  }

  /** Asks the server to cancel the running statement. Never rejects: the caller cannot do more than ask. */
  async cancel(): Promise<void> {
    if (this.#inFlight === 0 || this.#backend === undefined) return;
    const signal = AbortSignal.timeout(CANCEL_TIMEOUT_MS);
    await sendCancel(this.#at, this.#target.tls, this.#backend, signal)
      .catch(() => {});
  }

  /** Ends the session politely; a server that does not answer is left after a moment. */
  async close(): Promise<void> {
    if (this.#ending) return;
    this.#ending = true;
    if (this.#lost === undefined && this.#inFlight === 0) {
      this.#handle?.release();
      await this.#sql.end({ timeout: 1 }).catch(() => {});
    }
    this.destroy();
  }

  /** Drops the socket. */
  destroy(): void {
    this.#ending = true;
    this.#lose("it was closed by this program");
    this.#socket.destroy();
    this.#sql.end({ timeout: 0 }).catch(() => {});
  }

  /** Sends a statement through the guard. The result is a promise with the verbs that the dialect expects. */
  #execute(text: string, parameters: readonly unknown[]): Promise<unknown> {
    if (this.#lost !== undefined) {
      return ROLLBACK.test(text)
        ? Promise.resolve(Object.assign([], { command: "ROLLBACK", count: 0 }))
        : Promise.reject(this.#lost);
    }
    if (
      this.#stopped !== undefined && !ROLLBACK.test(text) &&
      !ROLLBACK_TO.test(text)
    ) {
      return Promise.reject(this.#stopped);
    }
    const started = performance.now();
    // Without parameters the simple protocol is used: one message, and several statements are allowed. Nothing is ever
    // prepared by name: behind a transaction pooler a prepared statement belongs to somebody else's backend.
    const query = this.#handle!.unsafe(
      text,
      [...parameters] as never[],
      (parameters.length > 0
        ? { prepare: false, simple: false }
        : { prepare: false, simple: true }) as never,
    ) as unknown as Query;
    this.#inFlight++;
    const result = this.#race(query).then((rows) => {
      this.#finished(text, started);
      const { command } = rows as unknown as Rows;
      if (COMMIT.test(text) && command !== "COMMIT") {
        throw this.#aborted ?? new DatabaseError({
          code: "40000",
          severity: "ERROR",
          message:
            "the server rolled back the transaction instead of committing it",
        });
      }
      if (BEGIN.test(text) || ROLLBACK_TO.test(text)) this.#aborted = undefined;
      return rows;
    }, (error) => {
      this.#finished(text, started);
      const failure = this.#convert(error, text);
      if (failure instanceof DatabaseError) this.#aborted ??= failure;
      throw this.#stopped ?? failure;
    });
    result.catch(() => {}); // a migration may not await it; the failure is found in `abortedBy`
    return Object.assign(result, {
      cancel: () => {},
      // The dialect's streams: the rows come at once, in one piece.
      cursor: async function* () {
        yield await result;
      },
    });
  }

  #finished(text: string, started: number): void {
    this.#inFlight--;
    this.#observer.onStatement?.(text, performance.now() - started);
  }

  /** A driver's promise that also settles when the connection is lost. */
  async #race<T>(promise: PromiseLike<T>): Promise<T> {
    try {
      const value = await Promise.race([promise, this.#loss.promise]);
      this.#backend ??= backendOf(value);
      return value;
    } catch (error) {
      throw this.#convert(error);
    }
  }

  #convert(error: unknown, statement?: string): unknown {
    if (
      error instanceof DatabaseError || error instanceof ConnectionLostError
    ) {
      return error;
    }
    if (error instanceof postgres.PostgresError) {
      const failure = databaseError(error, statement);
      if (/FATAL|PANIC/.test(failure.server.severity)) {
        this.#lose(failure.server.message, failure);
      }
      return failure;
    }
    if (isDriverLoss(error)) {
      this.#lose((error as Error).message, error as Error);
      return this.#lost;
    }
    return error;
  }

  #lose(reason: string, cause?: Error): void {
    if (this.#lost !== undefined) return;
    this.#lost = new ConnectionLostError(reason, cause && { cause });
    this.#loss.reject(this.#lost);
  }
}

/** Every option is given: what is missing the driver would look up in the environment. */
function driverOptions(
  target: Target,
  options: { applicationName: string },
): Record<string, unknown> {
  return {
    host: ["connected"], // the socket is given; the driver must not see a list that it could walk
    port: [0],
    user: target.user,
    pass: () => target.password ?? "",
    database: target.database,
    ssl: false,
    sslnegotiation: null,
    max: 1,
    max_lifetime: null,
    idle_timeout: null,
    connect_timeout: 0,
    max_pipeline: 100,
    backoff: () => 0,
    keep_alive: 0,
    prepare: false,
    debug: false,
    fetch_types: true,
    publications: "alltables",
    no_subscribe: true,
    connection: {
      application_name: target.applicationName ?? options.applicationName,
      ...(target.options !== undefined && { options: target.options }),
    },
  };
}

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
    ...(position !== undefined && { position: Number(position) }),
  }, { cause: error });
}

/** The process id and key of the backend, which the driver keeps in the state of a result. */
function backendOf(
  value: unknown,
): { pid: number; secret: number } | undefined {
  const state = (value as { state?: { pid?: number; secret?: number } })?.state;
  return typeof state?.pid === "number" && typeof state.secret === "number"
    ? { pid: state.pid, secret: state.secret }
    : undefined;
}

function isDriverLoss(error: unknown): boolean {
  const code = (error as { code?: unknown })?.code;
  return code === "CONNECTION_CLOSED" || code === "CONNECTION_DESTROYED" ||
    code === "CONNECTION_ENDED" || code === "ECONNRESET" || code === "EPIPE";
}

function reasonOf(signal: AbortSignal): string {
  return signal.reason instanceof Error
    ? signal.reason.message
    : "it took too long";
}
