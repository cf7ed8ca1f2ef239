/**
 * Sources of migrations, as somebody would write them.
 *
 * @module
 */

export interface MigrationParts {
  /** Statements, run one by one. */
  readonly up: string | readonly string[];
  /** No `down` is written when it is missing: the migration is irreversible. */
  readonly down?: string | readonly string[];
  /** Of `options`, as it stands in the source. */
  readonly options?: string;
}

/** A migration of SQL statements. */
export function migration({ up, down, options }: MigrationParts): string {
  return [
    `import { type Kysely, sql } from "kysely";\n`,
    ...(options === undefined ? [] : [`export const options = ${options};\n`]),
    code("up", statements(up)),
    ...(down === undefined ? [] : [code("down", statements(down))]),
  ].join("\n");
}

/** A migration that creates a table, and drops it. */
export function table(name: string): string {
  return migration({
    up: `create table ${name} (id integer primary key)`,
    down: `drop table ${name}`,
  });
}

/** A migration whose `up` is this code; it has `db` and `sql`. */
export function upCode(body: string): string {
  return `import { type Kysely, sql } from "kysely";\n\n${code("up", body)}`;
}

/** The code of a `down`, to be put behind {@link upCode}. */
export function downCode(body: string): string {
  return `\n${code("down", body)}`;
}

function code(name: "up" | "down", body: string): string {
  return `export async function ${name}(db: Kysely<unknown>): Promise<void> {\n${body}\n}\n`;
}

function statements(list: string | readonly string[]): string {
  return [list].flat().map((statement) =>
    `  await sql.raw(${JSON.stringify(statement)}).execute(db);`
  ).join("\n");
}
