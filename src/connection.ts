/**
 * The guarded connection: one socket, one backend, never replaced.
 *
 * postgres.js under Kysely would reconnect in the middle of a transaction and run the rest of it in autocommit, throw
 * from a timer or never settle when the peer is gone, and report a rolled back commit as success. Here every statement
 * of a lost connection rejects, every wait ends, and the tag of a commit is checked. Related reports:
 * https://github.com/porsager/postgres/issues/1208, /1154, /1066, /751.
 *
 * Definitions (see `statement.ts`) are sent ahead: in a transaction nobody needs their answer before the next statement
 * is sent, because an error aborts the transaction anyway. It surfaces at the next statement that is awaited.
 *
 * @module
 */
import type postgres from "postgres";
import { addArrayTypes, ARRAY_TYPES_QUERY } from "./array_type.ts";
import type { Target } from "./target.ts";
import { ConnectionLostError, DatabaseError } from "./errors.ts";
import { type LoggedIn, logIn, replay } from "./log_in.ts";
import {
  endsIdle,
  endsSession,
  lastFatal,
  type Rows,
  TERMINATE,
} from "./protocol.ts";
import { IS_DENO_2_4, silenceDeprecations } from "./runtime.ts";
import { openSocket, sendCancel, type Socket } from "./socket.ts";
import {
  changesSettings,
  inlineParameters,
  isDefinition,
} from "./statement.ts";
import type { HostAndPort } from "./url.ts";

/** What an observer may see of a connection. */
export interface ConnectionObserver {
  readonly onStatement?: (sql: string, durationMs: number) => void;
  readonly onNotice?: (severity: string, message: string) => void;
}

export interface ConnectionOptions {
  readonly applicationName: string;
  readonly observer: ConnectionObserver;
  /** Whether definitions may be sent ahead, and parameters written into their statement. */
  readonly pipeline: boolean;
}

/** On whose behalf statements run; errors and times are kept with it. */
export interface StatementOwner {
  /** When the last of its statements was answered, on `performance.now()`. */
  answeredAt?: number;
}

/** What is under way, for those who watch it. */
export interface InFlight {
  readonly sql: string;
  /** On `performance.now()`. */
  readonly since: number;
}

/** How long a stopped migration has to end by itself, in milliseconds. */
const STOP_GRACE_MS = 1_000;

/** How long a peer has to take a request to cancel, in milliseconds. */
const CANCEL_TIMEOUT_MS = 2_000;

/** How many statements are sent ahead before the answers are waited for. */
const WINDOW = 500;

const BEGIN = /^\s*(?:begin|start\s+transaction)\b[^;]*;?\s*$/i;
const COMMIT = /^\s*commit\s*;?\s*$/i;
const ROLLBACK = /^\s*(?:rollback|abort)(?:\s+(?:work|transaction))?\s*;?\s*$/i;
const ROLLBACK_TO = /^\s*rollback\s+to\b/i;
const SAVEPOINT = /^\s*savepoint\b/i;

/**
 * Errors that a statement with its parameters written into it may meet where the driver, told the types by the server,
 * would have converted them: datatype_mismatch, undefined_function, ambiguous_function, ambiguous_parameter,
 * indeterminate_datatype, invalid_text_representation, invalid_datetime_format.
 */
const CONVERSION_ERRORS = [
  "42804",
  "42883",
  "42725",
  "42P08",
  "42P18",
  "22P02",
  "22007",
];

type Query = postgres.PendingQuery<postgres.Row[]>;

/** postgres.js, once it is needed, on the open session. */
type Driver =
  & Omit<typeof import("./driver.ts"), "openDriver" | "mendRuntime">
  & {
    readonly sql: postgres.Sql;
    readonly handle: postgres.ReservedSql;
  };

export class Connection {
  readonly #at: HostAndPort;
  readonly #target: Target;
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  readonly #loss = Promise.withResolvers<never>();
  readonly #inFlight = new Set<InFlight>();
  readonly #owners = new WeakMap<Error, StatementOwner>();
  #session: LoggedIn | undefined;
  #opening: Promise<Driver> | undefined;
  #driver: Driver | undefined;
  #lost: ConnectionLostError | undefined;
  #ending = false;
  #owner: StatementOwner | undefined;
  #stopped: Error | undefined;
  /** Rejects some time after {@link stop}. */
  #stopping = stopping();
  #stopTimer: ReturnType<typeof setTimeout> | undefined;
  #inlining: boolean;
  #inliningFailed = false;
  #typesKnown = false;
  #settingsChanged = false;
  #before: ((text: string) => Promise<void>) | undefined;
  #lastData: Uint8Array | undefined;
  /** `ahead`: in a transaction without a savepoint, in which an error is final. */
  #state: "idle" | "ahead" | "transaction" = "idle";
  /** The first error of the transaction: from there on the server ignores every statement of it. */
  #aborted: DatabaseError | undefined;
  /** Whether {@link #aborted} was thrown to a caller; a statement sent ahead has no caller to throw to. */
  #abortSeen = false;

