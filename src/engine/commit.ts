/**
 * One transaction under the migration lock that ends with a write to the history, and what became of it.
 *
 * When the answer to a commit is lost, a new session looks: under the lock the transaction is over, and the history tells.
 *
 * @module
 */
import {
  causeOf,
  InterruptedError,
  MigrationError,
  RefusedError,
  UnsettledError,
} from "../errors.ts";
import { failureText } from "../report/failure.ts";
import type { HistoryChange, HistoryRow } from "../plan/history.ts";
import {
  changedIds,
  isUndoneSince,
  type Outcome,
  outcomeOf,
  type TracedRow,
} from "../plan/outcome.ts";
import type {
  Backend,
  LockedHistory,
  Ports,
  Session,
  Work,
  Written,
} from "./ports.ts";
import { holderText } from "../report/wording.ts";
import { type LockRequest, underLock } from "./lock.ts";

/** How long to wait, as the options of these names say. Milliseconds. */
export interface Limits {
  readonly lockWaitMs: number;
  readonly waitForDbMs: number;
}

/** A session that was lost while something of it was on its way. */
export interface Loss {
  readonly ports: Ports;
  readonly session: Session;
  readonly limits: Limits;
}

/** What a transaction is about to write, which proves later that it was committed, and what its maker wants to know then. */
export interface Prepared<T> {
  readonly changes: readonly HistoryChange[];
  readonly value: T;
  /** Sends what belongs to the changes, once they are sent. */
  readonly sendAfter?: () => Promise<unknown>;
}

/** What became of a transaction that was to be committed. */
export type Commit<T> =
  & { readonly value: T }
  & (
    | {
      readonly outcome: "committed";
      /** The rows; missing when the answer was lost. */
      readonly written?: readonly Written[];
    }
    | { readonly outcome: "rolled_back"; readonly error: unknown }
    | {
      readonly outcome: "unknown";
      readonly error: unknown;
      /** Why it cannot be told. */
      readonly reason: unknown;
    }
  );

/** The backend of a lost session has the lock until its transaction is over: it gets this long at least, in milliseconds. */
const LEAST_LOCK_MS = 10_000;

/** The pause after a look that failed, and while only a standby answers; milliseconds. */
const AGAIN_MS = 500;

/**
 * Runs `prepare` under the lock, writes its changes and commits.
 *
 * @throws what `prepare` throws, and what goes wrong before it: then nothing is committed
 */
export async function commitUnderLock<T>(
  ports: Ports,
  session: Session,
  limits: Limits,
  prepare: (work: Work, history: LockedHistory) => Promise<Prepared<T>>,
): Promise<Commit<T>> {
  let prepared: Prepared<T> | undefined;
  let before: readonly HistoryRow[] = [];
  let written: Promise<readonly Written[]> | undefined;
  try {
    await underLock(
      ports,
      session,
      { scope: "transaction", waitMs: limits.lockWaitMs },
      async (work, history) => {
        const ready = await prepare(work, history);
        const ids = new Set(changedIds(ready.changes));
        before = history.rows.filter(({ id }) => ids.has(id));
        if (ready.changes.length > 0) written = work.write(ready.changes);
        ready.sendAfter?.().catch(() => {}); // the commit fails of it
        prepared = ready;
      },
    );
  } catch (error) {
    if (prepared === undefined || written === undefined) throw error;
    const { changes, value } = prepared as Prepared<T>;
    if (!session.isLost) return { outcome: "rolled_back", value, error };
    try {
      const loss = { ports, session, limits };
      const outcome = await learnOutcome(loss, changes, before);
      return outcome === "committed"
        ? { outcome, value }
        : { outcome, value, error };
    } catch (reason) {
      return { outcome: "unknown", value, error, reason };
    }
  }
  return {
    outcome: "committed",
    value: prepared!.value,
    ...(written !== undefined && { written: await written }),
  };
}

