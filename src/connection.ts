/**
 * The guarded connection: statements and transactions on one {@link Link}.
 *
 * postgres.js under Kysely would report a rolled back commit as success. Here every statement of a lost connection
 * rejects, an error that aborts the transaction is found even where a migration does not await it, and the tag of a commit
 * is checked (https://github.com/porsager/postgres/issues/751).
 *
 * Definitions (see `statement.ts`) are sent ahead: in a transaction nobody needs their answer before the next statement
 * is sent, because an error aborts the transaction anyway. It surfaces at the next statement that is awaited.
 *
 * @module
 */
import type postgres from "postgres";
import { addArrayTypes, ARRAY_TYPES_QUERY } from "./array_type.ts";
import { Ending } from "./ending.ts";
import { DatabaseError } from "./errors.ts";
import type { Link } from "./link.ts";
import type { Rows } from "./protocol.ts";
import { copiesThroughClient, isDefinition } from "./statement.ts";
import {
  begins,
  commits,
  rollsBack,
  rollsBackTo,
  TransactionState,
} from "./transaction_state.ts";

export interface ConnectionOptions {
  /** Told of each statement once it is answered. */
  readonly onStatement?: (sql: string, durationMs: number) => void;
  /** Whether definitions may be sent ahead. */
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

/** How many statements are sent ahead before the answers are waited for. */
const WINDOW = 500;

/** A session that a migration, or what watches it, works with. */
export class Connection {
  readonly #link: Link;
  readonly #options: ConnectionOptions;
  readonly #inFlight = new Set<InFlight>();
  readonly #owners = new WeakMap<Error, StatementOwner>();
  #owner: StatementOwner | undefined;
  #stopped: Error | undefined;
  /** Comes some time after {@link stop}. */
  #stopping = new Ending();
  #stopTimer: ReturnType<typeof setTimeout> | undefined;
  #before: ((text: string) => Promise<void>) | undefined;
  readonly #transaction = new TransactionState();

  constructor(link: Link, options: ConnectionOptions) {
    this.#link = link;
    this.#options = options;
  }

  /** The process id of the backend, as the server announced it at log-in. */
  get announcedPid(): number | undefined {
    return this.#link.announcedPid;
  }

  /** The error that the open transaction is stuck on, and whether a caller was told: then it caught it and went on. */
  get aborted():
    | { readonly by: DatabaseError; readonly seen: boolean }
    | undefined {
    const { aborted, abortSeen } = this.#transaction;
    return aborted && { by: aborted, seen: abortSeen };
  }

  /** Whether the server, with its last answer, said that no transaction is open. */
  get serverIsIdle(): boolean {
    return this.#link.serverIsIdle;
  }

  get isLost(): boolean {
    return this.#link.lost !== undefined;
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
    await this.#link.prepare();
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
    return this.#transaction.takeSettingsChanged();
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
    return await this.#link.orLost(this.#stopping.orEnded(work));
  }

  /** Makes the driver read and write arrays as arrays; `rows` answer {@link ARRAY_TYPES_QUERY}. */
  learnArrayTypes(rows: Rows): void {
    const { conversionsOf, sql } = this.#link.driver;
    addArrayTypes(conversionsOf(sql), rows);
    this.#transaction.typesRead();
  }

