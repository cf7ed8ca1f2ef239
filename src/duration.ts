/**
 * Durations as people write them.
 *
 * @module
 */
import { quote, quoteValue } from "./quote.ts";

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;

/** PostgreSQL keeps its timeouts in an `int` of milliseconds, about 24.8 days. */
const LONGEST_MS = 2_147_483_647;

/** Reads `500ms`, `5s`, `2m`, `1h` or `0`. Returns milliseconds, or the error that says what is wrong. */
export function parseDuration(text: string): number | Error {
  if (text === "0") return 0;
  const match = /^(\d{1,12})(ms|s|m|h)$/.exec(text);
  if (match === null) {
    return new SyntaxError(
      `${quoteValue(text)} is not a duration such as 500ms, 5s, 2m or 1h`,
    );
  }
  const ms = Number(match[1]) * UNITS[match[2] as keyof typeof UNITS];
  return ms <= LONGEST_MS
    ? ms
    : new RangeError(`${quote(text)} is longer than the limit of 596h`);
}

/** A duration for a person: `870 ms`, `4.2 s`, `3 min 5 s`, `2 h 10 min`. */
export function formatDuration(ms: number): string {
  if (Math.round(ms) < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1_000).toFixed(1).replace(/\.0$/, "")} s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 3_600) return pair(seconds, "min", "s");
  return pair(Math.round(seconds / 60), "h", "min");
}

function pair(n: number, large: string, small: string): string {
  const rest = n % 60;
  return `${Math.floor(n / 60)} ${large}${
    rest === 0 ? "" : ` ${rest} ${small}`
  }`;
}
