/**
 * Backfills as somebody would write them, and tables that are worth one.
 *
 * @module
 */
import type { TestDatabase } from "../server/postgres.ts";

export interface BackfillParts {
  /** @default {"t"} */
  readonly table?: string;
  /** Columns, as they stand in the source. */
  readonly key?: string;
  /** A condition in SQL. */
  readonly where?: string;
  /** The body of `batch`, which has `db`, `rows` and `sql`. @default {adds 1 to the column n} */
  readonly batch?: string;
  /** Stands behind it. */
  readonly more?: string;
}

const ADD_ONE =
  '    await db.updateTable("t").set({ n: sql`n + 1` }).where(rows).execute();';

/** The source of a backfill. */
export function backfill(
  { table = "t", key, where, batch = ADD_ONE, more = "" }: BackfillParts = {},
): string {
  return `import { type Expression, type Kysely, sql, type SqlBool } from "kysely";

export const backfill = {
  table: ${JSON.stringify(table)},
${key === undefined ? "" : `  key: ${key},\n`}${
    where === undefined ? "" : `  where: sql<SqlBool>\`${where}\`,\n`
  }  // deno-lint-ignore no-explicit-any -- frozen in time
  async batch(db: Kysely<any>, rows: Expression<SqlBool>): Promise<void> {
${batch}
  },
};
${more}`;
}

/** Creates the table t (id, n, pad) with so many rows; 500 bytes each make 20,000 of them a large one. */
export async function fillTable(
  db: TestDatabase,
  rows = 20_000,
  id = "bigint primary key",
): Promise<void> {
  await db.query(
    `create table t (id ${id}, n integer not null default 0, pad text not null default repeat('x', 500));
     insert into t (id) select g from generate_series(1, ${rows}) g;
     analyze t`,
  );
}

/** How often each row was filled: `n → count of rows`. */
export async function fills(
  db: TestDatabase,
): Promise<Record<string, number>> {
  const rows = await db.query<{ n: number; count: number }>(
    "select n, count(*)::int as count from t group by n order by n",
  );
  return Object.fromEntries(rows.map(({ n, count }) => [n, count]));
}
