/**
 * Durations as people write them.
 *
 * @module
 */

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;

/** PostgreSQL keeps its timeouts in an `int` of milliseconds, about 24.8 days. */
const LONGEST_MS = 2_147_483_647;

/** Reads `500ms`, `5s`, `2m`, `1h` or `0`. Returns milliseconds, or the error that says what is wrong. */
export function parseDuration(text: string): number | Error {
  if (text === "0") return 0;
  const match = /^(\d{1,12})(ms|s|m|h)$/.exec(text);
  if (match === null) {
    return new SyntaxError(
      `${
        JSON.stringify(text.slice(0, 40))
      } is not a duration such as 500ms, 5s, 2m or 1h`,
    );
  }
  const ms = Number(match[1]) * UNITS[match[2] as keyof typeof UNITS];
  return ms <= LONGEST_MS ? ms : new RangeError(
    `${JSON.stringify(text)} is longer than the limit of 596h`,
  );
}

/** A duration for a person: `870 ms`, `4.2 s`, `3 min 5 s`. */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1_000).toFixed(1).replace(/\.0$/, "")} s`;
  const seconds = Math.round(ms / 1_000);
  const minutes = Math.floor(seconds / 60);
  const rest = seconds % 60;
  return rest === 0 ? `${minutes} min` : `${minutes} min ${rest} s`;
}
