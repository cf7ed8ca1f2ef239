/**
 * The loop of a large backfill: batch after batch, each a transaction that writes its data and its position, with no
 * migration lock. Whatever ends it, the next run goes on from the position.
 *
 * @module
 */
import {
  cannotTell,
  commitUnderLock,
  type Limits,
  type Prepared,
} from "./commit.ts";
import {
  causeOf,
  DatabaseError,
  InterruptedError,
  MigrationError,
  RefusedError,
  sqlStateOf,
} from "../errors.ts";
import {
  AIM_MS,
  AIMS_AT_MOST,
  type Backfill,
  fewerRows,
  type FillTable,
  FIRST_ROWS,
  type Key,
  keyText,
  MOST_PASSES,
  nextRows,
  same,
} from "../plan/backfill.ts";
import { Pulse, type PulseOptions } from "./backfill_pulse.ts";
import type {
  BackfillWork,
  BatchLimits,
  Position,
  Runner,
} from "./backfill_ports.ts";
import { failureText } from "../report/failure.ts";
import { isOpen } from "../plan/states.ts";
import type { LockedHistory, Ports, Session, Work } from "./ports.ts";
import type { RenewableSession } from "./renewal.ts";
import { runnerText } from "../report/backfill_wording.ts";
import type { Step } from "../plan/plan.ts";
import { formatDuration } from "../text.ts";

/** How to fill. Times are milliseconds. */
export interface FillOptions extends Limits, PulseOptions {
  readonly lockRetryMs: number;
  /** When to end although something is left, on the port's clock. */
  readonly deadline: number | undefined;
}

/** How it ended; anything else is thrown, and leaves it open. */
export type Filled =
  | { readonly ended: "applied"; readonly durationMs: number }
  | { readonly ended: "time_limit" }
  /** What the batch did was refused, and will be again. */
  | { readonly ended: "failed"; readonly error: unknown };

/** What one transaction came to. */
type Turn =
  | {
    readonly kind: "batch";
    readonly waiting: Promise<number>;
    readonly rows: number;
    readonly through: Key;
    readonly rest: number;
  }
  | { readonly kind: "pass" }
  | { readonly kind: "over"; readonly ageMs: number }
  | { readonly kind: "busy"; readonly runner: Runner | undefined }
  | { readonly kind: "held"; readonly reason: string };

/** lock_not_available, deadlock_detected and query_canceled, which is what a time limit says: fewer rows may get through. */
const RETRIED: readonly (string | undefined)[] = ["55P03", "40P01", "57014"];

/** A batch gives up sooner than the server looks for deadlocks, so that it is the one that gives up. */
const LOCK_TIMEOUT_MS = 250;

/** Classes of SQLSTATE that some rows may cause, and others not: data, constraints, what a function has raised. */
const DATA_CLASSES = ["21", "22", "23", "27", "38", "39", "44", "P0"];

/** Classes of SQLSTATE that say nothing of the batch: connection, resources, operators, the system. */
const PASSING_CLASSES = ["08", "53", "57", "58", "XX"];

/** The wait before a batch is tried again, and how often another runner is looked for; milliseconds. */
const AGAIN_MS = 500;

/** How often a connection may be lost in the same batch. */
const MOST_LOSSES = 5;

/**
 * Fills a table whose backfill is registered, until nothing is left.
 *
 * @param id of its row of the history, which says `running`
 * @param onBegun called when it goes to work
 */
export async function fill(
  ports: Ports,
  sessions: RenewableSession,
  options: FillOptions,
  { step, id, onBegun }: {
    readonly step: Step;
    readonly id: number;
    readonly onBegun: () => void;
  },
): Promise<Filled> {
  return await new Filling(ports, sessions, options, step, id, onBegun).run();
}

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

