/**
 * One socket, one backend, never replaced: from the log-in until one of the two sides ends it.
 *
 * postgres.js would reconnect in the middle of a transaction and run the rest of it in autocommit, throw from a timer or
 * never settle when the peer is gone. Here the driver is given one open session, and every wait ends when that does.
 * Related reports: https://github.com/porsager/postgres/issues/1208, /1154, /1066.
 *
 * @module
 */
import type postgres from "postgres";
import {
  ConnectionLostError,
  DatabaseError,
  sqlStateOf,
} from "../../errors.ts";
import { abortable } from "../../waits.ts";
import { DriverSocket } from "./driver_socket.ts";
import { type LoggedIn, logIn, type Questions } from "./log_in.ts";
import { Messages } from "./messages.ts";
import {
  aboutStatement,
  type Answer,
  endsSession,
  type Rows,
  TERMINATE,
} from "./protocol.ts";
import { passwordForms } from "./scram.ts";
import { SessionState } from "./session_state.ts";
import { openSocket, sendCancel, type Socket } from "./socket.ts";
import type { StatementRunner } from "./statement_runner.ts";
import type { Target } from "../../cli/target.ts";
import type { HostAndPort } from "../../cli/connection_string.ts";

export interface LinkOptions {
  readonly applicationName: string;
  readonly onNotice?: (severity: string, message: string) => void;
}

/** How long a peer has to take a request to cancel, in milliseconds. */
const CANCEL_TIMEOUT_MS = 2_000;

/** invalid_password */
const INVALID_PASSWORD = "28P01";

/** postgres.js, once it is needed, on the open session. */
type Driver =
  & Pick<typeof import("./driver.ts"), "isServerError">
  & {
    readonly socket: DriverSocket;
    readonly sql: postgres.Sql;
    readonly runner: StatementRunner;
  };

/** A session on one socket. */
export class Link {
  readonly #at: HostAndPort;
  readonly #target: Target;
  readonly #socket: Socket;
  readonly #options: LinkOptions;
  readonly #loss = new AbortController();
  #ending = false;
  readonly #state = new SessionState();
  readonly #messages: Messages;
  #session: LoggedIn | undefined;
  #opening: Promise<Driver> | undefined;
  #driver: Driver | undefined;

  private constructor(
    at: HostAndPort,
    target: Target,
    socket: Socket,
    options: LinkOptions,
  ) {
    this.#at = at;
    this.#target = target;
    this.#socket = socket;
    this.#options = options;
    socket.on(
      "error",
      (error: Error) =>
        this.#lose(new ConnectionLostError(error.message, { cause: error })),
    );
    socket.on("close", () => this.#lose());
    this.#messages = new Messages(
      socket,
      this.#state,
      (severity, message) => options.onNotice?.(severity, message),
      (error) => this.destroy(error.message),
    );
  }

  /**
   * Connects to one host, logs in and asks the questions, all before the signal aborts.
   *
   * @throws {DatabaseError} when the server refuses the log-in
   * @throws {Error} with the `code` of the operating system or of TLS, or the signal's reason
   */
  static async open(
    at: HostAndPort,
    target: Target,
    questions: Questions,
    options: LinkOptions & { readonly signal: AbortSignal },
  ): Promise<Link> {
    const forms = passwordForms(target.password ?? "");
    for (let form = 0;; form++) {
      try {
        return await Link.#open(at, target, forms[form]!, questions, options);
      } catch (error) {
        const refused = sqlStateOf(error) === INVALID_PASSWORD;
        if (!refused || form === forms.length - 1) throw error;
      }
    }
  }

