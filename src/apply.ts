/**
 * The engine: walks a plan through a session, under the migration lock.
 *
 * @module
 */
import { commitError, commitFate, type Fate, type Ran } from "./commit_fate.ts";
import {
  causeOf,
  ConnectionLostError,
  MigrationError,
  RefusedError,
  sqlStateOf,
} from "./errors.ts";
import { failureText } from "./failure.ts";
import type { HistoryChange, HistoryRow } from "./history.ts";
import type { Plan, Planned, Step } from "./plan.ts";
import type { LockedHistory, Ports, Session, Work, Written } from "./ports.ts";
import { jitter, underLock } from "./under_lock.ts";

/** How to run: see the options of the same names. Times are milliseconds. */
export interface ApplyOptions {
  readonly transaction: "all" | "each";
  readonly lockWaitMs: number;
  readonly lockRetryMs: number;
}

/** Makes the plan anew from the history under the lock, after `done` steps of this run. */
export type Planner = (
  history: readonly HistoryRow[],
  done: number,
) => Planned<Plan>;

/** What the run came to, also when it failed. */
export interface Outcome {
  readonly applied: number;
  readonly rolledBack: number;
  /** Steps that were planned and are not in effect. */
  readonly notRun: number;
  /** Non-transactional steps that failed half-way; they are not counted in `notRun`. */
  readonly unfinished: number;
  readonly error: unknown;
}

/** A step whose function was called. */
interface Begun {
  readonly step: Step;
  readonly startedAt: number;
  readonly journalId?: number;
}

/** What one segment did, and the plan that it was the beginning of. */
interface Segment {
  readonly steps: readonly Step[];
  readonly ran: readonly Ran[];
  /** The rows that tell of it, once they are written. */
  readonly written?: Promise<readonly Written[]>;
}

/** PostgreSQL's lock_not_available and deadlock_detected: the transaction was rolled back and may be tried again. */
const RETRIED: readonly (string | undefined)[] = ["55P03", "40P01"];

/** The wait before another attempt grows from the first to the last; half of it is chance. Milliseconds. */
const RETRY_MS = { first: 200, last: 10_000 };

/** How long recording a failure may look for a new connection, in milliseconds. */
const RECORD_CONNECT_MS = 5_000;

/**
 * Runs what the planner plans, segment by segment, each under the lock. A failed step does not throw: the outcome says
 * what is in effect and what failed.
 *
 * @param planned the plan made without the lock; it decides nothing but what to begin with
 */
export async function apply(
  ports: Ports,
  session: Session,
  planner: Planner,
  planned: Plan,
  options: ApplyOptions,
): Promise<Outcome> {
  const run = new Run(ports, session, planner, options);
  let steps = planned.steps;
  try {
    refusePooler(session, steps);
    while (steps.length > 0) {
      const segment = await run.segment(steps);
      steps = segment.steps.slice(segment.ran.length);
    }
    return run.outcome(0, undefined);
  } catch (error) {
    await run.recordFailure(error);
    return run.outcome(steps.length, error);
  }
}

/** One run: what is committed, and what was in flight when it failed. */
class Run {
  readonly #done: Ran[] = [];
  /** Set while a transaction commits: what it holds. */
  #committing: readonly Ran[] | undefined;
  /** What is planned after the segment in flight. */
  #rest: readonly Step[] = [];
  /** The steps of the segment in flight; `journalId` is the history row of a non-transactional one. */
  #begun: Begun[] = [];

  constructor(
    readonly ports: Ports,
    readonly session: Session,
    readonly planner: Planner,
    readonly options: ApplyOptions,
  ) {}

