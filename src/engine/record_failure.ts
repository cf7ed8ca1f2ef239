/**
 * Keeps in the history what failed and is known not to be in effect.
 *
 * @module
 */
import { failureText } from "../report/failure.ts";
import type { HistoryChange } from "../plan/history.ts";
import { changedIds, outcomeOf } from "../plan/outcome.ts";
import type { Step } from "../plan/plan.ts";
import type { Ports, Session } from "./ports.ts";

/** A step whose function was called. */
export interface Begun {
  readonly step: Step;
  /** On the port's clock. */
  readonly startedAt: number;
  /** The row of the history that says that it runs; outside a transaction only. */
  readonly journalId?: number;
  /** It is a backfill that has a position: it has no duration before its end. */
  readonly hasPosition?: boolean;
}

/** How often and for how long the lock is tried for, in milliseconds. */
const LOCK_MS = { every: 100, limit: 1_500 };

/**
 * Records the failure of a step that is not in effect. When that cannot be done it is said, and the failure itself stays
 * the error.
 */
export async function recordFailure(
  ports: Ports,
  session: Session,
  begun: Begun,
  error: unknown,
): Promise<void> {
  const elapsedMs = Math.round(ports.clock.now() - begun.startedAt);
  const change = failureChange(begun, elapsedMs, failureText(error));
  let mayBeThere = false;
  const write = async (at: Session) => {
    try {
      await at.despiteStop(() =>
        writeOnce(ports, at, begun, change, () => void (mayBeThere = true))
      );
    } catch (reason) {
      if (!at.isLost) mayBeThere = false;
      throw reason;
    }
  };
  try {
    if (!session.isLost) {
      try {
        return await write(session);
      } catch (reason) {
        if (!session.isLost) throw reason;
      }
    }
    const another = await ports.database.connect();
    try {
      await write(another);
    } finally {
      await another.close();
    }
  } catch (reason) {
    const { name } = begun.step.migration;
    const what = mayBeThere
      ? `Cannot tell whether the history has the failure of "${name}"`
      : `Cannot record the failure of "${name}" in the history`;
    ports.report({
      event: "warning",
      message: `${what}: ${failureText(reason)}`,
    });
  }
}

/** Writes the change, unless this run has written it before and the answer was lost. */
async function writeOnce(
  { clock }: Ports,
  session: Session,
  { step: { row } }: Begun,
  change: HistoryChange,
  onWrite: () => void,
): Promise<void> {
  const deadline = clock.now() + LOCK_MS.limit;
  for (let isLast = false;;) {
    const isDone = await session.transaction(async (work) => {
      // The lock is there for the creation of the table; a row of its own does not wait for another migrator.
      if (await work.lock() !== undefined) await work.prepareHistory();
      else if (!isLast) return false;
      const now = await work.trace(changedIds([change]));
      if (outcomeOf([change], row ? [row] : [], now) !== "committed") {
        onWrite();
        void work.write([change]);
      }
      return true;
    });
    if (isDone) return;
    // A process that was asked to stop does not sleep.
    const isStopped = await clock.sleep(LOCK_MS.every)
      .then(() => false, () => true);
    isLast = isStopped || clock.now() >= deadline;
  }
}

function failureChange(
  { step, journalId, hasPosition = false }: Begun,
  elapsedMs: number,
  error: string,
): HistoryChange {
  if (journalId !== undefined) {
    const durationMs = step.direction === "up" && !hasPosition
      ? elapsedMs
      : null;
    return { kind: "fail", id: journalId, durationMs, error };
  }
  if (step.direction === "down") {
    return { kind: "note_error", id: step.row!.id, error };
  }
  return {
    kind: "insert",
    name: step.migration.name,
    checksum: step.migration.checksum,
    status: "failed",
    startedAgoMs: elapsedMs,
    durationMs: elapsedMs,
    error,
  };
}
