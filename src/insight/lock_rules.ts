/**
 * Rules about locks: what takes its time under one.
 *
 * @module
 */
import type { Finding } from "./findings.ts";
import type { Effect, Hold, RecordedStep } from "./forecast_values.ts";
import { isStronger, type LockMode } from "./locks.ts";
import {
  accepted,
  type Draft,
  levelOf,
  SHORT_MS,
  type StatementContext,
  type StatementRule,
  works,
} from "./rule.ts";

/** The lock that the transaction has on a table when the statement is done. */
function lockOn(
  { effects, held }: StatementContext,
  table: string,
): LockMode | undefined {
  const own = effects.find((one) => one.kind === "lock" && one.table === table);
  return own?.kind === "lock" ? own.mode : held.get(table);
}

const isStrong = (mode: LockMode | undefined) =>
  mode !== undefined && isStronger(mode, "ShareUpdateExclusive");

const rewritesTable: StatementRule = (context) =>
  works(context, "rewrites").map(({ table, range }) => ({
    rule: "rewrites-table",
    level: levelOf(range),
    object: table,
    message: "every row is written anew under a lock that nobody gets past",
    advice:
      "add a column of the new kind, fill it in batches (export const backfill), switch over, drop the old one",
  }));

/** Rows are checked: in the statement that makes the constraint, or while another one's lock is held. */
const validates: StatementRule = (context) => {
  const { statement, held } = context;
  if (
    statement.verb !== "alter" || statement.rewrites !== undefined ||
    statement.outside
  ) return [];
  const checked = statement.verifies ??
    (statement.validates && statement.scans) ?? [];
  return works(context, "reads").flatMap(({ table, range }): Draft[] => {
    if (!checked.some((name) => context.tables.nameOf(name) === table)) {
      return [];
    }
    if (!isStrong(lockOn(context, table))) return [];
    const isNew = !isStrong(held.get(table));
    return [{
      rule: isNew ? "validates-at-once" : "validates-under-lock",
      level: levelOf(range),
      object: table,
      message: isNew
        ? "all rows are read while the lock is held"
        : "all rows are read while a lock that came before is held: NOT VALID and VALIDATE in one transaction spare nobody",
      advice: isNew
        ? "add the constraint NOT VALID, and VALIDATE it in a later transaction; NOT NULL is then proved by CHECK (… IS NOT NULL)"
        : "VALIDATE in a migration of its own, with --transaction each",
    }];
  });
};

const buildsIndex: StatementRule = (context) => {
  const { statement } = context;
  if (statement.outside) return [];
  const constraint = statement.verb === "alter";
  return works(context, "builds").map(({ table, range }) => ({
    rule: constraint ? "unique-blocks-all" : "index-blocks-writes",
    level: levelOf(range),
    object: table,
    message: constraint
      ? "its index is built under a lock that nobody gets past"
      : "nobody writes while the index is built",
    advice: constraint
      ? "create unique index concurrently first, then add the constraint using that index"
      : "create index concurrently, in a migration with transaction: false",
  }));
};

/** In the order in which they are told. */
export const LOCK_RULES: readonly StatementRule[] = [
  rewritesTable,
  validates,
  buildsIndex,
];

/** A lock that is held while something else takes its time. */
export function segmentFindings<
  P extends {
    readonly step: RecordedStep;
    readonly effects: readonly Effect[];
  },
>(
  holds: readonly Hold[],
  placed: readonly P[],
): { readonly of: P; readonly finding: Finding }[] {
  return holds.flatMap(({ table, mode, since, own, toMs }) => {
    if (toMs - own.toMs <= SHORT_MS) return [];
    const of = placed.find(({ step, effects }) =>
      step.name === since &&
      effects.some((one) =>
        one.kind === "lock" && one.table === table && one.mode === mode
      )
    )!;
    return [{
      of,
      finding: accepted({
        rule: "lock-held-long",
        level: "error",
        object: table,
        message:
          "the lock is held to the commit, while other statements of the run take their time",
        advice:
          "use --transaction each, or give the slow statements a migration of their own",
      }, of.step),
    }];
  });
}
