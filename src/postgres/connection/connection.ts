/**
 * The guarded connection: statements and transactions on one {@link Link}.
 *
 * postgres.js under Kysely would report a rolled back commit as success. Here every statement of a lost connection
 * rejects, what the server says after each answer decides whether a transaction is open or aborted, and the tag of a commit
 * is checked (https://github.com/porsager/postgres/issues/751).
 *
 * @module
 */
import { causeOf, ConnectionLostError, DatabaseError } from "../../errors.ts";
import type { Link } from "../wire/link.ts";
import type { Answer, Rows } from "../wire/protocol.ts";
import { type InFlight, type Sender, StatementsInFlight } from "./in_flight.ts";
import { Stopping } from "./stopping.ts";
import { rolledBack, TransactionState } from "./transaction.ts";

export interface ConnectionOptions {
  /** Told of each statement of a {@link Sender} once it is answered. */
  readonly onStatement?: (sql: string, durationMs: number) => void;
  /** Whether statements may be sent ahead of others that are not answered. */
  readonly pipeline: boolean;
}

/** How a statement is sent. */
export interface SendOptions {
  readonly parameters?: readonly unknown[];
  readonly sender?: Sender;
  /** Whether it is a statement of the program's own; it is, unless it has a sender. */
  readonly own?: boolean;
  /** Takes what the server says besides the rows. */
  readonly answer?: Answer;
  /** Whether it ends the transaction. */
  readonly ends?: boolean;
  /** Called when it has succeeded, before anything is said of what was sent behind it. */
  readonly onDone?: () => void;
}

/** A session that a migration, or what watches it, works with. */
export class Connection {
  readonly transaction = new TransactionState();
  readonly inFlight = new StatementsInFlight();
  readonly #link: Link;
  readonly #options: ConnectionOptions;
  readonly #senders = new WeakMap<Error, Sender>();
  readonly #stopping = new Stopping();
  #isUnanswered = false;

  constructor(link: Link, options: ConnectionOptions) {
    this.#link = link;
    this.#options = options;
  }

  get pipeline(): boolean {
    return this.#options.pipeline;
  }

  /** The process id of the backend, as the server announced it at log-in. */
  get announcedPid(): number | undefined {
    return this.#link.announcedPid;
  }

  /** How the server reads strings, as far as it has answered. */
  get conformingStrings(): boolean {
    return this.#link.conformingStrings;
  }

  /** Whether the server, with its last answer, said that no transaction is open. */
  get serverIsIdle(): boolean {
    return this.#link.serverIsIdle;
  }

  get isLost(): boolean {
    return this.#link.lost !== undefined;
  }

  /** Why nothing can be sent. */
  get refusal(): Error | undefined {
    return this.#link.lost ?? this.#stopping.reason;
  }

  /** Whether a statement was sent that has no answer, and may never have one: it may have taken effect. */
  get isUnanswered(): boolean {
    return this.#isUnanswered || this.inFlight.size > 0;
  }

  /** On whose behalf the statement ran that met this error. */
  senderOf(error: unknown): Sender | undefined {
    return error instanceof Error ? this.#senders.get(error) : undefined;
  }

  /**
   * Loads the driver, which all statements after the first query need. Where several are to be sent in one flight it must
   * have been loaded.
   *
   * @throws {ConnectionLostError} when the connection is lost
   */
  prepare(): Promise<void> {
    return this.#link.prepare();
  }

  /** Begins a transaction, in the flight of the statement that follows. A role's defaults must not decide how it reads. */
  async begin(): Promise<void> {
    this.#throwIfUnusable();
    if (this.inFlight.size === 0 && !this.serverIsIdle) {
      throw new Error("Cannot begin a transaction: another one is open");
    }
    this.transaction.begin();
    const begun = this.send(
      "start transaction isolation level read committed read write",
    );
    if (!this.pipeline) await begun;
  }

  /**
   * Commits the transaction of {@link begin}, in the flight of what was sent ahead.
   *
   * @throws what aborted the transaction, or kept the server from committing it
   */
  async commit(): Promise<void> {
    this.#throwIfUnusable();
    const { transaction } = this;
    transaction.throwIfAborted();
    const answer: Answer = { tags: [] };
    try {
      // Shown with --verbose, too: until then every lock is held.
      await this.send("commit", { answer, ends: true, own: false });
    } catch (error) {
      throw transaction.aborted ?? error;
    }
    transaction.isOpen = false;
    if (answer.tags[0] === "COMMIT") return;
    throw transaction.aborted ?? this.#stopping.reason ?? rolledBack();
  }

  /** Rolls back the transaction of {@link begin}, if it is still open. Never rejects: with the connection it is gone, too. */
  async rollback(): Promise<void> {
    if (!this.transaction.isOpen) return;
    this.transaction.end();
    if (this.isLost || (this.inFlight.size === 0 && this.serverIsIdle)) return;
    await this.send("rollback").catch(() =>
      this.destroy("a transaction could not be rolled back")
    );
  }