  /** Runs the first segment of the plan as it is under the lock. It may differ from `steps`: another migrator may have run. */
  async segment(steps: readonly Step[]): Promise<Segment> {
    const segment = steps[0]!.migration.transaction
      ? await this.#transaction(steps)
      : await this.#pinned(steps);
    const written = await segment.written ?? [];
    for (const [i, ran] of segment.ran.entries()) {
      const { direction, migration } = ran.step;
      this.#done.push(ran);
      this.ports.report({
        event: direction === "up" ? "applied" : "rolled_back",
        migration: migration.name,
        // What a row of the history says of a migration that was rolled back is how long it took to apply.
        durationMs: ran.durationMs ??
          (direction === "up" ? written[i]?.durationMs : null) ??
          this.#elapsed(ran.startedAt),
      });
    }
    return segment;
  }

  outcome(notRun: number, error: unknown): Outcome {
    const count = (direction: Step["direction"]) =>
      this.#done.filter(({ step }) => step.direction === direction).length;
    const failed = causeOf(error, MigrationError) && this.#begun.at(-1);
    const unfinished = failed?.journalId === undefined ? 0 : 1;
    return {
      applied: count("up"),
      rolledBack: count("down"),
      notRun: notRun - unfinished,
      unfinished,
      error,
    };
  }

