/**
 * What `up`, `down` and `redo` have in common: plan, show or ask, apply.
 *
 * @module
 */
import { apply, type Planner } from "../apply.ts";
import { ExitCode, RefusedError, UsageError } from "../errors.ts";
import type { Plan, Planned, Step } from "../plan.ts";
import type { Operator } from "../ports.ts";
import {
  accepted,
  assertWritable,
  type Context,
  type Result,
  withSession,
} from "./context.ts";

export interface RunRequest {
  readonly planner: Planner;
  readonly dryRun: boolean;
  /** What is asked before anything runs; nothing is asked when missing. */
  readonly question?: (plan: Plan) => string;
}

/** Plans from the history as it is, then runs under the lock; without steps no lock is taken and nothing is written. */
export function runPlan(
  context: Context,
  request: RunRequest,
): Promise<Result> {
  const { ports, config } = context;
  return withSession(context, async (session) => {
    const plan = accepted(request.planner(await session.history(), 0));
    for (const message of plan.warnings) {
      ports.report({ event: "warning", message });
    }
    if (request.dryRun || request.question !== undefined) {
      for (const { direction, migration } of plan.steps) {
        ports.report({
          event: "planned",
          direction,
          migration: migration.name,
        });
      }
    }
    if (request.dryRun) {
      return {
        exitCode: ExitCode.done,
        notRun: plan.steps.length,
        dryRun: true,
      };
    }
    if (plan.steps.length === 0) return { exitCode: ExitCode.done };
    assertWritable(session);
    const { question } = request;
    if (
      question !== undefined && !await ports.operator.confirm(question(plan))
    ) {
      throw new RefusedError([
        "Cannot go on without a yes: nothing was changed",
      ]);
    }
    const { error, ...counts } = await apply(
      ports,
      session,
      question === undefined
        ? request.planner
        : confirmed(request.planner, plan.steps),
      plan,
      config,
    );
    return error === undefined
      ? { exitCode: ExitCode.done, ...counts }
      : { exitCode: ExitCode.failed, ...counts, error };
  });
}

/** @throws {UsageError} when nobody is there to say yes */
export function assertAnswerable(
  command: string,
  yes: boolean,
  operator: Operator,
): void {
  if (yes || operator.isTerminal) return;
  throw new UsageError([
    `The command ${command} asks before it rolls back: pass --yes where there is no terminal`,
  ]);
}

/** What was agreed to must not change between the question and the lock. */
function confirmed(planner: Planner, steps: readonly Step[]): Planner {
  return (history, done): Planned<Plan> => {
    const planned = planner(history, done);
    if (!planned.ok) return planned;
    const same = planned.plan.steps.length === steps.length - done &&
      planned.plan.steps.every((step, i) => {
        const agreed = steps[done + i]!;
        return step.direction === agreed.direction &&
          step.migration.name === agreed.migration.name;
      });
    return same ? planned : {
      ok: false,
      faults: [
        "Cannot go on: the history has changed since the plan was shown; look at status and start again",
      ],
    };
  };
}