  static async #open(
    at: HostAndPort,
    target: Target,
    scramPassword: string,
    questions: Questions,
    options: LinkOptions & { readonly signal: AbortSignal },
  ): Promise<Link> {
    const { signal } = options;
    const { socket, channel } = await openSocket(at, target.tls, signal);
    const link = new Link(at, target, socket, options);
    const abort = () => link.#lose(new ConnectionLostError("it took too long"));
    signal.addEventListener("abort", abort, { once: true });
    try {
      if (signal.aborted) abort();
      link.#session = await link.#settled(logIn(link.#messages, {
        target,
        tls: target.tls,
        channel,
        applicationName: options.applicationName,
        scramPassword,
        questions,
      }));
      return link;
    } catch (error) {
      link.destroy();
      throw signal.aborted ? signal.reason : error;
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  /** The process id of the backend, as the server announced it at log-in. */
  get announcedPid(): number | undefined {
    return this.#session?.backend.pid;
  }

  /** Why the connection is lost, once it is. */
  get lost(): ConnectionLostError | undefined {
    const { aborted, reason } = this.#loss.signal;
    return aborted ? reason : undefined;
  }

  /** What the promise comes to, unless the connection is {@link lost} before. */
  orLost<T>(promise: Promise<T>): Promise<T> {
    return abortable(promise, this.#loss.signal);
  }

  /** Whether the server, with its last answer, said that no transaction is open. */
  get serverIsIdle(): boolean {
    return this.#state.isIdle && !this.#messages.isHalfRead;
  }

  /** Whether a backslash in a plain string is itself, as the server reports it. */
  get conformingStrings(): boolean {
    return this.#state.settings.get("standard_conforming_strings") !== "off";
  }

  /** Whether {@link prepare} is done. */
  get isPrepared(): boolean {
    return this.#driver !== undefined;
  }

  /**
   * Loads the driver, which all statements after the first query need.
   *
   * @throws {ConnectionLostError} when the connection is lost
   */
  async prepare(): Promise<void> {
    await (this.#opening ??= this.#openDriver());
  }

  /**
   * Hands one statement, or several without parameters, to the driver, which sends it in the same flight as others of
   * this turn.
   *
   * @param repeated the statement as an error is to repeat it; not at all when missing
   * @param answer is filled with what the server says of it, before the promise settles
   * @throws {DatabaseError} when the server refuses it
   * @throws {ConnectionLostError} when the connection is, or gets, lost
   * @throws {Error} for a parameter that cannot be sent
   */
  async send(
    text: string,
    parameters: readonly unknown[],
    repeated?: string,
    answer: Answer = { tags: [] },
  ): Promise<Rows> {
    if (this.#driver === undefined) throw new Error("The driver is not loaded");
    const rows = this.#driver.runner.run(text, parameters, answer);
    return await this.#settled(rows, answer, repeated);
  }

  /** Asks the server to cancel the running statement. Never rejects: the caller cannot do more than ask. */
  async cancel(): Promise<void> {
    if (this.#session === undefined) return;
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
    if (this.lost === undefined) {
      const said = new Promise((resolve) => this.#socket.on("finish", resolve));
      this.#socket.end(TERMINATE);
      await this.orLost(said).catch(() => {});
    }
    this.destroy();
  }

  /** Drops the socket. Statements in flight reject. */
  destroy(reason = "it was closed by this program"): void {
    this.#ending = true;
    this.#lose(new ConnectionLostError(reason));
    this.#socket.destroy();
  }

  async #openDriver(): Promise<Driver> {
    const { openDriver, StatementRunner, ...driver } = await import(
      "./driver.ts"
    );
    if (this.lost !== undefined) throw this.lost;
    const socket = new DriverSocket(
      this.#session!.announced,
      (bytes) => this.#messages.write(bytes),
    );
    this.#messages.handOver((bytes) => {
      socket.deliver(bytes);
      const { farewell, answers } = this.#state;
      // What is under way is told by the error itself; where nothing is, nobody else would hear of it.
      if (farewell !== undefined && answers.length === 0) this.#lose();
    });
    const sql = openDriver(socket, this.#target);
    const handle = await this.#settled(sql.reserve()).catch((error) => {
      sql.end({ timeout: 0 }).catch(() => {});
      throw error;
    });
    const runner = new StatementRunner(sql, handle, this.#state.answers);
    return this.#driver = { ...driver, socket, sql, runner };
  }

  /** The same with errors in our words; one that ends the session is its loss. */
  async #settled<T>(
    promise: Promise<T>,
    answer?: Answer,
    statement?: string,
  ): Promise<T> {
    try {
      return await this.orLost(promise);
    } catch (error) {
      const failure = this.#driver?.isServerError(error) &&
          answer?.failure !== undefined
        ? aboutStatement(answer.failure, statement)
        : error;
      if (failure instanceof DatabaseError && endsSession(failure)) {
        this.#lose(
          new ConnectionLostError(failure.server.message, { cause: failure }),
        );
      }
      throw failure;
    }
  }

  /** Only the first loss counts. */
  #lose(error: ConnectionLostError = this.#closedByServer()): void {
    if (this.lost !== undefined) return;
    this.#loss.abort(error);
    this.#driver?.socket.fail(error);
    // Nothing of the driver's stays unsettled.
    this.#driver?.sql.end({ timeout: 0 }).catch(() => {});
  }

  #closedByServer(): ConnectionLostError {
    const { farewell } = this.#state;
    return new ConnectionLostError(
      farewell?.server.message ?? "the server closed it",
      { cause: farewell },
    );
  }
}
