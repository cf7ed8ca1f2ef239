/**
 * The work that every tool is given: the same migrations, each in the tool's own words.
 *
 * Four of them make and fill a table: create it with 8 columns, index it, alter it, insert 10 rows.
 *
 * @module
 */

/** One migration, as each tool wants it. */
export interface WorkItem {
  /** `20240101000000_create_t_0000`. */
  readonly name: string;
  readonly sql: string;
  readonly undo: string;
  /** The body of `up`, of `db: Kysely<any>` and `sql`. */
  readonly kysely: string;
  readonly kyselyUndo: string;
  /** The body of `up` of node-pg-migrate. */
  readonly nodePgMigrate: string;
}

export interface WorkOptions {
  /** Leaves the inserts out, every fourth migration: what remains need not be awaited. @default {true} */
  readonly inserts?: boolean;
}

const ROWS = 10;

interface Column {
  readonly name: string;
  readonly type: string;
  readonly sql: string;
  readonly kysely: string;
  readonly nodePgMigrate: string;
}

const COLUMNS: readonly Column[] = [
  column("id", "bigserial", "primary key", ".primaryKey()", "primaryKey: true"),
  column("name", "text", "not null", ".notNull()", "notNull: true"),
  column("email", "varchar(255)"),
  column(
    "score",
    "integer",
    "not null default 0",
    ".notNull().defaultTo(0)",
    "notNull: true, default: 0",
  ),
  column("ratio", "double precision"),
  column(
    "active",
    "boolean",
    "not null default true",
    ".notNull().defaultTo(true)",
    "notNull: true, default: true",
  ),
  column("payload", "jsonb"),
  column(
    "created_at",
    "timestamptz",
    "not null default now()",
    ".notNull().defaultTo(sql`now()`)",
    "notNull: true, default: pgm.func('now()')",
  ),
];

/** `count` migrations, in their order, or three quarters of them. */
export function work(
  count: number,
  { inserts = true }: WorkOptions = {},
): WorkItem[] {
  const kinds = [createTable, createIndex, alterTable, insertRows];
  const items = Array.from({ length: count }, (_, i) => {
    const table = `t_${pad(Math.floor(i / kinds.length), 4)}`;
    const kind = kinds[i % kinds.length]!;
    const { name, ...parts } = kind(table);
    return { kind, item: { name: `${timestamp(i)}_${name}`, ...parts } };
  });
  return items.filter(({ kind }) => inserts || kind !== insertRows)
    .map(({ item }) => item);
}

/** The migrations of Kysely as files; JavaScript is what Node can read, TypeScript is what this project has. */
export function kyselyFiles(
  items: readonly WorkItem[],
  language: "js" | "ts",
): Map<string, string> {
  const db = language === "ts" ? "db: Kysely<any>): Promise<void>" : "db)";
  return new Map(items.map(({ name, kysely, kyselyUndo }) => {
    const sql = kysely.includes("sql`") ? ["sql"] : [];
    const type = language === "ts" ? ["type Kysely"] : [];
    const names = [...type, ...sql];
    const head = names.length === 0
      ? ""
      : `import { ${names.join(", ")} } from "kysely";\n\n`;
    return [
      `${name}.${language}`,
      `${head}export async function up(${db} {\n  ${kysely}\n}\n\n` +
      `export async function down(${db} {\n  ${kyselyUndo}\n}\n`,
    ];
  }));
}

/** The migrations of node-pg-migrate, whose names begin with milliseconds. */
export function nodePgMigrateFiles(
  items: readonly WorkItem[],
): Map<string, string> {
  return new Map(items.map(({ name, nodePgMigrate, undo }, i) => [
    `${Date.UTC(2024, 0, 1, 0, i)}_${name.replace(/^\d+_/, "")}.js`,
    `export const up = (pgm) => {\n  ${nodePgMigrate}\n};\n\n` +
    `export const down = (pgm) => {\n  pgm.sql(\`${undo}\`);\n};\n`,
  ]));
}

