/**
 * What `up`, `down` and `redo` have in common: plan, show or ask, apply.
 *
 * @module
 */
import type { Planner } from "../engine/run_request.ts";
import { ExitCode, RefusedError } from "../errors.ts";
import type { Plan, Planned, Step } from "../plan/plan.ts";
import type { Session } from "../engine/ports.ts";
import type { Event } from "../report/events.ts";
import { underLock } from "../engine/lock.ts";
import type { Verification } from "../engine/verification.ts";
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
  /** Whether what is made of the schema is compared before it is committed. @default {false} */
  readonly verify?: boolean;
  /** Looks at the first plan. @throws {RefusedError} when it must not be carried out */
  readonly before?: (session: Session, plan: Plan) => void;
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
    const plan = await firstPlan(context, session, request);
    for (const message of plan.warnings) {
      ports.report({ event: "warning", message });
    }
    request.before?.(session, plan);
    if (request.dryRun || request.question !== undefined) {
      const forecasts = request.dryRun
        ? await forecastsOf(context, session, plan.steps)
        : [];
      plan.steps.forEach(({ direction, migration }, i) => {
        const forecast = forecasts[i];
        ports.report({
          event: "planned",
          direction,
          migration: migration.name,
          ...(forecast && { forecast }),
        });
      });
    }
    if (request.dryRun) {
      return {
        exitCode: ExitCode.done,
        notRun: plan.steps.length,
        dryRun: true,
      };
    }
    if (plan.steps.length === 0) {
      if (session.lacksGrant) await grantStatus(context, session);
      return { exitCode: ExitCode.done };
    }
    assertWritable(session);
    const { question } = request;
    if (
      question !== undefined && !await ports.operator.confirm(question(plan))
    ) {
      throw new RefusedError([
        "Cannot go on without a yes: nothing was changed",
      ]);
    }
    const verification = request.verify
      ? await verificationOf(context, session, plan.steps)
      : undefined;
    // Most runs end before this line, and need not load the engine, nor the migrations.
    const [{ apply }, { planned }] = await Promise.all([
      import("../engine/apply.ts"),
      import("./planned.ts"),
      context.prepare(),
    ]);
    const times = await planned(context, session, plan.steps);
    const { error, ...counts } = await apply(
      ports,
      session,
      question === undefined
        ? request.planner
        : confirmed(request.planner, plan.steps),
      plan,
      { ...config, planned: times, ...(verification && { verification }) },
    );
    const code = counts.open > 0 ? ExitCode.unfinished : ExitCode.done;
    return error === undefined
      ? { exitCode: code, ...counts }
      : { exitCode: ExitCode.failed, ...counts, error };
  });
}

/** What compares the schema. @throws {RefusedError} when it is not known what the steps make of it */
async function verificationOf(
  { recording, migrations, config }: Context,
  { history, server }: Session,
  steps: readonly Step[],
): Promise<Verification> {
  const { Verification } = await import("../engine/verification.ts");
  const verification = new Verification({
    recording: await recording(),
    migrations,
    serverVersion: server.version,
    lockTimeoutMs: config.lockTimeoutMs,
  });
  verification.assertRecorded(history, steps);
  return verification;
}

/** What was recorded of the steps, for this database; nothing where nothing was recorded. */
async function forecastsOf(
  context: Context,
  session: Session,
  steps: readonly Step[],
): Promise<readonly PlannedForecast[]> {
  if (steps.length === 0 || session.server.schema === null) return [];
  const recording = await context.recording();
  if (recording === undefined) return [];
  const [{ forecastSteps }, { detailLines }] = await Promise.all([
    import("./plan.ts"),
    import("../report/forecast.ts"),
  ]);
  const { segments, facts } = await forecastSteps(
    context,
    session,
    steps,
    recording,
  );
  return segments.flatMap(({ migrations }) => migrations).map((one) => {
    if (one.status === "unknown") return undefined;
    const { statements, findings, readsData } = one;
    return {
      lines: detailLines(one, facts),
      value: { statements, findings, readsData },
    };
  });
}

type PlannedForecast = Extract<Event, { event: "planned" }>["forecast"];

/** Lets the role of `--grant-status` read a history to which nothing is added. */
async function grantStatus(
  { ports, config }: Context,
  session: Session,
): Promise<void> {
  await underLock(
    ports,
    session,
    { scope: "transaction", waitMs: config.lockWaitMs },
    (work) => work.grantStatus(),
  );
}

/**
 * The plan from the history as it is. A migration that is `running` there may have died, or another migrator may be at
 * work on it: then it has the lock, and nothing is refused before it is done.
 */
async function firstPlan(
  { ports, config }: Context,
  session: Session,
  { planner, dryRun }: RunRequest,
): Promise<Plan> {
  const { history } = session;
  const planned = planner(history, []);
  const undecided = !planned.ok && !dryRun && !session.server.readOnly &&
    history.some(({ status }) => status === "running");
  if (!undecided) return accepted(planned);
  const settled = await underLock(
    ports,
    session,
    { scope: "transaction", waitMs: config.lockWaitMs },
    (_, { rows }) => Promise.resolve(rows),
  );
  return accepted(planner(settled, []));
}

/** What was agreed to must not change between the question and the lock. */
function confirmed(planner: Planner, steps: readonly Step[]): Planner {
  return (history, done): Planned<Plan> => {
    const planned = planner(history, done);
    if (!planned.ok) return planned;
    const same = planned.plan.steps.length === steps.length - done.length &&
      planned.plan.steps.every((step, i) => {
        const agreed = steps[done.length + i]!;
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
