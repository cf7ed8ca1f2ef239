/**
 * Rules about this database: what it has already, or has not, or does not allow.
 *
 * @module
 */
import { type Draft, type StatementRule } from "./rule.ts";

/** What is there already, and what is not. */
const conflictsWithDatabase: StatementRule = (
  { statement, tables, facts },
) => {
  // What the text says it may find is no conflict.
  const isGuarded = /\bif\s+(?:not\s+)?exists\b|\bor\s+replace\b/i.test(
    statement.sql,
  );
  if (isGuarded) return [];
  return [
    ...(statement.creates ?? []).flatMap(({ type, object }): Draft[] =>
      facts.taken.has(object) && !tables.isGone(object)
        ? [{
          rule: "object-exists",
          level: "error",
          object,
          message:
            `there is something of this name, so the ${type} cannot be created`,
          advice:
            "look where it comes from (verify tells); drop or rename it, or record the migration with baseline",
        }]
        : []
    ),
    ...Object.keys(statement.locks ?? {}).flatMap((table): Draft[] =>
      tables.find(table) === undefined && !tables.isFresh(table)
        ? [{
          rule: "object-missing",
          level: "error",
          object: table,
          message: "there is no table of this name here",
          advice: "look what became of it (verify tells)",
        }]
        : []
    ),
  ];
};

const missingPrivilege: StatementRule = ({ statement, tables }) => {
  const altered = new Set([
    ...(statement.columns ?? []).map(({ table }) => table),
    ...(statement.alters ?? []).filter(({ type }) => type === "table").map((
      { object },
    ) => object),
    ...(statement.drops ?? []).filter(({ type, cascade }) =>
      type === "table" && !cascade
    ).map(({ object }) => object),
    ...(statement.creates ?? []).some(({ type }) => type === "index")
      ? (statement.builds ?? []).map(({ table }) => table)
      : [],
  ]);
  return [...altered].flatMap((table): Draft[] =>
    tables.find(table)?.owned === false
      ? [{
        rule: "missing-privilege",
        level: "error",
        object: table,
        message:
          "only its owner may change it, and this role is not, nor is it a member of that role",
        advice: "run as the owner, or make this role a member of the owner's",
      }]
      : []
  );
};

/** In the order in which they are told. */
export const PLACE_RULES: readonly StatementRule[] = [
  conflictsWithDatabase,
  missingPrivilege,
];