  /** Keeps the failure in the history. When that cannot be done it is said, and the failure itself stays the error. */
  async recordFailure(error: unknown): Promise<void> {
    const failure = causeOf(error, MigrationError);
    const begun = failure &&
      this.#begun.findLast(({ step }) =>
        step.migration.name === failure.migration &&
        step.direction === failure.direction
      );
    if (begun === undefined) return;
    const change = this.#failureChange(begun, failureText(error));
    let session = this.session;
    try {
      if (causeOf(error, ConnectionLostError) !== undefined) {
        session = await this.ports.database.connect(RECORD_CONNECT_MS);
      }
      await session.record([change]);
    } catch (reason) {
      this.ports.report({
        event: "warning",
        message:
          `Cannot record the failure of "${begun.step.migration.name}" in the history: ${
            failureText(reason)
          }`,
      });
    } finally {
      if (session !== this.session) await session.close();
    }
  }

  /** One transaction for the longest run of transactional steps, or for one; tried again when it could not get a lock. */
  async #transaction(planned: readonly Step[]): Promise<Segment> {
    const { clock, report } = this.ports;
    const deadline = clock.now() + this.options.lockRetryMs;
    for (let wait = RETRY_MS.first;; wait = Math.min(wait * 2, RETRY_MS.last)) {
      try {
        return await this.#underLock(
          "transaction",
          (work, history) =>
            this.#transactionWork(work, this.#plan(history, planned)),
        );
      } catch (caught) {
        const committing = this.#committing;
        this.#committing = undefined;
        const lost = causeOf(caught, ConnectionLostError) !== undefined;
        const fate = committing === undefined || !lost
          ? "failed"
          : await this.#fateOf(committing);
        if (fate === "committed") return this.#lateNews(committing!);
        const error = committing === undefined
          ? caught
          : commitError(committing, fate, caught);
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
  }

  /** Asks a new session whether a commit took effect although its answer was lost. */
  async #fateOf(ran: readonly Ran[]): Promise<Fate> {
    let session: Session | undefined;
    try {
      session = await this.ports.database.connect(RECORD_CONNECT_MS);
      return await commitFate(this.ports, session, ran);
    } catch {
      return "unknown";
    } finally {
      await session?.close();
    }
  }

  #lateNews(ran: readonly Ran[]): Segment {
    this.#begun = [];
    this.ports.report({
      event: "warning",
      message:
        "The connection was lost during the commit; the history says that the commit took effect",
    });
    return { steps: [...ran.map(({ step }) => step), ...this.#rest], ran };
  }

  async #transactionWork(
    work: Work,
    steps: readonly Step[],
  ): Promise<Segment> {
    const segment = steps.slice(0, this.#segmentLength(steps));
    if (segment.length === 0) return { steps, ran: [] };
    await work.prepareHistory();
    this.#begun = [];
    const started: Ran[] = [];
    for (const step of segment) {
      const { startedAt, onBegun } = this.#begin(
        step,
        started.length,
        steps.length,
      );
      await work.run(step, onBegun);
      started.push({ step, startedAt });
    }
    // Alone in its transaction a migration is measured by the server: that costs no flight.
    const durations = started.length > 1 ? await work.settle() : [];
    const ran = started.map((one, i) => ({
      ...one,
      ...(durations[i] !== undefined && { durationMs: durations[i] }),
    }));
    const written = work.write(ran.map((one) => this.#change(one)));
    written.catch(() => {}); // what it rejects with, the commit rejects with
    this.#committing = ran;
    this.#rest = steps.slice(segment.length);
    return { steps, ran, written };
  }

  /** One non-transactional step, journalled: the history says `running` before it runs. */
  #pinned(planned: readonly Step[]): Promise<Segment> {
    return this.#underLock("pinned", async (work, history) => {
      const steps = this.#plan(history, planned);
      const [step] = steps;
      if (step === undefined || step.migration.transaction) {
        return { steps, ran: [] };
      }
      await work.prepareHistory();
      this.#begun = [];
      const { startedAt, onBegun } = this.#begin(step, 0, steps.length);
      const journalId = await this.#journal(work, step);
      this.#begun = [{ step, startedAt, journalId }];
      await work.run(step, onBegun);
      const durationMs = this.#elapsed(startedAt);
      await work.write([
        step.direction === "up"
          ? { kind: "finish", id: journalId, durationMs }
          : { kind: "roll_back", id: journalId },
      ]);
      return { steps, ran: [{ step, startedAt, durationMs }] };
    });
  }

  /** Opens the journal row of a step, and closes the one that an interrupted attempt left open. */
  async #journal(work: Work, step: Step): Promise<number> {
    if (step.direction === "down") {
      const [row] = await work.write([
        { kind: "start_rollback", id: step.row!.id },
      ]);
      return row!.id;
    }
    const left: HistoryChange[] = step.row?.status === "running"
      ? [{
        kind: "fail",
        id: step.row.id,
        durationMs: null,
        error: "interrupted",
      }]
      : [];
    const rows = await work.write([...left, {
      kind: "insert",
      name: step.migration.name,
      checksum: step.migration.checksum,
      status: "running",
      startedAgoMs: 0,
      durationMs: null,
      error: null,
    }]);
    return rows.at(-1)!.id;
  }

  async #underLock(
    scope: "transaction" | "pinned",
    use: (work: Work, history: LockedHistory) => Promise<Segment>,
  ): Promise<Segment> {
    const segment = await underLock(
      this.ports,
      this.session,
      scope,
      this.options.lockWaitMs,
      use,
    );
    this.#committing = undefined;
    this.#begun = [];
    return segment;
  }

  /** What is left of the plan, or a new one when another migrator has run. */
  #plan(history: LockedHistory, left: readonly Step[]): readonly Step[] {
    // To plan for each of many transactions would take longer, in the end, than to run them.
    if (history.isKnown) return left;
    const planned = this.planner(history.rows, this.#done.length);
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

  /** @returns the time on the port's clock */
  #begin(
    step: Step,
    before: number,
    planned: number,
  ): { startedAt: number; onBegun: () => void } {
    const startedAt = this.ports.clock.now();
    this.#begun.push({ step, startedAt });
    const event = {
      event: "started",
      direction: step.direction,
      migration: step.migration.name,
      number: this.#done.length + before + 1,
      total: this.#done.length + planned,
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

  #failureChange(
    { step, startedAt, journalId }: Begun,
    error: string,
  ): HistoryChange {
    const durationMs = this.#elapsed(startedAt);
    if (journalId !== undefined) {
      const own = step.direction === "up" ? durationMs : null;
      return { kind: "fail", id: journalId, durationMs: own, error };
    }
    if (step.direction === "down") {
      return { kind: "note_error", id: step.row!.id, error };
    }
    return {
      kind: "insert",
      name: step.migration.name,
      checksum: step.migration.checksum,
      status: "failed",
      startedAgoMs: durationMs,
      durationMs,
      error,
    };
  }
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
