/**
 * Watches a long statement from a second connection: who blocks it, how far it is, whether its server is still there.
 *
 * The second connection appears only when a statement takes long, runs short queries in autocommit (an open transaction
 * would hold up `create index concurrently`), and is given up silently where it is not allowed.
 *
 * @module
 */
import { activityQuery, blockersOf, type WatchedBackend } from "./activity.ts";
import { inTime, SilentError } from "./answered.ts";
import type { Connection } from "./connection/connection.ts";
import type { InFlight } from "./connection/in_flight.ts";
import type { Growth, StatementAtWork } from "./growth.ts";
import { News } from "./news.ts";
import { progressOf } from "./progress.ts";
import type { Rows } from "./wire/protocol.ts";
import { causeOf, ConnectionError, DatabaseError } from "../errors.ts";
import type { Event, StatementProgress } from "../report/events.ts";
import type { Step } from "../plan/plan.ts";
import { withoutLiterals } from "../sql/statement.ts";

export interface MonitorOptions {
  /** Opens the second connection. @throws {ConnectionError} */
  readonly open: () => Promise<Connection>;
  /** The backend that works for the connection; `undefined` while a pooler has yet to find one. */
  readonly backend: () => WatchedBackend | undefined;
  readonly pooled: boolean;
  readonly lockTimeoutMs: number;
  /** How long to keep trying to reach the server, in milliseconds. */
  readonly waitForDbMs: number;
  /** What is known beforehand of the statement. */
  readonly recorded: (statement: InFlight) => StatementAtWork;
  /** The migration whose function is at work. */
  readonly atWork: () => Step | undefined;
  readonly report: (event: Event) => void;
}

/** How often the age of the statement is looked at, in milliseconds. */
const TICK_MS = 100;

/** How old a statement is when it is first looked at, and how often it is then, in milliseconds. */
const LONG_MS = 2_000;
const POLL_MS = 1_000;

/** After how long a server that refuses a second connection, or another server, is asked again, in milliseconds. */
const REFUSED_MS = 30_000;

/** After how long it is tried again where nobody is reached, in milliseconds. */
const UNREACHED_MS = 3_000;

/**
 * For how long nobody may be reached before the server counts as gone, in milliseconds, or `--wait-for-db`, if that is
 * longer. A server that is only being restarted ends our session before.
 */
const GONE_MS = 60_000;

/** How long a migration may send nothing before that is said, and how often it is said then, in milliseconds. */
const QUIET_MS = 10_000;
const QUIET_REPEAT_MS = 60_000;

/** How often the server is told that there is still a client, so that it does not end the session; in milliseconds. */
const KEEP_ALIVE_MS = 15_000;

/** For how long the server may say that it has answered before the answer counts as lost, in milliseconds. */
const UNANSWERED_MS = 5_000;

/** For how long a pooler may look for a free backend, in milliseconds. */
const POOLER_MS = 60_000;

/** After how many attempts in a row that nobody answers the server counts as gone. */
const SILENT_ATTEMPTS = 2;

/** Watches one connection until {@link stop}. */
export class Monitor {
  readonly #watched: Connection;
  readonly #options: MonitorOptions;
  readonly #news: News;
  #timer: ReturnType<typeof setInterval>;
  #second: Connection | undefined;
  #busy = false;
  #nextPoll = 0;
  #silentAttempts = 0;
  /** Since when no attempt has reached anybody. */
  #unreachedSince: number | undefined;
  #isElsewhereSaid = false;
  /** The statement that was looked at last, and since when the server says that it has answered it. */
  #statement: InFlight | undefined;
  #answeredSince: number | undefined;
  /** When somebody was last seen in its way. */
  #blockedAt = -Infinity;
  /** How far it is, where no view tells; `null` when nothing can be told. */
  #growth: Growth | null | undefined;
  /** When it was last said that the migration at work sends nothing; missing when it has sent something since. */
  #quietSaidAt: number | undefined;

  constructor(watched: Connection, options: MonitorOptions) {
    this.#watched = watched;
    this.#options = options;
    this.#news = new News(options.report);
    this.#timer = setInterval(() => void this.#tick(), TICK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#second?.destroy();
    this.#second = undefined;
  }

  async #tick(): Promise<void> {
    const statement = this.#watched.inFlight.oldest;
    const now = performance.now();
    if (statement === undefined) this.#whileIdle(now);
    if (
      statement === undefined || this.#busy || now < this.#nextPoll
    ) return;
    const { lockTimeoutMs } = this.#options;
    // One that waits for a lock must be looked at while it still waits.
    const patience = lockTimeoutMs > 0
      ? Math.min(LONG_MS, lockTimeoutMs / 2)
      : LONG_MS;
    if (this.#watched.inFlight.workingMs < patience) return;
    this.#busy = true;
    this.#nextPoll = now + POLL_MS;
    await this.#look(statement);
    this.#busy = false;
  }

