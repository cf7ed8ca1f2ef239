/**
 * A session that is logged in and knows the history as it was then; its transactions, and its end.
 *
 * @module
 */
import { Connection } from "./connection/connection.ts";
import type { LockHolder, ServerInfo } from "../report/events.ts";
import type { OpenBackfill } from "../plan/backfill_progress.ts";
import type { HistoryRow } from "../plan/history.ts";
import type { KyselyTable } from "../plan/kysely.ts";
import type { Backend, Session, Work } from "../engine/ports.ts";
import type { Catalog } from "../engine/catalog_ports.ts";
import type { Link } from "./wire/link.ts";
import type { WatchedBackend } from "./activity.ts";
import { Monitor } from "./monitor.ts";
import { OWN_TABLES } from "./history/place.ts";
import { RESET } from "./seal.ts";
import { endIdleQuery, lockHolderQuery, type Scope } from "./settings.ts";
import { SessionWork, type WorkOptions } from "./work.ts";
import {
  SessionHistory,
  type SessionHistoryOptions,
} from "./history/session_history.ts";

/** How long a stopped session may take to roll back before its connection is dropped, in milliseconds. */
const STOP_LIMIT_MS = 3_000;

/** How long after the request to stop the last words may take, in milliseconds: what must be written, or found out. */
const LAST_WORDS_MS = 3_600;

/** What a session needs to know besides its connection. */
export interface SessionOptions extends WorkOptions, SessionHistoryOptions {
  readonly server: ServerInfo;
  /** When it was started, as it says itself. */
  readonly serverStarted: string;
  /** See `Session.mayHavePlans`. */
  readonly hasPlans: boolean;
  /** How long to keep trying to reach it, in milliseconds. */
  readonly waitForDbMs: number;
  readonly chosenSchema: string | undefined;
  readonly kyselyTables: readonly KyselyTable[];
  /** Opens another link to the same server, to watch this one. @throws {ConnectionError} */
  readonly openSecond: () => Promise<Link>;
  /** What was recorded of the migrations, in UTF-8; `undefined` when nothing was. */
  readonly recording: () => Promise<Uint8Array | undefined>;
  /** Aborts when the process is asked to stop; its reason is the error of everything in flight. */
  readonly stop: AbortSignal;
}

/** The {@link Session} on PostgreSQL. */
export class PostgresSession implements Session {
  readonly server: ServerInfo;
  readonly history: readonly HistoryRow[];
  readonly kyselyTables: readonly KyselyTable[];
  readonly #connection: Connection;
  readonly #options: SessionOptions;
  readonly #history: SessionHistory;
  readonly #openedAt = performance.now();
  /** The backend at work; behind a pooler it is another in every transaction, known once the first query is answered. */
  #backend: WatchedBackend | undefined;
  /** What is being done, and what watches it; made when there is something to do. */
  #work: SessionWork | undefined;
  #monitor: Monitor | undefined;
  /** When it was asked to stop, on `performance.now()`. */
  #stoppedAt: number | undefined;
  #isLastWords = false;
  #stopTimer: ReturnType<typeof setTimeout> | undefined;
  /** Settles when the request to cancel has been taken. */
  #stopped: Promise<void> | undefined;

