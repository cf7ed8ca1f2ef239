/**
 * How long to wait, and what ends a wait before its time.
 *
 * @module
 */
export { abortable } from "@std/async/abortable";

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
