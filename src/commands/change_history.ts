/**
 * What `baseline` and `repair` have in common: they change the history and run nothing.
 *
 * @module
 */
import { ExitCode } from "../errors.ts";
import type { RecordAction } from "../report/events.ts";
import type { HistoryRow } from "../plan/history.ts";
import type { Planned } from "../plan/plan.ts";
import type { Session } from "../engine/ports.ts";
import type { HistoryPlan } from "../plan/repair.ts";
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
    // Most runs of the program never come here, and need not load it.
    const { cannotTell, commitUnderLock } = await import("../engine/commit.ts");
    const commit = await commitUnderLock(
      ports,
      session,
      config,
      async (work, { rows }) => {
        const { changes } = accepted(await plan(rows, session));
        if (changes.length > 0) await work.prepareHistory();
        const names = changes.map((change) =>
          change.kind === "insert" ? change.name : name!
        );
        return { changes, value: names };
      },
    );
    const names = commit.value;
    for (const migration of names) {
      ports.report(
        commit.outcome === "committed"
          ? { event: "recorded", migration, action }
          : { event: "outcome", migration, outcome: commit.outcome },
      );
    }
    switch (commit.outcome) {
      case "committed":
        return { exitCode: ExitCode.done, recorded: names.length };
      case "rolled_back":
        return { exitCode: ExitCode.failed, error: commit.error };
      case "unknown":
        return {
          exitCode: ExitCode.failed,
          unknown: names.length,
          error: cannotTell(
            names.length === 1
              ? `the history of "${names[0]}" was changed`
              : `${names.length} migrations were recorded`,
            commit,
          ),
        };
    }
  });
}
