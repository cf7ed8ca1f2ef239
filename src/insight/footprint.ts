/**
 * What a migration does to a database, statement by statement, as it was seen on a server when it was recorded.
 *
 * @module
 */
import type { LockMode } from "./locks.ts";

/** Rows that a statement has written into a table. Of the tables of a recording most are empty. */
export interface WrittenRows {
  readonly inserted?: number;
  readonly updated?: number;
  readonly deleted?: number;
}

/** An index that was built. */
export interface Build {
  readonly index: string;
  readonly table: string;
  readonly unique?: boolean;
}

/** An object that a statement has created, changed or dropped. */
export interface DdlObject {
  /** As `pg_event_trigger_ddl_commands` has it: `table`, `table column`, `index`, `table constraint` … */
  readonly type: string;
  /**
   * Without the schema of the migrations: a name, and behind a dot that of a column, as they are; of what is not called by a
   * name alone, as a constraint or a function, what PostgreSQL calls it (`"Check" on orders`, `low(text)`).
   */
  readonly object: string;
}

/** One that was dropped. */
export interface Dropped extends DdlObject {
  /** It went because another one was dropped with CASCADE. */
  readonly cascade?: boolean;
}

/** What became of a column of a table that was there before the migration. */
export interface ColumnChange {
  readonly table: string;
  readonly column: string;
  readonly change: "added" | "dropped" | "renamed" | "retyped" | "required";
  /** Of one that was renamed: its new name; of the others its type, as `format_type` has it. */
  readonly to: string;
  /** Of one that was added: it is NOT NULL, and nothing fills it in the rows that are there. */
  readonly unfilled?: boolean;
}

/**
 * One statement. Tables are named without the schema of the migrations, other ones with theirs. What is empty is left out.
 */
export interface StatementFootprint {
  readonly sql: string;
  /** How many parameters it had; their values are not kept. */
  readonly parameters?: number;
  /** Its first word, and how it works on rows: `update`, `create` … */
  readonly verb: string;
  /** The SQLSTATE of the error that the migration has caught. */
  readonly failed?: string;
  /** It cannot run in a transaction: its locks are those that the manual names, and were not seen. */
  readonly outside?: boolean;
  /** Locks on tables that were there before the migration: what it took beyond what the migration had. */
  readonly locks?: Readonly<Record<string, LockMode>>;
  /** Tables that were read whole to check what is in them. */
  readonly verifies?: readonly string[];
  /** Tables that were written anew. */
  readonly rewrites?: readonly string[];
  /** Indexes that were built on tables that were there before the migration. */
  readonly builds?: readonly Build[];
  /** Foreign keys whose rows were looked up, each in the table that has it. */
  readonly validates?: readonly string[];
  /** What the server proved, and so did not have to read. */
  readonly proven?: readonly string[];
  /** Tables, there before the migration, that it read row by row. */
  readonly scans?: readonly string[];
  readonly rows?: Readonly<Record<string, WrittenRows>>;
  /** Tables, there before the migration, whose rows it changes or deletes, as many as there are. */
  readonly changes?: readonly string[];
  readonly columns?: readonly ColumnChange[];
  /** Enum types that have a further value now. */
  readonly enums?: readonly string[];
  /** Tables, there before the migration, that have another name now. */
  readonly renames?: Readonly<Record<string, string>>;
  readonly creates?: readonly DdlObject[];
  readonly alters?: readonly DdlObject[];
  readonly drops?: readonly Dropped[];
}

/** What one direction of a migration does. */
export interface Footprint {
  /** Tables, there before, that its code has read: what it does next may be another thing where they have rows. */
  readonly readsData?: readonly string[];
  /** Primary keys that it makes, `table.column`, that end at two thousand million. */
  readonly intKeys?: readonly string[];
  /** Columns that it makes, `table.column`, of type `timestamp without time zone`. */
  readonly zoneless?: readonly string[];
  /** Foreign keys that it makes, `table.constraint`, whose columns no index begins with. */
  readonly unindexed?: readonly string[];
  /** Names that the server has cut to 63 bytes. */
  readonly cutNames?: readonly string[];
  readonly statements: readonly StatementFootprint[];
}