class Filling {
  readonly #backfill: Backfill;
  readonly #pulse: Pulse;
  #table: FillTable | undefined;
  #hasBegun = false;
  #aimMs = AIM_MS;
  /** How many keys the next batch takes; as before when missing. */
  #rows: number | undefined;
  /** What the batch at work takes. */
  #at: { readonly rows: number; readonly through: Key } | undefined;
  /** A row up to this key makes a batch fail: the batches are halved until it is alone. */
  #suspect: { readonly rows: number; readonly through: Key } | undefined;
  /** Until when a batch that cannot get through is tried. */
  #retryUntil: number | undefined;
  #losses = 0;
  /** Since when another runner is waited for. */
  #waitingSince: number | undefined;

  constructor(
    readonly ports: Ports,
    readonly sessions: RenewableSession,
    readonly options: FillOptions,
    readonly step: Step,
    readonly id: number,
    readonly onBegun: () => void,
  ) {
    this.#backfill = step.migration.backfill!;
    this.#pulse = new Pulse(ports, id, step.migration.name, options);
  }

  get #session(): Session {
    return this.sessions.current;
  }

  get #name(): string {
    return this.step.migration.name;
  }

  async run(): Promise<Filled> {
    const { clock } = this.ports;
    const { deadline } = this.options;
    for (;;) {
      if (deadline !== undefined && clock.now() >= deadline) {
        await this.#pulse.tell(this.#session);
        return { ended: "time_limit" };
      }
      try {
        const ended = await this.#step();
        if (ended !== undefined) return ended;
      } catch (error) {
        const failed = await this.#after(error);
        if (failed !== undefined) return { ended: "failed", error: failed };
      }
    }
  }

  /** One transaction, and the wait after it. */
  async #step(): Promise<Filled | undefined> {
    const { clock } = this.ports;
    const asked = await this.#pulse.ask(this.#session);
    const started = clock.now();
    const turn: Turn = asked !== undefined
      ? { kind: "held", reason: asked }
      : await this.#session.transaction((work) => this.#turn(work));
    if (turn.kind !== "busy") this.#waitingSince = undefined;
    switch (turn.kind) {
      case "batch": {
        const tookMs = clock.now() - started;
        this.#adapt(turn, tookMs, await turn.waiting);
        await this.#pulse.tellInTime(this.#session);
        await this.#rest(turn.rest * tookMs);
        return undefined;
      }
      case "pass":
        return undefined;
      case "over":
        return await this.#finish(turn.ageMs);
      case "held":
        await this.#pulse.hold(this.#session, turn.reason, this.#leftMs());
        return undefined;
      case "busy":
        await this.#waitFor(turn.runner);
        return undefined;
    }
  }

  async #turn(work: Work): Promise<Turn> {
    const fills = await work.backfill();
    const limits: BatchLimits = {
      lockTimeoutMs: LOCK_TIMEOUT_MS,
      statementTimeoutMs: AIMS_AT_MOST * this.#aimMs,
    };
    const at = await fills.claim(this.id, limits);
    if (at === "busy") {
      return { kind: "busy", runner: (await fills.look(this.id))?.runner };
    }
    if (at === undefined || !at.isOpen) throw this.#gone();
    if (at.runner?.isThere && !at.runner.isUs) {
      return { kind: "busy", runner: at.runner };
    }
    if (!at.runner?.isUs) await fills.take(this.id);
    this.#aimMs = at.aimMs;
    const held = at.isPaused ? "it is paused" : await this.#pulse.look(fills);
    if (held !== undefined) return { kind: "held", reason: held };
    const table = this.#table ??= await this.#inspect(fills, at);
    if (!this.#hasBegun) this.onBegun();
    this.#hasBegun = true;
    if (at.lastKey === null) return await this.#beginPass(fills, at, 0);
    this.#pulse.at(table);
    return await this.#batch(work, fills, table, at, at.lastKey);
  }

  async #batch(
    work: Work,
    fills: BackfillWork,
    table: FillTable,
    at: Position,
    lastKey: Key,
  ): Promise<Turn> {
    const { clock } = this.ports;
    const after = at.position;
    const rows = this.#suspect?.rows ?? this.#rows ?? at.batchRows ??
      FIRST_ROWS;
    const through = this.#suspect?.through ?? lastKey;
    const bound = await fills.bound(table, { after, through }, rows);
    if (bound === undefined) {
      if (this.#suspect === undefined) return await this.#endPass(fills, at);
      this.#suspect = undefined;
      return { kind: "pass" };
    }
    this.#at = bound;
    const started = clock.now();
    let found = false;
    await work.run({
      ...this.step,
      keys: {
        table,
        after,
        through: bound.through,
        ...(at.passes > 0 && { look: (one: boolean) => found = one }),
      },
    }, () => {});
    const waiting = fills.waiting();
    void fills.advance(this.id, {
      position: bound.through,
      found,
      rows: at.passes > 0 ? 0 : bound.rows,
      tookMs: clock.now() - started,
      batchRows: this.#suspect === undefined ? rows : at.batchRows ?? rows,
    });
    return { kind: "batch", waiting, rest: at.rest, ...bound };
  }

  async #beginPass(
    fills: BackfillWork,
    at: Position,
    passes: number,
  ): Promise<Turn> {
    const table = this.#table!;
    const lastKey = await fills.lastKey(table);
    if (lastKey === undefined) return { kind: "over", ageMs: at.ageMs };
    const rowsTotal = await fills.estimate(table, null, lastKey);
    void fills.beginPass(this.id, { passes, lastKey, rowsTotal });
    return { kind: "pass" };
  }

  /** Rows that were written behind the position, or after the last key, may match again. */
  async #endPass(fills: BackfillWork, at: Position): Promise<Turn> {
    const isDone = this.#backfill.where === undefined ||
      (at.passes > 0 && !at.found);
    if (isDone) return { kind: "over", ageMs: at.ageMs };
    if (at.passes + 1 >= MOST_PASSES) {
      throw this.#failure(
        new Error(
          `rows matched its where again in ${at.passes} passes: a writer still writes the old form; ` +
            "end that first",
        ),
      );
    }
    return await this.#beginPass(fills, at, at.passes + 1);
  }

  async #inspect(fills: BackfillWork, { keys }: Position): Promise<FillTable> {
    const { table: name } = this.#backfill;
    const table = await fills.inspect(this.#backfill);
    if (table === undefined || typeof table === "string") {
      throw new RefusedError([
        `Cannot go on with "${this.#name}": ${
          table ?? `there is no table "${name}"`
        }`,
      ]);
    }
    if (!same(table.keys, keys)) {
      throw new RefusedError([
        `Cannot go on with "${this.#name}": it was begun by the key (${
          keys.join(", ")
        }) of "${name}", and the key is (${
          table.keys.join(", ")
        }) now; restore it, or roll "${this.#name}" back with down and begin anew`,
      ]);
    }
    return table;
  }

  #adapt(
    { rows, through }: Turn & { kind: "batch" },
    tookMs: number,
    waiting: number,
  ): void {
    this.#retryUntil = undefined;
    this.#losses = 0;
    this.#pulse.done(rows, tookMs);
    if (this.#suspect !== undefined) {
      this.#suspect = same(through, this.#suspect.through)
        ? undefined
        : { ...this.#suspect, rows: half(rows) };
      return;
    }
    this.#rows = waiting > 0
      ? fewerRows(rows)
      : nextRows(this.#rows ?? rows, tookMs, this.#aimMs);
  }

  /** What to do after an error. @returns it, when the batch itself is to blame @throws it, when the backfill stays open */
  async #after(error: unknown): Promise<unknown> {
    const { clock, report } = this.ports;
    if (causeOf(error, InterruptedError) !== undefined) throw error;
    if (this.#session.isLost) {
      if (++this.#losses > MOST_LOSSES) throw error;
      report({
        event: "backfill_retried",
        migration: this.#name,
        reason: failureText(error),
        rows: this.#at?.rows ?? 0,
        waitMs: 0,
      });
      await this.sessions.renew(this.options.waitForDbMs);
      return undefined;
    }
    const state = sqlStateOf(error);
    if (RETRIED.includes(state)) {
      this.#retryUntil ??= clock.now() + this.options.lockRetryMs;
      if (clock.now() >= this.#retryUntil) throw error;
      const rows = fewerRows(this.#at?.rows ?? FIRST_ROWS);
      this.#rows = rows;
      const waitMs = again();
      const reason = failureText(error);
      report({
        event: "backfill_retried",
        migration: this.#name,
        reason,
        rows,
        waitMs,
      });
      await clock.sleep(waitMs);
      return undefined;
    }
    const isOfBatch = causeOf(error, MigrationError) !== undefined;
    if (!isOfBatch || isOfClass(state, PASSING_CLASSES)) throw error;
    const { rows, through } = this.#at ?? { rows: 1, through: [] };
    if (!isOfClass(state, DATA_CLASSES)) return error;
    if (rows > 1) {
      this.#suspect = { rows: half(rows), through };
      return undefined;
    }
    if (this.#at === undefined) return error;
    const row = keyText(this.#table!.keys, through);
    const cause = causeOf(error, DatabaseError) ?? error;
    return this.#failure(
      new Error(`the row of "${this.#backfill.table}" with ${row}`, { cause }),
    );
  }

  #failure(cause: Error): MigrationError {
    return new MigrationError(this.#name, "up", { cause });
  }

  #gone(): RefusedError {
    return new RefusedError([
      `Cannot go on with "${this.#name}": another run has rolled it back, or settled it, meanwhile`,
    ]);
  }

  /** Counts as applied from then on. */
  async #finish(ageMs: number): Promise<Filled> {
    const durationMs = Math.min(Math.round(ageMs), 2 ** 31 - 1);
    const commit = await commitUnderLock(
      this.ports,
      this.#session,
      this.options,
      () =>
        Promise.resolve({
          changes: [{ kind: "finish", id: this.id, durationMs }] as const,
          value: undefined,
        }),
    );
    switch (commit.outcome) {
      case "committed":
        return { ended: "applied", durationMs };
      case "rolled_back":
        throw commit.error;
      case "unknown":
        throw cannotTell(
          `the history says that "${this.#name}" is applied`,
          commit,
          "All of its batches are done: the next up ends it",
        );
    }
  }

  /** Another run is at work on it: that may be gone soon. */
  async #waitFor(runner: Runner | undefined): Promise<void> {
    const { clock, report } = this.ports;
    const now = clock.now();
    const isFirst = this.#waitingSince === undefined;
    this.#waitingSince ??= now;
    const leftMs = this.#waitingSince + this.options.lockWaitMs - now;
    // Our own, of a lost connection, ends by itself.
    const who = runner === undefined || runner.isUs
      ? "a connection that was lost is still at a batch"
      : runnerText(runner);
    if (leftMs <= 0) {
      throw new RefusedError([
        `Cannot go on with "${this.#name}" within ${
          formatDuration(this.options.lockWaitMs)
        }: ${who}; let it finish, or wait longer with --lock-wait`,
      ]);
    }
    if (isFirst) {
      report({
        event: "waiting_for_backfill",
        migration: this.#name,
        reason: who,
        leftMs,
      });
    }
    await clock.sleep(Math.min(again(), leftMs, this.#leftMs()));
  }

  async #rest(ms: number): Promise<void> {
    await this.#pulse.rest(this.#session, Math.min(ms, this.#leftMs()));
  }

  #leftMs(): number {
    const { deadline } = this.options;
    return deadline === undefined
      ? Infinity
      : Math.max(deadline - this.ports.clock.now(), 0);
  }
}

/** Half of the wait is chance: two that are in each other's way must not meet again. */
function again(): number {
  return AGAIN_MS / 2 + Math.random() * AGAIN_MS / 2;
}

function half(rows: number): number {
  return Math.max(Math.floor(rows / 2), 1);
}

function isOfClass(
  state: string | undefined,
  classes: readonly string[],
): boolean {
  return state !== undefined && classes.includes(state.slice(0, 2));
}
