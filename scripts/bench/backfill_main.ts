/**
 * The ways to fill a column that `backfill.ts` compares, each as a process of its own: `backfill_main.ts WAY URL`.
 *
 * @module
 */
import { type Expression, type Kysely, sql, type SqlBool } from "kysely";
import { main } from "../../src/main.ts";
import { readRegistry } from "../../src/plan/migration.ts";
import { withKysely } from "../dev/kysely.ts";

const MILLIONS = sql`(isk_value / 1000000)::bigint`;

/** Rows of a range, as people who know their tables choose it. */
const RANGE = 10_000;

const backfill = {
  table: "killmails",
  where: sql<SqlBool>`isk_millions is null`,
  // deno-lint-ignore no-explicit-any -- as every migration
  async batch(db: Kysely<any>, rows: Expression<SqlBool>): Promise<void> {
    await db.updateTable("killmails").set({ isk_millions: MILLIONS })
      .where(rows).execute();
  },
};

/** By name. */
const WAYS: Readonly<Record<string, (url: string) => Promise<number>>> = {
  one: (url) =>
    withKysely(url, async (db) => {
      await sql`update killmails set isk_millions = ${MILLIONS}`.execute(db);
      return 0;
    }),
  ranges: (url) =>
    withKysely(url, async (db) => {
      const { rows: [last] } = await sql<{ id: number }>`
        select max(killmail_id)::int as id from killmails`.execute(db);
      for (let id = 0; id < last!.id; id += RANGE) {
        await sql`update killmails set isk_millions = ${MILLIONS}
          where killmail_id > ${id} and killmail_id <= ${id + RANGE}`
          .execute(db);
      }
      return 0;
    }),
  ours: (url) => {
    const one = { name: "0001_fill", checksum: "-", module: { backfill } };
    const registry = {
      list: () => Promise.resolve(readRegistry([one])),
      prepare: () => Promise.resolve(),
    };
    return main(["up", "--quiet", "--database-url", url], {}, registry);
  },
};

const [way = "", url = ""] = Deno.args;
Deno.exit(await WAYS[way]!(url));