/** Migrations as SQL with the marks of a tool before the two directions. */
export function sqlFiles(
  items: readonly WorkItem[],
  marks: { readonly up: string; readonly down: string },
): Map<string, string> {
  return new Map(items.map(({ name, sql, undo }) => [
    `${name}.sql`,
    `${marks.up}\n${sql}\n\n${marks.down}\n${undo}\n`,
  ]));
}

function createTable(table: string): WorkItem {
  const each = (write: (one: Column) => string) => COLUMNS.map(write);
  return {
    name: `create_${table}`,
    sql: `create table ${table} (\n${
      each(({ name, type, sql }) => `  ${name} ${type} ${sql}`.trimEnd())
        .join(",\n")
    }\n);`,
    undo: `drop table ${table};`,
    kysely: `await db.schema.createTable("${table}")${
      each(({ name, type, kysely }) => {
        const more = kysely === "" ? "" : `, (c) => c${kysely}`;
        return `\n    .addColumn("${name}", "${type}"${more})`;
      }).join("")
    }\n    .execute();`,
    kyselyUndo: `await db.schema.dropTable("${table}").execute();`,
    nodePgMigrate: `pgm.createTable('${table}', {\n${
      each(({ name, type, nodePgMigrate }) =>
        `    ${name}: { type: '${type}', ${nodePgMigrate} },\n`
      ).join("")
    }  });`,
  };
}

function createIndex(table: string): WorkItem {
  const index = `${table}_name_created_at_idx`;
  return {
    name: `index_${table}`,
    sql: `create index ${index} on ${table} (name, created_at);`,
    undo: `drop index ${index};`,
    kysely: `await db.schema.createIndex("${index}").on("${table}")` +
      `.columns(["name", "created_at"]).execute();`,
    kyselyUndo: `await db.schema.dropIndex("${index}").execute();`,
    nodePgMigrate: `pgm.createIndex('${table}', ['name', 'created_at'], ` +
      `{ name: '${index}' });`,
  };
}

function alterTable(table: string): WorkItem {
  return {
    name: `alter_${table}`,
    sql: `alter table ${table} add column extra text not null default '';`,
    undo: `alter table ${table} drop column extra;`,
    kysely: `await db.schema.alterTable("${table}")` +
      `.addColumn("extra", "text", (c) => c.notNull().defaultTo("")).execute();`,
    kyselyUndo:
      `await db.schema.alterTable("${table}").dropColumn("extra").execute();`,
    nodePgMigrate: `pgm.addColumns('${table}', ` +
      `{ extra: { type: 'text', notNull: true, default: '' } });`,
  };
}

function insertRows(table: string): WorkItem {
  const rows = Array.from({ length: ROWS }, (_, row) => ({
    name: `name ${table} ${row}`,
    email: `user${row}@${table}.example`,
    score: row * 7 % 100,
    extra: `extra ${row}`,
  }));
  const sql = `insert into ${table} (name, email, score, extra) values\n${
    rows.map(({ name, email, score, extra }) =>
      `  ('${name}', '${email}', ${score}, '${extra}')`
    ).join(",\n")
  };`;
  return {
    name: `fill_${table}`,
    sql,
    undo: `delete from ${table};`,
    kysely: `await db.insertInto("${table}").values([\n${
      rows.map((row) => `    ${JSON.stringify(row)},\n`).join("")
    }  ]).execute();`,
    kyselyUndo: `await db.deleteFrom("${table}").execute();`,
    nodePgMigrate: `pgm.sql(\`${sql}\`);`,
  };
}

function column(
  name: string,
  type: string,
  sql = "",
  kysely = "",
  nodePgMigrate = "",
): Column {
  return { name, type, sql, kysely, nodePgMigrate };
}

/** Fourteen digits that sort: the minutes of 2024. */
function timestamp(i: number): string {
  return new Date(Date.UTC(2024, 0, 1, 0, i)).toISOString()
    .replace(/\D/g, "").slice(0, 14);
}

function pad(number: number, width: number): string {
  return `${number}`.padStart(width, "0");
}
