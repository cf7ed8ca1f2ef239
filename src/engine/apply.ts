/**
 * The engine: walks a plan through a session, under the migration lock.
 *
 * @module
 */
import { cannotTell, commitUnderLock } from "./commit.ts";
import type { Applied, ApplyOptions, Planner } from "./run_request.ts";
import { RunState } from "./run_state.ts";
import {
  causeOf,
  DiffersError,
  MigrationError,
  RefusedError,
  sqlStateOf,
  UnsettledError,
} from "../errors.ts";
import { failureText } from "../report/failure.ts";
import { RenewableSession } from "./renewal.ts";
import { Journal, refusePooler } from "./journal.ts";
import type { Plan, Step } from "../plan/plan.ts";
import type { LockedHistory, Ports, Session, Work } from "./ports.ts";
import {
  changeOf,
  commitError,
  keepNow,
  namesOf,
  plansOf,
  runSegment,
  segmentLength,
} from "./segment.ts";
import { underLock } from "./lock.ts";
import type { Check } from "./verification.ts";
import { backOff } from "../waits.ts";

/** PostgreSQL's lock_not_available and deadlock_detected: the transaction was rolled back and may be tried again. */
const RETRIED: readonly (string | undefined)[] = ["55P03", "40P01"];

/** The wait before another attempt grows, see {@link backOff}; milliseconds. */
const RETRY_MS = { first: 200, last: 10_000 };

/**
 * Runs what the planner plans, segment by segment, each under the lock. A failed step does not throw: the result says
 * what is in effect, what nobody knows of, and what failed.
 *
 * @param planned the plan made without the lock; it decides nothing but what to begin with
 */
export async function apply(
  ports: Ports,
  session: Session,
  planner: Planner,
  planned: Plan,
  options: ApplyOptions,
): Promise<Applied> {
  await using sessions = new RenewableSession(ports, session);
  const run = new Run(ports, sessions, planner, options, planned.steps);
  try {
    refusePooler(session, planned.steps);
    await run.all();
    return run.state.result(undefined);
  } catch (error) {
    await run.state.fail(run.session, error);
    return run.state.result(error);
  }
}

/** One run: what is committed, what is planned, and what was in flight when it failed. */
class Run {
  /** Names of backfills that are too large for a transaction of the run. */
  readonly #large = new Set<string>();
  /** Whether the history may say something else than the plan was made from, although no session has seen it change. */
  #isStale = false;
  readonly state: RunState;
  readonly #deadline: number | undefined;

  constructor(
    readonly ports: Ports,
    readonly sessions: RenewableSession,
    readonly planner: Planner,
    readonly options: ApplyOptions,
    planned: readonly Step[],
  ) {
    this.state = new RunState(ports, planned);
    const { timeLimitMs } = options.fill;
    this.#deadline = timeLimitMs === undefined
      ? undefined
      : ports.clock.now() + timeLimitMs;
  }

  get session(): Session {
    return this.sessions.current;
  }

  /** Runs segment after segment. The plan may change under the lock: another migrator may have run. */
  async all(): Promise<void> {
    while (this.state.left.length > 0) {
      this.state.begun = [];
      const [next] = this.state.left;
      if (this.#large.has(next!.migration.name)) {
        if (!await this.#fill()) return;
      } else if (next!.migration.transaction) await this.#transaction();
      else await this.#alone();
    }
  }

  /** One transaction for the longest run of transactional steps, or for one; tried again when it could not get a lock. */
  async #transaction(): Promise<void> {
    const { clock, report } = this.ports;
    const deadline = clock.now() + this.options.lockRetryMs;
    const nextWait = backOff(RETRY_MS);
    for (;;) {
      const error = await this.#attempt();
      if (error === undefined) return;
      const leftMs = deadline - clock.now();
      if (!RETRIED.includes(sqlStateOf(error)) || leftMs <= 0) throw error;
      const waitMs = Math.min(leftMs, nextWait());
      report({
        event: "retrying",
        reason: failureText(causeOf(error, MigrationError) ?? error),
        waitMs,
        leftMs,
      });
      await clock.sleep(waitMs);
    }
  }

