/**
 * The rates of the server at hand, from what migrations were planned to work through there, and took.
 *
 * @module
 */
import { type Basis, MEGABYTE, type OwnRates } from "./estimate.ts";
import type { PlannedTime } from "./planned_times.ts";

/** So many times at least the same work must have been seen. */
const LEAST_SEEN = 3;

/** Below that a migration takes its time for something else; bytes. */
const LEAST_BYTES = 10 * MEGABYTE;

/** The share of its bytes that a migration must have worked through in one way: what it took is the time of that. */
const SHARE = 0.9;

/** The next time may be worse than the worst that was seen, and better than the best. */
const MARGIN = 2;

/** A migration that was planned, and how long it took. */
export interface Taken {
  readonly planned: Pick<PlannedTime, "bytes">;
  /** Milliseconds. */
  readonly durationMs: number;
}

/** The rates of each kind of work that was seen often enough. */
export function ownRates(runs: readonly Taken[]): OwnRates {
  const seen = new Map<Basis, number[]>();
  for (const { planned, durationMs } of runs) {
    const works = Object.entries(planned.bytes) as [Basis, number][];
    const sum = works.reduce((sum, [, bytes]) => sum + bytes, 0);
    const main = works.find(([, bytes]) => bytes >= SHARE * sum);
    if (main === undefined || sum < LEAST_BYTES || durationMs <= 0) continue;
    const [basis, bytes] = main;
    const rate = bytes / MEGABYTE / (durationMs / 1_000);
    seen.set(basis, [...seen.get(basis) ?? [], rate]);
  }
  return Object.fromEntries(
    [...seen].filter(([, rates]) => rates.length >= LEAST_SEEN).map((
      [basis, rates],
    ) => [basis, {
      fast: MARGIN * Math.max(...rates),
      slow: Math.min(...rates) / MARGIN,
      seen: rates.length,
    }]),
  );
}
