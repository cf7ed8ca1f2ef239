/**
 * The tables of a schema as types for Kysely with `pg`: https://kysely.dev/docs/getting-started#types.
 *
 * @module
 */
import type { Column, Relation, SchemaModel } from "./model.ts";

const HEAD = `
/** What the server fills in where it is left out. */
export type Generated<T> = T extends ColumnType<infer S, infer I, infer U>
  ? ColumnType<S, I | undefined, U>
  : ColumnType<T, T | undefined, T>;

export type Int8 = ColumnType<string, string | number | bigint, string | number | bigint>;
export type Numeric = ColumnType<string, string | number, string | number>;
export type Timestamp = ColumnType<Date, Date | string, Date | string>;
export type Json = ColumnType<unknown, string, string>;
/** What \`pg\` makes an object of, as of an interval or a point. */
export type Parsed = ColumnType<object, string, string>;
/** An array of a type that \`pg\` does not know: it is read as the text that the server sends. */
export type ArrayText<T> = ColumnType<string, string | readonly T[], string | readonly T[]>;
`;

/** The names that mean something else in the module. */
const TAKEN = [
  "ArrayText",
  "ColumnType",
  "Database",
  "Date",
  "Generated",
  "GeneratedAlways",
  "Int8",
  "Json",
  "Numeric",
  "Parsed",
  "Timestamp",
  "Uint8Array",
];

/** How `pg` reads and writes the types of PostgreSQL; what is not here it takes and gives as text. */
const TYPES: Readonly<Record<string, string>> = {
  smallint: "number",
  integer: "number",
  real: "number",
  "double precision": "number",
  bigint: "Int8",
  numeric: "Numeric",
  boolean: "boolean",
  date: "Timestamp",
  "timestamp with time zone": "Timestamp",
  "timestamp without time zone": "Timestamp",
  json: "Json",
  jsonb: "Json",
  bytea: "Uint8Array",
  interval: "Parsed",
  point: "Parsed",
  circle: "Parsed",
  text: "string",
  "character varying": "string",
  character: "string",
  uuid: "string",
};

/** A module with the types of all tables and views, without partitions. */
export function typeLines({ relations, others }: SchemaModel): string[] {
  const enums = others.filter(({ type }) => type === "enum");
  const shown = relations.filter(({ type, parents }) =>
    type !== "table" || parents.length === 0
  );
  const names = typeNames([...enums, ...shown]);
  const enumNames = new Map(
    enums.map(({ name }) => [name, names.get(name)!]),
  );
  const lines = [
    ...enums.flatMap(({ name, body }) => [
      `export type ${names.get(name)} = ${
        (body.values as readonly string[]).map((value) => JSON.stringify(value))
          .join(" | ") || "never"
      };`,
      "",
    ]),
    ...shown.flatMap((relation) => [
      `export interface ${names.get(relation.name)} {`,
      ...relation.columns.map((column) =>
        `  ${key(column.name)}: ${columnType(column, relation, enumNames)};`
      ),
      "}",
      "",
    ]),
    "export interface Database {",
    ...shown.map(({ name }) => `  ${key(name)}: ${names.get(name)};`),
    "}",
  ];
  const always = lines.some((line) => line.includes(": GeneratedAlways<"))
    ? ", GeneratedAlways"
    : "";
  return [
    `import type { ColumnType${always} } from "kysely";`,
    ...HEAD.split("\n"),
    ...lines,
  ];
}

function columnType(
  column: Column,
  { type }: Relation,
  enums: ReadonlyMap<string, string>,
): string {
  const one = valueType(column.type, enums);
  const nullable = column.notNull ? one : `${one} | null`;
  if (type !== "table") return nullable;
  if (column.generated !== undefined || column.identity === "always") {
    return `GeneratedAlways<${nullable}>`;
  }
  return column.default !== undefined || column.identity !== undefined
    ? `Generated<${nullable}>`
    : nullable;
}

function valueType(
  type: string,
  enums: ReadonlyMap<string, string>,
): string {
  if (type.endsWith("[]")) {
    const item = valueType(type.slice(0, -2), enums);
    if (TYPES[plainName(type.slice(0, -2))] === undefined) {
      return `ArrayText<${item}>`;
    }
    // The values of an array are read like those of a column, and are no column.
    return `${READ[item] ?? item}[]`;
  }
  const name = type.replaceAll(/^"|"$/g, "").replaceAll('""', '"');
  return TYPES[plainName(type)] ?? enums.get(name) ?? "string";
}

/** Without what narrows it: `timestamp(3) with time zone`, `interval day to second(3)`. */
function plainName(type: string): string {
  return type.replace(/\([^)]*\)/, "").replace(/^interval .*/, "interval");
}

const READ: Readonly<Record<string, string>> = {
  Int8: "string",
  Numeric: "string",
  Timestamp: "Date",
  Json: "unknown",
  Parsed: "object",
};

/** A name for each type of the module, by the name of what it describes: two tables may differ in a capital letter alone. */
function typeNames(
  objects: readonly { readonly name: string }[],
): ReadonlyMap<string, string> {
  const taken = new Set(TAKEN);
  return new Map(objects.map(({ name }) => {
    const wanted = typeName(name);
    let free = wanted;
    for (let i = 2; taken.has(free); i++) free = `${wanted}${i}`;
    taken.add(free);
    return [name, free];
  }));
}

function typeName(name: string): string {
  const words = name.split(/[^\p{ID_Continue}]+|_/u).filter((word) =>
    word !== ""
  );
  const text = words.map((word) => word[0]!.toUpperCase() + word.slice(1))
    .join("");
  return /^\p{ID_Start}/u.test(text) ? text : `T${text}`;
}

function key(name: string): string {
  return /^[\p{ID_Start}_$][\p{ID_Continue}$]*$/u.test(name)
    ? name
    : JSON.stringify(name);
}
