/**
 * The statements of a connection that are not answered yet, and since when it has had nothing to do.
 *
 * @module
 */

/** On whose behalf statements run; errors and times are kept with it. */
export interface Sender {
  /** When the last of its statements was answered, on `performance.now()`. */
  answeredAt?: number;
  /** A transaction that it wanted committed and the server has rolled back: nothing it does with the error mends that. */
  uncommitted?: Error;
}

/** A statement that is under way. */
export interface InFlight {
  readonly sql: string;
  /** On whose behalf; nobody's is the program's own. */
  readonly sender: Sender | undefined;
  /** When it was sent, on `performance.now()`. */
  readonly since: number;
}

/** Statements under way, the oldest first. Times are on `performance.now()`, milliseconds. */
export class StatementsInFlight {
  readonly #statements = new Map<InFlight, Promise<unknown>>();
  /** When the last answer came in. */
  #answeredAt = 0;
  /** The same, of an answer to something that was asked for. */
  #workedAt = 0;

  get size(): number {
    return this.#statements.size;
  }

  get oldest(): InFlight | undefined {
    return this.#statements.keys().next().value;
  }

  /** For how long the server has been at the oldest: it does one thing after the other. */
  get workingMs(): number {
    const { oldest } = this;
    return oldest === undefined
      ? 0
      : performance.now() - Math.max(oldest.since, this.#answeredAt);
  }

  /** For how long the server has had nothing to do. */
  get idleMs(): number {
    return this.size > 0 ? 0 : performance.now() - this.#answeredAt;
  }

  /** For how long it has had nothing to do but to be told that there is a client; see {@link asBefore}. */
  get quietMs(): number {
    return this.size > 0 ? 0 : performance.now() - this.#workedAt;
  }

  add(statement: InFlight, result: Promise<unknown>): void {
    this.#statements.set(statement, result);
  }

  /** Takes the answer to a statement out of the list. @returns how long the server was at it */
  answered(statement: InFlight, at: number): number {
    this.#statements.delete(statement);
    // The server does one thing after the other: it began with this when it had answered what came before.
    const since = Math.max(statement.since, this.#answeredAt);
    this.#answeredAt = this.#workedAt = at;
    return Math.max(0, at - since);
  }

  /** Does not count the statement whose answer `result` is as work. */
  asBefore(result: Promise<unknown>): void {
    const workedAt = this.#workedAt;
    result.finally(() => this.#workedAt = workedAt).catch(() => {});
  }

  /** Resolves when every statement is answered, however it is. */
  async settle(): Promise<void> {
    await Promise.allSettled([...this.#statements.values()]);
  }
}
