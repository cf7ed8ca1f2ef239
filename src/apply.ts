/**
 * The engine: walks a plan through a session, under the migration lock.
 *
 * @module
 */
import { cannotTell, commitUnderLock, type Limits } from "./commit.ts";
import {
  causeOf,
  MigrationError,
  RefusedError,
  sqlStateOf,
  UnsettledError,
} from "./errors.ts";
import { failureText } from "./failure.ts";
import type { HistoryChange, HistoryRow } from "./history.ts";
import { Journal } from "./journal.ts";
import type { Plan, Planned, Step } from "./plan.ts";
import type { LockedHistory, Ports, Session, Work, Written } from "./ports.ts";
import { type Begun, recordFailure } from "./record_failure.ts";
import { jitter, underLock } from "./under_lock.ts";

/** How to run: see the options of the same names. Times are milliseconds. */
export interface ApplyOptions extends Limits {
  readonly transaction: "all" | "each";
  readonly lockRetryMs: number;
}

/** Makes the plan anew from the history under the lock, after the steps that this run has done. */
export type Planner = (
  history: readonly HistoryRow[],
  done: readonly Step[],
) => Planned<Plan>;

/** What the run came to, also when it failed. */
export interface Applied {
  readonly applied: number;
  readonly rolledBack: number;
  /** Steps that were planned and are not in effect. */
  readonly notRun: number;
  /** Non-transactional steps that failed half-way; they are not counted in `notRun`. */
  readonly unfinished: number;
  /** Steps of which nobody can tell whether they are in effect; they are not counted in `notRun`. */
  readonly unknown: number;
  readonly error: unknown;
}

/** A step that ran. It counts once its transaction is committed. */
interface Ran {
  readonly step: Step;
  /** On the port's clock. */
  readonly startedAt: number;
  /** Milliseconds; missing where the server measures it. */
  readonly durationMs?: number;
}

/** What one transaction did, and what is planned after it. */
interface Segment {
  readonly ran: readonly Ran[];
  readonly rest: readonly Step[];
}

/** PostgreSQL's lock_not_available and deadlock_detected: the transaction was rolled back and may be tried again. */
const RETRIED: readonly (string | undefined)[] = ["55P03", "40P01"];

/** The wait before another attempt grows from the first to the last; half of it is chance. Milliseconds. */
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
  const run = new Run(ports, session, planner, options, planned.steps);
  try {
    refusePooler(session, planned.steps);
    await run.all();
    return run.result(undefined);
  } catch (error) {
    await run.fail(error);
    return run.result(error);
  }
}

/** One run: what is committed, what is planned, and what was in flight when it failed. */
class Run {
  readonly #done: Step[] = [];
  /** What is planned and not begun, or not known to be in effect. */
  #left: readonly Step[];
  /** Whose functions were called since the last commit. */
  #begun: Begun[] = [];
  /** What the failure left in a state that has to be looked at. */
  #unfinished: readonly Step[] = [];
  #unknown: readonly Step[] = [];

  constructor(
    readonly ports: Ports,
    readonly session: Session,
    readonly planner: Planner,
    readonly options: ApplyOptions,
    planned: readonly Step[],
  ) {
    this.#left = planned;
  }

  /** Runs segment after segment. The plan may change under the lock: another migrator may have run. */
  async all(): Promise<void> {
    while (this.#left.length > 0) {
      this.#begun = [];
      if (this.#left[0]!.migration.transaction) await this.#transaction();
      else await this.#alone();
    }
  }

  result(error: unknown): Applied {
    const count = (direction: Step["direction"]) =>
      this.#done.filter((step) => step.direction === direction).length;
    return {
      applied: count("up"),
      rolledBack: count("down"),
      notRun: this.#left.length,
      unfinished: this.#unfinished.length,
      unknown: this.#unknown.length,
      error,
    };
  }

  /** Tells what became of the steps that had begun, and records the failure of one that is known not to be in effect. */
  async fail(error: unknown): Promise<void> {
    const failure = causeOf(error, MigrationError);
    const failed = failure &&
      this.#begun.findLast(({ step }) =>
        step.migration.name === failure.migration &&
        step.direction === failure.direction
      );
    for (const { step } of this.#begun) {
      const isKnown = !this.#unknown.includes(step) &&
        !this.#unfinished.includes(step);
      this.ports.report({
        event: "outcome",
        direction: step.direction,
        migration: step.migration.name,
        outcome: isKnown ? "rolled_back" : "unknown",
      });
    }
    if (failed !== undefined) {
      await recordFailure(this.ports, this.session, failed, error);
    }
  }

