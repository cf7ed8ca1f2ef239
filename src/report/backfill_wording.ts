/**
 * Backfills in the words of a message.
 *
 * @module
 */
import type { BackfillControl } from "../plan/backfill.ts";
import { type OpenBackfill, SILENT_MS } from "../plan/backfill_progress.ts";
import { formatDuration, visible } from "../text.ts";
import { rowsText } from "./amounts.ts";

/** Who works on a backfill. */
export function runnerText(
  { host, pid, beatAgoMs }: {
    readonly host: string | null;
    readonly pid: number | null;
    readonly beatAgoMs: number;
  },
): string {
  const where = host === null ? "another run" : visible(host);
  const backend = pid === null ? "" : ` (backend ${pid})`;
  return `${where}${backend} is at work on it, last heard of ${
    formatDuration(beatAgoMs)
  } ago`;
}

/** How far it is, for `status` and on the way. */
export function progressText(
  { share, rowsDone, rowsTotal, rowsPerSecond, etaSeconds }: {
    readonly share: number | null;
    readonly rowsDone: number;
    readonly rowsTotal: number;
    readonly rowsPerSecond: number | null;
    readonly etaSeconds: number | null;
  },
): string {
  return [
    ...(share === null ? [] : [`${Math.floor(share * 100)} %`]),
    `${rowsText(rowsDone)} of about ${rowsText(rowsTotal)} rows`,
    ...(rowsPerSecond === null ? [] : [`${rowsText(rowsPerSecond)}/s`]),
    ...(etaSeconds === null
      ? []
      : [`about ${formatDuration(etaSeconds * 1_000)} left`]),
  ].join(", ");
}

/** What an operator has told a backfill. */
export function controlText(
  { migration, ...control }: { readonly migration: string } & BackfillControl,
): string {
  const name = visible(migration);
  switch (control.action) {
    case "pause":
      return `Paused ${name}`;
    case "resume":
      return `Resumed ${name}`;
    case "set": {
      const { rest, aimMs } = control;
      const set = [
        ...(rest === undefined ? [] : [`rest ${rest}`]),
        ...(aimMs === undefined ? [] : [`aim ${formatDuration(aimMs)}`]),
      ];
      return `Set ${name}: ${set.join(", ")}`;
    }
  }
}

/** The lines of `status` below an open backfill. */
export function openLines(open: OpenBackfill): string[] {
  const { runner, heldFor, control, error } = open;
  const isSilent = runner === null ||
    (runner.beatAgoMs > SILENT_MS && heldFor === null);
  const lines = [progressText(open)];
  if (control === "paused") lines.push("paused");
  if (isSilent) {
    const since = runner === null
      ? ""
      : ` since ${formatDuration(runner.beatAgoMs)}`;
    lines.push(`nobody is running it${since}: up goes on with it`);
  } else if (heldFor !== null && control === null) {
    lines.push(`held: ${visible(heldFor)}`);
  }
  if (error !== null) lines.push(`left with: ${visible(error)}`);
  return lines;
}