  /**
   * Rolls back the transaction that a migration has begun outside of ours and left open.
   *
   * @returns whether there was one
   */
  async rollBackForeign(): Promise<boolean> {
    await this.inFlight.settle();
    if (this.isLost || this.serverIsIdle) return false;
    await this.send("rollback");
    return true;
  }

  /**
   * Runs one statement of the program's own, or several without parameters.
   *
   * @throws {DatabaseError} when the server refuses it, or one that was sent ahead of it
   * @throws {ConnectionLostError} when the connection is, or gets, lost
   */
  async query(
    text: string,
    parameters: readonly unknown[] = [],
  ): Promise<Rows> {
    if (!this.#link.isPrepared) await this.prepare();
    this.#throwIfUnusable();
    const { transaction } = this;
    if (transaction.isOpen) transaction.throwIfAborted();
    try {
      return await this.send(text, { parameters });
    } catch (error) {
      // The first error is the cause; what came after it only says that the transaction is aborted.
      throw transaction.isOpen ? transaction.aborted ?? error : error;
    }
  }

  /**
   * Sends one or several statements of the program's own ahead of the next that is awaited. The answer settles with that
   * flight; who does not look at it still meets its error there.
   */
  sendAhead(
    text: string,
    sender?: Sender,
    onDone?: () => void,
  ): Promise<Rows> {
    const { refusal } = this;
    if (refusal !== undefined) {
      const refused = Promise.reject(refusal);
      refused.catch(() => {});
      return refused;
    }
    return this.send(text, {
      ...(sender && { sender }),
      ...(onDone && { onDone }),
      own: true,
    });
  }

  /** Gives the transaction up for `reason`: cancels what is running, and waits until everything is answered. */
  async abandon(reason: Error): Promise<void> {
    this.transaction.abandoned = reason;
    await this.cancel();
    await this.inFlight.settle();
  }

  /**
   * What `work` comes to, unless the connection is lost before, or is stopped and `work` does not end soon after. It may
   * wait for something that has nothing to do with the database, for ever.
   */
  async orEnded<T>(work: Promise<T>): Promise<T> {
    work.catch(() => {}); // what it rejects with later is past
    return await this.#link.orLost(this.#stopping.orEnded(work));
  }

  /** Tells a server that waits for a migration, with its transaction open, that there is still somebody. */
  keepAlive(): void {
    if (this.inFlight.size > 0 || this.isLost || this.serverIsIdle) return;
    this.inFlight.asBefore(this.send(""));
  }

  /** Rejects every further statement but a rollback with `reason`, until {@link resume}, and cancels the running one. */
  async stop(reason: Error): Promise<void> {
    this.#stopping.stop(reason);
    await this.cancel();
  }

  resume(): void {
    this.#stopping.resume();
  }

  /** Asks the server to cancel the running statement. Never rejects: the caller cannot do more than ask. */
  async cancel(): Promise<void> {
    if (this.inFlight.size > 0) await this.#link.cancel();
  }

  /** Ends the session, politely when nothing is under way. Never rejects. */
  async close(): Promise<void> {
    this.#stopping.end();
    if (this.inFlight.size > 0) this.#link.destroy();
    else await this.#link.close();
  }

  /** Drops the socket. Statements in flight reject. */
  destroy(reason?: string): void {
    this.#stopping.end();
    this.#link.destroy(reason);
  }

  /** Hands a statement to the driver, which sends it in the same flight as others of this turn. */
  send(text: string, options: SendOptions = {}): Promise<Rows> {
    const { parameters = [], ends = false, onDone } = options;
    const { sender, own = sender === undefined, answer = { tags: [] } } =
      options;
    const entry: InFlight = { sql: text, since: performance.now(), sender };
    const { isOpen } = this.transaction;
    const answered = (failure?: Error) => {
      const { at = performance.now(), status } = answer;
      if (sender !== undefined) sender.answeredAt = at;
      const durationMs = this.inFlight.answered(entry, at);
      if (!own) this.#options.onStatement?.(text, durationMs);
      if (!ends) this.transaction.follow(status, isOpen, failure);
    };
    // An error repeats the statement that a migration wrote; ours would help nobody.
    const repeated = own || ends ? undefined : text;
    const result = this.#link.send(text, parameters, repeated, answer).then(
      (rows) => {
        answered();
        onDone?.();
        return rows;
      },
      (error) => {
        // A farewell of the server answers what it was at: it has not done that, nor what comes after it.
        if (
          error instanceof ConnectionLostError &&
          causeOf(error, DatabaseError) === undefined
        ) this.#isUnanswered = true;
        const failure = this.#stopping.reason ?? this.transaction.abandoned ??
          error;
        if (
          failure instanceof Error && sender !== undefined &&
          !this.#senders.has(failure)
        ) {
          this.#senders.set(failure, sender);
        }
        answered(failure);
        throw failure;
      },
    );
    this.inFlight.add(entry, result);
    result.catch(() => {});
    return result;
  }

  #throwIfUnusable(): void {
    if (this.refusal !== undefined) throw this.refusal;
  }
}