  /** A migration does something else: the server must not think that it is gone, and who watches must know. */
  #whileIdle(now: number): void {
    const step = this.#options.atWork();
    if (step === undefined) return;
    const { idleMs, quietMs } = this.#watched.inFlight;
    if (idleMs >= KEEP_ALIVE_MS) this.#watched.keepAlive();
    if (quietMs < QUIET_MS) this.#quietSaidAt = undefined;
    else if (now - (this.#quietSaidAt ?? -Infinity) >= QUIET_REPEAT_MS) {
      this.#quietSaidAt = now;
      this.#options.report({
        event: "quiet",
        migration: step.migration.name,
        direction: step.direction,
        quietMs: Math.round(quietMs),
      });
    }
  }

  async #look(statement: InFlight): Promise<void> {
    const backend = this.#options.backend();
    if (backend === undefined) {
      if (performance.now() - statement.since >= POOLER_MS) {
        this.#watched.destroy("the pooler has found no server for it");
      }
      return;
    }
    const asked = performance.now();
    let rows: Rows;
    try {
      this.#second ??= await this.#options.open();
      rows = await inTime(this.#second.query(activityQuery(backend)));
    } catch (error) {
      this.#second?.destroy();
      this.#second = undefined;
      this.#unreachable(error, asked);
      return;
    }
    this.#silentAttempts = 0;
    this.#unreachedSince = undefined;
    if (rows[0]?.started !== backend.serverStarted) return this.#elsewhere();
    // Meanwhile it may have been answered.
    if (this.#watched.inFlight.oldest === statement) {
      await this.#judge(statement, backend.pid, rows);
    }
  }

  /** A server that refuses a second connection is there; one that does not answer, or that nobody can reach, may be gone. */
  #unreachable(error: unknown, asked: number): void {
    const isThere = causeOf(error, DatabaseError) !== undefined ||
      (error instanceof ConnectionError && !error.transient);
    if (isThere) {
      this.#silentAttempts = 0;
      this.#unreachedSince = undefined;
      this.#nextPoll = performance.now() + REFUSED_MS;
      return;
    }
    const isSilent = error instanceof SilentError ||
      (error instanceof ConnectionError && error.timedOut);
    if (isSilent && ++this.#silentAttempts >= SILENT_ATTEMPTS) {
      return this.#watched.destroy("the server does not answer any more");
    }
    const now = performance.now();
    this.#unreachedSince ??= asked;
    this.#nextPoll = now + UNREACHED_MS;
    const { waitForDbMs } = this.#options;
    if (now - this.#unreachedSince < Math.max(GONE_MS, waitForDbMs)) return;
    this.#watched.destroy(
      "the server does not answer any more, and no other connection to it can be made",
    );
  }

  /** The way leads to another server now: nothing that is seen there says anything of the one at work. */
  #elsewhere(): void {
    this.#second?.destroy();
    this.#second = undefined;
    this.#nextPoll = performance.now() + REFUSED_MS;
    if (this.#isElsewhereSaid) return;
    this.#isElsewhereSaid = true;
    this.#options.report({
      event: "warning",
      message:
        "A second connection reaches another server: what the statement at work waits for cannot be shown",
    });
  }

  /** The answer is lost on the way. The backend is told to end: it would keep the migration lock for nobody. */
  async #giveUp(pid: number, [row]: Rows): Promise<void> {
    if (row?.ours === true && !this.#options.pooled) {
      const ended = this.#second?.query(
        `select pg_catalog.pg_terminate_backend(${pid})`,
      );
      await (ended && inTime(ended).catch(() => {}));
    }
    this.#watched.destroy(
      "the server has answered, and the answer did not arrive",
    );
  }

  async #judge(statement: InFlight, pid: number, rows: Rows): Promise<void> {
    const [row] = rows;
    const now = performance.now();
    if (statement !== this.#statement) {
      this.#statement = statement;
      this.#answeredSince = undefined;
      this.#growth = undefined;
      this.#blockedAt = -Infinity;
      this.#news.forget();
    }
    const state = row?.state;
    // Roles that may not see the state see null or a text in its place; those say nothing.
    // In the middle of the extended protocol it is active, and waits for the client.
    const answered = row?.pid === null || row?.reading === true ||
      (typeof state === "string" && state.startsWith("idle"));
    if (!answered) {
      this.#answeredSince = undefined;
    } else if (now - (this.#answeredSince ??= now) >= UNANSWERED_MS) {
      await this.#giveUp(pid, rows);
      return;
    }
    const runningMs = Math.round(this.#watched.inFlight.workingMs);
    const sql = withoutLiterals(statement.sql);
    const blockers = row?.wait === "Lock" ? blockersOf(row.blockers) : [];
    const progress = progressOf(row);
    if (blockers.length > 0) {
      this.#blockedAt = now;
      this.#news.tell(`blocked ${blockers.map(({ pid }) => pid)}`, {
        event: "blocked",
        sql,
        runningMs,
        blockers,
      });
    } else if (runningMs >= LONG_MS) {
      const work = progress === undefined
        ? await this.#work(statement)
        : undefined;
      if (this.#watched.inFlight.oldest !== statement) return;
      const phase = progress?.phase ?? work?.writtenBytes !== undefined;
      this.#news.tell(`running ${phase}`, {
        event: "running",
        sql,
        runningMs,
        ...(progress && { progress }),
        ...(work && { work }),
      });
    }
  }

  /** How far it is, from what was recorded. Where that cannot be found out, it is not asked again, and proves nothing. */
  async #work(statement: InFlight): Promise<StatementProgress | undefined> {
    if (this.#growth === null || !statement.sender) return undefined;
    const second = this.#second!;
    try {
      if (this.#growth === undefined) {
        const { Growth } = await import("./growth.ts");
        const at = this.#options.recorded(statement);
        const unseenMs = Math.min(
          this.#watched.inFlight.workingMs,
          performance.now() - this.#blockedAt,
        );
        const growth = await inTime(Growth.of(second, at, unseenMs));
        this.#growth = growth ?? null;
      }
      return await (this.#growth && inTime(this.#growth.look(second))) ??
        undefined;
    } catch {
      this.#growth = null;
      second.destroy();
      this.#second = undefined;
      return undefined;
    }
  }
}
