/**
 * What a forecast finds fault with, by rules whose ids do not change. `docs/rules.md` has a page on each.
 *
 * @module
 */

export const RULES = [
  "rewrites-table",
  "validates-at-once",
  "validates-under-lock",
  "index-blocks-writes",
  "unique-blocks-all",
  "changes-many-rows",
  "loses-data",
  "breaks-old-code",
  "fails-with-rows",
  "lock-held-long",
  "data-and-ddl-together",
  "drops-by-cascade",
  "enum-in-transaction",
  "foreign-key-without-index",
  "needs-superuser",
  "missing-privilege",
  "object-exists",
  "object-missing",
  "int-key",
  "timestamp-without-zone",
  "name-too-long",
  "down-not-exact",
  "reads-data",
] as const;

export type Rule = typeof RULES[number];

/** `error`: live traffic, data or the run itself suffer; `warning`: it may; `note`: it is small, or only to be known. */
export type Level = "error" | "warning" | "note";

export interface Finding {
  readonly rule: Rule;
  readonly level: Level;
  /** What it is about: a table, a column, a constraint. */
  readonly object: string;
  readonly message: string;
  /** What to do instead. */
  readonly advice?: string;
  /** Why it was accepted, from the migration's options. */
  readonly accepted?: string;
}
