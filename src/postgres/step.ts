/**
 * One migration at work: it ends when everything that it has started has ended.
 *
 * What its function does not await waits in Kysely's queue for the connection, or for the event loop. Kysely's own migrator
 * is safe by accident, because its next statement waits in the same queue; here the queue is asked.
 *
 * @module
 */
import type { Connection } from "./connection/connection.ts";
import type { Sender } from "./connection/in_flight.ts";
import { runStatement } from "./connection/migration_statement.ts";
import { abortable } from "../waits.ts";
import {
  causeOf,
  causesOf,
  ExitError,
  LocatedError,
  MigrationError,
  STRAY,
} from "../errors.ts";
import type { AnyKysely, Run } from "./kysely.ts";
import { LateGuard } from "./late_guard.ts";
import type { Step } from "../plan/plan.ts";
import type { Background, Watch } from "../engine/ports.ts";
import type { Rows } from "./wire/protocol.ts";
import { sealError } from "./seal.ts";
import type { Scope } from "./settings.ts";

/** What a step needs of its session. */
export interface StepHost {
  readonly connection: Connection;
  readonly background: Background;
  readonly scope: Scope;
  readonly openKysely: (run: Run) => AnyKysely;
  /** Looks at a statement before it is sent. */
  readonly before?: (text: string) => Promise<void>;
}

/**
 * How long the connection may be held after the end of the function while nothing is sent, in milliseconds: a transaction
 * that Kysely was told to begin, and nobody ends, holds it for ever.
 */
const HELD_MS = 5_000;

/** The end of the running task, and of all that the event loop has to do now. The driver may replace the global one. */
const { setImmediate } = globalThis;
const turn = () => new Promise<void>((resolve) => void setImmediate(resolve));

/** A migration whose function is called once. */
export class RunningStep implements Sender {
  readonly step: Step;
  readonly startedAt: number = performance.now();
  answeredAt?: number;
  uncommitted?: Error;
  readonly #host: StepHost;
  readonly #closed = Promise.withResolvers<void>();
  /** Aborts when the step fails although its function goes on. */
  readonly #failing = new AbortController();
  /** `closed`: it may be in effect. */
  #phase: "opening" | "running" | "ended" | "closed" = "opening";
  #failed = false;
  #isSealed = false;
  #onSealed: (() => void) | undefined;
  #watch: Watch<unknown> | undefined;
  /** The errors that its statements were answered with. */
  readonly #told = new WeakSet<Error>();
  /** The statements that are not answered yet, and how many there have been. */
  #pending = 0;
  #sent = 0;

  constructor(step: Step, host: StepHost) {
    this.step = step;
    this.#host = host;
  }

  get scope(): Scope {
    return this.#host.scope;
  }

  /** Whether its function, or what that has started, is at work. */
  get isRunning(): boolean {
    return this.#phase === "running";
  }

