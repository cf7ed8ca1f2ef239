/**
 * A question about the rows that are there, and its answer, as values.
 *
 * @module
 */

/** Something that all rows of a table will have to satisfy. */
export type Demand =
  | { readonly kind: "not null"; readonly column: string }
  | {
    readonly kind: "check";
    readonly expression: string;
    /** It is about rows of the table itself, and not of those that inherit from it. */
    readonly noInherit: boolean;
  }
  | {
    readonly kind: "unique";
    /** As `pg_get_indexdef` has it. */
    readonly definition: string;
  }
  | {
    readonly kind: "foreign key";
    readonly columns: readonly string[];
    readonly references: string;
    readonly referencedColumns: readonly string[];
    /** `MATCH FULL`: all of the columns are null, or none. */
    readonly full: boolean;
  };

/** One question. */
export interface Probe {
  /** The migration that demands it. */
  readonly migration: string;
  readonly table: string;
  /** What it is about: `table.column`, `table.constraint`, an index. */
  readonly object: string;
  readonly demand: Demand;
  /** Whether something before it in the run changes rows of the table, or of the one that it refers to, or may do so. */
  readonly changedBefore: boolean;
}

/** What the database has answered. */
export type Answer =
  | { readonly outcome: "holds" }
  | {
    readonly outcome: "fails";
    /** A statement that shows such rows. */
    readonly query: string;
  }
  | { readonly outcome: "unknown"; readonly reason: string };

export type Probed = Probe & Answer;
