/** Many copies of the executable at one database, also through a pooler. */
import { assertEquals } from "@std/assert";
import { runBinary } from "../support/program/binary.ts";
import { battlescope } from "../../scripts/dev/kysely.ts";
import { withPgBouncer } from "../support/server/pgbouncer.ts";
import { pgTest, type TestDatabase } from "../support/server/postgres.ts";

const COPIES = 10;
const NOTHING = "Nothing to apply: the database is up to date\n";

pgTest(
  "executable: ten copies of up: one applies, all succeed",
  (db) => assertOneApplies(db, db.url),
);

pgTest(
  "executable: ten copies of up through PgBouncer: one applies, all succeed, no lock is left",
  (db) =>
    withPgBouncer(db, async (pooler) => {
      await assertOneApplies(db, pooler.url(db.url));
      const locks = await db.query(
        "select pid from pg_locks where locktype = 'advisory' and database = " +
          "(select oid from pg_database where datname = current_database())",
      );
      assertEquals(locks, []);
    }),
  { needs: ["pgbouncer"] },
);

async function assertOneApplies(db: TestDatabase, url: string): Promise<void> {
  const results = await Promise.all(
    Array.from(
      { length: COPIES },
      () => runBinary(["up"], { env: { DATABASE_URL: url } }),
    ),
  );
  const shown = JSON.stringify(results, null, 2);
  assertEquals(results.map(({ code }) => code), Array(COPIES).fill(0), shown);
  const idle = results.filter(({ stdout }) => stdout === NOTHING);
  assertEquals(idle.length, COPIES - 1, shown);
  assertEquals(
    await db.query("select name, status from migration_history order by name"),
    battlescope.map(({ name }) => ({ name, status: "applied" })),
  );
}
