/**
 * What a database is like now, as far as it decides what a run does to it and how long that takes.
 *
 * @module
 */
import type { OwnRates } from "./estimate.ts";
import type { LockMode } from "./locks.ts";

/** A session that holds a lock on a table. What it does is unknown when the role may not see it. */
export interface Holder {
  readonly pid: number;
  readonly mode: LockMode;
  readonly application: string;
  readonly user: string;
  readonly state?: string;
  /** Age of its transaction, milliseconds. */
  readonly ageMs?: number;
}

/** A table of this database. */
export interface TableFacts {
  /** What its rows take, with what is stored out of line; bytes. */
  readonly bytes: number;
  readonly indexBytes: number;
  readonly indexes: number;
  /** As the planner has it; `null` when it was never analysed. */
  readonly rows: number | null;
  /** It has never had a row since it was made or emptied. */
  readonly empty: boolean;
  /** Somebody keeps its size from being read: the bytes are those of the last VACUUM or ANALYZE. */
  readonly estimated: boolean;
  /** Whether the role may alter it: the owner may, and who is a member of that role. */
  readonly owned: boolean;
  /** Of the columns that were asked for, those that it has. */
  readonly columns: ReadonlySet<string>;
  readonly holders: readonly Holder[];
}

/** What `plan` has found out. */
export interface DatabaseFacts {
  /** What was seen of earlier runs here; nothing where it was not asked for. */
  readonly rates?: OwnRates;
  /** The schema to work in, and whether the role may create something in it. */
  readonly schema: string;
  readonly mayCreate: boolean;
  readonly superuser: boolean;
  /** Whether the role sees what other roles' sessions do (`pg_read_all_stats`). */
  readonly seesOthers: boolean;
  readonly timeZone: string;
  /** Of the tables that were asked for, those that are there. */
  readonly tables: ReadonlyMap<string, TableFacts>;
  /** Of the names that were asked for, those that a relation or a type has. */
  readonly taken: ReadonlySet<string>;
  /** Standbys that follow now. */
  readonly standbys: number;
  /** Transactions that are prepared and neither committed nor rolled back. */
  readonly prepared: number;
  /** Sessions whose transaction is open for longer than a minute. */
  readonly oldTransactions: readonly Omit<Holder, "mode">[];
}
