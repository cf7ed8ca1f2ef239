/**
 * What happens during a command, as values. The engine and the adapters make them, `report.ts` turns them into text or
 * JSON.
 *
 * @module
 */
import type { CommandName } from "../cli/options.ts";
import type { Range } from "../insight/estimate.ts";
import type { PlannedTime } from "../insight/planned_times.ts";
import type { Work } from "../insight/forecast_values.ts";
import type { BackfillControl } from "../plan/backfill.ts";
import type { OpenBackfill } from "../plan/backfill_progress.ts";
import type { Phase } from "../plan/migration.ts";
import type { Outcome } from "../plan/outcome.ts";
import type { RepairRequest } from "../plan/repair.ts";
import type { MigrationState } from "../plan/states.ts";

/** What the server says of itself. */
export interface ServerInfo {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  /** As people write it, `18.4`. */
  readonly version: string;
  /** The schema where the history is, or would be made; `null` when there is none to make it in. */
  readonly schema: string | null;
  /** The role that logged in. */
  readonly user: string;
  /** A standby, or `default_transaction_read_only` is on: nothing can be written. */
  readonly readOnly: boolean;
  /** A pooler stands in between: nothing may rely on the state of a session. */
  readonly pooled: boolean;
}

/** Who has the migration lock, as far as this role may see it. */
export interface LockHolder {
  readonly pid: number;
  readonly application: string;
  readonly address: string;
  /** Milliseconds since its transaction began. */
  readonly sinceMs: number | undefined;
}

/** A session that a statement waits for, as far as this role may see it. */
export interface Blocker {
  readonly pid: number;
  readonly application: string;
  readonly user: string;
  readonly state: string;
  /** Age of its transaction in milliseconds. */
  readonly ageMs: number | undefined;
  /** Its last statement, without literals. */
  readonly query: string;
}

/** How far a statement is, from the server's progress views. */
export interface Progress {
  readonly phase: string;
  /** Of the phase, from 0 to 100. */
  readonly percent: number | undefined;
  readonly tuplesDone: number;
  /** 0 where the server does not know it. */
  readonly tuplesTotal: number;
}

/** What a statement was recorded to do, where no view of the server tells how far it is. */
export interface StatementProgress {
  readonly kind: Work;
  readonly tables: readonly string[];
  /** What there is to work through, with indexes where they are; `null` when the server does not know it. */
  readonly bytes: number | null;
  /**
   * Of a rewrite: by how much the database has grown, and as much for the time before the first look; missing while it has not, and
   * at the beginning. Others write as well.
   */
  readonly writtenBytes?: number;
  /** How long the statement takes, as far as that can be told beforehand; missing with the bytes. */
  readonly expected?: Range;
}

/** How far a backfill is. */
export interface BackfillProgress {
  /** Of the whole, from 0 to 1, as the planner sees it. */
  readonly share: number;
  readonly rowsDone: number;
  /** The planner's count. */
  readonly rowsTotal: number;
  readonly rowsPerSecond: number | null;
  /** `null` while nobody can tell. */
  readonly etaSeconds: number | null;
  /** How many keys a batch takes. */
  readonly batchRows: number;
  readonly lastBatchMs: number | null;
}

/** What a command came to. */
export interface Summary {
  readonly command: CommandName;
  /** The migration up to which `up` was asked to go. */
  readonly to?: string;
  /** The phase that `up` kept to; missing when it was all of them. */
  readonly phase?: Phase;
  readonly applied: number;
  readonly rolledBack: number;
  /** Rows of the history that `baseline` or `repair` wrote. */
  readonly recorded: number;
  /** Steps that were planned but did not run, or ran and were rolled back with their transaction. */
  readonly notRun: number;
  /** Non-transactional steps that failed half-way; they are not counted in `notRun`. */
  readonly unfinished: number;
  /** Steps and records of which nobody can tell whether they are in effect; they are not counted in `notRun`. */
  readonly unknown: number;
  /** Backfills that have begun and are not done; the next run goes on with them. Missing when there is none. */
  readonly open?: number;
  /** What became of all that is not counted as done; `committed` when everything is. Missing for a dry run. */
  readonly outcome?: Outcome;
  /** Without the time for which a person was asked. */
  readonly durationMs: number;
  readonly dryRun: boolean;
  readonly failed: boolean;
}

/** Why the history was changed without running anything. */
export type RecordAction = "baseline" | RepairRequest["action"];