  /**
   * Calls the function and waits for all that it starts.
   *
   * @throws what it has thrown, left to itself and failed, or left running
   */
  async run(): Promise<void> {
    const { connection, background } = this.#host;
    const { migration, direction } = this.step;
    const db = await this.#open();
    const work = direction === "up" ? migration.up : migration.down!;
    this.#phase = "running";
    const watch = background.watch(
      async () => await work(db),
      (error) => this.#stray(error),
    );
    try {
      const { signal } = this.#failing;
      await connection.orEnded(abortable(watch.result, signal));
      await connection.orEnded(abortable(this.#quiet(db), signal));
      if (this.uncommitted !== undefined) throw this.uncommitted;
      const [timer] = watch.timers();
      if (timer !== undefined) {
        throw new Error(
          `its ${direction} function has left ${timer} running, whose work would be lost: await it, or clear it`,
        );
      }
    } catch (error) {
      this.#failed = true;
      if (this.#host.scope === "transaction") {
        await this.#giveUp(error as Error);
      }
      throw error;
    } finally {
      this.#phase = "ended";
      this.#closed.resolve();
      // What a failed one has left behind goes on failing: that is no news.
      if (this.#failed) this.#watch = watch;
      else watch.end();
    }
  }

  /** The server has proved that it has left everything as it was. */
  sealed(): void {
    this.#isSealed = true;
    this.#onSealed?.();
  }

  /** Calls `then` when it is {@link sealed}; never, when it fails. */
  whenSealed(then: () => void): void {
    if (this.#isSealed) then();
    else this.#onSealed = then;
  }

  /** Forgets what a failed step has left behind. */
  close(): void {
    this.#phase = "closed";
    this.#watch?.end();
  }

  /** The error in the words of a migration. */
  explained(error: unknown): unknown {
    const exit = causeOf(error, ExitError);
    if (exit !== undefined) {
      const cause = new ExitError(
        exit.deed,
        `its ${this.step.direction} function`,
      );
      const location = causeOf(error, LocatedError)?.location;
      return location === undefined
        ? cause
        : new LocatedError(location, { cause });
    }
    return sealError(error, this.step.direction);
  }

  /** The database as the migration gets it. What is sent through it after the end of the function is noticed. */
  async #open(): Promise<AnyKysely> {
    const given = Promise.withResolvers<AnyKysely>();
    const keep = (db: AnyKysely): Promise<void> => {
      given.resolve(db);
      return this.#closed.promise;
    };
    const kysely = this.#host.openKysely((text, parameters) =>
      this.#host.background.outside(() => this.#take(text, parameters))
    );
    const session = this.#host.scope === "transaction"
      ? kysely.transaction().execute(keep)
      : kysely.connection().execute(keep);
    session.catch(given.reject);
    const guard = new LateGuard(() => this.#refuseLate());
    return (await given.promise).withPlugin(guard);
  }

  async #take(text: string, parameters: readonly unknown[]): Promise<Rows> {
    const { connection, before } = this.#host;
    // The transaction is the session's: Kysely only thinks that it begins and ends one.
    const isKyselys = this.#host.scope === "transaction" &&
      (this.#phase === "opening" ||
        (this.#phase === "ended" && text === "commit"));
    if (isKyselys) {
      return Object.assign([], { command: null, count: null });
    }
    this.#refuseLate();
    this.#sent++;
    this.#pending++;
    try {
      await before?.(text);
      return await runStatement(connection, {
        text,
        parameters,
        sender: this,
      });
    } catch (error) {
      if (error instanceof Error) this.#told.add(error);
      throw error;
    } finally {
      this.#pending--;
      this.#sent++;
    }
  }

  /** @throws {Error} when a statement comes too late; if the step has failed, that has been said */
  #refuseLate(): void {
    if (this.#phase === "running" && !this.#failed) return;
    const { direction } = this.step;
    const error = new Error(
      `its ${direction} function has ended, and a statement that it left to itself came too late`,
    );
    if (!this.#failed) {
      this.#failed = true;
      this.#failLate(error);
    }
    throw error;
  }

  /** Fails the whole run for what comes after the end of the function; the migration may be in effect by then. */
  #failLate(cause: Error): void {
    const { migration, direction } = this.step;
    const late = this.#phase === "closed"
      ? new Error(
        `"${migration.name}" failed after its ${direction} function had ended`,
        { cause },
      )
      : new MigrationError(migration.name, direction, {
        cause: this.explained(cause),
      });
    this.#host.background.fail(late);
  }

  /** Waits until nothing that was started is under way: not in Kysely's queue, not on the connection, not in this turn. */
  async #quiet(db: AnyKysely): Promise<void> {
    for (;;) {
      const sent = this.#sent;
      await this.#ofQueue(db);
      await turn();
      if (this.#pending === 0 && this.#sent === sent) return;
    }
  }

  /** Waits for what is in Kysely's queue for the connection: it sends nothing, it only waits for its turn. */
  async #ofQueue(db: AnyKysely): Promise<void> {
    const { connection } = this.#host;
    let timer: ReturnType<typeof setInterval> | undefined;
    const held = new Promise<never>((_, reject) => {
      timer = setInterval(() => {
        if (connection.inFlight.idleMs < HELD_MS) return;
        reject(
          new Error(
            `its ${this.step.direction} function has ended, and something that it began holds its connection: end the transaction`,
          ),
        );
      }, HELD_MS / 5);
    });
    try {
      await Promise.race([
        db.getExecutor().provideConnection(() => Promise.resolve()),
        held,
      ]);
    } finally {
      clearInterval(timer);
    }
  }

  /** An error that nobody waits for. That of a statement speaks for itself. */
  #stray(error: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    const speaks = causeOf(error, ExitError) !== undefined ||
      causesOf(error).some((one) => this.#told.has(one));
    const failure = speaks
      ? error as Error
      : new Error(STRAY, { cause: error });
    if (this.#phase !== "running") return this.#failLate(failure);
    if (this.#host.scope === "transaction") this.#failing.abort(failure);
    // What is under way outside a transaction takes effect: it is not left half done.
    else {void this.#host.connection.inFlight.settle().then(() =>
        this.#failing.abort(failure)
      );}
  }

  /** Nothing of the transaction will count: the server need not go on with it. */
  async #giveUp(reason: Error): Promise<void> {
    const { connection } = this.#host;
    if (this.#pending > 0) await connection.abandon(reason);
    else await connection.inFlight.settle();
  }
}
