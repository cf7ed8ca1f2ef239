/**
 * A session at work, on a guarded connection: transactions, the migration lock, settings, the history.
 *
 * @module
 */
import { Connection, type ConnectionOptions } from "./connection/connection.ts";
import {
  causeOf,
  causesOf,
  ConnectionLostError,
  DatabaseError,
  MigrationError,
  RefusedError,
} from "../errors.ts";
import type { Event, LockHolder, ServerInfo } from "../report/events.ts";
import { withHint } from "./hints.ts";
import { dropInvalidIndex } from "./invalid_index.ts";
import type { Link } from "./wire/link.ts";
import { Monitor } from "./monitor.ts";
import type { Step } from "../plan/plan.ts";
import type {
  Backend,
  Background,
  LockedHistory,
  Session,
  Work,
} from "../engine/ports.ts";
import type { Rows } from "./wire/protocol.ts";
import {
  type Begun,
  endIdleQuery,
  lockHolderQuery,
  lockQuery,
  lockTimeoutQuery,
  RESET,
  type Scope,
  sealQuery,
  SESSION_SETTINGS,
  type Settings,
} from "./settings.ts";
import { waitsForSnapshots } from "../sql/statement.ts";
import { RunningStep } from "./step.ts";
import {
  SessionHistory,
  type SessionHistoryOptions,
} from "./history/session_history.ts";

/** How long a stopped session may take to roll back before its connection is dropped, in milliseconds. */
const STOP_LIMIT_MS = 3_000;

/** How long after the request to stop the last words may take, in milliseconds: what must be written, or found out. */
const LAST_WORDS_MS = 3_600;

/** What a session needs to know besides its connection. Times are milliseconds. */
export interface SessionOptions
  extends Pick<ConnectionOptions, "pipeline">, SessionHistoryOptions {
  /** As `server_version_num`. */
  readonly versionNumber: number;
  readonly lockTimeoutMs: number;
  readonly lockRetryMs: number;
  readonly statementTimeoutMs: number;
  /** The schema that was chosen and so has to become the search path. */
  readonly chosenSchema: string | undefined;
  /** Opens another link to the same server, to watch this one. @throws {ConnectionError} */
  readonly openSecond: () => Promise<Link>;
  readonly report: (event: Event) => void;
  readonly background: Background;
  /** Aborts when the process is asked to stop; its reason is the error of everything in flight. */
  readonly stop: AbortSignal;
}

