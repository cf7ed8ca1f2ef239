/**
 * One transaction of a backfill: the position is taken, a batch done, and the position written with it.
 *
 * @module
 */
import type {
  BackfillWork,
  BatchLimits,
  Position,
  Runner,
} from "./backfill_ports.ts";
import type { Pulse } from "./backfill_pulse.ts";
import { MigrationError, RefusedError } from "../errors.ts";
import {
  AIM_MS,
  AIMS_AT_MOST,
  type Backfill,
  type FillTable,
  type Key,
  MOST_PASSES,
  same,
} from "../plan/backfill.ts";
import type { BatchSize, Taken } from "../plan/backfill_size.ts";
import type { Step } from "../plan/plan.ts";
import type { Clock, Work } from "./ports.ts";

/** What one transaction came to. */
export type Turn =
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

/** A batch gives up sooner than the server looks for deadlocks, so that it is the one that gives up. */
const LOCK_TIMEOUT_MS = 250;

/** What the transactions of one run have in common. */
export interface TurnPlace {
  readonly clock: Clock;
  readonly step: Step;
  /** Of its row of the history. */
  readonly id: number;
  readonly pulse: Pulse;
  readonly size: BatchSize;
  /** Called when it goes to work. */
  readonly onBegun: () => void;
}

/** The transactions of one run. */
export class Turns {
  readonly #at: TurnPlace;
  readonly #backfill: Backfill;
  #hasBegun = false;
  /** The table, once it was looked at. */
  table: FillTable | undefined;
  /** How long a batch should take, as the row has last said; milliseconds. */
  aimMs: number = AIM_MS;
  /** What the last batch took, or was to take. */
  taken: Taken | undefined;

  constructor(at: TurnPlace) {
    this.#at = at;
    this.#backfill = at.step.migration.backfill!;
  }

  get #name(): string {
    return this.#at.step.migration.name;
  }

  /** Takes the position, does a batch and writes where it has come to. */
  async run(work: Work): Promise<Turn> {
    const fills = await work.backfill();
    const limits: BatchLimits = {
      lockTimeoutMs: LOCK_TIMEOUT_MS,
      statementTimeoutMs: AIMS_AT_MOST * this.aimMs,
    };
    const at = await fills.claim(this.#at.id, limits);
    if (at === "busy") {
      return { kind: "busy", runner: (await fills.look(this.#at.id))?.runner };
    }
    if (at === undefined || !at.isOpen) throw this.#gone();
    if (at.runner?.isThere && !at.runner.isUs) {
      return { kind: "busy", runner: at.runner };
    }
    if (!at.runner?.isUs) await fills.take(this.#at.id);
    this.aimMs = at.aimMs;
    const held = at.isPaused
      ? "it is paused"
      : await this.#at.pulse.look(fills);
    if (held !== undefined) return { kind: "held", reason: held };
    const table = this.table ??= await this.#inspect(fills, at);
    if (!this.#hasBegun) this.#at.onBegun();
    this.#hasBegun = true;
    if (at.lastKey === null) return await this.#beginPass(fills, at, 0);
    this.#at.pulse.at(table);
    return await this.#batch(work, fills, table, at, at.lastKey);
  }

  async #batch(
    work: Work,
    fills: BackfillWork,
    table: FillTable,
    at: Position,
    lastKey: Key,
  ): Promise<Turn> {
    const { clock } = this.#at;
    const after = at.position;
    const rows = this.#at.size.rows(at.batchRows);
    const through = this.#at.size.through ?? lastKey;
    const bound = await fills.bound(table, { after, through }, rows);
    if (bound === undefined) {
      return this.#at.size.clear()
        ? { kind: "pass" }
        : await this.#endPass(fills, at);
    }
    this.taken = bound;
    const started = clock.now();
    let found = false;
    await work.run({
      ...this.#at.step,
      keys: {
        table,
        after,
        through: bound.through,
        ...(at.passes > 0 && { look: (one: boolean) => found = one }),
      },
    }, () => {});
    const waiting = fills.waiting();
    void fills.advance(this.#at.id, {
      position: bound.through,
      found,
      rows: at.passes > 0 ? 0 : bound.rows,
      tookMs: clock.now() - started,
      batchRows: this.#at.size.through === undefined
        ? rows
        : at.batchRows ?? rows,
    });
    return { kind: "batch", waiting, rest: at.rest, ...bound };
  }

  async #beginPass(
    fills: BackfillWork,
    at: Position,
    passes: number,
  ): Promise<Turn> {
    const table = this.table!;
    const lastKey = await fills.lastKey(table);
    if (lastKey === undefined) return { kind: "over", ageMs: at.ageMs };
    const rowsTotal = passes > 0
      ? at.rowsTotal
      : await fills.estimate(table, null, lastKey);
    void fills.beginPass(this.#at.id, { passes, lastKey, rowsTotal });
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

  #failure(cause: Error): MigrationError {
    return new MigrationError(this.#name, "up", { cause });
  }

  #gone(): RefusedError {
    return new RefusedError([
      `Cannot go on with "${this.#name}": another run has rolled it back, or settled it, meanwhile`,
    ]);
  }
}
