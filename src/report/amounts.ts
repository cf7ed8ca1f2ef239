/**
 * Bytes, rows and ranges of time, as people read them.
 *
 * @module
 */

/** `212 MiB`, `1.5 GiB`. */
export function bytesText(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  let value = bytes;
  for (; value >= 1024 && i < units.length - 1; i++) value /= 1024;
  return `${Number(value.toPrecision(3))} ${units[i]}`;
}

/** `950`, `37.4 k`, `101 M`. */
export function rowsText(rows: number): string {
  if (rows < 10_000) return String(Math.round(rows));
  return rows < 1_000_000
    ? `${Number((rows / 1_000).toPrecision(3))} k`
    : `${Number((rows / 1_000_000).toPrecision(3))} M`;
}

/** `under 1 s`, `up to 9 s`, `4 to 43 min`, `50 s to 8 min`; milliseconds. */
export function rangeText(
  { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
): string {
  if (toMs < 1_000) return "under 1 s";
  const [to, unit] = rounded(toMs);
  if (fromMs < 1_000) return `up to ${to} ${unit}`;
  const [from, fromUnit] = rounded(fromMs);
  return fromUnit === unit
    ? from === to ? `about ${to} ${unit}` : `${from} to ${to} ${unit}`
    : `${from} ${fromUnit} to ${to} ${unit}`;
}

function rounded(ms: number): [number, string] {
  const seconds = Math.round(ms / 1_000);
  if (seconds < 60) return [seconds, "s"];
  if (seconds < 3_600) return [Math.round(seconds / 60), "min"];
  return [Number((seconds / 3_600).toPrecision(2)), "h"];
}
