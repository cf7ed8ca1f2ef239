/**
 * The guarded connection: statements and transactions on one {@link Link}.
 *
 * postgres.js under Kysely would report a rolled back commit as success. Here every statement of a lost connection
 * rejects, what the server says after each answer decides whether a transaction is open or aborted, and the tag of a commit
 * is checked (https://github.com/porsager/postgres/issues/751).
 *
 * In a transaction definitions (see `statement.ts`) are sent ahead: nobody needs their answer before the next statement is
 * sent, because an error aborts the transaction anyway. It surfaces at the next statement that is awaited.
 *
 * @module
 */
import { abortable } from "../../waits.ts";
import { causeOf, ConnectionLostError, DatabaseError } from "../../errors.ts";
import type { Link } from "../wire/link.ts";
import type { Answer, Rows } from "../wire/protocol.ts";
import type { LexOptions } from "../../sql/lexer.ts";
import {
  copiesThroughClient,
  isDefinition,
  type TransactionEffect,
  transactionEffects,
} from "../../sql/statement.ts";

export interface ConnectionOptions {
  /** Told of each statement of a {@link Sender} once it is answered. */
  readonly onStatement?: (sql: string, durationMs: number) => void;
  /** Whether definitions may be sent ahead. */
  readonly pipeline: boolean;
}

/** On whose behalf statements run; errors and times are kept with it. */
export interface Sender {
  /** When the last of its statements was answered, on `performance.now()`. */
  answeredAt?: number;
  /** A transaction that it wanted committed and the server has rolled back: nothing it does with the error mends that. */
  uncommitted?: Error;
}

/** What is under way, for those who watch it. */
export interface InFlight {
  readonly sql: string;
  /** On `performance.now()`. */
  readonly since: number;
}

/** The open transaction is not the one that was begun any more: a migration has ended it. */
export class TransactionEndedError extends Error {
  override readonly name = "TransactionEndedError";
}

/** How long a stopped migration has to end by itself, in milliseconds. */
const STOP_GRACE_MS = 1_000;

/** How many statements are sent ahead before the answers are waited for. */
const WINDOW = 500;

/** Set before the first savepoint of a migration, so that all of its savepoints can be released at once. */
const SAVEPOINT = "battlescope_migrate_step";

const ENDING: readonly TransactionEffect[] = [
  "commit",
  "rollback",
  "prepare_transaction",
];

/** A session that a migration, or what watches it, works with. */
export class Connection {
  readonly #link: Link;
  readonly #options: ConnectionOptions;
  readonly #inFlight = new Map<InFlight, Promise<unknown>>();
  readonly #senders = new WeakMap<Error, Sender>();
  #isUnanswered = false;
  #stopped: Error | undefined;
  /** Aborts some time after {@link stop}. */
  #stopping = new AbortController();
  #stopTimer: ReturnType<typeof setTimeout> | undefined;
  /** Whether a transaction of {@link begin} is open. */
  #isOpen = false;
  /** What the open transaction, whoever began it, is stuck on. */
  #aborted: Error | undefined;
  /** Whether the statement that aborted the transaction has told the migration so. */
  #abortSeen = false;
  /** What the open transaction is given up for: it is the error of all that fails from then on. */
  #abandoned: Error | undefined;
  /** Whether the migration at work has set a savepoint: then it may survive an error, and sees each where it happens. */
  #hasSavepoint = false;
  /** When the last answer came in, on `performance.now()`. */
  #answeredAt = 0;
  /** The same, of an answer to something that was asked for. */
  #workedAt = 0;

  constructor(link: Link, options: ConnectionOptions) {
    this.#link = link;
    this.#options = options;
  }

  /** The process id of the backend, as the server announced it at log-in. */
  get announcedPid(): number | undefined {
    return this.#link.announcedPid;
  }

  /** The error that the open transaction is stuck on: nothing of it can be committed. */
  get aborted(): Error | undefined {
    return this.#aborted;
  }

