/**
 * How long work on a table takes, as a range: nobody knows the disks, the memory and what else is going on.
 *
 * @module
 */

/** Milliseconds, the least and the most. */
export interface Range {
  readonly fromMs: number;
  readonly toMs: number;
}

/** What an estimate rests on. */
export type Basis = "scan" | "build" | "rewrite" | "change";

/** Fast and slow, in megabytes of the table a second. */
export interface Rate {
  readonly fast: number;
  readonly slow: number;
}

/** What servers of very different sizes were seen to do. `docs/rules.md` says how they were checked. */
const RATES: Readonly<Record<Basis, Rate>> = {
  scan: { fast: 800, slow: 100 },
  build: { fast: 250, slow: 25 },
  rewrite: { fast: 200, slow: 12 },
  change: { fast: 60, slow: 4 },
};

/** What the server at hand was seen to do, and how often. */
export type OwnRates = Readonly<
  Partial<Record<Basis, Rate & { readonly seen: number }>>
>;

export const MEGABYTE = 1_000_000;

/** What a statement takes that only writes to the catalogs, once it has its locks. */
export const AT_ONCE: Range = { fromMs: 0, toMs: 50 };

/** How long it takes to work through so many bytes, by the server's own rates where they are known. */
export function workRange(
  basis: Basis,
  bytes: number,
  own: OwnRates = {},
): Range {
  const { fast, slow } = own[basis] ?? RATES[basis];
  const seconds = bytes / MEGABYTE;
  return {
    fromMs: Math.round(seconds / fast * 1_000),
    toMs: Math.round(seconds / slow * 1_000),
  };
}

export function sumOf(ranges: readonly Range[]): Range {
  return {
    fromMs: ranges.reduce((sum, { fromMs }) => sum + fromMs, 0),
    toMs: ranges.reduce((sum, { toMs }) => sum + toMs, 0),
  };
}
