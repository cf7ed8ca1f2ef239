/**
 * Waiting for what another process does, with a limit instead of a guess.
 *
 * @module
 */

/**
 * What takes longer than this has failed, in milliseconds. It is for a machine with ten times the work that it can do, so
 * it says nothing of how fast anything is; what is to be cut short has to be twice as long by itself.
 */
export const LIMIT_MS = 120_000;

/** Asks again and again until the answer is neither `undefined` nor `false`; fails when that takes too long. */
export async function waitFor<T>(
  what: string,
  ask: () => Promise<T | undefined | false> | T | undefined | false,
  limitMs = LIMIT_MS,
): Promise<T> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > deadline) {
      throw new Error(`Waited ${limitMs} ms in vain: ${what}`);
    }
    await delay(20);
  }
}

/** Resolves after that time. To wait for something to happen there is {@link waitFor}. */
export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
