/**
 * What the engine and the commands need from the world, in their own words. Adapters implement it; only `main` connects
 * the two.
 *
 * @module
 */
import type { Event, LockHolder, ServerInfo } from "../report/events.ts";
import type { BackfillWork } from "./backfill_ports.ts";
import type { Catalog, SchemaReader } from "./catalog_ports.ts";
import type { PlannedTime } from "../insight/planned_times.ts";
import type { OpenBackfill } from "../plan/backfill_progress.ts";
import type { HistoryChange, HistoryRow } from "../plan/history.ts";
import type { KyselyTable } from "../plan/kysely.ts";
import type { TracedRow } from "../plan/outcome.ts";
import type { Step } from "../plan/plan.ts";

/** Opens sessions. */
export interface Database {
  /**
   * Connects, and keeps trying within the configured time while the failure is one that passes.
   *
   * @param limitMs a shorter time to keep trying than the configured one, in milliseconds
   * @param abandoned the process of a session that was lost: it is ended if it waits for its client, since it may have
   * locked what a log-in reads
   * @throws {ConnectionError} when there is no connection in time, or at once when waiting cannot help
   * @throws {InterruptedError} when the process is asked to stop meanwhile; one that was stopped before has one short attempt
   */
  connect(limitMs?: number, abandoned?: Backend): Promise<Session>;
}

/** A process of a server. */
export interface Backend {
  readonly host: string;
  readonly port: number;
  readonly pid: number;
  /** When the server was started, as it says itself: another server behind the same name has another time. */
  readonly serverStarted: string;
  /** Since when it is known, on `performance.now()`: another process that gets its number later is younger. */
  readonly since: number;
}

/** One database session. When its connection is lost it is over: every call rejects with {@link ConnectionLostError}. */
export interface Session {
  readonly server: ServerInfo;

  /** The history as it was at the log-in, without a lock; empty when there was no table. */
  readonly history: readonly HistoryRow[];

  /** Tables of Kysely's own migrator as they were at the log-in, looked for when the history says that nothing was ever applied. */
  readonly kyselyTables: readonly KyselyTable[];

  /** Whether the role of `--grant-status` may not read the history that is there. */
  readonly lacksGrant: boolean;

  /** Whether plans may have been kept here when it logged in: without them nobody need ask. */
  readonly mayHavePlans: boolean;

  /** Whether the connection is lost. A commit that was not answered by then may have taken effect. */
  readonly isLost: boolean;

  /** Whether a statement was sent that has no answer, and may never have one: it may have taken effect. */
  readonly isUnanswered: boolean;

  /** The process that works for it; `undefined` behind a pooler, which has the processes. */
  readonly backend: Backend | undefined;

  /** The rows of a migration table in Kysely's form. */
  kyselyTable(
    table: string,
  ): Promise<readonly { readonly name: string; readonly timestamp: string }[]>;

  /** Runs `work` in one transaction: committed when it resolves, rolled back when it rejects. */
  transaction<T>(work: (work: Work) => Promise<T>): Promise<T>;

  /** Runs `work` outside a transaction, on the one connection; the lock it takes is released at its end. */
  pinned<T>(work: (work: Work) => Promise<T>): Promise<T>;

  /** Runs `work` also after the process was asked to stop, then in little time: what must be written, or found out, at the end. */
  despiteStop<T>(work: () => Promise<T>): Promise<T>;

  /** The positions of the backfills with these ids of the history, also where nothing can be written. */
  openBackfills(
    ids: readonly number[],
  ): Promise<ReadonlyMap<number, OpenBackfill>>;

  /** The catalog of the database, as far as it concerns the schema of the history. */
  catalog(): Promise<Catalog>;

  /** Who has the migration lock now; `undefined` when nobody has it, or it cannot be seen. */
  lockHolder(): Promise<LockHolder | undefined>;

  /** Has the server end the process of a session that was lost, if it is the same server and that waits for its client. */
  endIdle(abandoned: Backend): Promise<void>;

  close(): Promise<void>;
}

/** A row of the history that was written. */
export interface Written {
  readonly id: number;
  /** What the row says the migration took, in milliseconds. */
  readonly durationMs: number | null;
}

