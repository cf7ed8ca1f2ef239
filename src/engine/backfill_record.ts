/**
 * The beginning and the end of a large backfill, in the history: each takes the migration lock for a moment.
 *
 * @module
 */
import {
  cannotTell,
  commitUnderLock,
  type Limits,
  type Prepared,
} from "./commit.ts";
import { RefusedError } from "../errors.ts";
import type { LockedHistory, Ports, Session, Work } from "./ports.ts";
import type { RenewableSession } from "./renewal.ts";
import { isOpen } from "../plan/states.ts";
import type { Step } from "../plan/plan.ts";

/**
 * Registers a backfill, under the lock: the history says `running` from then on, and there is a position.
 *
 * @param next what is to be done next, from the history under the lock; `undefined` when it is no large backfill
 * @returns the id of its row; `undefined` when the plan has to be looked at again
 */
export async function beginBackfill(
  ports: Ports,
  sessions: RenewableSession,
  limits: Limits,
  next: (history: LockedHistory) => Step | undefined,
): Promise<number | undefined> {
  const session = sessions.current;
  const commit = await commitUnderLock(
    ports,
    session,
    limits,
    async (work, history): Promise<Prepared<Opening>> => {
      const step = next(history);
      if (step === undefined || isOpen(step.migration, step.row)) {
        return { changes: [], value: { step, id: step?.row?.id } };
      }
      return await prepareOpening(work, step);
    },
  );
  const { step, id } = commit.value;
  switch (commit.outcome) {
    case "committed":
      if (session.isLost) await sessions.renew(limits.waitForDbMs);
      return id ?? commit.written?.[0]?.id;
    case "rolled_back":
      throw commit.error;
    case "unknown":
      throw cannotTell(
        `"${step!.migration.name}" has begun`,
        commit,
        "It has done nothing yet: the next up begins it, or goes on with it",
      );
  }
}

/** What is known of a backfill that begins. */
interface Opening {
  readonly step: Step | undefined;
  /** Of its row, where there is one already. */
  readonly id: number | undefined;
}

async function prepareOpening(
  work: Work,
  step: Step,
): Promise<Prepared<Opening>> {
  const { name, checksum, backfill } = step.migration;
  await work.prepareHistory();
  const fills = await work.backfill();
  await fills.prepare();
  const table = await fills.inspect(backfill!);
  if (table === undefined || typeof table === "string") {
    throw new RefusedError([
      `Cannot apply "${name}": ${
        table ?? `there is no table "${backfill!.table}"`
      }`,
    ]);
  }
  return {
    changes: [{
      kind: "insert",
      name,
      checksum,
      status: "running",
      startedAgoMs: 0,
      durationMs: null,
      error: null,
    }],
    value: { step, id: undefined },
    sendAfter: () => fills.open(name, table.keys),
  };
}

/**
 * Has the history say that a backfill is applied.
 *
 * @param backfill its name, the id of its row, and for how long it has been open
 * @returns what the history says it took, in milliseconds
 */
export async function endBackfill(
  ports: Ports,
  session: Session,
  limits: Limits,
  { name, id, ageMs }: {
    readonly name: string;
    readonly id: number;
    readonly ageMs: number;
  },
): Promise<number> {
  // The column is an integer: 24 days.
  const durationMs = Math.min(Math.round(ageMs), 2 ** 31 - 1);
  const commit = await commitUnderLock(
    ports,
    session,
    limits,
    () =>
      Promise.resolve({
        changes: [{ kind: "finish", id, durationMs }] as const,
        value: undefined,
      }),
  );
  switch (commit.outcome) {
    case "committed":
      return durationMs;
    case "rolled_back":
      throw commit.error;
    case "unknown":
      throw cannotTell(
        `the history says that "${name}" is applied`,
        commit,
        "All of its batches are done: the next up ends it",
      );
  }
}
