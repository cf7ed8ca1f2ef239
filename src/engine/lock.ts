/**
 * The migration lock: polled, never waited for in the server.
 *
 * @module
 */
import { formatDuration } from "../text.ts";
import { backOff } from "../waits.ts";
import { RefusedError } from "../errors.ts";
import type { LockHolder } from "../report/events.ts";
import { holderText } from "../report/wording.ts";
import type { LockedHistory, Ports, Session, Work } from "./ports.ts";

/** The wait between two polls grows, see {@link backOff}; milliseconds. */
const LOCK_POLL_MS = { first: 50, last: 1_000 };

/** How often the wait for another migrator is reported when nothing about it changes, in milliseconds. */
const REPORT_EVERY_MS = 10_000;

/** How the lock is taken. */
export interface LockRequest {
  readonly scope: "transaction" | "pinned";
  /** How long it is waited for, in milliseconds. */
  readonly waitMs: number;
  /** Done each time that another session is found to have it, before the wait. */
  readonly whileHeld?: (holder: LockHolder | undefined) => Promise<void>;
}

/**
 * Runs `use` under the migration lock, with the history as it is there. The lock is polled in short transactions: a call that blocks would hold a snapshot
 * that `create index concurrently` of the holder waits for, and the two would deadlock.
 *
 * @throws {RefusedError} when another migrator keeps the lock longer than that
 */
export async function underLock<T>(
  ports: Ports,
  session: Session,
  { scope, waitMs, whileHeld }: LockRequest,
  use: (work: Work, history: LockedHistory) => Promise<T>,
): Promise<T> {
  const { clock, report } = ports;
  const deadline = clock.now() + waitMs;
  let reported: { pid: number | undefined; at: number } | undefined;
  const nextWait = backOff(LOCK_POLL_MS);
  for (;;) {
    const result = await session[scope](async (work) => {
      const history = await work.lock();
      return history === undefined
        ? undefined
        : { value: await use(work, history) };
    });
    if (result !== undefined) return result.value;
    const holder = await session.lockHolder();
    await whileHeld?.(holder);
    const now = clock.now();
    if (now >= deadline) {
      throw new RefusedError([
        `Cannot take the migration lock within ${formatDuration(waitMs)}: ${
          holderText(holder)
        }; ` +
        "let it finish, or wait longer with --lock-wait",
      ]);
    }
    if (
      reported === undefined || reported.pid !== holder?.pid ||
      now - reported.at >= REPORT_EVERY_MS
    ) {
      report({ event: "waiting_for_lock", holder, leftMs: deadline - now });
      reported = { pid: holder?.pid, at: now };
    }
    await clock.sleep(Math.min(deadline - now, nextWait()));
  }
}
