/** What the code of migrations does in the executable, where it is bundled and loaded late. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { runBinary, withExecutable } from "../support/program/binary.ts";
import { table, upCode } from "../support/program/migrations.ts";
import { pgTest } from "../support/server/postgres.ts";

const MIGRATIONS = {
  "0001_prints": upCode(`
  await sql\`create table a ()\`.execute(db);
  process.stdout.write("50% ");
  Deno.stdout.writeSync(new TextEncoder().encode("done\\n"));
  console.log("printed");`),
  "0002_object": `export default {
  table: "b",
  async up(db: any) { await db.schema.createTable(this.table).execute(); },
};
`,
  "0003_fails": `interface Crew {
  readonly name: string;
}

/** The name of the first. */
function first(crews: readonly Crew[]): string {
  return crews[0]!.name.toUpperCase();
}

${upCode("first([]);")}`,
  "0004_exits": upCode("try { Deno.exit(0); } catch { /* so what */ }"),
};

/** Fails while it is loaded, but not when compiling. */
const LATE = `${table("c")}
if (Deno.args.length > 0) throw new RangeError("not here");
`;

pgTest(
  "executable: the code of migrations is kept apart, and its errors have a file and a line",
  async (db) => {
    const env = { DATABASE_URL: db.url };
    await withExecutable(MIGRATIONS, async (path) => {
      const failed = await runBinary(
        ["up", "--transaction=each", "--format=json"],
        { path, env },
      );
      const lines = failed.stdout.trimEnd().split("\n").map((line) =>
        JSON.parse(line)
      );
      assertEquals([failed.code, lines.map(({ event }) => event)], [1, [
        ...["connected", "started", "applied", "started", "applied"],
        ...["started", "outcome", "failed", "summary"],
      ]]);
      const { message, location } = lines.at(-2)!;
      assertEquals([message, location], [
        `Cannot apply "0003_fails": TypeError: Cannot read properties of undefined (reading 'name')`,
        "migrations/0003_fails.ts:7:20",
      ]);
      assertStringIncludes(failed.stderr, "\n50% done\nprinted\n");
      assertMatch(failed.stderr, /\n {2}at migrations\/0003_fails\.ts:7:20\n/);
      assertEquals(
        await db.query(
          "select error from migration_history where status = 'failed'",
        ),
        [{
          error:
            "TypeError: Cannot read properties of undefined (reading 'name') (at migrations/0003_fails.ts:7:20)",
        }],
      );

      await db.query(
        "update migration_history set status = 'applied', error = null where name = '0003_fails'",
      );
      const exits = await runBinary(["up", "--quiet"], { path, env });
      assertEquals([exits.code, exits.stdout], [1, ""]);
      assertMatch(
        exits.stderr,
        /^error: Cannot apply "0004_exits": its up function called Deno\.exit\(0\): .*\n {2}at migrations\/0004_exits\.ts:4:12\n/,
      );
    });
  },
);

pgTest(
  "executable: a file that fails while it is loaded is named before anything runs",
  async (db) => {
    const env = { DATABASE_URL: db.url };
    await withExecutable(
      { "0001_a": table("a"), "0002_late": LATE },
      async (path) => {
        const { code, stdout, stderr } = await runBinary(["up", "--quiet"], {
          path,
          env,
        });
        assertEquals([code, stdout], [1, ""]);
        assertMatch(
          stderr,
          /^error: Cannot load the migration "0002_late": RangeError: not here \(at migrations\/0002_late\.ts:11:33\)\nFailed in .*: nothing was changed; reason: Cannot load the migration "0002_late": RangeError: not here\b.*\n$/,
        );
        assertEquals(
          await db.query("select to_regclass('migration_history') as history"),
          [{ history: null }],
        );
        for (const command of ["help", "version", "status"]) {
          assertEquals((await runBinary([command], { path, env })).code, 0);
        }
      },
    );
  },
);
