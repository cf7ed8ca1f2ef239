/**
 * A schema as a document.
 *
 * @module
 */
import { visible } from "../../text.ts";
import { mermaidLines } from "./mermaid.ts";
import type { Constraint, Other, Relation, SchemaModel } from "./model.ts";

/** A document of the whole schema: every table, column, constraint, index, and what else there is. */
export function markdownLines(schema: SchemaModel): string[] {
  const { migration, relations, others } = schema;
  const tables = relations.filter(({ type }) => type === "table");
  const views = relations.filter(({ type }) => type !== "table");
  return [
    "# Schema",
    "",
    migration === null
      ? "No migration is in it."
      : `What the migrations up to ${code(migration)} make.`,
    "",
    ...(tables.length === 0
      ? []
      : ["```mermaid", ...mermaidLines(schema), "```", ""]),
    ...chapter("Tables", tables.flatMap(table)),
    ...chapter("Views", views.flatMap(view)),
    ...chapter("Other objects", others.flatMap(other)),
  ].slice(0, -1);
}

function chapter(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [`## ${title}`, "", ...lines];
}

function table(relation: Relation): string[] {
  const { name, comment, columns, constraints, indexes, triggers } = relation;
  const list = [
    ...constraints.map((one) => `${code(one.name)}: ${constraint(one)}`),
    ...indexes.map((one) => code(one.definition)),
    ...triggers.map((one) => code(one.definition)),
    ...relation.policies.map((one) => `policy ${code(one.name)}`),
  ];
  return [
    `### ${cell(name)}`,
    "",
    ...(comment === undefined ? [] : [cell(comment), ""]),
    ...(relation.partitionKey === undefined
      ? []
      : [`Partitioned by ${code(relation.partitionKey)}.`, ""]),
    ...(relation.parents.length === 0
      ? []
      : [`Of ${relation.parents.map(code).join(", ")}.`, ""]),
    "| column | type | null | default | comment |",
    "| --- | --- | --- | --- | --- |",
    ...columns.map((column) =>
      `| ${
        [
          code(column.name),
          code(column.type),
          column.notNull ? "" : "yes",
          defaultOf(column),
          cell(column.comment ?? ""),
        ].join(" | ")
      } |`
    ),
    "",
    ...(list.length === 0 ? [] : [...list.map((line) => `- ${line}`), ""]),
  ];
}

function defaultOf(column: Relation["columns"][number]): string {
  if (column.identity !== undefined) return `identity ${column.identity}`;
  if (column.generated !== undefined) return `as ${code(column.generated)}`;
  return column.default === undefined ? "" : code(column.default);
}

function constraint(one: Constraint): string {
  const columns = `(${(one.columns ?? []).map(code).join(", ")})`;
  switch (one.type) {
    case "foreign key":
      return [
        `${one.type} ${columns} → ${code(one.references ?? "")} (${
          (one.referencedColumns ?? []).map(code).join(", ")
        })`,
        ...(one.onDelete ? [`on delete ${one.onDelete}`] : []),
        ...(one.onUpdate ? [`on update ${one.onUpdate}`] : []),
      ].join(", ");
    case "check":
      return `check ${code(one.expression ?? "")}`;
    case "exclude":
      return code(one.index?.definition ?? one.type);
    default:
      return `${one.type} ${columns}`;
  }
}

function view({ type, name, comment, definition }: Relation): string[] {
  return [
    `### ${cell(name)}`,
    "",
    ...(comment === undefined ? [] : [cell(comment), ""]),
    ...(type === "view" ? [] : ["Materialized.", ""]),
    "```sql",
    ...(definition ?? "").split("\n").map((line) => visible(line).trimEnd()),
    "```",
    "",
  ];
}

function other({ type, name, body }: Other): string[] {
  const { values, comment, base, returns, language } = body;
  const what = Array.isArray(values)
    ? `: ${values.map((value) => code(String(value))).join(", ")}`
    : typeof base === "string"
    ? `: ${code(base)}`
    : typeof returns === "string"
    ? `: returns ${code(returns)}, in ${String(language)}`
    : "";
  const said = typeof comment === "string" ? `. ${cell(comment)}` : "";
  return [`- ${type} ${code(name)}${what}${said}`, ""];
}

/** As code in a table or a line; a name may hold anything. */
function code(text: string): string {
  const line = visible(text.replaceAll(/\s+/g, " ")).replaceAll("|", "\\|");
  return line.includes("`") ? `\`\` ${line} \`\`` : `\`${line}\``;
}

function cell(text: string): string {
  return visible(text.replaceAll(/\s+/g, " ")).replaceAll(
    /[|<`*_\\[\]]/g,
    "\\$&",
  );
}
