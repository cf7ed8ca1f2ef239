/**
 * The loop of a large backfill: batch after batch, each a transaction that writes its data and its position, with no
 * migration lock. Whatever ends it, the next run goes on from the position.
 *
 * @module
 */
import type { Limits } from "./commit.ts";
import { endBackfill } from "./backfill_record.ts";
import { natureOf } from "./backfill_failure.ts";
import {
  causeOf,
  DatabaseError,
  InterruptedError,
  MigrationError,
  RefusedError,
} from "../errors.ts";
import { keyText } from "../plan/backfill.ts";
import { type Turn, Turns } from "./backfill_turn.ts";
import { BatchSize } from "../plan/backfill_size.ts";
import { Pulse, type PulseOptions } from "./backfill_pulse.ts";
import type { Runner } from "./backfill_ports.ts";
import { failureText } from "../report/failure.ts";
import type { Ports, Session } from "./ports.ts";
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

class Filling {
  readonly #pulse: Pulse;
  readonly #size = new BatchSize();
  readonly #turns: Turns;
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
    onBegun: () => void,
  ) {
    this.#pulse = new Pulse(ports, id, step.migration.name, options);
    this.#turns = new Turns({
      clock: ports.clock,
      step,
      id,
      pulse: this.#pulse,
      size: this.#size,
      onBegun,
    });
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
        const failed = await this.#after(error).catch(async (left) => {
          await this.#note(left);
          throw left;
        });
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
      : await this.#session.transaction((work) => this.#turns.run(work));
    this.#losses = 0;
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
        return {
          ended: "applied",
          durationMs: await endBackfill(
            this.ports,
            this.#session,
            this.options,
            { name: this.#name, id: this.id, ageMs: turn.ageMs },
          ),
        };
      case "held":
        await this.#pulse.hold(this.#session, turn.reason, this.#leftMs());
        return undefined;
      case "busy":
        await this.#waitFor(turn.runner);
        return undefined;
    }
  }

  #adapt(
    turn: Turn & { kind: "batch" },
    tookMs: number,
    waiting: number,
  ): void {
    this.#retryUntil = undefined;
    this.#pulse.done(turn.rows, tookMs);
    this.#size.done(turn, { tookMs, aimMs: this.#turns.aimMs, waiting });
  }

  /** What to do after an error. @returns it, when the batch itself is to blame @throws it, when the backfill stays open */
  async #after(error: unknown): Promise<unknown> {
    const { report } = this.ports;
    if (causeOf(error, InterruptedError) !== undefined) throw error;
    if (this.#session.isLost) {
      if (++this.#losses > MOST_LOSSES) throw error;
      report({
        event: "backfill_retried",
        migration: this.#name,
        reason: failureText(error),
        rows: this.#turns.taken?.rows ?? 0,
        waitMs: 0,
      });
      await this.sessions.renew(this.options.waitForDbMs);
      return undefined;
    }
    switch (natureOf(error)) {
      case "in_the_way":
        await this.#retry(error);
        return undefined;
      case "passing":
        throw error;
      case "code":
        return error;
      case "data":
        return this.#ofRow(error);
    }
  }

  /** Keeps what has left it open, for `status`; best effort, since the error is said all the same. */
  async #note(error: unknown): Promise<void> {
    if (this.#session.isLost || causeOf(error, InterruptedError)) return;
    await this.#session.transaction(async (work) =>
      void (await work.backfill()).note(this.id, failureText(error))
    ).catch(() => {});
  }

  /** Somebody else was there first: fewer rows may get through. */
  async #retry(error: unknown): Promise<void> {
    const { clock, report } = this.ports;
    this.#retryUntil ??= clock.now() + this.options.lockRetryMs;
    if (clock.now() >= this.#retryUntil) throw error;
    const rows = this.#size.giveWay(this.#turns.taken?.rows);
    const waitMs = again();
    report({
      event: "backfill_retried",
      migration: this.#name,
      reason: failureText(error),
      rows,
      waitMs,
    });
    await clock.sleep(waitMs);
  }

  /** One of the rows breaks the batch: it is found by halving. @returns the error that names it, once it is alone */
  #ofRow(error: unknown): unknown {
    const { taken, table } = this.#turns;
    if (taken === undefined || table === undefined) return error;
    if (this.#size.halve(taken)) return undefined;
    const row = keyText(table.keys, taken.through);
    const cause = causeOf(error, DatabaseError) ?? error;
    const name = this.step.migration.backfill!.table;
    return new MigrationError(this.#name, "up", {
      cause: new Error(`the row of "${name}" with ${row}`, { cause }),
    });
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