/** The history as it is under the migration lock. */
export interface LockedHistory {
  readonly rows: readonly HistoryRow[];
  /** Whether it is as this session has last told or written it: then a plan made from that still holds. */
  readonly isKnown: boolean;
}

/** What can be done under the migration lock. */
export interface Work {
  /**
   * Applies the session's settings and tries to take the migration lock; never waits.
   *
   * @returns `undefined` when another session has the lock
   */
  lock(): Promise<LockedHistory | undefined>;

  /**
   * Creates the history table, or converts the one that Kysely's own migrator left behind, and gives the role of
   * `--grant-status` what it lacks.
   */
  prepareHistory(): Promise<void>;

  /** Gives the role of `--grant-status` what it lacks to read the history that is there. */
  grantStatus(): Promise<void>;

  /**
   * Runs the function of one step until all that it has started has ended, and seals it: the server checks that it has left
   * the transaction, or the session, as it was given.
   *
   * In a transaction its last statements may still be on their way when it resolves; an error of theirs is thrown by what
   * comes next, and names the step all the same.
   *
   * @param begun called when the steps before it are known to have succeeded
   * @throws {MigrationError} with the reason as its cause
   */
  run(step: Step, begun: () => void): Promise<void>;

  /**
   * Waits until every statement is answered.
   *
   * @returns the milliseconds that each step of this work took, in their order
   * @throws {MigrationError} with the reason as its cause
   */
  settle(): Promise<readonly number[]>;

  /**
   * The schema of the history as it is at this point of the work. Its questions leave no setting behind; one that fails in a
   * transaction has aborted it.
   */
  schema(): Promise<SchemaReader>;

  /** What it can do for backfills. */
  backfill(): Promise<BackfillWork>;

  /** The rows of the history that this run has written or rolled back, and those with these ids, as they are now. */
  trace(ids: readonly number[]): Promise<readonly TracedRow[]>;

  /**
   * Writes to the history. In a transaction the answer comes with the commit: it must not be awaited before.
   *
   * @returns the rows, in the order of the changes
   */
  write(changes: readonly HistoryChange[]): Promise<readonly Written[]>;

  /**
   * Makes ready to keep what was planned for migrations that this run writes as applied.
   *
   * @returns what sends it, once they are written; where it fails nothing is kept, and nothing else happens
   */
  keepPlans(plans: readonly KeptPlan[]): Promise<() => Promise<void>>;
}

/** What was planned for a migration. */
export interface KeptPlan {
  readonly name: string;
  readonly planned: PlannedTime;
}

/** What functions leave to themselves: errors that nobody waits for, and timers. */
export interface Background {
  /** Calls `work`. Until `end`, `onError` is told of errors that nobody waits for. */
  watch<T>(work: () => T, onError: (error: unknown) => void): Watch<T>;
  /** Calls `work` on the program's own account: its timers are not those of a watched function that led to it. */
  outside<T>(work: () => T): T;
  /** Stops the program for an error that nobody waits for. */
  fail(error: Error): void;
}

/** A function that was called. */
export interface Watch<T> {
  readonly result: T;
  /** The timers that it has set and that are still to come, in words. */
  timers(): readonly string[];
  end(): void;
}

/** Time. */
export interface Clock {
  /** Milliseconds on a clock that never goes back. */
  now(): number;
  /** @throws {InterruptedError} when the process is asked to stop meanwhile */
  sleep(ms: number): Promise<void>;
}

/** The person at the terminal. */
export interface Operator {
  readonly isTerminal: boolean;
  /** For how long the answers were waited for so far, in milliseconds: that is no time of the program's. */
  readonly askedMs: number;
  /** Asks a question that `y` or `yes` answers; anything else, also the end of the input, is a no. */
  confirm(question: string): Promise<boolean>;
}

/** Everything a command is given. */
export interface Ports {
  readonly database: Database;
  readonly clock: Clock;
  readonly operator: Operator;
  /** Takes what happened; what is shown of it, how and where is decided behind it. */
  readonly report: (event: Event) => void;
}
