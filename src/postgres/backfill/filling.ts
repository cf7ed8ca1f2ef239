/**
 * The function of a backfill as that of a step.
 *
 * @module
 */
import { type Expression, type Kysely, sql, type SqlBool } from "kysely";
import type { Backfill, Key, KeyRange } from "../../plan/backfill.ts";
import type { Step } from "../../plan/plan.ts";

/** The step whose function does the work of a backfill: for a range, or for all rows. */
export function filling(step: Step, backfill: Backfill): Step {
  const { keys } = step;
  const rows = rowsOf(backfill, keys);
  return {
    ...step,
    migration: {
      ...step.migration,
      up: async (db) => {
        if (keys?.look !== undefined) {
          const found = await matches(db, backfill.table, rows);
          keys.look(found);
          if (!found) return;
        }
        await backfill.batch(db, rows);
      },
    },
  };
}

/** The condition that a batch is given: the range, and what is left to do. */
function rowsOf(
  { table, where }: Backfill,
  range: KeyRange | undefined,
): Expression<SqlBool> {
  const conditions: Expression<SqlBool>[] = [];
  if (range !== undefined) {
    const { after, through } = range;
    const { keys, operators } = range.table;
    const names = sql.join(keys.map((key) => sql.ref(`${table}.${key}`)));
    const compared = (operator: string, key: Key) =>
      sql<SqlBool>`(${names}) operator(${sql.id(operators)}.${
        sql.raw(operator)
      }) (${sql.join(key)})`;
    if (after !== null) conditions.push(compared(">", after));
    conditions.push(compared("<=", through));
  }
  if (where !== undefined) conditions.push(sql<SqlBool>`(${where})`);
  return conditions.length === 0
    ? sql<SqlBool>`true`
    : sql<SqlBool>`(${sql.join(conditions, sql` and `)})`;
}

/** Whether any row is picked. */
async function matches(
  // deno-lint-ignore no-explicit-any -- the tables of a migration are those of its day
  db: Kysely<any>,
  table: string,
  rows: Expression<SqlBool>,
): Promise<boolean> {
  const found = await sql`select from ${sql.table(table)} where ${rows} limit 1`
    .execute(db);
  return found.rows.length > 0;
}
