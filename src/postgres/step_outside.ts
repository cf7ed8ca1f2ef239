/**
 * A step outside a transaction: how long its statements wait for locks, and what a failed concurrent build leaves behind.
 *
 * @module
 */
import { LeftBehindError } from "../errors.ts";
import type { Step } from "../plan/plan.ts";
import type { Event } from "../report/events.ts";
import { leftBehind } from "../report/failure.ts";
import { concurrentIndex, waitsForSnapshots } from "../sql/statement.ts";
import type { Connection } from "./connection/connection.ts";
import {
  dropInvalid,
  dropInvalidIndex,
  type InvalidIndexes,
  invalidIndexes,
} from "./invalid_index.ts";
import { lockTimeoutQuery } from "./settings.ts";

/** What such a step works on. */
export interface OutsidePlace {
  readonly connection: Connection;
  /** Runs what must be found out also after the process was asked to stop. */
  readonly despiteStop: <T>(work: () => Promise<T>) => Promise<T>;
}

/** Times are milliseconds. */
export interface OutsideOptions {
  readonly lockTimeoutMs: number;
  readonly lockRetryMs: number;
  readonly report: (event: Event) => void;
}

/** One step at work outside a transaction. */
export class StepOutside {
  readonly #step: Step;
  readonly #place: OutsidePlace;
  readonly #options: OutsideOptions;
  /** The setting as it is now. */
  #lockTimeoutMs: number;
  /** The indexes that were invalid before it built one concurrently. */
  #invalidBefore: InvalidIndexes | undefined;
  /** The names that its statements have given to indexes. */
  readonly #named: string[] = [];

  constructor(step: Step, place: OutsidePlace, options: OutsideOptions) {
    this.#step = step;
    this.#place = place;
    this.#options = options;
    this.#lockTimeoutMs = options.lockTimeoutMs;
  }

  /** Looks at a statement before it is sent. */
  async before(text: string): Promise<void> {
    const { connection } = this.#place;
    const { lockTimeoutMs, lockRetryMs, report } = this.#options;
    const { row } = this.#step;
    const waits = waitsForSnapshots(text);
    if (waits) {
      if (this.#invalidBefore === undefined) {
        await dropInvalid(connection, leftBehind(row?.error ?? ""), report);
      }
      await dropInvalidIndex(connection, text, report);
      const index = concurrentIndex(text)?.index;
      if (index !== undefined) {
        this.#named.push(index.startsWith('"') ? index : index.toLowerCase());
      }
      this.#invalidBefore ??= await invalidIndexes(connection);
    }
    // Waiting for old snapshots is in nobody's way: there is no need to try it again and again.
    const wanted = lockTimeoutMs > 0 && waits
      ? Math.max(lockTimeoutMs, lockRetryMs)
      : lockTimeoutMs;
    if (wanted === this.#lockTimeoutMs) return;
    this.#lockTimeoutMs = wanted;
    void connection.sendAhead(lockTimeoutQuery(wanted));
  }

  /** The error of a step outside a transaction, with the indexes that it has left behind, as far as that can be found out. */
  async withLeftBehind(error: unknown): Promise<unknown> {
    const before = this.#invalidBefore;
    const { connection, despiteStop } = this.#place;
    if (before === undefined || connection.isLost) return error;
    const now = await despiteStop(() => invalidIndexes(connection))
      .catch(() => before);
    const left = [...now].filter(([oid]) => !before.has(oid))
      .map(([, name]) => name);
    if (left.length === 0) return error;
    const { direction, migration } = this.#step;
    const isDropped = direction === "up" && migration.idempotent;
    const unnamed = left.filter((name) =>
      !this.#named.some((one) => name.endsWith(`.${one}`))
    );
    return new LeftBehindError(left, unnamed, isDropped, { cause: error });
  }
}