  private constructor(
    at: HostAndPort,
    target: Target,
    socket: Socket,
    options: ConnectionOptions,
  ) {
    this.#at = at;
    this.#target = target;
    this.#socket = socket;
    this.#options = options;
    this.#inlining = options.pipeline;
    this.#loss.promise.catch(() => {}); // nobody may be waiting when it happens
    socket.on(
      "error",
      (error: Error) =>
        this.#lose(new ConnectionLostError(error.message, { cause: error })),
    );
    socket.on("close", () => this.#lose());
    // When the server ends the session it says why in its last message, which the driver drops with the connection.
    socket.on("data", (data: Uint8Array) => this.#lastData = data);
  }

  /**
   * Connects to one host, logs in and runs a first query, all before the signal aborts. The query rides with the log-in:
   * its answer, also when it is an error, comes with the connection.
   *
   * @throws {DatabaseError} when the server refuses the log-in
   * @throws {Error} with the `code` of the operating system or of TLS, or the signal's reason
   */
  static async open(
    at: HostAndPort,
    target: Target,
    first: string,
    options: ConnectionOptions & { readonly signal: AbortSignal },
  ): Promise<
    { connection: Connection; answer: LoggedIn["answer"] }
  > {
    const socket = await openSocket(at, target.tls, options.signal);
    const connection = new Connection(at, target, socket, options);
    const abort = () =>
      connection.#lose(new ConnectionLostError("it took too long"));
    options.signal.addEventListener("abort", abort, { once: true });
    try {
      if (options.signal.aborted) abort();
      const answer = await connection.#logIn(first);
      return { connection, answer };
    } catch (error) {
      connection.destroy();
      throw options.signal.aborted ? options.signal.reason : error;
    } finally {
      options.signal.removeEventListener("abort", abort);
    }
  }

  /** The process id of the backend, as the server announced it at log-in. */
  get announcedPid(): number | undefined {
    return this.#session?.backend.pid;
  }

  /** The error that the open transaction is stuck on, and whether a caller was told: then it caught it and went on. */
  get aborted():
    | { readonly by: DatabaseError; readonly seen: boolean }
    | undefined {
    return this.#aborted && { by: this.#aborted, seen: this.#abortSeen };
  }

  /** Whether the server, with its last answer, said that no transaction is open. */
  get serverIsIdle(): boolean {
    return this.#lastData !== undefined && endsIdle(this.#lastData);
  }

  get isLost(): boolean {
    return this.#lost !== undefined;
  }

  /** The oldest statement that is not answered yet. */
  get oldestInFlight(): InFlight | undefined {
    return this.#inFlight.values().next().value;
  }

  /** On whose behalf the next statements run. */
  own(owner: StatementOwner | undefined): void {
    this.#owner = owner;
  }

  /** On whose behalf the statement ran that met this error. */
  ownerOf(error: unknown): StatementOwner | undefined {
    return error instanceof Error ? this.#owners.get(error) : undefined;
  }

  /**
   * Loads the driver, which all statements after the first query need. Where several are to be sent in one flight it must
   * have been loaded.
   *
   * @throws {ConnectionLostError} when the connection is lost
   */
  async prepare(): Promise<void> {
    await (this.#opening ??= this.#openDriver());
  }

  /**
   * Runs one statement, or several without parameters.
   *
   * @throws {DatabaseError} when the server refuses it, or one that was sent ahead of it
   * @throws {ConnectionLostError} when the connection is, or gets, lost
   */
  async query(
    text: string,
    parameters: readonly unknown[] = [],
  ): Promise<Rows> {
    return await this.#execute(text, parameters);
  }

  /**
   * Sends one or several statements of the open transaction ahead of the next that is awaited. The answer settles with
   * that flight; who does not look at it still meets its error there.
   */
  sendAhead(text: string): Promise<Rows> {
    const refusal = this.#refusal(text);
    if (refusal !== undefined) return rejected(refusal);
    if (this.#options.pipeline) return this.#send(text, []);
    const answer = this.#execute(text, []);
    answer.catch(() => {});
    return answer;
  }

  /** Resolves when every statement sent ahead is answered. @throws what the first failed one met */
  async settle(): Promise<void> {
    if (this.#inFlight.size > 0) await this.#execute("", []);
    else this.#throwUnseen();
  }

  /** Whether a statement since the last call has changed settings that outlive it. */
  takeSettingsChanged(): boolean {
    const changed = this.#settingsChanged;
    this.#settingsChanged = false;
    return changed;
  }

  /** Has `before` look at every statement of a migration, and do what must be done before it runs. */
  intercept(before: ((text: string) => Promise<void>) | undefined): void {
    this.#before = before;
  }

  /**
   * What `work` comes to, unless the connection is lost before, or is stopped and `work` does not end soon after. It may
   * wait for something that has nothing to do with the database, for ever.
   */
  async orEnded<T>(work: Promise<T>): Promise<T> {
    work.catch(() => {}); // what it rejects with later is past
    return await Promise.race([
      work,
      this.#loss.promise,
      this.#stopping.promise,
    ]);
  }

  /** Makes the driver read and write arrays as arrays; `rows` answer {@link ARRAY_TYPES_QUERY}. */
  learnArrayTypes(rows: Rows): void {
    const { conversionsOf, sql } = this.#loaded;
    addArrayTypes(conversionsOf(sql), rows);
    this.#typesKnown = true;
  }

  get knowsArrayTypes(): boolean {
    return this.#typesKnown;
  }

  /**
   * Whether the transaction failed in a way that may be due to inlined parameters. Then they are left to the driver from
   * now on, and the transaction is worth another run.
   */
  takeInliningFailure(): boolean {
    const failed = this.#inliningFailed;
    this.#inliningFailed = false;
    if (failed) this.#inlining = false;
    return failed;
  }

  /**
   * The connection in the form that Kysely's dialect for postgres.js takes. `reserve` hands out the one connection
   * there is; its statements go through the guard.
   */
  driver(): postgres.Sql {
    const handle = {
      unsafe: (text: string, parameters: readonly unknown[] = []) =>
        this.#forKysely(text, parameters),
      release: () => {},
    };
    return Object.assign(() => {}, {
      reserve: () => Promise.resolve(handle),
      end: () => Promise.resolve(),
      options: this.#loaded.sql.options,
    }) as unknown as postgres.Sql;
  }

  /** Rejects every further statement but a rollback with `reason`, until {@link resume}, and cancels the running one. */
  async stop(reason: Error): Promise<void> {
    this.#stopped = reason;
    const { reject } = this.#stopping;
    this.#stopTimer = setTimeout(() => reject(reason), STOP_GRACE_MS);
    await this.cancel();
  }

  resume(): void {
    this.#stopped = undefined;
    clearTimeout(this.#stopTimer);
    this.#stopping = stopping();
  }

  /** Asks the server to cancel the running statement. Never rejects: the caller cannot do more than ask. */
  async cancel(): Promise<void> {
    if (this.#inFlight.size === 0 || this.#session === undefined) return;
    const signal = AbortSignal.timeout(CANCEL_TIMEOUT_MS);
    const { backend } = this.#session;
    await sendCancel(this.#at, this.#target.tls, backend, signal).catch(
      () => {},
    );
  }

  /** Ends the session politely, without waiting for an answer: there is none but the end of the connection. */
  async close(): Promise<void> {
    if (this.#ending) return;
    this.#ending = true;
    if (this.#lost === undefined && this.#inFlight.size === 0) {
      const said = new Promise((resolve) => this.#socket.on("finish", resolve));
      this.#socket.end(TERMINATE);
      await Promise.race([said, this.#loss.promise]).catch(() => {});
    }
    this.destroy();
  }

  /** Drops the socket. Statements in flight reject. */
  destroy(reason = "it was closed by this program"): void {
    this.#ending = true;
    clearTimeout(this.#stopTimer);
    this.#lose(new ConnectionLostError(reason));
    this.#socket.destroy();
    this.#driver?.sql.end({ timeout: 0 }).catch(() => {});
  }

  async #logIn(first: string): Promise<LoggedIn["answer"]> {
    this.#session = await this.#race(logIn(this.#socket, {
      target: this.#target,
      applicationName: this.#options.applicationName,
      first,
      onNotice: (severity, message) => this.#notice(severity, message),
    }));
    return this.#session.answer;
  }

  async #openDriver(): Promise<Driver> {
    const { openDriver, mendRuntime, ...driver } = await import("./driver.ts");
    if (IS_DENO_2_4) {
      silenceDeprecations();
      mendRuntime();
    }
    if (this.#lost !== undefined) throw this.#lost;
    const sql = openDriver(replay(this.#socket, this.#session!.takeOver), {
      target: this.#target,
      onNotice: (severity, message) => this.#notice(severity, message),
    });
    const handle = await this.#race(sql.reserve());
    return this.#driver = { ...driver, sql, handle };
  }

  #notice(severity: string, message: string): void {
    this.#options.observer.onNotice?.(severity, message);
  }

  /** A statement of a migration: a promise with the verbs that the dialect expects of the driver's. */
  #forKysely(text: string, parameters: readonly unknown[]): Promise<Rows> {
    const before = this.#before;
    const result = before === undefined
      ? this.#inPlace(text, parameters)
      : before(text).then(() => this.#inPlace(text, parameters));
    result.catch(() => {}); // a migration may not await it; the failure is found in `abortedBy`
    return Object.assign(result, {
      cancel: () => {},
      // The dialect's streams: the rows come at once, in one piece.
      cursor: async function* () {
        yield await result;
      },
    });
  }

  #inPlace(text: string, parameters: readonly unknown[]): Promise<Rows> {
    const ahead = this.#state === "ahead" && parameters.length === 0 &&
      isDefinition(text);
    const begins = this.#state === "idle" && BEGIN.test(text);
    if (
      !this.#options.pipeline || !(ahead || begins) ||
      this.#inFlight.size >= WINDOW
    ) {
      return this.#execute(text, parameters);
    }
    const refusal = this.#refusal(text);
    if (refusal !== undefined) return rejected(refusal);
    // An error that has come in meanwhile is news enough: nothing after it can succeed.
    if (this.#aborted !== undefined && !this.#abortSeen) {
      return rejected(this.#seen(this.#aborted));
    }
    this.#send(text, []);
    return Promise.resolve(emptyRows());
  }

  async #execute(text: string, parameters: readonly unknown[]): Promise<Rows> {
    if (this.#driver === undefined) await this.prepare();
    const refusal = this.#refusal(text);
    if (refusal !== undefined) throw refusal;
    const undoes = ROLLBACK.test(text);
    // With the connection the transaction is gone, too. And Kysely rolls back after a commit that failed.
    const needless = this.#lost !== undefined ||
      (this.#state === "idle" && this.serverIsIdle);
    if (undoes && needless) {
      return emptyRows();
    }
    if (!undoes) this.#throwUnseen();
    if (
      parameters.length > 0 && parameters.some(Array.isArray) &&
      !this.#typesKnown
    ) {
      this.learnArrayTypes(await this.#send(ARRAY_TYPES_QUERY, []));
    }
    const inlined =
      this.#inlining && this.#state === "ahead" && parameters.length > 0
        ? inlineParameters(text, parameters)
        : undefined;
    let rows: Rows;
    try {
      rows = await (inlined === undefined
        ? this.#send(text, parameters)
        : this.#send(inlined, [], text));
    } catch (error) {
      if (
        inlined !== undefined && error === this.#aborted &&
        isConversionError(error)
      ) {
        this.#inliningFailed = true;
      }
      // The first error is the cause; what came after it only says that the transaction is aborted.
      if (!undoes) this.#throwUnseen();
      throw error;
    }
    if (undoes || ROLLBACK_TO.test(text)) {
      this.#aborted = undefined;
    } else {
      this.#throwUnseen();
    }
    if (COMMIT.test(text) && rows.command !== "COMMIT") {
      throw this.#aborted ?? new DatabaseError({
        code: "40000",
        severity: "ERROR",
        message:
          "the server rolled back the transaction instead of committing it",
      });
    }
    return rows;
  }

  /** Why a statement may not be sent; a rollback always may. */
  #refusal(text: string): Error | undefined {
    const undoes = ROLLBACK.test(text);
    if (this.#lost !== undefined) return undoes ? undefined : this.#lost;
    return undoes || ROLLBACK_TO.test(text) ? undefined : this.#stopped;
  }

  /** Hands a statement to the driver, which sends it in the same flight as others of this turn. */
  #send(
    text: string,
    parameters: readonly unknown[],
    shown: string = text,
  ): Promise<Rows> {
    this.#follow(text);
    const inTransaction = this.#state !== "idle";
    // Without parameters the simple protocol is used: one message, and several statements are allowed.
    const simple = parameters.length === 0;
    const query = this.#loaded.handle.unsafe(
      text,
      [...parameters] as never[],
      { prepare: false, simple } as never,
    ) as unknown as Query;
    const owner = this.#owner;
    const entry: InFlight = { sql: shown, since: performance.now() };
    this.#inFlight.add(entry);
    const answered = () => {
      this.#inFlight.delete(entry);
      if (owner !== undefined) owner.answeredAt = performance.now();
      this.#options.observer.onStatement?.(
        shown,
        performance.now() - entry.since,
      );
    };
    // An error repeats the statement that a migration wrote; ours would help nobody.
    const repeated = owner === undefined ? undefined : shown;
    const result = this.#race(query, repeated).then((rows) => {
      answered();
      return rows as unknown as Rows;
    }, (error) => {
      answered();
      const failure = this.#stopped ?? error;
      if (
        failure instanceof Error && owner !== undefined &&
        !this.#owners.has(failure)
      ) {
        this.#owners.set(failure, owner);
      }
      if (
        inTransaction && failure instanceof DatabaseError &&
        this.#aborted === undefined
      ) {
        this.#aborted = failure;
        this.#abortSeen = false;
      }
      throw failure;
    });
    result.catch(() => {});
    return result;
  }

  get #loaded(): Driver {
    if (this.#driver === undefined) throw new Error("The driver is not loaded");
    return this.#driver;
  }

  /** Keeps track of the transaction. */
  #follow(text: string): void {
    if (BEGIN.test(text)) {
      this.#state = "ahead";
      this.#aborted = undefined;
      this.#abortSeen = false;
    } else if (COMMIT.test(text) || ROLLBACK.test(text)) {
      this.#state = "idle";
    } else if (SAVEPOINT.test(text) && this.#state === "ahead") {
      // A migration that sets one may want to survive an error: from here on it sees each where it happens.
      this.#state = "transaction";
    }
    if (changesSettings(text)) this.#settingsChanged = true;
    // New types have new array types; they are looked up when an array is to be written.
    if (/^\s*create\s+(?:type|domain|table|extension)\b/i.test(text)) {
      this.#typesKnown = false;
    }
  }

  /** Throws the error that aborted the transaction, unless somebody has seen it already. */
  #throwUnseen(): void {
    if (this.#aborted !== undefined && !this.#abortSeen) {
      throw this.#seen(this.#aborted);
    }
  }

  #seen(error: DatabaseError): DatabaseError {
    this.#abortSeen = true;
    return error;
  }

