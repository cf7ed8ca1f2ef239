/**
 * How far a backfill is, and how long it will take. No I/O.
 *
 * @module
 */

/** How far a backfill is, and who works on it, as its row says. */
export interface OpenBackfill {
  /** From 0 to 1; `null` before the first look. */
  readonly share: number | null;
  readonly rowsDone: number;
  /** The planner's count. */
  readonly rowsTotal: number;
  readonly rowsPerSecond: number | null;
  readonly etaSeconds: number | null;
  readonly control: "paused" | null;
  readonly heldFor: string | null;
  /** Why the last run has left it. */
  readonly error: string | null;
  readonly rest: number;
  readonly aimMs: number;
  readonly batchRows: number | null;
  readonly lastBatchMs: number | null;
  /** Who was last heard of. */
  readonly runner: {
    readonly host: string | null;
    readonly pid: number | null;
    /** ISO 8601. */
    readonly beatAt: string;
    readonly beatAgoMs: number;
  } | null;
}

/** After this time without a word nobody is taken to be at work; milliseconds. */
export const SILENT_MS = 30_000;

/** A moment of a backfill. */
interface Sample {
  /** Milliseconds, on a clock that never goes back. */
  readonly at: number;
  /** Of the whole, from 0 to 1. */
  readonly share: number;
  readonly rows: number;
}

/** What can be said from the last minutes. */
export interface Pace {
  readonly rowsPerSecond: number | null;
  /** `null` where nobody can tell. */
  readonly etaSeconds: number | null;
}

/** What is told of the time that is left rests on this time; milliseconds. */
const WINDOW_MS = 5 * 60_000;

/** Below this share nothing is said of the time that is left. */
const LEAST_SHARE = 0.01;

/** The progress of one run. Rests and holds count: they will come again. */
export class Progress {
  #samples: Sample[] = [];

  add(sample: Sample): void {
    const since = sample.at - WINDOW_MS;
    // One of before the window stays, so that it is always covered.
    const first = this.#samples.findLastIndex(({ at }) => at <= since);
    this.#samples = [...this.#samples.slice(Math.max(first, 0)), sample];
  }

  pace(): Pace {
    const [first] = this.#samples;
    const last = this.#samples.at(-1);
    const ms = (last?.at ?? 0) - (first?.at ?? 0);
    if (first === undefined || last === undefined || ms <= 0) {
      return { rowsPerSecond: null, etaSeconds: null };
    }
    const done = last.share - first.share;
    return {
      rowsPerSecond: Math.round((last.rows - first.rows) / (ms / 1_000)),
      etaSeconds: last.share < LEAST_SHARE || done <= 0
        ? null
        : Math.round((1 - last.share) / done * (ms / 1_000)),
    };
  }
}

/** The share that is done, when the planner expects so many rows to be left. */
export function shareOf(rowsLeft: number, rowsTotal: number): number {
  if (rowsTotal <= 0) return 0;
  return Math.min(Math.max(1 - rowsLeft / rowsTotal, 0), 1);
}