  /**
   * @returns the error that kept it from taking effect
   * @throws {UnsettledError} when it may have taken effect
   */
  async #attempt(): Promise<unknown> {
    const { report } = this.ports;
    let hasBegun = false;
    const commit = await commitUnderLock(
      this.ports,
      this.session,
      this.options,
      async (work, history) => {
        hasBegun = true;
        report({ event: "transaction_begun" });
        const steps = this.state.left = this.#plan(history);
        this.state.begun = [];
        const length = segmentLength(steps, this.options.transaction);
        const next = steps.slice(0, length);
        const check = await this.#beginCheck(work, history, next);
        const ran = length === 0
          ? []
          : await runSegment(work, next, this.state.begin, check);
        // It has stopped at a large one.
        if (ran.length < length) {
          this.#large.add(steps[ran.length]!.migration.name);
        }
        const now = this.ports.clock.now();
        const plans = plansOf(ran, this.options.planned);
        return {
          changes: ran.map((one) => changeOf(one, now)),
          value: { ran, rest: steps.slice(ran.length) },
          ...(plans.length > 0 && { sendAfter: await work.keepPlans(plans) }),
        };
      },
    ).catch((error) => ({ outcome: "not begun", error } as const));
    if (hasBegun) {
      report({
        event: "transaction_ended",
        outcome: commit.outcome === "not begun"
          ? "rolled_back"
          : commit.outcome,
        ...("error" in commit && { error: commit.error }),
      });
    }
    if (commit.outcome === "not begun") return commit.error;
    const { ran, rest } = commit.value;
    switch (commit.outcome) {
      case "committed":
        this.state.count(ran, rest, commit.written);
        return undefined;
      case "rolled_back":
        return commitError(ran, commit.error);
      case "unknown":
        this.state.left = rest;
        this.state.unknown = ran.map(({ step }) => step);
        throw cannotTell(`${namesOf(ran)} took effect`, commit);
    }
  }

  /** One non-transactional step, journalled: the history says `running` before it runs. */
  async #alone(): Promise<void> {
    const { ports, session, options: limits } = this;
    await underLock(
      ports,
      session,
      { scope: "pinned", waitMs: limits.lockWaitMs },
      async (work, history) => {
        this.state.left = this.#plan(history);
        const [step, ...rest] = this.state.left;
        if (step === undefined || step.migration.transaction) return;
        const check = await this.#beginCheck(work, history, [step]);
        const { startedAt, onBegun } = this.state.begin(step, 0);
        const journal = new Journal(step, { ports, session, limits, work });
        try {
          await journal.open();
          this.state.begun = [{ step, startedAt, journalId: journal.id! }];
          await work.run(step, onBegun).catch(async (error) => {
            throw session.isUnanswered
              ? await journal.unanswered(error)
              : error;
          });
          const durationMs = this.state.elapsed(startedAt);
          await journal.close(durationMs);
          const ran = [{ step, startedAt, durationMs }];
          await keepNow(work, plansOf(ran, limits.planned));
          this.state.count(ran, rest);
        } catch (error) {
          if (causeOf(error, UnsettledError) !== undefined) {
            this.state.left = rest;
            this.state.unknown = [step];
          } else if (journal.id !== undefined) {
            this.state.left = rest;
            this.state.unfinished = [step];
          }
          throw error;
        }
        await check?.([step]).catch((error) => {
          throw causeOf(error, DiffersError) === undefined ? error : new Error(
            `"${step.migration.name}" is applied, outside a transaction, and cannot be taken back`,
            { cause: error },
          );
        });
      },
    );
  }

  /** One large backfill, with no lock but at its beginning and its end. @returns whether it is done */
  async #fill(): Promise<boolean> {
    const [{ beginBackfill }, { fill }] = await Promise.all([
      import("./backfill_record.ts"),
      import("./backfill.ts"),
    ]);
    const id = await beginBackfill(
      this.ports,
      this.sessions,
      this.options,
      (history) => {
        this.state.left = this.#plan(history);
        const [next] = this.state.left;
        return next && this.#large.has(next.migration.name) ? next : undefined;
      },
    );
    this.#isStale = true;
    const [step, ...rest] = this.state.left;
    if (id === undefined || step === undefined) return true;
    const { startedAt, onBegun } = this.state.begin(step, 0);
    this.state.begun = [];
    this.state.open = step;
    this.state.left = rest;
    const { fill: request } = this.options;
    const options = { ...this.options, ...request, deadline: this.#deadline };
    const place = { step, id, onBegun };
    const filled = await fill(this.ports, this.sessions, options, place);
    if (filled.ended === "time_limit") return false;
    this.state.open = undefined;
    if (filled.ended === "applied") {
      const { durationMs } = filled;
      this.state.count([{ step, startedAt, durationMs }], rest);
      return true;
    }
    this.state.begun = [{ step, startedAt, journalId: id, hasPosition: true }];
    this.state.unfinished = [step];
    throw filled.error;
  }

  /** Looks at the schema before the steps run, if that is wanted. */
  async #beginCheck(
    work: Work,
    { rows }: LockedHistory,
    steps: readonly Step[],
  ): Promise<Check | undefined> {
    return steps.length === 0
      ? undefined
      : await this.options.verification?.begin(work, rows, steps);
  }

  /** What is left of the plan, or a new one when another migrator has run. */
  #plan(history: LockedHistory): readonly Step[] {
    // To plan for each of many transactions would take longer, in the end, than to run them.
    if (history.isKnown && !this.#isStale) return this.state.left;
    this.#isStale = false;
    const planned = this.planner(history.rows, this.state.done);
    if (!planned.ok) throw new RefusedError(planned.faults);
    refusePooler(this.session, planned.plan.steps);
    return planned.plan.steps;
  }
}
