/**
 * What became of changes of the history whose answer was lost, from what the history says later. No I/O.
 *
 * @module
 */
import type { HistoryChange, HistoryRow } from "./history.ts";

/** Whether what was asked for took effect: all of it, nothing of it, or nobody can tell. */
export type Outcome = "committed" | "rolled_back" | "unknown";

/** A row of the history and what this run has to do with it: another migrator may have written one like ours. */
export interface TracedRow extends HistoryRow {
  /** This run has written it. */
  readonly isOurs: boolean;
  /** This run has rolled it back, or began to. */
  readonly isUndoneByUs: boolean;
}

/**
 * The outcome of changes that take effect together, or not at all.
 *
 * @param before the rows that are changed, as they were
 * @param now the rows of this run, and those that are changed
 */
export function outcomeOf(
  changes: readonly HistoryChange[],
  before: readonly HistoryRow[],
  now: readonly TracedRow[],
): Outcome {
  const [outcome, ...others] = new Set(
    changes.map((change) => outcomeOfOne(change, before, now)),
  );
  return outcome === undefined || others.length > 0 ? "unknown" : outcome;
}

/** The ids of the rows that are changed, but for those that are new. */
export function changedIds(changes: readonly HistoryChange[]): number[] {
  return changes.flatMap((change) =>
    change.kind === "insert" ? [] : [change.id]
  );
}

/** Whether another run has rolled back since what this run had applied. */
export function isUndoneSince(
  changes: readonly HistoryChange[],
  now: readonly TracedRow[],
): boolean {
  return changes.some((change) =>
    change.kind === "insert" &&
    now.some((row) => isInserted(change, row) && row.status === "rolled_back")
  );
}

function outcomeOfOne(
  change: HistoryChange,
  before: readonly HistoryRow[],
  now: readonly TracedRow[],
): Outcome {
  if (change.kind === "insert") {
    return isSo(now.some((row) => isInserted(change, row)));
  }
  const old = before.find(({ id }) => id === change.id);
  const row = now.find(({ id }) => id === change.id);
  if (row === undefined) return "unknown";
  switch (change.kind) {
    case "start_rollback":
      return isSo(row.isUndoneByUs);
    case "roll_back":
      // What this run has rolled back, no other run can change.
      return isSo(row.isUndoneByUs && row.status === "rolled_back");
    case "note_error":
      return isSo(row.error !== old?.error);
    case "finish":
      return judged(row.status, "applied", ["running"]);
    case "cancel_rollback":
      return judged(row.status, change.status, ["running"]);
    case "fail":
      return judged(row.status, "failed", ["running"]);
    // A row does not say who has settled it. Where it says neither what it said nor what it was to say, another run had a part in it.
    case "accept_checksum":
      return judged(row.checksum, change.checksum, [old?.checksum]);
    case "reopen":
      return isSo(row.status === "running" && row.checksum === change.checksum);
    case "mark_applied":
      return judged(row.status, "applied", [old?.status]);
  }
}

/** Whether the row is the one that was inserted; this run may have rolled back another of the same name. */
function isInserted(
  { name, status }: HistoryChange & { kind: "insert" },
  row: TracedRow,
): boolean {
  if (row.name !== name || !row.isOurs || row.isUndoneByUs) return false;
  // What was running may be anything by now.
  return status === "running" ||
    (status === "failed") === (row.status === "failed");
}

function isSo(committed: boolean): Outcome {
  return committed ? "committed" : "rolled_back";
}

function judged<T>(now: T, after: T, before: readonly T[]): Outcome {
  if (now === after) return "committed";
  return before.includes(now) ? "rolled_back" : "unknown";
}