  /** One transaction for the longest run of transactional steps, or for one; tried again when it could not get a lock. */
  async #transaction(): Promise<void> {
    const { clock, report } = this.ports;
    const deadline = clock.now() + this.options.lockRetryMs;
    for (let wait = RETRY_MS.first;; wait = Math.min(wait * 2, RETRY_MS.last)) {
      const error = await this.#attempt();
      if (error === undefined) return;
      const leftMs = deadline - clock.now();
      if (!RETRIED.includes(sqlStateOf(error)) || leftMs <= 0) throw error;
      const waitMs = Math.min(leftMs, jitter(wait));
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
    const commit = await commitUnderLock(
      this.ports,
      this.session,
      this.options,
      async (work, history) => {
        const segment = await this.#runSegment(work, this.#plan(history));
        const changes = segment.ran.map((one) => this.#change(one));
        return { changes, value: segment };
      },
    ).catch((error) => ({ outcome: "not begun", error } as const));
    if (commit.outcome === "not begun") return commit.error;
    const { ran, rest } = commit.value;
    switch (commit.outcome) {
      case "committed":
        this.#count(ran, rest, commit.written);
        return undefined;
      case "rolled_back":
        return commitError(ran, commit.error);
      case "unknown":
        this.#left = rest;
        this.#unknown = ran.map(({ step }) => step);
        throw cannotTell(`${nameOf(ran)} took effect`, commit);
    }
  }

  async #runSegment(work: Work, steps: readonly Step[]): Promise<Segment> {
    this.#left = steps;
    this.#begun = [];
    const segment = steps.slice(0, this.#segmentLength(steps));
    const rest = steps.slice(segment.length);
    if (segment.length === 0) return { ran: [], rest };
    await work.prepareHistory();
    const started: Ran[] = [];
    for (const step of segment) {
      const { startedAt, onBegun } = this.#begin(step, started.length);
      await work.run(step, onBegun);
      started.push({ step, startedAt });
    }
    // Alone in its transaction a migration is measured by the server: that costs no flight.
    const durations = started.length > 1 ? await work.settle() : [];
    const ran = started.map((one, i) => ({
      ...one,
      ...(durations[i] !== undefined && { durationMs: durations[i] }),
    }));
    return { ran, rest };
  }

  /** One non-transactional step, journalled: the history says `running` before it runs. */
  async #alone(): Promise<void> {
    const { ports, session, options: limits } = this;
    await underLock(
      ports,
      session,
      "pinned",
      limits.lockWaitMs,
      async (work, history) => {
        this.#left = this.#plan(history);
        const [step, ...rest] = this.#left;
        if (step === undefined || step.migration.transaction) return;
        const { startedAt, onBegun } = this.#begin(step, 0);
        const journal = new Journal(step, { ports, session, limits, work });
        try {
          await journal.open();
          this.#begun = [{ step, startedAt, journalId: journal.id! }];
          await work.run(step, onBegun).catch(async (error) => {
            throw session.isUnanswered
              ? await journal.unanswered(error)
              : error;
          });
          const durationMs = this.#elapsed(startedAt);
          await journal.close(durationMs);
          this.#count([{ step, startedAt, durationMs }], rest);
        } catch (error) {
          if (causeOf(error, UnsettledError) !== undefined) {
            this.#left = rest;
            this.#unknown = [step];
          } else if (journal.id !== undefined) {
            this.#left = rest;
            this.#unfinished = [step];
          }
          throw error;
        }
      },
    );
  }