  constructor(link: Link, options: SessionOptions) {
    this.#options = options;
    this.#connection = new Connection(link, {
      pipeline: options.pipeline,
      onStatement: (sql, durationMs) =>
        options.report({ event: "statement", sql, durationMs }),
    });
    this.server = options.server;
    this.history = options.history?.rows ?? [];
    this.kyselyTables = options.kyselyTables;
    this.#history = new SessionHistory(this.#connection, options);
    if (!this.server.pooled) this.#backend = this.backend;
    options.stop.addEventListener("abort", this.#onStop, { once: true });
    if (options.stop.aborted) {
      this.#onStop();
      // It is there for the last words, after one that did not answer.
      this.#stoppedAt! -= STOP_LIMIT_MS;
    }
  }

  get isLost(): boolean {
    return this.#connection.isLost;
  }

  get lacksGrant(): boolean {
    return this.#history.known.place.form !== "missing" &&
      this.#history.lacksGrant;
  }

  get mayHavePlans(): boolean {
    return this.#options.hasPlans;
  }

  get isUnanswered(): boolean {
    return this.#connection.isUnanswered;
  }

  get backend(): Backend | undefined {
    const { host, port, pooled } = this.server;
    const pid = pooled ? undefined : this.#connection.announcedPid;
    return pid === undefined ? undefined : {
      host,
      port,
      pid,
      serverStarted: this.#options.serverStarted,
      since: this.#openedAt,
    };
  }

  async kyselyTable(
    table: string,
  ): Promise<readonly { readonly name: string; readonly timestamp: string }[]> {
    this.#monitor ??= this.#watch();
    return await this.#history.kyselyTable(table);
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
    const { known } = this.#history;
    if (this.server.pooled) this.#backend = undefined;
    await connection.prepare();
    const under = this.#begin("transaction");
    try {
      await connection.begin();
      const result = await work(under);
      await connection.commit();
      return result;
    } catch (error) {
      this.#history.known = known;
      await connection.rollback();
      throw under.attributed(error);
    } finally {
      under.close();
    }
  }

  async pinned<T>(work: (work: Work) => Promise<T>): Promise<T> {
    this.#throwIfStopped();
    return await this.#history.inPlace(() => this.#tryPinned(work));
  }

  async #tryPinned<T>(work: (work: Work) => Promise<T>): Promise<T> {
    await this.#connection.prepare();
    const under = this.#begin("session");
    try {
      return await work(under);
    } finally {
      under.close();
      await this.#unlock();
    }
  }

  async openBackfills(
    ids: readonly number[],
  ): Promise<ReadonlyMap<number, OpenBackfill>> {
    const { readOpen } = await import("./backfill/open.ts");
    return await readOpen(this.#connection, this.#history.schema, ids);
  }

  async catalog(): Promise<Catalog> {
    const { SchemaCatalog } = await import("./catalog/catalog.ts");
    const { versionNumber, trustedOwner } = this.#options;
    return new SchemaCatalog(this.#connection, {
      schema: this.#history.schema,
      versionNumber,
      without: OWN_TABLES,
      trustedOwner,
    });
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
    this.#monitor?.stop();
    await this.#connection.close();
  }

  #begin(scope: Scope): SessionWork {
    this.#monitor ??= this.#watch();
    return this.#work = new SessionWork({
      scope,
      connection: this.#connection,
      history: this.#history,
      despiteStop: (work) => this.despiteStop(work),
      onBackend: (backend) => {
        if (this.server.pooled) this.#backend = backend;
      },
    }, this.#options);
  }

  #watch(): Monitor {
    const {
      openSecond,
      server,
      lockTimeoutMs,
      waitForDbMs,
      recording,
      report,
    } = this.#options;
    return new Monitor(this.#connection, {
      open: async () => new Connection(await openSecond(), { pipeline: false }),
      backend: () => this.#backend,
      pooled: server.pooled,
      lockTimeoutMs,
      waitForDbMs,
      atWork: () => this.#work?.atWork,
      recorded: ({ sql, sender }) => ({
        sql,
        steps: this.#work?.stepsUntil(sender) ?? [],
        schema: this.#history.schema,
        recording,
      }),
      report,
    });
  }

  /** Never rejects: where the lock cannot be released, it goes with the session. */
  async #unlock(): Promise<void> {
    const connection = this.#connection;
    if (connection.isLost) return;
    this.#resume();
    await connection.query(
      `${RESET}; select pg_catalog.pg_advisory_unlock_all()`,
    ).catch(() => connection.destroy("its lock could not be released"));
  }

  readonly #onStop = () => {
    this.#stoppedAt = performance.now();
    // A stopped server answers at once; one that does not is left, and notices by itself.
    this.#destroyAfter(
      STOP_LIMIT_MS,
      "the server did not answer the request to cancel",
    );
    this.#stopped = this.#connection.stop(this.#options.stop.reason);
  };

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
}
