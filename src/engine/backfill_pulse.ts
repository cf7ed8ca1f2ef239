/**
 * What a backfill tells of itself, and what it waits for: holds, rests, progress.
 *
 * @module
 */
import { causeOf, DatabaseError, InterruptedError } from "../errors.ts";
import type { FillTable } from "../plan/backfill.ts";
import { Progress, shareOf } from "../plan/backfill_progress.ts";
import type { BackfillWork, Beat } from "./backfill_ports.ts";
import { bytesText } from "../report/amounts.ts";
import { failureText } from "../report/failure.ts";
import type { Ports, Session } from "./ports.ts";

/** What it waits for. */
export interface PulseOptions {
  /** How far a standby may be behind, in bytes. */
  readonly maxLagBytes: number;
  /** A query of the operator's: where it says true, it waits. */
  readonly holdQuery: string | undefined;
}

/** Milliseconds. */
const EVERY = {
  /** How often signals are looked at while it works, and while it is held. */
  signals: 1_000,
  hold: 5_000,
  /** How often progress is told. */
  progress: 10_000,
};

/** How long the operator's query may take, in milliseconds. */
const ASK_LIMIT_MS = 5_000;

/** The signs of life of one run. */
export class Pulse {
  #askedAt = -Infinity;
  #lookedAt = -Infinity;
  #toldAt: number;
  #warned = false;
  /** Why it is held, and since when. */
  #held: { readonly reason: string; readonly since: number } | undefined;
  #progress = new Progress();
  #table: FillTable | undefined;
  #lastBatchMs: number | undefined;
  #batchRows = 0;

  constructor(
    readonly ports: Ports,
    readonly id: number,
    readonly name: string,
    readonly options: PulseOptions,
  ) {
    this.#toldAt = ports.clock.now();
  }

  /** Goes to work on a table. */
  at(table: FillTable): void {
    this.#table = table;
    this.#held = undefined;
  }

  done(rows: number, tookMs: number): void {
    this.#batchRows = rows;
    this.#lastBatchMs = Math.round(tookMs);
  }

  /** Asks the operator's query. @returns why it has to wait */
  async ask(session: Session): Promise<string | undefined> {
    const { holdQuery } = this.options;
    if (holdQuery === undefined || !this.#isDue(this.#askedAt)) {
      return undefined;
    }
    try {
      const holds = await session.transaction(async (work) =>
        await (await work.backfill()).asks(holdQuery, ASK_LIMIT_MS)
      );
      if (holds) return "--hold-query says so";
    } catch (error) {
      if (causeOf(error, InterruptedError) || session.isLost) throw error;
      if (causeOf(error, DatabaseError) === undefined) throw error;
      return `--hold-query failed: ${failureText(error)}`;
    }
    this.#askedAt = this.ports.clock.now();
    return undefined;
  }

  /** Looks at what the server says of itself. @returns why it has to wait */
  async look(fills: BackfillWork): Promise<string | undefined> {
    if (!this.#isDue(this.#lookedAt)) return undefined;
    const { lag, hiddenStandby, unarchived } = await fills.signals();
    if (hiddenStandby !== undefined && !this.#warned) {
      this.#warned = true;
      this.ports.report({
        event: "warning",
        message:
          `Cannot see how far the standby "${hiddenStandby}" is behind: the backfill does not wait for it; ` +
          "grant pg_read_all_stats to this role",
      });
    }
    if (lag !== undefined && lag.bytes > this.options.maxLagBytes) {
      return `standby "${lag.standby}" is ${bytesText(lag.bytes)} behind`;
    }
    if (unarchived !== undefined) {
      return `the WAL archive does not take ${unarchived}`;
    }
    this.#lookedAt = this.ports.clock.now();
    return undefined;
  }

  /** Waits, with nothing open, and says so where it can be seen. */
  async hold(session: Session, reason: string, leftMs: number): Promise<void> {
    const { clock, report } = this.ports;
    const now = clock.now();
    if (this.#held?.reason !== reason) {
      this.#held = { reason, since: this.#held?.since ?? now };
      report({ event: "backfill_held", migration: this.name, reason });
    }
    await this.#beat(session, { heldFor: reason, heldMs: 0 });
    const waitMs = Math.min(EVERY.hold, leftMs);
    await clock.sleep(waitMs);
    await this.#beat(session, { heldFor: reason, heldMs: waitMs });
  }

  /** Waits after a batch. */
  async rest(session: Session, ms: number): Promise<void> {
    const { clock } = this.ports;
    const end = clock.now() + ms;
    for (let left = ms; left > 0; left = end - clock.now()) {
      await clock.sleep(Math.min(left, EVERY.hold));
      if (left > EVERY.hold) await this.#beat(session, {});
    }
  }

  async tellInTime(session: Session): Promise<void> {
    if (this.ports.clock.now() - this.#toldAt >= EVERY.progress) {
      await this.tell(session);
    }
  }

  /** Tells how far it is, here and in the table of positions. */
  async tell(session: Session): Promise<void> {
    const { clock, report } = this.ports;
    this.#toldAt = clock.now();
    const table = this.#table;
    if (table === undefined) return;
    const told = await session.transaction(async (work) => {
      const fills = await work.backfill();
      const at = await fills.look(this.id);
      if (at === undefined || at.lastKey === null) return undefined;
      const { position, lastKey, rowsTotal, rowsDone, passes } = at;
      // Behind the first pass there is little to do, if anything. Both counts are of this moment: the planner scales them
      // by the size of the table, which grows meanwhile.
      const share = passes > 0 ? 1 : position === null ? 0 : shareOf(
        await fills.estimate(table, position, lastKey),
        await fills.estimate(table, null, lastKey),
      );
      this.#progress.add({ at: clock.now(), share, rows: rowsDone });
      const pace = {
        ...this.#progress.pace(),
        ...(passes > 0 && { etaSeconds: null }),
      };
      void fills.beat(this.id, { heldFor: null, heldMs: 0, share, ...pace });
      return { share, rowsDone, rowsTotal, ...pace };
    });
    if (told === undefined) return;
    report({
      event: "backfill_progress",
      migration: this.name,
      ...told,
      batchRows: this.#batchRows,
      lastBatchMs: this.#lastBatchMs ?? null,
    });
  }

  async #beat(session: Session, beat: Partial<Beat>): Promise<void> {
    await session.transaction(async (work) => {
      const fills = await work.backfill();
      void fills.beat(this.id, {
        heldFor: null,
        heldMs: 0,
        share: null,
        ...this.#progress.pace(),
        ...beat,
      });
    });
  }

  #isDue(at: number): boolean {
    return this.ports.clock.now() - at >= EVERY.signals;
  }
}