  /** What ran is in effect. */
  #count(
    ran: readonly Ran[],
    rest: readonly Step[],
    written: readonly Written[] = [],
  ): void {
    this.#done.push(...ran.map(({ step }) => step));
    this.#left = rest;
    this.#begun = [];
    for (const [i, { step, startedAt, durationMs }] of ran.entries()) {
      this.ports.report({
        event: step.direction === "up" ? "applied" : "rolled_back",
        migration: step.migration.name,
        // What a row of the history says of a migration that was rolled back is how long it took to apply.
        durationMs: durationMs ??
          (step.direction === "up" ? written[i]?.durationMs : null) ??
          this.#elapsed(startedAt),
      });
    }
  }

  /** What is left of the plan, or a new one when another migrator has run. */
  #plan(history: LockedHistory): readonly Step[] {
    // To plan for each of many transactions would take longer, in the end, than to run them.
    if (history.isKnown) return this.#left;
    const planned = this.planner(history.rows, this.#done);
    if (!planned.ok) throw new RefusedError(planned.faults);
    refusePooler(this.session, planned.plan.steps);
    return planned.plan.steps;
  }

  #segmentLength(steps: readonly Step[]): number {
    const counted = this.options.transaction === "each"
      ? steps.slice(0, 1)
      : steps;
    const end = counted.findIndex(({ migration }) => !migration.transaction);
    return end < 0 ? counted.length : end;
  }

  /**
   * @param before steps that have begun since the last commit
   * @returns the time on the port's clock
   */
  #begin(
    step: Step,
    before: number,
  ): { startedAt: number; onBegun: () => void } {
    const startedAt = this.ports.clock.now();
    this.#begun.push({ step, startedAt });
    const event = {
      event: "started",
      direction: step.direction,
      migration: step.migration.name,
      number: this.#done.length + before + 1,
      total: this.#done.length + this.#left.length,
    } as const;
    return { startedAt, onBegun: () => this.ports.report(event) };
  }

  #change({ step, startedAt, durationMs }: Ran): HistoryChange {
    // A row that this run has inserted is not known yet: redo rolls back before it applies.
    if (step.direction === "down") {
      return { kind: "roll_back", id: step.row!.id };
    }
    return {
      kind: "insert",
      name: step.migration.name,
      checksum: step.migration.checksum,
      status: "applied",
      startedAgoMs: this.ports.clock.now() - startedAt,
      durationMs: durationMs ?? null,
      error: null,
    };
  }

  #elapsed(startedAt: number): number {
    return Math.round(this.ports.clock.now() - startedAt);
  }
}

/** A constraint that is checked at commit, or a connection that ended before it. */
function commitError(ran: readonly Ran[], cause: unknown): unknown {
  // One that was sent ahead of the commit has been named already.
  if (causeOf(cause, MigrationError) !== undefined) return cause;
  const { migration, direction } = ran[0]!.step;
  return ran.length === 1
    ? new MigrationError(migration.name, direction, { cause })
    : new Error(`Cannot commit ${nameOf(ran)}`, { cause });
}

function nameOf(ran: readonly Ran[]): string {
  return ran.length === 1
    ? `"${ran[0]!.step.migration.name}"`
    : `${ran.length} migrations`;
}

/** What cannot work behind a pooler is refused before anything runs. */
function refusePooler(session: Session, steps: readonly Step[]): void {
  if (!session.server.pooled) return;
  const faults = steps.filter(({ migration }) => !migration.transaction).map((
    { migration, direction },
  ) =>
    `Cannot ${
      direction === "up" ? "apply" : "roll back"
    } "${migration.name}": it runs outside a transaction, and ` +
    `${session.server.host}:${session.server.port} is a connection pooler; use the direct address of the server`
  );
  if (faults.length > 0) throw new RefusedError(faults);
}