/** Does what a session is asked for, once the driver of its link is loaded. */
export class WorkingSession
  implements Omit<Session, "history" | "isLost" | "backend"> {
  readonly server: ServerInfo;
  readonly #connection: Connection;
  readonly #options: SessionOptions;
  readonly #history: SessionHistory;
  /** The backend at work; behind a pooler it is another in every transaction, known once the first query is answered. */
  #backendPid: number | undefined;
  /** The steps of the work in flight. */
  #steps: RunningStep[] = [];
  readonly #monitor: Monitor;
  /** When it was asked to stop, on `performance.now()`. */
  #stoppedAt: number | undefined;
  #isLastWords = false;
  #stopTimer: ReturnType<typeof setTimeout> | undefined;
  /** Settles when the request to cancel has been taken. */
  #stopped: Promise<void> | undefined;
  readonly #onStop = () => {
    this.#stoppedAt = performance.now();
    // A stopped server answers at once; one that does not is left, and notices by itself.
    this.#destroyAfter(
      STOP_LIMIT_MS,
      "the server did not answer the request to cancel",
    );
    this.#stopped = this.#connection.stop(this.#options.stop.reason);
  };

  constructor(link: Link, options: SessionOptions) {
    const connection = new Connection(link, {
      pipeline: options.pipeline,
      onStatement: (sql, durationMs) =>
        options.report({ event: "statement", sql, durationMs }),
    });
    this.#connection = connection;
    this.#options = options;
    this.server = options.server;
    this.#history = new SessionHistory(connection, options);
    if (!this.server.pooled) this.#backendPid = connection.announcedPid;
    this.#monitor = new Monitor(connection, {
      open: async () =>
        new Connection(await options.openSecond(), { pipeline: false }),
      pid: () => this.#backendPid,
      pooled: options.server.pooled,
      lockTimeoutMs: options.lockTimeoutMs,
      atWork: () => {
        const last = this.#steps.at(-1);
        return last?.isRunning ? last.step : undefined;
      },
      report: options.report,
    });
    options.stop.addEventListener("abort", this.#onStop, { once: true });
    if (options.stop.aborted) {
      this.#onStop();
      // It is there for the last words, after one that did not answer.
      this.#stoppedAt! -= STOP_LIMIT_MS;
    }
  }

  async kyselyTable(
    table: string,
  ): Promise<readonly { readonly name: string; readonly timestamp: string }[]> {
    return await this.#history.kyselyTable(table);
  }

  get isUnanswered(): boolean {
    return this.#connection.isUnanswered;
  }

  async despiteStop<T>(work: () => Promise<T>): Promise<T> {
    // It must not cancel what comes now.
    await this.#stopped;
    this.#resume();
    this.#isLastWords = true;
    try {
      return await work();
    } finally {
      this.#isLastWords = false;
    }
  }

  async transaction<T>(work: (work: Work) => Promise<T>): Promise<T> {
    this.#throwIfStopped();
    return await this.#history.inPlace(() => this.#tryTransaction(work));
  }

  async #tryTransaction<T>(work: (work: Work) => Promise<T>): Promise<T> {
    const connection = this.#connection;
    const known = this.#history.known;
    if (this.server.pooled) this.#backendPid = undefined;
    await connection.prepare();
    try {
      await connection.begin();
      const result = await work(this.#work("transaction"));
      await connection.commit();
      return result;
    } catch (error) {
      this.#history.known = known;
      await connection.rollback();
      throw this.#attributed(error);
    } finally {
      this.#closeSteps();
    }
  }

  async pinned<T>(work: (work: Work) => Promise<T>): Promise<T> {
    this.#throwIfStopped();
    return await this.#history.inPlace(() => this.#pinned(work));
  }

  async #pinned<T>(work: (work: Work) => Promise<T>): Promise<T> {
    await this.#connection.prepare();
    try {
      return await work(this.#work("session"));
    } finally {
      this.#closeSteps();
      await this.#unlock();
    }
  }

  async lockHolder(): Promise<LockHolder | undefined> {
    const [row] = await this.#connection.query(
      lockHolderQuery(this.#history.lockNames),
    );
    return row === undefined ? undefined : {
      pid: Number(row.pid),
      application: String(row.application),
      address: String(row.address),
      sinceMs: typeof row.since === "number" ? row.since : undefined,
    };
  }

  async endIdle(abandoned: Backend): Promise<void> {
    const { host, port } = this.server;
    if (abandoned.host !== host || abandoned.port !== port) return;
    await this.#connection.query(endIdleQuery(abandoned));
  }

  async close(): Promise<void> {
    this.#options.stop.removeEventListener("abort", this.#onStop);
    clearTimeout(this.#stopTimer);
    this.#monitor.stop();
    await this.#connection.close();
  }

  #closeSteps(): void {
    for (const step of this.#steps) step.close();
    this.#steps = [];
  }

  #work(scope: Scope): Work {
    let seal = "";
    return {
      lock: async () => {
        const locked = await this.#lock(scope);
        if (locked !== undefined) {
          seal = sealQuery(this.#settings(), scope, locked.begun);
        }
        return locked;
      },
      prepareHistory: async () => {
        if (this.#history.known.place.form === "own") return;
        const prepare = () => this.#history.prepare();
        // Outside a transaction it needs one of its own: half a conversion must never be seen.
        if (scope === "transaction") await prepare();
        else await this.#inTransaction(prepare);
      },
      run: (step, onBegun) => this.#run(step, scope, seal, onBegun),
      settle: async () => {
        await this.#connection.settle();
        const { aborted } = this.#connection;
        if (aborted !== undefined) throw aborted;
        return durationsOf(this.#steps);
      },
      trace: (ids) => this.#history.trace(ids),
      write: (changes) => {
        const written = this.#history.write(changes, scope).catch((error) => {
          throw this.#attributed(error);
        });
        written.catch(() => {}); // what a write that was sent ahead rejects with, the commit rejects with
        return written;
      },
    };
  }

  async #inTransaction(work: () => Promise<void>): Promise<void> {
    try {
      await this.#connection.begin();
      await work();
      await this.#connection.commit();
    } catch (error) {
      await this.#connection.rollback();
      throw error;
    }
  }

  async #run(
    step: Step,
    scope: Scope,
    seal: string,
    onBegun: () => void,
  ): Promise<void> {
    const connection = this.#connection;
    const before = this.#steps.at(-1);
    if (before === undefined) onBegun();
    else before.whenSealed(onBegun);
    const { openKysely } = await import("./kysely.ts");
    const running = new RunningStep(step, {
      connection,
      background: this.#options.background,
      scope,
      openKysely,
      ...(scope === "session" && { before: this.#beforeOutside() }),
    });
    this.#steps.push(running);
    const { conformingStrings } = connection;
    try {
      await running.run();
      await this.#sealStep(running, scope, seal);
      // The next texts are understood before they are sent: how they will be read must be known.
      if (connection.conformingStrings !== conformingStrings) {
        await connection.settle();
      }
    } catch (error) {
      // What has aborted the transaction is the cause, whatever the function has made of it.
      // What is recorded of it must not be part of what it left open.
      if (scope === "session") await connection.rollBackForeign();
      const { aborted } = connection;
      const known = scope === "session" || aborted === undefined ||
        causesOf(error).includes(aborted);
      throw this.#attributed(known ? error : aborted, running);
    }
  }

  /** What is done before a statement that runs outside a transaction. */
  #beforeOutside(): (text: string) => Promise<void> {
    const connection = this.#connection;
    const { lockTimeoutMs, lockRetryMs, report } = this.#options;
    let current = lockTimeoutMs;
    return async (text) => {
      await dropInvalidIndex(connection, text, report);
      // Waiting for old snapshots is in nobody's way: there is no need to try it again and again.
      const wanted = lockTimeoutMs > 0 && waitsForSnapshots(text)
        ? Math.max(lockTimeoutMs, lockRetryMs)
        : lockTimeoutMs;
      if (wanted === current) return;
      current = wanted;
      void connection.sendAhead(lockTimeoutQuery(wanted));
    };
  }

  /** A migration must leave the transaction, or the session, as it was given. */
  async #sealStep(
    step: RunningStep,
    scope: Scope,
    seal: string,
  ): Promise<void> {
    const connection = this.#connection;
    if (scope === "session") {
      if (await connection.rollBackForeign()) {
        throw new Error(
          `its ${step.step.direction} function left a transaction open, which was rolled back`,
        );
      }
    } else if (connection.aborted !== undefined) {
      throw connection.abortSeen
        ? new Error(
          `its ${step.step.direction} function caught an error that had already aborted the transaction`,
          { cause: connection.aborted },
        )
        : connection.aborted;
    }
    connection.releaseSavepoints(step);
    const sealed = connection.sendAhead(seal, step, () => step.sealed());
    if (scope === "session") {
      // What it did is done: that nobody can say any more how it was left is met by what writes that.
      await sealed.catch((error) => {
        if (error instanceof DatabaseError && !connection.isLost) throw error;
      });
    } else if (!this.#options.pipeline) await sealed;
  }

  /** An error of a statement that ran ahead surfaces later: it is named after the step that sent it. */
  #attributed(error: unknown, running?: RunningStep): unknown {
    if (causeOf(error, MigrationError) !== undefined) return error;
    const explained = this.#history.explained(error);
    if (explained !== error) return explained;
    const sender =
      this.#connection.senderOf(causeOf(error, ConnectionLostError)) ??
        this.#connection.senderOf(causeOf(error, DatabaseError));
    // The loss of the connection stays the error of everything after it, which is not the fault of that step.
    const step = this.#steps.find((one) => one === sender) ?? running;
    const cause = withHint(step?.explained(error) ?? error, {
      ...this.#options,
      ...this.server,
      scope: step?.scope ?? "transaction",
      before: step === undefined ? 0 : this.#steps.indexOf(step),
    });
    return step === undefined ? cause : new MigrationError(
      step.step.migration.name,
      step.step.direction,
      { cause },
    );
  }

  /**
   * One flight: settings, then the lock, then whether the history is still the known one. `set_config` in the transaction also
   * holds behind a pooler, which drops or rejects startup parameters.
   */
  async #lock(
    scope: Scope,
  ): Promise<LockedHistory & { begun: Begun } | undefined> {
    const connection = this.#connection;
    const answers = await connection.query(
      [
        // A pooler has its own settings on a connection that others have used.
        ...(this.server.pooled ? [SESSION_SETTINGS] : []),
        lockQuery(this.#settings(), scope),
        ...this.#history.lockQueries(),
      ].join("; "),
    ) as unknown as readonly Rows[];
    const given = this.server.pooled ? answers[0]! : [];
    const [[row] = [], ...rest] = answers.slice(this.server.pooled ? 1 : 0);
    if (row?.applied !== true) {
      throw new RefusedError([
        "Cannot set lock_timeout and statement_timeout: the server, or a pooler before it, did not take them",
      ]);
    }
    this.#backendPid = Number(row.pid);
    if (row.locked !== true) return undefined;
    return {
      ...await this.#history.underLock(rest),
      begun: {
        at: String(row.began),
        settings: given.map(({ name, setting }) => [
          String(name),
          String(setting),
        ]),
      },
    };
  }

  /** Never rejects: where the lock cannot be released, it goes with the session. */
  async #unlock(): Promise<void> {
    if (this.#connection.isLost) return;
    this.#resume();
    await this.#connection.query(
      `${RESET}; select pg_catalog.pg_advisory_unlock_all()`,
    )
      .catch(() => this.#connection.destroy("its lock could not be released"));
  }

  #throwIfStopped(): void {
    if (!this.#isLastWords) this.#options.stop.throwIfAborted();
  }

  /** Makes a connection that was stopped work again, and no longer than for the last words. */
  #resume(): void {
    if (this.#stoppedAt === undefined) return;
    this.#connection.resume();
    this.#destroyAfter(
      this.#stoppedAt + LAST_WORDS_MS - performance.now(),
      "the server did not answer in time",
    );
  }

  #destroyAfter(ms: number, reason: string): void {
    clearTimeout(this.#stopTimer);
    this.#stopTimer = setTimeout(() => this.#connection.destroy(reason), ms);
  }

  #settings(): Settings {
    const { lockTimeoutMs, statementTimeoutMs, versionNumber, chosenSchema } =
      this.#options;
    return {
      lockNames: this.#history.lockNames,
      lockTimeoutMs,
      statementTimeoutMs,
      versionNumber,
      chosenSchema,
    };
  }
}

/** A step took from the end of the one before it, or from its own start, until its last answer. */
function durationsOf(steps: readonly RunningStep[]): number[] {
  let end = 0;
  return steps.map(({ startedAt, answeredAt = startedAt }) => {
    const start = Math.max(startedAt, end);
    end = Math.max(end, answeredAt);
    return Math.max(0, Math.round(answeredAt - start));
  });
}
