import { assertEquals, assertStringIncludes } from "@std/assert";
import { migration, table } from "../support/program/migrations.ts";
import { CONNECTED, scenario } from "../support/program/scenario.ts";

const AB = { "0001_a": table("a"), "0002_b": table("b") };

scenario(
  "--schema puts the history and the tables into that schema",
  AB,
  async (s) => {
    await s.db.query("create schema app");
    assertEquals((await s.run("up --schema app")).code, 0);
    assertEquals(await s.tables("app"), ["a", "b"]);
    assertEquals(await s.tables(), []);
    assertEquals(await s.history("app"), ["0001_a applied", "0002_b applied"]);

    const env = { MIGRATE_SCHEMA: "app" };
    assertEquals((await s.run("status --check", { env })).code, 0);
    assertEquals((await s.run("status --check --schema public")).code, 3);
    assertEquals((await s.run("down --all --yes", { env })).code, 0);
    assertEquals(await s.tables("app"), []);
  },
);

scenario("two schemas of one database are independent", AB, async (s) => {
  await s.db.query("create schema one; create schema two");
  assertEquals((await s.run("up --schema one")).code, 0);
  assertEquals((await s.run("up --schema two --to 0001_a")).code, 0);
  assertEquals((await s.run("up --schema public")).code, 0);
  assertEquals((await s.run("down --yes")).code, 0);
  assertEquals((await s.run("redo --yes --schema one")).code, 0);
  assertEquals(await s.tables("one"), ["a", "b"]);
  assertEquals(await s.tables("two"), ["a"]);
  assertEquals(await s.tables(), ["a"]);
});

const ODD = `Odd "schema's" näme; %s \\ $x$`;

scenario("a schema may have any name", AB, async (s) => {
  const quoted = `"${ODD.replaceAll('"', '""')}"`;
  await s.db.query(`create schema ${quoted}`);
  const at = ["--schema", ODD];
  assertEquals((await s.run(["up", ...at])).code, 0);
  assertEquals(await s.tables(ODD), ["a", "b"]);
  assertEquals((await s.run(["redo", "--yes", ...at])).code, 0);
  assertEquals((await s.run(["status", "--check", ...at])).code, 0);
  assertEquals(await s.history(ODD), [
    "0001_a applied",
    "0002_b rolled_back",
    "0002_b applied",
  ]);
  assertEquals((await s.run(["down", "--all", "--yes", ...at])).code, 0);

  // Kysely's form is converted there too.
  await s.db.query(`
    drop table ${quoted}.migration_history;
    create table ${quoted}.migration_history (name varchar(255) primary key, timestamp varchar(255) not null)`);
  assertEquals((await s.run(["up", ...at])).code, 0);
  assertEquals(await s.history(ODD), ["0001_a applied", "0002_b applied"]);
});

scenario(
  "a schema that is missing reads as empty and is named, and nothing is made in it",
  AB,
  async (s) => {
    const warning =
      `${CONNECTED}warning: There is no schema "nowhere" in this database\n`;
    for (
      const [command, code, stdout] of [
        ["status --check", 3, "2 pending"],
        ["up --dry-run", 0, "2 migrations would run, nothing was changed"],
        ["down --yes", 0, "Nothing to roll back"],
      ] as const
    ) {
      const result = await s.run(`${command} --schema nowhere`);
      assertEquals([result.code, result.stderr], [code, warning]);
      assertStringIncludes(result.stdout, stdout);
    }
    assertEquals(await s.run("up --schema nowhere"), {
      code: 1,
      stdout: "",
      stderr: `\
${warning}error: Cannot find the schema "nowhere": create it (create schema "nowhere")
Failed in T: nothing was changed, 2 not run
`,
    });
    assertEquals(
      await s.db.query("select from pg_namespace where nspname = 'nowhere'"),
      [],
    );
  },
);

scenario(
  "without --schema the first schema of the connection's search path counts",
  AB,
  async (s) => {
    await s.db.query("create schema app");
    const url = `${s.db.url}?options=-c%20search_path%3Dnowhere,app,public`;
    assertEquals((await s.run("up", { url })).code, 0);
    assertEquals(await s.tables("app"), ["a", "b"]);
    assertEquals(await s.history("app"), ["0001_a applied", "0002_b applied"]);
  },
);

scenario(
  "--schema is the whole search path while migrations run",
  {
    "0001_a": migration({
      up:
        "create table a as select current_setting('search_path') as path, current_schemas(false)::text as schemas",
    }),
  },
  async (s) => {
    await s.db.query(`create schema "App"`);
    assertEquals((await s.run("up --schema App")).code, 0);
    assertEquals(await s.db.query(`select * from "App".a`), [
      { path: '"App"', schemas: "{App}" },
    ]);
  },
);
