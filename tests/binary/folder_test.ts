/** The folder of another Kysely project in the executable: all that it brings is in there, or refused when it is built. */
import { assertEquals, assertMatch } from "@std/assert";
import { join } from "node:path";
import { runBinary, withExecutable } from "../support/program/binary.ts";
import { withCheckout } from "../support/program/checkout.ts";
import { upCode } from "../support/program/migrations.ts";
import { runMigrate } from "../support/program/cli.ts";
import { withProject, writeMigrations } from "../support/program/project.ts";
import { pgTest, queryUrl } from "../support/server/postgres.ts";

const FOLDER = {
  "setup.ts": `import { CamelCasePlugin } from "kysely";
export const plugins = [new CamelCasePlugin()];
export const environment = ["APP_ROLE"];
`,
  '_2024-01-08T22:07 crew\'s "own" é \\ 100%.':
    `import { createCrews } from "./lib/crews.ts";
export const up = createCrews;
export const down = async (db: any) => { await db.schema.dropTable("crewMembers").execute(); };
`,
  "lib/crews.ts": `import type { Kysely } from "kysely";
export async function createCrews(db: Kysely<any>): Promise<void> {
  await db.schema.createTable("crewMembers").addColumn("firstName", "text").execute();
  await db.insertInto("crewMembers").values({ firstName: "Ada" }).execute();
  const rows = await db.selectFrom("crewMembers").select("firstName").execute();
  if (rows[0].firstName !== "Ada") throw new Error(JSON.stringify(rows));
}
`,
  "a.cjs":
    `exports.up = async (db) => { await db.schema.createTable("plainJs").addColumn("theId", "integer").execute(); };
`,
  "b.mjs": `import { sql } from "kysely";
import text from "./b.sql" with { type: "text" };
export default {
  async up(db) {
    await sql.raw(text).execute(db);
    await sql\`comment on table b is \${sql.lit(process.env.APP_ROLE ?? "nobody")}\`.execute(db);
  },
};
`,
  "b.sql": "create table b (the_text text)",
};

const TABLES =
  "select attrelid::regclass::text as name, attname, obj_description(attrelid) as comment from pg_attribute where attnum > 0 and attrelid = any (array(select oid from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace and relname <> 'migration_history')) order by 1";

pgTest(
  "executable: the folder of another project runs as it does from source, with its plugins, texts and variables",
  async (db) => {
    const other = await db.createDatabase();
    const names = Object.keys(FOLDER).filter((name) =>
      !/^setup|^lib|sql$/.test(name)
    ).map((name) => name.replace(/\.[cm]js$/, "")).sort();
    const env = { APP_ROLE: "it's me" };
    await withProject(FOLDER, async (project) => {
      const { code, stderr } = await runMigrate(["up"], {
        project,
        env: { ...env, DATABASE_URL: other.url },
      });
      assertEquals(code, 0, stderr);
    });
    await withExecutable({
      ...FOLDER,
      "z 100% #?é.": upCode("null!.x;"),
    }, async (path) => {
      const run = (...args: string[]) =>
        runBinary(args, { path, env: { ...env, DATABASE_URL: db.url } });
      const up = await run("up", "--to", names.at(-1)!);
      assertEquals(up.code, 0, up.stderr);
      assertEquals(
        await db.query("select name from migration_history order by id"),
        names.map((name) => ({ name })),
      );
      assertEquals(await db.query(TABLES), [
        { name: "b", attname: "the_text", comment: "it's me" },
        { name: "crew_members", attname: "first_name", comment: null },
        { name: "plain_js", attname: "the_id", comment: null },
      ]);
      assertEquals(await queryUrl(other.url, TABLES), await db.query(TABLES));

      const failed = await run("up");
      assertEquals(failed.code, 1);
      assertMatch(
        failed.stderr,
        /\nerror: Cannot apply "z 100% #\?é\.": TypeError: Cannot read .*\n {2}at migrations\/z 100% #\?é\.\.ts:4:\d+\n/,
      );
      const check = await run("status", "--check");
      assertEquals(check.code, 3, check.stderr);
    });
  },
);

Deno.test("compile refuses what is not there in the executable, and leaves nothing behind", async () => {
  await withCheckout(async ({ folder, task }) => {
    await writeMigrations(join(folder, "migrations"), {
      "20990101000000_a": `export async function up() {
  await Deno.readTextFile(new URL("./a.sql", import.meta.url));
  console.log(process.env.APP_ROLE);
}
`,
    });
    await task(["registry"]).result;
    assertEquals(await task(["compile"]).result, {
      code: 1,
      stdout: "",
      stderr: `Cannot compile:
  Cannot put migrations/20990101000000_a.ts into an executable: line 2 finds or reads files with Deno.readTextFile, and there they are not; import what it reads, as import text from "./file.sql" with { type: "text" }
  Cannot put migrations/20990101000000_a.ts into an executable: line 2 finds or reads files with import.meta.url, and there they are not; import what it reads, as import text from "./file.sql" with { type: "text" }
  Cannot put migrations/20990101000000_a.ts into an executable: line 3 reads the environment variable "APP_ROLE", which it sees only when migrations/setup.ts names it: export const environment = ["APP_ROLE"]
`,
    });
    await Deno.stat(join(folder, "dist")).then(
      () => assertEquals("dist", "nothing"),
      () => {},
    );
  });
});
