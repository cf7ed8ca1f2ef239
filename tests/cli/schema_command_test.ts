/** `schema`, which needs no database. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { startMigrate } from "../support/program/cli.ts";
import { migration, table } from "../support/program/migrations.ts";
import { withProject } from "../support/program/project.ts";
import { recorded } from "../support/program/recording.ts";

const MIGRATIONS = {
  "0001_a": table("a"),
  "0002_b": migration({
    up: "create table b (a integer not null references a, note text)",
    down: "drop table b",
  }),
};

async function run(
  migrations: Readonly<Record<string, string>>,
  command: string,
) {
  return await withProject(migrations, async (project) => {
    await using running = startMigrate(command.split(" "), {
      project,
      env: {},
    });
    return await running.result;
  });
}

Deno.test("schema prints what the migrations make, without a database", async () => {
  const migrations = await recorded(MIGRATIONS);
  assertEquals(await run(migrations, "schema --format mermaid"), {
    code: 0,
    stdout: `\
erDiagram
  "a" {
    integer id PK
  }
  "b" {
    integer a FK
    text note "null"
  }
  "a" ||--o{ "b" : "a"
`,
    stderr: "",
  });
  const first = await run(migrations, "schema --format types --to 0001_a");
  assertStringIncludes(
    first.stdout,
    "\nexport interface A {\n  id: number;\n}\n\nexport interface Database {\n  a: A;\n}\n",
  );
  const markdown = await run(migrations, "schema");
  assertStringIncludes(
    markdown.stdout,
    "| `note` | `text` | yes |  |  |\n\n- `b_a_fkey`: foreign key (`a`) → `a` (`id`)\n",
  );
  const json = JSON.parse(
    (await run(migrations, "schema --format json")).stdout,
  );
  assertEquals(
    [
      json.migration,
      json.objects.map(({ type, name }: Record<string, string>) =>
        `${type} ${name}`
      ),
    ],
    ["0002_b", ["table a", "table b"]],
  );
});

Deno.test("schema does not guess what was not recorded", async () => {
  const { "insight.json": recording = "" } = await recorded(MIGRATIONS);
  const refused = async (
    migrations: Readonly<Record<string, string>>,
    command: string,
    reason: string,
  ) =>
    assertEquals(await run(migrations, command), {
      code: 1,
      stdout: "",
      stderr: `error: ${reason}\n`,
    });
  await refused(
    MIGRATIONS,
    "schema",
    'Cannot tell what the migrations make: not recorded; run "deno task insight" and build the program anew',
  );
  const more = {
    ...MIGRATIONS,
    "0003_c": table("c"),
    "insight.json": recording,
  };
  await refused(
    more,
    "schema",
    'Cannot tell what "0003_c" makes: not recorded; run "deno task insight" and build the program anew',
  );
  assertEquals((await run(more, "schema --to 0002_b")).code, 0);
  await refused(
    more,
    "schema --to 0004_d",
    'Cannot tell what "0004_d" makes: this program carries no such migration',
  );
});
