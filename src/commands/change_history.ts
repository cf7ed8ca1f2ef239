/**
 * What `baseline` and `repair` have in common: they change the history and run nothing.
 *
 * @module
 */
import { underLock } from "../under_lock.ts";
import { ExitCode } from "../errors.ts";
import type { RecordAction } from "../events.ts";
import type { HistoryRow } from "../history.ts";
import type { Planned } from "../plan.ts";
import type { Session } from "../ports.ts";
import type { HistoryPlan } from "../settle.ts";
import {
  accepted,
  assertWritable,
  type Context,
  type Result,
  withSession,
} from "./context.ts";

type HistoryPlanner = (
  history: readonly HistoryRow[],
  session: Session,
) => Planned<HistoryPlan> | Promise<Planned<HistoryPlan>>;

/**
 * Plans without the lock, and again under it when there is something to write.
 *
 * @param name of the one migration, when the changes do not say it
 */
export function changeHistory(
  context: Context,
  action: RecordAction,
  plan: HistoryPlanner,
  name?: string,
): Promise<Result> {
  const { ports, config } = context;
  return withSession(context, async (session) => {
    const first = accepted(await plan(session.history, session));
    if (first.changes.length === 0) return { exitCode: ExitCode.done };
    assertWritable(session);
    const changes = await underLock(
      ports,
      session,
      "transaction",
      config.lockWaitMs,
      async (work, { rows }) => {
        const { changes } = accepted(await plan(rows, session));
        await work.prepareHistory();
        void work.write(changes);
        return changes;
      },
    );
    for (const change of changes) {
      const migration = change.kind === "insert" ? change.name : name!;
      ports.report({ event: "recorded", migration, action });
    }
    return { exitCode: ExitCode.done, recorded: changes.length };
  });
}
