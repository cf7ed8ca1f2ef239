/**
 * What ends every wait at once: the loss of a connection, a stop.
 *
 * A `Promise.race` with one promise that lives long would keep the result of every race for as long as that lives
 * (https://github.com/nodejs/node/issues/17469): whatever a migration has read, until the end of the run.
 *
 * @module
 */

/** Comes at most once; whoever waits then, or later, is told the reason. */
export class Ending<Reason extends Error = Error> {
  readonly #waits = new Set<(reason: Reason) => void>();
  #reason: Reason | undefined;

  /** Why it has come, once it has. */
  get reason(): Reason | undefined {
    return this.#reason;
  }

  /** Rejects every wait. Only the first reason counts. */
  come(reason: Reason): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    for (const reject of this.#waits) reject(reason);
  }

  /** What the promise comes to, unless the end comes before. */
  async orEnded<T>(promise: PromiseLike<T>): Promise<T> {
    const ended = Promise.withResolvers<never>();
    if (this.#reason !== undefined) ended.reject(this.#reason);
    this.#waits.add(ended.reject);
    try {
      return await Promise.race([promise, ended.promise]);
    } finally {
      this.#waits.delete(ended.reject);
    }
  }
}
