/**
 * Rules about this database: what it has already, or has not, or does not allow.
 *
 * @module
 */
import { type Draft, type StatementRule } from "./rule.ts";
import { droppedNames } from "./tables.ts";

/** What is there already, and what is not. */
const conflictsWithDatabase: StatementRule = ({ statement, tables }) => {
  // What the text says it may find is no conflict.
  const isGuarded = /\bif\s+(?:not\s+)?exists\b|\bor\s+replace\b/i.test(
    statement.sql,
  );
  if (isGuarded) return [];
  const dropped = droppedNames(statement);
  const columns = statement.columns ?? [];
  return [
    ...(statement.creates ?? []).flatMap(({ type, object }) =>
      tables.has(object) && !dropped.some((one) => one.object === object)
        ? [exists(object, type)]
        : []
    ),
    ...columns.flatMap(({ table, column, change }) =>
      change === "added" &&
        ["old", "fresh"].includes(tables.columnOf(table, column) ?? "")
        ? [exists(`${table}.${column}`, "column")]
        : []
    ),
    ...Object.keys(statement.locks ?? {}).flatMap((table) =>
      tables.find(table) === undefined && !tables.isFresh(table)
        ? [missing(table, "table")]
        : []
    ),
    ...dropped.flatMap(({ type, object }) =>
      type !== "table" && !tables.has(object) ? [missing(object, type)] : []
    ),
    ...columns.flatMap(({ table, column, change }) =>
      change !== "added" && tables.columnOf(table, column) === "gone"
        ? [missing(`${table}.${column}`, "column")]
        : []
    ),
  ];
};

function exists(object: string, type: string): Draft {
  return {
    rule: "object-exists",
    level: "error",
    object,
    message: `there is something of this name, so the ${type} cannot be ${
      type === "column" ? "added" : "created"
    }`,
    advice:
      "look where it comes from (verify tells); drop or rename it, or record the migration with baseline",
  };
}

function missing(object: string, type: string): Draft {
  return {
    rule: "object-missing",
    level: "error",
    object,
    message: `there is no ${type} of this name here`,
    advice: "look what became of it (verify tells)",
  };
}

/** What is made in the schema; others have theirs in front. A name of a schema is none of them. */
const MADE_IN_SCHEMA =
  /^(?:table|foreign table|view|materialized view|sequence|type|function|procedure)$/;

const mayNotCreate: StatementRule = ({ statement, facts }) => {
  const made = (statement.creates ?? []).find(({ type, object }) =>
    MADE_IN_SCHEMA.test(type) && !object.includes(".")
  );
  return made === undefined || facts.mayCreate ? [] : [{
    rule: "missing-privilege",
    level: "error",
    object: made.object,
    message:
      `this role may not create a ${made.type} in the schema ${facts.schema}`,
    advice: "grant create on the schema to it, or run as its owner",
  }];
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
  mayNotCreate,
];
