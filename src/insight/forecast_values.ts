/**
 * A forecast, and what it is made from, as values.
 *
 * @module
 */
import type { Basis, Range } from "./estimate.ts";
import type { DatabaseFacts, Holder } from "./facts.ts";
import type { Finding } from "./findings.ts";
import type { Footprint } from "./footprint.ts";
import type { Blocks, LockMode } from "./locks.ts";
import type { Probed } from "./probe_values.ts";

/** A step of a run, with what was recorded of it. */
export interface RecordedStep {
  readonly name: string;
  readonly direction: "up" | "down";
  readonly transaction: boolean;
  readonly phase: "pre" | "post";
  /** It works through a table in batches, each in a transaction of its own. */
  readonly backfill?: string;
  /** Rules whose findings are accepted, and why. */
  readonly accept: Readonly<Record<string, string>>;
  /** What was seen; a text says why nothing was. */
  readonly footprint: Footprint | string;
  /** It failed for an ordinary owner of the database, and worked for a superuser. */
  readonly superuser?: boolean;
  /** Of an `up`: whether its `down` was seen to restore what was there before. */
  readonly exact?: boolean;
}

/** What a statement does to a table that is there. */
export type Effect =
  | {
    readonly kind: "lock";
    readonly table: string;
    readonly mode: LockMode;
    readonly blocks: Blocks;
  }
  | {
    readonly kind: Work;
    readonly table: string;
    /** Of the table, and of its indexes where they are worked through, too. */
    readonly bytes: number;
    readonly range: Range;
  };

export type Work = "rewrites" | "reads" | "builds" | "changes";

export interface StatementForecast {
  readonly sql: string;
  readonly parameters?: number;
  readonly effects: readonly Effect[];
  readonly estimate: Range & {
    /** What is read and written, bytes; 0 where only catalogs are. */
    readonly bytes: number;
    readonly basis: readonly Basis[];
  };
  readonly findings: readonly Finding[];
}

export interface MigrationForecast {
  readonly name: string;
  readonly direction: "up" | "down";
  readonly status: "recorded" | "unknown";
  /** Why it is unknown. */
  readonly reason?: string;
  readonly readsData: readonly string[];
  readonly statements: readonly StatementForecast[];
  readonly findings: readonly Finding[];
  /** What the rows that are there were asked; missing when they were not. */
  readonly probes?: readonly Probed[];
  /** The table that it works through in batches. */
  readonly backfill?: string;
}

/** How long a table is locked: from the statement that takes the lock to the end of the transaction. */
export interface Hold extends Range {
  readonly table: string;
  readonly mode: LockMode;
  /** The migration that takes it. */
  readonly since: string;
  /** The part of it that the statement takes, and the work on the table itself. */
  readonly own: Range;
}

/** What is committed together, or runs outside a transaction. */
export interface SegmentForecast {
  readonly transaction: boolean;
  readonly migrations: readonly MigrationForecast[];
  readonly holds: readonly Hold[];
}

export interface Forecast {
  readonly segments: readonly SegmentForecast[];
  /** Who is in the way now: a lock that conflicts with one that the run takes. */
  readonly blockers: readonly (Holder & { readonly table: string })[];
  /** What could not be seen, in words. */
  readonly cannotSee: readonly string[];
  readonly facts: DatabaseFacts;
  readonly summary: {
    readonly migrations: number;
    readonly errors: number;
    readonly warnings: number;
    readonly accepted: number;
    /** Not recorded. */
    readonly unknown: number;
    /** They read rows, and may do something else where there are any. */
    readonly uncertain: number;
  };
}

/** Whether it is known what the run will do, and nothing of it is an error that nobody has accepted. */
export function isClear({ summary }: Forecast): boolean {
  return summary.errors + summary.unknown === 0;
}
