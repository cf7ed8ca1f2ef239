/**
 * What became of a commit whose answer was lost, or that failed.
 *
 * @module
 */
import { causeOf, MigrationError } from "./errors.ts";
import { currentRows, type HistoryRow, isApplied } from "./history.ts";
import type { Step } from "./plan.ts";
import type { Ports, Session } from "./ports.ts";
import { underLock } from "./under_lock.ts";

/** Whether a commit took effect. */
export type Fate = "committed" | "failed" | "unknown";

/** A step that ran. It counts once its transaction is committed. */
export interface Ran {
  readonly step: Step;
  /** On the port's clock. */
  readonly startedAt: number;
  /** Milliseconds; missing where the server measures it. */
  readonly durationMs?: number;
}

/** How long the lock is polled for, which the backend of the commit has until it is decided; milliseconds. */
const COMMIT_LOCK_MS = 10_000;

/**
 * Whether what ran is in effect. The backend of the commit has the lock until that is decided: under the lock the history
 * tells.
 */
export async function commitFate(
  ports: Ports,
  session: Session,
  ran: readonly Ran[],
): Promise<Fate> {
  return await underLock(
    ports,
    session,
    "transaction",
    COMMIT_LOCK_MS,
    (_, { rows }) =>
      Promise.resolve(isInEffect(ran, rows) ? "committed" : "failed"),
  );
}

function isInEffect(
  ran: readonly Ran[],
  history: readonly HistoryRow[],
): boolean {
  const rows = currentRows(history);
  // Of a redo only the last word on a migration counts.
  const last = ran.filter(({ step }, i) =>
    !ran.slice(i + 1).some((later) => later.step.migration === step.migration)
  );
  return last.every(({ step }) => {
    const row = rows.get(step.migration.name);
    if (step.direction === "down") return !isApplied(row);
    // The row that a redo rolls back is no proof of what it applies.
    return isApplied(row) && !ran.some((one) => one.step.row?.id === row.id);
  });
}

/** A constraint that is checked at commit, or a connection that ended in it. */
export function commitError(
  ran: readonly Ran[],
  fate: Exclude<Fate, "committed">,
  cause: unknown,
): unknown {
  // One that was sent ahead of the commit has been named already.
  if (causeOf(cause, MigrationError) !== undefined) return cause;
  const { migration, direction } = ran[0]!.step;
  const what = ran.length === 1
    ? `"${migration.name}"`
    : `${ran.length} migrations`;
  if (fate === "unknown") {
    return new Error(
      `Cannot tell whether ${what} took effect, run status to see`,
      { cause },
    );
  }
  return ran.length === 1
    ? new MigrationError(migration.name, direction, { cause })
    : new Error(`Cannot commit ${what}`, { cause });
}
