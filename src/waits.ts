/**
 * How long to wait, and what ends a wait before its time.
 *
 * @module
 */

/** A migration may put something else in the place of the global one. */
const { Promise } = globalThis;

/**
 * What the promise comes to, unless the signal aborts before: then its reason is thrown.
 *
 * A `Promise.race` with one promise that lives long would keep the result of every race for as long as that lives
 * (https://github.com/nodejs/node/issues/17469): whatever a migration has read, until the end of the run. The standard
 * library's function of this name goes by the global `Promise`.
 */
export async function abortable<T>(
  promise: PromiseLike<T>,
  signal: AbortSignal,
): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** A first and a longest wait, in milliseconds. */
export interface Waits {
  readonly first: number;
  readonly last: number;
}

/**
 * The waits between attempts, one for each call, in milliseconds: each twice as long as the one before, up to the longest.
 * From half of each to all of it, by chance: what begins together must not knock together.
 */
export function backOff({ first, last }: Waits): () => number {
  let longest = first;
  return () => {
    const wait = longest / 2 + Math.random() * longest / 2;
    longest = Math.min(longest * 2, last);
    return wait;
  };
}
