/** A cut at every request of a run that leaves its transaction on the way: the journal tells what became of it. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Sql } from "postgres";
import { cutTest, everyCut } from "../support/program/cuts.ts";
import { migration, table } from "../support/program/migrations.ts";
import { makeProject } from "../support/program/project.ts";

const PROJECT = await makeProject({
  "0001_a": table("a"),
  "0002_index": migration({
    up: "create index concurrently if not exists a_id_idx on a (id)",
    options: "{ transaction: false, idempotent: true }",
  }),
  "0003_c": table("c"),
});

Deno.test.afterAll(async () => await PROJECT[Symbol.asyncDispose]());

cutTest(
  "up around a non-transactional migration survives a cut at every request",
  {
    command: ["up"],
    registry: new URL("migrations/mod.ts", PROJECT.entry).href,
    cuts: everyCut,
    prepare: () => Promise.resolve(),
    after: async ({ sql, run }, { result: { code, stderr } }) => {
      const states = await statesOf(sql);
      const found = await objectsOf(sql);
      if (code === 0) {
        assertEquals(
          [...states.values()],
          Array(3).fill("applied"),
        );
      } else {
        assertEquals(code, 1, stderr);
        assertMatch(
          stderr,
          /^error: .*The connection to the database was lost/m,
        );
      }
      assertEquals(states.get("0001_a") === "applied", found.a, stderr);
      assertEquals(states.get("0003_c") === "applied", found.c, stderr);
      if (states.get("0002_index") === "applied") assert(found.index, stderr);
      if (found.index !== undefined) assert(states.has("0002_index"), stderr);

      const next = await run(["up"]);
      assertEquals(next.code, 0, next.stderr);
      assertEquals(await objectsOf(sql), { a: true, c: true, index: true });
      assertEquals(
        [...(await statesOf(sql)).values()],
        Array(3).fill("applied"),
      );
    },
  },
);

/** The last word of the history on each migration. */
async function statesOf(sql: Sql): Promise<Map<string, string>> {
  const [table] =
    await sql`select to_regclass('migration_history') is not null as found`;
  if (!table!.found) return new Map();
  const rows = await sql<{ name: string; status: string }[]>`
    select name, status from migration_history order by name, id`;
  return new Map(rows.map(({ name, status }) => [name, status]));
}

/** What the migrations make: the tables, and whether the index is valid; `undefined` when there is none. */
async function objectsOf(
  sql: Sql,
): Promise<{ a: boolean; c: boolean; index: boolean | undefined }> {
  const [row] = await sql`
    select to_regclass('a') is not null as a, to_regclass('c') is not null as c,
      (select indisvalid from pg_index where indexrelid = to_regclass('a_id_idx')) as index`;
  return { a: row!.a, c: row!.c, index: row!.index ?? undefined };
}