  get knowsArrayTypes(): boolean {
    return this.#transaction.typesKnown;
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
      options: this.#link.driver.sql.options,
    }) as unknown as postgres.Sql;
  }

  /** Rejects every further statement but a rollback with `reason`, until {@link resume}, and cancels the running one. */
  async stop(reason: Error): Promise<void> {
    this.#stopped = reason;
    const stopping = this.#stopping;
    this.#stopTimer = setTimeout(() => stopping.come(reason), STOP_GRACE_MS);
    await this.cancel();
  }

  resume(): void {
    this.#stopped = undefined;
    clearTimeout(this.#stopTimer);
    this.#stopping = new Ending();
  }

  /** Asks the server to cancel the running statement. Never rejects: the caller cannot do more than ask. */
  async cancel(): Promise<void> {
    if (this.#inFlight.size > 0) await this.#link.cancel();
  }

  /** Ends the session, politely when nothing is under way. Never rejects. */
  async close(): Promise<void> {
    clearTimeout(this.#stopTimer);
    if (this.#inFlight.size > 0) this.#link.destroy();
    else await this.#link.close();
  }

  /** Drops the socket. Statements in flight reject. */
  destroy(reason?: string): void {
    clearTimeout(this.#stopTimer);
    this.#link.destroy(reason);
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
    if (copiesThroughClient(text)) {
      return rejected(
        new Error(
          "COPY from stdin and to stdout need a client that handles the data, which this is not: insert the rows instead",
        ),
      );
    }
    const { errorsAreFinal, isOpen } = this.#transaction;
    const ahead = errorsAreFinal && parameters.length === 0 &&
      isDefinition(text);
    const first = !isOpen && begins(text);
    if (
      !this.#options.pipeline || !(ahead || first) ||
      this.#inFlight.size >= WINDOW
    ) {
      return this.#execute(text, parameters);
    }
    const refusal = this.#refusal(text);
    if (refusal !== undefined) return rejected(refusal);
    // An error that has come in meanwhile is news enough: nothing after it can succeed.
    const unseen = this.#transaction.takeUnseen();
    if (unseen !== undefined) return rejected(unseen);
    this.#send(text, []);
    return Promise.resolve(emptyRows());
  }

  async #execute(text: string, parameters: readonly unknown[]): Promise<Rows> {
    if (!this.#link.isPrepared) await this.prepare();
    const refusal = this.#refusal(text);
    if (refusal !== undefined) throw refusal;
    const transaction = this.#transaction;
    const undoes = rollsBack(text);
    // With the connection the transaction is gone, too. And Kysely rolls back after a commit that failed.
    const needless = this.isLost ||
      (!transaction.isOpen && this.serverIsIdle);
    if (undoes && needless) {
      return emptyRows();
    }
    if (!undoes) this.#throwUnseen();
    if (
      parameters.length > 0 && parameters.some(Array.isArray) &&
      !transaction.typesKnown
    ) {
      this.learnArrayTypes(await this.#send(ARRAY_TYPES_QUERY, []));
    }
    let rows: Rows;
    try {
      rows = await this.#send(text, parameters);
    } catch (error) {
      // The first error is the cause; what came after it only says that the transaction is aborted.
      if (!undoes) this.#throwUnseen();
      throw error;
    }
    if (undoes || rollsBackTo(text)) transaction.resolve();
    else this.#throwUnseen();
    if (commits(text) && rows.command !== "COMMIT") {
      throw transaction.aborted ?? new DatabaseError({
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
    const undoes = rollsBack(text);
    const { lost } = this.#link;
    if (lost !== undefined) return undoes ? undefined : lost;
    return undoes || rollsBackTo(text) ? undefined : this.#stopped;
  }

  /** Hands a statement to the driver, which sends it in the same flight as others of this turn. */
  #send(text: string, parameters: readonly unknown[]): Promise<Rows> {
    this.#transaction.follow(text);
    const { isOpen } = this.#transaction;
    const owner = this.#owner;
    const entry: InFlight = { sql: text, since: performance.now() };
    this.#inFlight.add(entry);
    const answered = () => {
      this.#inFlight.delete(entry);
      if (owner !== undefined) owner.answeredAt = performance.now();
      this.#options.onStatement?.(text, performance.now() - entry.since);
    };
    // An error repeats the statement that a migration wrote; ours would help nobody.
    const repeated = owner === undefined ? undefined : text;
    const sent = this.#link.send(text, parameters, repeated);
    const result = sent.then((rows) => {
      answered();
      return rows;
    }, (error) => {
      answered();
      const failure = this.#stopped ?? error;
      if (
        failure instanceof Error && owner !== undefined &&
        !this.#owners.has(failure)
      ) {
        this.#owners.set(failure, owner);
      }
      if (isOpen && failure instanceof DatabaseError) {
        this.#transaction.abort(failure);
      }
      throw failure;
    });
    result.catch(() => {});
    return result;
  }

  /** Throws the error that aborted the transaction, unless somebody has seen it already. */
  #throwUnseen(): void {
    const unseen = this.#transaction.takeUnseen();
    if (unseen !== undefined) throw unseen;
  }
}

function emptyRows(): Rows {
  return Object.assign([], { command: null, count: null });
}

function rejected(error: Error): Promise<never> {
  const promise = Promise.reject(error);
  promise.catch(() => {});
  return promise;
}
