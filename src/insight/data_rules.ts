/**
 * Rules about rows and names: what is lost, what fails, and what others still use.
 *
 * @module
 */
import type { StatementFootprint } from "./footprint.ts";
import { type Draft, SHORT_MS, type StatementRule, works } from "./rule.ts";
import type { Tables } from "./tables.ts";

const changesRows: StatementRule = (context) => {
  const { held, step, statement } = context;
  // Its batches are short.
  if (step.backfill !== undefined) return [];
  return works(context, "changes").flatMap(({ table, range }): Draft[] => {
    const drafts: Draft[] = [];
    // An index may lead to few of them.
    const isWhole = (statement.scans ?? []).some((name) =>
      context.tables.nameOf(name) === table
    );
    if (!isWhole || range.toMs <= SHORT_MS) return [];
    drafts.push({
      rule: "changes-many-rows",
      level: "error",
      object: table,
      message:
        "the table is read whole, and the rows that it changes stay locked to the commit; what they were is left behind as bloat",
      advice: "export const backfill works through the table in batches",
    });
    const locked = [...held].find(([, mode]) => mode === "AccessExclusive");
    if (locked !== undefined && step.transaction) {
      drafts.push({
        rule: "data-and-ddl-together",
        level: "error",
        object: locked[0],
        message: `rows of ${table} are changed while the definition of ${
          locked[0]
        } is locked`,
        advice:
          "give the change of the rows a migration of its own, with --transaction each",
      });
    }
    return drafts;
  });
};

/** The tables and columns that a statement drops and that were there before the run, with the table of each. */
function droppedData(
  { drops = [], columns = [] }: StatementFootprint,
  tables: Tables,
): { readonly object: string; readonly table: string }[] {
  return [
    ...drops.flatMap(({ type, object }) =>
      type === "table" ? [{ object, table: object }] : []
    ),
    ...columns.flatMap(({ table, column, change }) =>
      change === "dropped" && tables.columnOf(table, column) === "old"
        ? [{ object: `${table}.${column}`, table }]
        : []
    ),
  ];
}

const losesData: StatementRule = ({ statement, tables }) => {
  const lost = [
    ...droppedData(statement, tables),
    ...(statement.verb === "truncate" ? statement.rewrites ?? [] : [])
      .map((table) => ({ object: table, table })),
  ];
  return lost.flatMap(({ object, table }): Draft[] => {
    const facts = tables.find(table);
    if (facts === undefined) return [];
    const isEmpty = facts.empty;
    return [{
      rule: "loses-data",
      level: isEmpty ? "note" : "error",
      object,
      message: isEmpty
        ? "the table is empty here"
        : "it is gone after the commit, and down cannot bring it back",
      ...(!isEmpty &&
        {
          advice:
            'drop it in a later release (phase: "post"), when nothing has used it for a while',
        }),
    }];
  });
};

const breaksOldCode: StatementRule = ({ step, statement, tables }) => {
  if (step.phase === "post" || step.direction === "down") return [];
  const draft = (object: string, what: string): Draft => ({
    rule: "breaks-old-code",
    level: "warning",
    object,
    message: `programs of the release before ${what}`,
    advice:
      'expand and contract: add the new, let both live for a release, drop the old with phase: "post"',
  });
  const isThere = (table: string) => tables.find(table) !== undefined;
  return [
    ...Object.entries(statement.renames ?? {}).filter(([was]) => isThere(was))
      .map(([was, is]) =>
        draft(was, `find no table of this name: it is ${is} then`)
      ),
    ...(statement.columns ?? []).flatMap(({ table, column, change, to }) => {
      if (tables.columnOf(table, column) !== "old") return [];
      const object = `${table}.${column}`;
      if (change === "renamed") {
        return [draft(object, `find no column of this name: it is ${to} then`)];
      }
      return change === "retyped"
        ? [draft(object, `get another type: ${to}`)]
        : [];
    }),
    ...droppedData(statement, tables).filter(({ table }) => isThere(table))
      .map(({ object }) => draft(object, "may still use it")),
  ];
};

const failsWithRows: StatementRule = ({ statement, tables }) =>
  (statement.columns ?? []).flatMap(({ table, column, unfilled }): Draft[] => {
    const facts = tables.find(table);
    if (!unfilled || facts === undefined || facts.empty) return [];
    return [{
      rule: "fails-with-rows",
      level: "error",
      object: `${table}.${column}`,
      message:
        "a column that is NOT NULL and has no default cannot be added where there are rows",
      advice: "give it a default, or add it without NOT NULL and fill it first",
    }];
  });

const dropsByCascade: StatementRule = ({ statement }) =>
  (statement.drops ?? []).flatMap(({ type, object, cascade }): Draft[] =>
    cascade
      ? [{
        rule: "drops-by-cascade",
        level: "error",
        object,
        message:
          `this ${type} goes with what it depends on, and the statement does not name it`,
        advice: "drop it by its name first, and leave CASCADE out",
      }]
      : []
  );

const enumInTransaction: StatementRule = ({ step, statement }) =>
  step.transaction
    ? (statement.enums ?? []).map((object) => ({
      rule: "enum-in-transaction",
      level: "warning",
      object,
      message:
        "the new value cannot be used before the commit: a later statement of the same transaction fails (55P04)",
      advice: "use the value in a later migration, with --transaction each",
    }))
    : [];

/** In the order in which they are told. */
export const DATA_RULES: readonly StatementRule[] = [
  changesRows,
  losesData,
  breaksOldCode,
  failsWithRows,
  dropsByCascade,
  enumInTransaction,
];