export type Event =
  | {
    readonly event: "waiting_for_database";
    readonly reason: string;
    readonly leftMs: number;
  }
  | { readonly event: "connected"; readonly server: ServerInfo }
  | {
    readonly event: "waiting_for_lock";
    readonly holder: LockHolder | undefined;
    readonly leftMs: number;
  }
  | {
    readonly event: "waiting_for_migrations";
    readonly pending: number;
    readonly leftMs: number;
  }
  | { readonly event: "warning"; readonly message: string }
  /** The schema was compared, or a run was forecast: lines for a person, and the members of one JSON object. */
  | {
    readonly event: "verified" | "forecast";
    readonly lines: readonly string[];
    readonly value: Readonly<Record<string, unknown>>;
  }
  /** Another run is at work on a backfill. */
  | {
    readonly event: "waiting_for_backfill";
    readonly migration: string;
    readonly reason: string;
    readonly leftMs: number;
  }
  /** A backfill has begun, or goes on, in batches. */
  | ({
    readonly event: "backfill_progress";
    readonly migration: string;
  } & BackfillProgress)
  /** An operator has told it what to do. */
  | ({
    readonly event: "backfill_controlled";
    readonly migration: string;
  } & BackfillControl)
  /** It waits, with nothing open. */
  | {
    readonly event: "backfill_held";
    readonly migration: string;
    readonly reason: string;
  }
  /** A batch was rolled back, and is tried again with so many rows. */
  | {
    readonly event: "backfill_retried";
    readonly migration: string;
    readonly reason: string;
    readonly rows: number;
    readonly waitMs: number;
  }
  | {
    readonly event: "notice";
    readonly severity: string;
    readonly message: string;
  }
  | {
    readonly event: "statement";
    readonly sql: string;
    readonly durationMs: number;
  }
  | {
    readonly event: "planned";
    readonly direction: "up" | "down";
    readonly migration: string;
    /** Of a dry run: what it would do here, as far as it was recorded. */
    readonly forecast?: {
      readonly lines: readonly string[];
      readonly value: Readonly<Record<string, unknown>>;
    };
  }
  | {
    readonly event: "started";
    readonly direction: "up" | "down";
    readonly migration: string;
    readonly number: number;
    readonly total: number;
  }
  /** A transaction that runs steps has the migration lock, or is over; only traces tell it. */
  | { readonly event: "transaction_begun" }
  | {
    readonly event: "transaction_ended";
    readonly outcome: Outcome;
    /** Why it is not committed, or nobody knows. */
    readonly error?: unknown;
  }
  /** A statement waits for a lock. */
  | {
    readonly event: "blocked";
    /** Without literals. */
    readonly sql: string;
    readonly runningMs: number;
    readonly blockers: readonly Blocker[];
  }
  /** A statement takes long. */
  | {
    readonly event: "running";
    /** Without literals. */
    readonly sql: string;
    readonly runningMs: number;
    readonly progress?: Progress;
    readonly work?: StatementProgress;
  }
  /** A migration's function has sent nothing for long: it does, or waits for, something else. */
  | {
    readonly event: "quiet";
    readonly direction: "up" | "down";
    readonly migration: string;
    readonly quietMs: number;
  }
  | {
    readonly event: "retrying";
    readonly reason: string;
    readonly waitMs: number;
    readonly leftMs: number;
  }
  /** Committed. */
  | {
    readonly event: "applied" | "rolled_back";
    readonly migration: string;
    readonly durationMs: number;
  }
  /** The history was changed without running anything. */
  | {
    readonly event: "recorded";
    readonly migration: string;
    readonly action: RecordAction;
  }
  /** A step that began, or a record that was to be written, and is not known to be in effect. */
  | {
    readonly event: "outcome";
    /** Missing when nothing was run. */
    readonly direction?: "up" | "down";
    readonly migration: string;
    readonly outcome: Exclude<Outcome, "committed">;
  }
  | {
    readonly event: "status";
    readonly server: ServerInfo;
    readonly states: readonly MigrationState[];
    /** Of the backfills that are open, by the name. */
    readonly backfills: ReadonlyMap<string, OpenBackfill>;
    /** What was planned for those that are applied, as far as it was kept; by the id of the row. */
    readonly plans: ReadonlyMap<number, PlannedTime>;
    /** What `version` says of the program. */
    readonly program: Readonly<Record<string, unknown>>;
  }
  | {
    readonly event: "failed";
    readonly error: unknown;
    /** As {@link Summary.outcome}; missing where nothing could change. */
    readonly outcome?: Outcome;
  }
  | {
    readonly event: "summary";
    readonly summary: Summary;
    /** Why it failed, in one line. The last line of a log is what some show of it. */
    readonly reason?: string;
  };
