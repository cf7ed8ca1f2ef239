/**
 * What a lost connection may leave behind of the real migrations: a prefix of them, the one that the history tells.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import postgres, { type Sql } from "postgres";
import { type Catalog, readCatalog } from "../server/catalog.ts";
import { type CutRun, type CutTest, cutTest, emptyDatabase } from "./cuts.ts";
import { battlescope, withKysely } from "../../../scripts/dev/kysely.ts";
import type { TestDatabase } from "../server/postgres.ts";

export interface BattlescopeCuts
  extends Pick<CutTest<unknown>, "command" | "cuts" | "lanes"> {
  readonly direction: "up" | "down";
}

const NAMES = battlescope.map(({ name }) => name);
const HISTORY = { without: ["migration_history"] };

const WORDS = {
  up: { begun: "Applying", done: "Applied", failed: "apply" },
  down: { begun: "Rolling back", done: "Rolled back", failed: "roll back" },
};

/**
 * Registers a test: after every cut the database is exactly the first migrations, as many as the history says, what the
 * program said is true, and the same command finishes what is left.
 */
export function battlescopeCutTest(
  name: string,
  { direction, ...test }: BattlescopeCuts,
): void {
  const all = direction === "up" ? NAMES : NAMES.toReversed();
  const finished = direction === "up" ? NAMES : [];
  cutTest<readonly Catalog[]>(name, {
    ...test,
    prepare: catalogOfEachPrefix,
    before: async ({ run }) => {
      if (direction === "up") return;
      const { code, stderr } = await run(["up"]);
      assertEquals(code, 0, stderr);
    },
    after: async ({ sql, run }, cutRun, prefixes) => {
      const applied = await appliedNames(sql);
      assertEquals(applied, NAMES.slice(0, applied.length));
      const done = direction === "up"
        ? applied
        : all.slice(0, NAMES.length - applied.length);
      assertTruth(cutRun, direction, all, done);
      assertEquals(
        await readCatalog(sql, HISTORY),
        prefixes[applied.length],
        `not the first ${applied.length} migrations`,
      );
      const next = await run(test.command);
      assertEquals(next.code, 0, next.stderr);
      assertEquals(await appliedNames(sql), finished);
      assertEquals(await readCatalog(sql, HISTORY), prefixes[finished.length]);
    },
  });
}

/** What the program says is true, and it says what it was at. */
function assertTruth(
  { result: { code, stdout, stderr }, statement }: CutRun,
  direction: "up" | "down",
  all: readonly string[],
  done: readonly string[],
): void {
  const words = WORDS[direction];
  const said = namesAfter(words.done, stdout);
  if (code === 0) {
    // Nothing had begun when it was cut, or the history told what became of the commit.
    assertEquals(done, all, stderr);
    assertEquals(said, all, stderr);
    return;
  }
  assertEquals(code, 1, stderr);
  assertEquals(said, done.slice(0, said.length), stderr);
  const error = /^error: (.*)$/m.exec(stderr)?.[1] ?? "";
  // What arrives of a log-in may not be PostgreSQL's any more.
  assertMatch(
    error,
    /The connection to the database was lost|^Cannot connect .*: (?:what answers there does not speak PostgreSQL's protocol|an answer of the server is longer than 64 MiB, which is the most that this program takes in)$/,
    stderr,
  );
  const failed = new RegExp(`^Cannot ${words.failed} "(\\w+)": `).exec(error)
    ?.[1];
  assert(failed === undefined || !done.includes(failed), stderr);
  const begun = namesAfter(words.begun, stderr).filter((name) =>
    !done.includes(name)
  );
  if (isOfMigration(statement) && begun.length > 0) {
    assert(begun.includes(failed!), stderr);
  }
  // Who reads what was done must be able to rely on it, but for a commit whose fate could not be learned.
  if (!error.startsWith("Cannot tell")) assertEquals(said, done, stderr);
}

function namesAfter(word: string, text: string): string[] {
  return [...text.matchAll(new RegExp(`^${word} (\\w+)`, "gm"))]
    .map(([, name]) => name!)
    .filter((name) => NAMES.includes(name));
}

/** As far as the proxy can tell. */
function isOfMigration(statement: string): boolean {
  return /^\s*(?:create|alter|drop|insert into)\b/.test(statement) &&
    !statement.includes("migration_history");
}

async function appliedNames(sql: Sql): Promise<string[]> {
  const [table] =
    await sql`select to_regclass('migration_history') is not null as found`;
  if (!table!.found) return [];
  const rows = await sql<{ name: string }[]>`
    select name from migration_history where status = 'applied' order by name collate "C"`;
  return rows.map(({ name }) => name);
}

/** The catalogs of the empty database, of the first migration, of the first two …, made without the program. */
async function catalogOfEachPrefix({ url }: TestDatabase): Promise<Catalog[]> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    await emptyDatabase(sql);
    const catalogs = [await readCatalog(sql)];
    await withKysely(url, async (kysely) => {
      for (const { up } of battlescope) {
        await kysely.transaction().execute(up);
        catalogs.push(await readCatalog(sql));
      }
    });
    return catalogs;
  } finally {
    await sql.end();
  }
}
