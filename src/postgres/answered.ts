/**
 * An answer within its time.
 *
 * @module
 */

/** How long the second connection may take to answer, in milliseconds; its queries wait for nothing. */
const ANSWER_MS = 5_000;

/** Nobody has answered in time. */
export class SilentError extends Error {}

/** @throws {SilentError} when the answer takes longer than {@link ANSWER_MS} */
export async function inTime<T>(answer: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new SilentError()), ANSWER_MS);
  try {
    return await Promise.race([answer, promise]);
  } finally {
    clearTimeout(timer);
  }
}
