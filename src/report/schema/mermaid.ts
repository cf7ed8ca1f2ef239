/**
 * The tables of a schema as a diagram: https://mermaid.js.org/syntax/entityRelationshipDiagram.html.
 *
 * @module
 */
import type { Constraint, Relation, SchemaModel } from "./model.ts";

/** An entity relationship diagram of the tables, without partitions. */
export function mermaidLines({ relations }: SchemaModel): string[] {
  const tables = relations.filter(({ type, parents }) =>
    type === "table" && parents.length === 0
  );
  return [
    "erDiagram",
    ...tables.flatMap(entity),
    ...tables.flatMap((table) =>
      table.constraints.filter(({ type }) => type === "foreign key").map(
        (key) => `  ${relationship(table, key)}`,
      )
    ),
  ];
}

function entity(table: Relation): string[] {
  const lines = table.columns.map(({ name, type, notNull }) => {
    const keys = [
      ...(isIn(table, name, "primary key") ? ["PK"] : []),
      ...(isIn(table, name, "foreign key") ? ["FK"] : []),
    ];
    return [
      "   ",
      word(type),
      word(name),
      ...(keys.length > 0 ? [keys.join(", ")] : []),
      ...(notNull ? [] : ['"null"']),
    ].join(" ");
  });
  return [`  ${text(table.name)} {`, ...lines, "  }"];
}

/** How many rows may stand on each side: one or none where a column may be null, and of those that refer where they are unique. */
function relationship(table: Relation, key: Constraint): string {
  const columns = key.columns ?? [];
  const isUnique = table.constraints.some(({ type, columns: others = [] }) =>
    (type === "primary key" || type === "unique") &&
    others.every((name) => columns.includes(name))
  );
  const mayBeNull = columns.some((name) =>
    !table.columns.find((column) => column.name === name)?.notNull
  );
  const parent = `${mayBeNull ? "|o" : "||"}--${isUnique ? "o|" : "o{"}`;
  return `${text(key.references ?? "")} ${parent} ${text(table.name)} : ${
    text(columns.join(", "))
  }`;
}

function isIn(
  { constraints }: Relation,
  column: string,
  type: Constraint["type"],
): boolean {
  return constraints.some((one) =>
    one.type === type && one.columns?.includes(column)
  );
}

/** Where what follows is a word to Mermaid's scanner, and no name. */
const KEY = /^(?:pk|fk|uk)\b/i;

/** What Mermaid takes for the name of a column, or of its type. */
function word(text: string): string {
  const plain = text.replaceAll(/[^\w\u00C0-\uFFFF(),.[\]-]+/g, "_");
  return /^[A-Za-z_\u00C0-\uFFFF]/.test(plain) && !KEY.test(plain)
    ? plain
    : `_${plain}`;
}

/** What Mermaid takes for the name of a table, or for a label: neither can be escaped. */
function text(text: string): string {
  return `"${text.replaceAll('"', "'").replaceAll(/[%\\\p{Cc}]/gu, "_")}"`;
}
