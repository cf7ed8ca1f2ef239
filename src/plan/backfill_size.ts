/**
 * How many keys the next batch takes. No I/O.
 *
 * @module
 */
import { type Key, same } from "./backfill.ts";

const ROWS = { first: 1_000, fewest: 100, most: 100_000 };

/** The size grows by no more than this at a time: the next rows may take longer. */
const GROWTH = 1.5;

/** How many keys the next batch takes, after one that took `tookMs` for `rows`. */
export function nextRows(rows: number, tookMs: number, aimMs: number): number {
  const factor = Math.min(aimMs / Math.max(tookMs, 1), GROWTH);
  return Math.min(
    Math.max(Math.round(rows * factor), ROWS.fewest),
    ROWS.most,
  );
}

/** How many keys a batch takes after one that was in somebody's way. */
export function fewerRows(rows: number): number {
  return Math.max(Math.floor(rows / 2), ROWS.fewest);
}

/** What a batch took: so many keys, up to this one. */
export interface Taken {
  readonly rows: number;
  readonly through: Key;
}

/** The size of the batches of one run. */
export class BatchSize {
  #rows: number | undefined;
  /** A row up to this key makes a batch fail: the batches are halved until it is alone. */
  #suspect: Taken | undefined;

  /** How many keys the next batch takes. @param before how many the last one of an earlier run was to take */
  rows(before: number | null): number {
    return this.#suspect?.rows ?? this.#rows ?? before ?? ROWS.first;
  }

  /** The key that the next batch must not go beyond; the last of all when missing. */
  get through(): Key | undefined {
    return this.#suspect?.through;
  }

  /** A batch is done. */
  done(
    { rows, through }: Taken,
    { tookMs, aimMs, waiting }: {
      readonly tookMs: number;
      readonly aimMs: number;
      /** How many sessions have waited for it. */
      readonly waiting: number;
    },
  ): void {
    if (this.#suspect !== undefined) {
      this.#suspect = same(through, this.#suspect.through)
        ? undefined
        : { ...this.#suspect, rows: half(rows) };
    } else {
      this.#rows = waiting > 0
        ? fewerRows(rows)
        : nextRows(this.#rows ?? rows, tookMs, aimMs);
    }
  }

  /** A batch was in somebody's way. @returns how many keys the next one takes */
  giveWay(rows: number = ROWS.first): number {
    return this.#rows = fewerRows(rows);
  }

  /** A batch fails of one of its rows. @returns whether there is something to halve */
  halve({ rows, through }: Taken): boolean {
    if (rows <= 1) return false;
    this.#suspect = { rows: half(rows), through };
    return true;
  }

  /** The rows that were suspected are gone. @returns whether there were any */
  clear(): boolean {
    const had = this.#suspect !== undefined;
    this.#suspect = undefined;
    return had;
  }
}

function half(rows: number): number {
  return Math.max(Math.floor(rows / 2), 1);
}