  /** A driver's promise that also settles when the connection is lost. */
  async #race<T>(promise: PromiseLike<T>, statement?: string): Promise<T> {
    try {
      return await Promise.race([promise, this.#loss.promise]);
    } catch (error) {
      const failure = this.#translated(error, statement);
      if (failure instanceof ConnectionLostError) {
        this.#lose(failure);
        throw this.#lost;
      }
      if (failure instanceof DatabaseError && endsSession(failure)) {
        this.#lose(
          new ConnectionLostError(failure.server.message, { cause: failure }),
        );
      }
      throw failure;
    }
  }

  /** An error of the driver as one of ours; any other stays what it is. */
  #translated(error: unknown, statement: string | undefined): unknown {
    const server = this.#driver?.serverError(error, statement);
    if (server !== undefined) return new DatabaseError(server);
    return this.#driver?.isLoss(error)
      ? new ConnectionLostError(error.message, { cause: error })
      : error;
  }

  #lose(error?: ConnectionLostError): void {
    if (this.#lost !== undefined) return;
    this.#lost = error ?? this.#closedByServer();
    this.#loss.reject(this.#lost);
  }

  #closedByServer(): ConnectionLostError {
    const farewell = this.#lastData && lastFatal(this.#lastData);
    return new ConnectionLostError(
      farewell?.server.message ?? "the server closed it",
      { cause: farewell },
    );
  }
}

function isConversionError(error: unknown): boolean {
  return error instanceof DatabaseError &&
    CONVERSION_ERRORS.includes(error.server.code);
}

function stopping(): PromiseWithResolvers<never> {
  const resolvers = Promise.withResolvers<never>();
  resolvers.promise.catch(() => {}); // nobody may be waiting
  return resolvers;
}

function emptyRows(): Rows {
  return Object.assign([], { command: null, count: null });
}

function rejected(error: Error): Promise<never> {
  const promise = Promise.reject(error);
  promise.catch(() => {});
  return promise;
}