/**
 * Connects anew and runs `look` under the lock, with the rows of this run and of the changes as they are there. A
 * connection that is lost again is made again, as long as `--wait-for-db` lasts.
 *
 * @throws why nobody can look
 */
export async function lookUp<T>(
  { ports, session: { backend }, limits }: Loss,
  changes: readonly HistoryChange[],
  look: (now: readonly TracedRow[], work: Work) => Promise<T> | T,
): Promise<T> {
  const { clock } = ports;
  const deadline = clock.now() + limits.waitForDbMs;
  for (;;) {
    const session = await connectToPrimary(ports, deadline, backend);
    let held: string | undefined;
    const request: LockRequest = {
      scope: "transaction",
      waitMs: Math.max(limits.lockWaitMs, LEAST_LOCK_MS),
      whileHeld: async (holder) => {
        held = holderText(holder);
        // One that waits for a client that is gone would keep the lock, and all that the migration has locked.
        if (backend !== undefined) await session.endIdle(backend);
      },
    };
    try {
      return await session.despiteStop(() =>
        underLock(
          ports,
          session,
          request,
          async (work) => look(await work.trace(changedIds(changes)), work),
        )
      );
    } catch (error) {
      if (held !== undefined && error instanceof InterruptedError) {
        throw new RefusedError([`Cannot take the migration lock: ${held}`]);
      }
      const leftMs = deadline - clock.now();
      if (!session.isLost || leftMs <= 0) throw error;
      await clock.sleep(Math.min(leftMs, AGAIN_MS));
    } finally {
      await session.close();
    }
  }
}

/**
 * The error of what nobody can tell the end of.
 *
 * @param what completes "Cannot tell whether"
 * @param loss `reason` is why nobody could look, if it is that
 */
export function cannotTell(
  what: string,
  { error, reason }: { readonly error: unknown; readonly reason?: unknown },
  hint = "Run status to see",
): UnsettledError {
  // Which migration had a statement on its way is no news: none is known to have failed.
  const cause = causeOf(error, MigrationError)?.cause ?? error;
  const detail = reason === undefined ? undefined : failureText(reason);
  return new UnsettledError(`Cannot tell whether ${what}`, {
    cause,
    hint,
    ...(detail !== undefined && detail !== failureText(cause) && { detail }),
  });
}

/** @throws why it cannot be told */
async function learnOutcome(
  loss: Loss,
  changes: readonly HistoryChange[],
  before: readonly HistoryRow[],
): Promise<Exclude<Outcome, "unknown">> {
  const { outcome, undone } = await lookUp(loss, changes, (now) => ({
    outcome: outcomeOf(changes, before, now),
    undone: isUndoneSince(changes, now),
  }));
  if (outcome === "unknown") {
    throw new RefusedError([
      "The history says neither what it said before nor what it was to say",
    ]);
  }
  if (outcome === "committed") {
    const since = undone ? ", and that another run has rolled back since" : "";
    loss.ports.report({
      event: "warning",
      message:
        `The connection was lost during the commit; the history says that the commit took effect${since}`,
    });
  }
  return outcome;
}

/** Connects. A standby that has not heard of a commit yet says nothing of what became of it. */
export async function connectToPrimary(
  { clock, database, report }: Ports,
  deadline: number,
  abandoned: Backend | undefined,
): Promise<Session> {
  for (;;) {
    const leftMs = () => Math.max(deadline - clock.now(), 0);
    const session = await database.connect(leftMs(), abandoned);
    if (!session.server.readOnly) return session;
    await session.close();
    const { host, port, database: name } = session.server;
    const reason = `"${name}" at ${host}:${port} is a standby`;
    if (leftMs() === 0) throw new RefusedError([`Cannot ask: ${reason}`]);
    report({ event: "waiting_for_database", reason, leftMs: leftMs() });
    await clock.sleep(Math.min(leftMs(), AGAIN_MS));
  }
}
