/**
 * One migration at work: it ends when everything that it has started has ended.
 *
 * What its function does not await waits in Kysely's queue for the connection, or for the event loop. Kysely's own migrator
 * is safe by accident, because its next statement waits in the same queue; here the queue is asked.
 *
 * @module
 */
import {
  type Connection,
  type Sender,
  TransactionEndedError,
} from "./connection.ts";
import { Ending } from "./ending.ts";
import { causesOf, DatabaseError, MigrationError } from "./errors.ts";
import type { AnyKysely, Run } from "./kysely.ts";
import type { Step } from "./plan.ts";
import type { Background, Watch } from "./ports.ts";
import type { Rows } from "./protocol.ts";
import { BROKEN, type Scope } from "./settings.ts";

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
  /** The answer to what proves that it has left everything as it was; missing until that is asked. */
  sealed?: Promise<unknown>;
  readonly #host: StepHost;
  readonly #closed = Promise.withResolvers<void>();
  /** Comes when the step fails although its function goes on. */
  readonly #failing = new Ending();
  /** `closing` while Kysely ends the transaction that it believes to have. */
  #phase: "opening" | "running" | "ended" | "closing" | "closed" = "opening";
  #failed = false;
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
      await connection.orEnded(this.#failing.orEnded(watch.result));
      await connection.orEnded(this.#failing.orEnded(this.#quiet(db)));
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
      // What a failed one has left behind goes on failing: that is no news.
      if (this.#failed) this.#watch = watch;
      else watch.end();
    }
  }

  /** Lets Kysely end what it has begun. What is sent from now on, it refuses by itself. */
  close(): void {
    this.#watch?.end();
    if (this.#phase !== "ended") return;
    this.#phase = "closing";
    this.#closed.resolve();
  }

  /** The error in the words of a migration. */
  explained(error: unknown): unknown {
    const its = `its ${this.step.direction} function has`;
    const broken = error instanceof DatabaseError ? error.server.message : "";
    if (
      error instanceof TransactionEndedError || broken.includes(BROKEN.ended)
    ) {
      return new Error(
        `${its} ended the transaction: what it did before that is in effect`,
      );
    }
    if (broken.includes(BROKEN.readOnly)) {
      return new Error(`${its} made the transaction read only`);
    }
    if (broken.includes(BROKEN.homeless)) {
      return new Error(
        `${its} dropped or renamed the history, or its schema: a migration must leave it where it is; ` +
          "it can be kept in a schema of its own with --schema",
      );
    }
    if (broken.includes(BROKEN.unlocked)) {
      return new Error(
        `${its} released the migration lock: another migrator may have been at work meanwhile`,
      );
    }
    return error;
  }

  /**
   * The database as the migration gets it. It stays open until {@link close}, so that what comes after the end of the
   * function is noticed.
   */
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
    return await given.promise;
  }

  async #take(text: string, parameters: readonly unknown[]): Promise<Rows> {
    const { connection, before } = this.#host;
    if (this.#phase === "opening" || this.#phase === "closing") {
      // The transaction is the session's: Kysely only thinks that it begins and ends one.
      if (this.#phase === "closing") this.#phase = "closed";
      return Object.assign([], { command: null, count: null });
    }
    if (this.#phase !== "running" || this.#failed) throw this.#late();
    this.#sent++;
    this.#pending++;
    try {
      await before?.(text);
      return await connection.run(text, parameters, this);
    } catch (error) {
      if (error instanceof Error) this.#told.add(error);
      throw error;
    } finally {
      this.#pending--;
      this.#sent++;
    }
  }

  /** A statement has come too late. If the step has failed, that has been said. */
  #late(): Error {
    const { migration, direction } = this.step;
    const error = new Error(
      `its ${direction} function has ended, and a statement that it left to itself came too late`,
    );
    if (!this.#failed) {
      this.#failed = true;
      this.#host.background.fail(
        new MigrationError(migration.name, direction, { cause: error }),
      );
    }
    return error;
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
        if (connection.idleMs < HELD_MS) return;
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
    const failure = causesOf(error).some((one) => this.#told.has(one))
      ? error as Error
      : new Error("something failed that nothing waited for", { cause: error });
    if (this.#host.scope === "transaction") this.#failing.come(failure);
    // What is under way outside a transaction takes effect: it is not left half done.
    else {void this.#host.connection.settle().then(() =>
        this.#failing.come(failure)
      );}
  }

  /** Nothing of the transaction will count: the server need not go on with it. */
  async #giveUp(reason: Error): Promise<void> {
    const { connection } = this.#host;
    if (this.#pending > 0) await connection.abandon(reason);
    else await connection.settle();
  }
}