  /** Whether the migration that met {@link aborted} was told so by the statement itself, and went on. */
  get abortSeen(): boolean {
    return this.#abortSeen;
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

  /** Whether a statement was sent that has no answer, and may never have one: it may have taken effect. */
  get isUnanswered(): boolean {
    return this.#isUnanswered || this.#inFlight.size > 0;
  }

  /** The oldest statement that is not answered yet. */
  get oldestInFlight(): InFlight | undefined {
    return this.#inFlight.keys().next().value;
  }

  /** For how long the server has had nothing to do, in milliseconds. */
  get idleMs(): number {
    return this.#inFlight.size > 0 ? 0 : performance.now() - this.#answeredAt;
  }

  /** For how long it has had nothing to do but to be told that there is a client; see {@link keepAlive}. */
  get quietMs(): number {
    return this.#inFlight.size > 0 ? 0 : performance.now() - this.#workedAt;
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
  async prepare(): Promise<void> {
    await this.#link.prepare();
  }

  /** Begins a transaction, in the flight of the statement that follows. A role's defaults must not decide how it reads. */
  async begin(): Promise<void> {
    this.#throwIfUnusable();
    if (this.#inFlight.size === 0 && !this.serverIsIdle) {
      throw new Error("Cannot begin a transaction: another one is open");
    }
    this.#isOpen = true;
    this.#aborted = this.#abandoned = undefined;
    this.#hasSavepoint = false;
    const begun = this.#send(
      "start transaction isolation level read committed read write",
    );
    if (!this.#options.pipeline) await begun;
  }

  /**
   * Commits the transaction of {@link begin}, in the flight of what was sent ahead.
   *
   * @throws what aborted the transaction, or kept the server from committing it
   */
  async commit(): Promise<void> {
    this.#throwIfUnusable();
    this.#throwAborted();
    const answer: Answer = { tags: [] };
    try {
      // Shown with --verbose, too: until then every lock is held.
      await this.#send("commit", { answer, ends: true, own: false });
    } catch (error) {
      throw this.#aborted ?? error;
    }
    this.#isOpen = false;
    if (answer.tags[0] === "COMMIT") return;
    throw this.#aborted ?? this.#stopped ?? rolledBack();
  }

  /** Rolls back the transaction of {@link begin}, if it is still open. Never rejects: with the connection it is gone, too. */
  async rollback(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#aborted = this.#abandoned = undefined;
    if (this.isLost || (this.#inFlight.size === 0 && this.serverIsIdle)) return;
    await this.#send("rollback").catch(() =>
      this.destroy("a transaction could not be rolled back")
    );
  }

  /**
   * Rolls back the transaction that a migration has begun outside of ours and left open.
   *
   * @returns whether there was one
   */
  async rollBackForeign(): Promise<boolean> {
    await this.settle();
    if (this.isLost || this.serverIsIdle) return false;
    await this.#send("rollback");
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
    if (this.#isOpen) this.#throwAborted();
    try {
      return await this.#send(text, { parameters });
    } catch (error) {
      // The first error is the cause; what came after it only says that the transaction is aborted.
      throw this.#isOpen ? this.#aborted ?? error : error;
    }
  }

  /**
   * Sends one or several statements of the program's own ahead of the next that is awaited. The answer settles with that
   * flight; who does not look at it still meets its error there.
   *
   * @param onDone called when it has succeeded, before anything is said of what was sent behind it
   */
  sendAhead(
    text: string,
    sender?: Sender,
    onDone?: () => void,
  ): Promise<Rows> {
    const refusal = this.#refusal;
    if (refusal !== undefined) return rejected(refusal);
    return this.#send(text, {
      ...(sender && { sender }),
      ...(onDone && { onDone }),
      own: true,
    });
  }

  /**
   * Runs a statement of a migration.
   *
   * In a transaction a definition may still be on its way when this resolves.
   *
   * @throws {DatabaseError} when the server refuses it, or one that was sent ahead of it
   * @throws {Error} when it is one that cannot be run
   */
  async run(
    text: string,
    parameters: readonly unknown[],
    sender: Sender,
  ): Promise<Rows> {
    const lex: LexOptions = { conforming: this.#link.conformingStrings };
    const effects = transactionEffects(text, lex);
    const undoes = effects !== undefined && effects.length > 0 &&
      effects.every((one) => one === "rollback" || one === "rollback_to");
    const refusal = this.#refusal;
    if (refusal !== undefined) {
      // With the connection the transaction is gone, too; and what is stopped may still be rolled back.
      if (undoes && this.isLost) return emptyRows();
      if (!undoes || this.isLost) throw refusal;
    }
    if (copiesThroughClient(text, lex)) {
      throw new Error(
        "COPY from stdin and to stdout need a client that handles the data, which this is not: insert the rows instead",
      );
    }
    if (!this.#isOpen) {
      return await this.#runOutside(text, parameters, sender, effects);
    }
    if (effects?.some((one) => ENDING.includes(one))) {
      throw new Error(
        "it may not end the transaction that it runs in: leave out BEGIN and COMMIT, the program sends both; " +
          "to run outside of a transaction: export const options = { transaction: false }",
      );
    }
    if (!undoes) this.#throwAborted();
    if (
      !this.#hasSavepoint && (effects?.includes("savepoint") ?? false)
    ) {
      this.#hasSavepoint = true;
      void this.#send(`savepoint ${SAVEPOINT}`);
    }
    const sent = this.#send(text, { parameters, sender });
    const mayGoAhead = !this.#hasSavepoint && parameters.length === 0 &&
      isDefinition(text, lex);
    if (
      mayGoAhead && this.#options.pipeline && this.#inFlight.size < WINDOW
    ) {
      return emptyRows();
    }
    try {
      return await sent;
    } catch (error) {
      // Whether it is sent ahead must not decide what is said of it.
      this.#abortSeen = !mayGoAhead && error === this.#aborted;
      throw this.#aborted ?? error;
    }
  }

  /** Gives the transaction up for `reason`: cancels what is running, and waits until everything is answered. */
  async abandon(reason: Error): Promise<void> {
    this.#abandoned = reason;
    await this.cancel();
    await this.settle();
  }

  /** Resolves when every statement sent ahead is answered, however it is. */
  async settle(): Promise<void> {
    await Promise.allSettled([...this.#inFlight.values()]);
  }

  /** Forgets the savepoints of the migration that has ended: nobody may go back to them. */
  releaseSavepoints(sender: Sender): void {
    if (!this.#hasSavepoint) return;
    this.#hasSavepoint = false;
    void this.sendAhead(`release savepoint ${SAVEPOINT}`, sender);
  }

  /**
   * What `work` comes to, unless the connection is lost before, or is stopped and `work` does not end soon after. It may
   * wait for something that has nothing to do with the database, for ever.
   */
  async orEnded<T>(work: Promise<T>): Promise<T> {
    work.catch(() => {}); // what it rejects with later is past
    return await this.#link.orLost(abortable(work, this.#stopping.signal));
  }

  /** Tells a server that waits for a migration, with its transaction open, that there is still somebody. */
  keepAlive(): void {
    if (this.#inFlight.size > 0 || this.isLost || this.serverIsIdle) return;
    const workedAt = this.#workedAt;
    this.#send("").finally(() => this.#workedAt = workedAt).catch(() => {});
  }

  /** Rejects every further statement but a rollback with `reason`, until {@link resume}, and cancels the running one. */
  async stop(reason: Error): Promise<void> {
    this.#stopped = reason;
    const stopping = this.#stopping;
    this.#stopTimer = setTimeout(() => stopping.abort(reason), STOP_GRACE_MS);
    await this.cancel();
  }

  resume(): void {
    this.#stopped = undefined;
    clearTimeout(this.#stopTimer);
    this.#stopping = new AbortController();
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

  /** Outside a transaction of ours: the migration may have one of its own, and the server tells what becomes of it. */
  async #runOutside(
    text: string,
    parameters: readonly unknown[],
    sender: Sender,
    effects: readonly TransactionEffect[] = [],
  ): Promise<Rows> {
    const stuckOn = this.#aborted;
    const answer: Answer = { tags: [] };
    const rows = await this.#send(text, { parameters, sender, answer });
    const asked =
      effects.filter((one) => one === "rollback" || one === "rollback_to")
        .length;
    const rollbacks = answer.tags.filter((tag) => tag === "ROLLBACK").length;
    // A commit that the server answers so has committed nothing.
    if (rollbacks > asked) throw sender.uncommitted ??= stuckOn ?? rolledBack();
    return rows;
  }

  /** Hands a statement to the driver, which sends it in the same flight as others of this turn. */
  #send(
    text: string,
    {
      parameters = [],
      sender,
      own = sender === undefined,
      answer = { tags: [] },
      ends = false,
      onDone,
    }: {
      parameters?: readonly unknown[];
      sender?: Sender;
      /** Whether it is a statement of the program's own. */
      own?: boolean;
      answer?: Answer;
      /** Whether it ends the transaction. */
      ends?: boolean;
      onDone?: () => void;
    } = {},
  ): Promise<Rows> {
    const entry: InFlight = { sql: text, since: performance.now() };
    const isOpen = this.#isOpen;
    // An error repeats the statement that a migration wrote; ours would help nobody.
    const repeated = own || ends ? undefined : text;
    const sent = this.#link.send(text, parameters, repeated, answer);
    const result = sent.then((rows) => {
      this.#answered(entry, answer, sender, own);
      if (!ends) this.#follow(answer, isOpen);
      onDone?.();
      return rows;
    }, (error) => {
      this.#answered(entry, answer, sender, own);
      // A farewell of the server answers what it was at: it has not done that, nor what comes after it.
      if (
        error instanceof ConnectionLostError &&
        causeOf(error, DatabaseError) === undefined
      ) this.#isUnanswered = true;
      const failure = this.#stopped ?? this.#abandoned ?? error;
      if (
        failure instanceof Error && sender !== undefined &&
        !this.#senders.has(failure)
      ) {
        this.#senders.set(failure, sender);
      }
      if (!ends) this.#follow(answer, isOpen, failure);
      throw failure;
    });
    this.#inFlight.set(entry, result);
    result.catch(() => {});
    return result;
  }

  #answered(
    entry: InFlight,
    { at = performance.now() }: Answer,
    sender: Sender | undefined,
    own: boolean,
  ): void {
    this.#inFlight.delete(entry);
    if (sender !== undefined) sender.answeredAt = at;
    // The server does one thing after the other: it began with this when it had answered what came before.
    const since = Math.max(entry.since, this.#answeredAt);
    this.#answeredAt = this.#workedAt = at;
    if (!own) {
      this.#options.onStatement?.(entry.sql, Math.max(0, at - since));
    }
  }

  /** What the answer says of the transaction; one of {@link begin} has to be open still. */
  #follow({ status }: Answer, isOurs: boolean, failure?: Error): void {
    if (status === "failed") {
      this.#aborted ??= failure;
    } else if (status === "idle" && isOurs) {
      this.#aborted ??= failure ??
        new TransactionEndedError("the transaction has been ended");
    } else if (
      status !== undefined && !(this.#aborted instanceof TransactionEndedError)
    ) {
      this.#aborted = undefined;
    }
  }

  /** Why nothing can be sent. */
  get #refusal(): Error | undefined {
    return this.#link.lost ?? this.#stopped;
  }

  #throwIfUnusable(): void {
    const refusal = this.#refusal;
    if (refusal !== undefined) throw refusal;
  }

  /** Nothing after the error that has aborted the transaction can succeed. */
  #throwAborted(): void {
    if (this.#aborted !== undefined) throw this.#aborted;
  }
}

function rolledBack(): DatabaseError {
  return new DatabaseError({
    code: "40000",
    severity: "ERROR",
    message: "the server rolled back the transaction instead of committing it",
  });
}

function emptyRows(): Rows {
  return Object.assign([], { command: null, count: null });
}

function rejected(error: Error): Promise<never> {
  const promise = Promise.reject(error);
  promise.catch(() => {});
  return promise;
}
