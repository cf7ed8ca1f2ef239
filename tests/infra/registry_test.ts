/**
 * `deno task registry` on the folders of other projects: whatever stops one is said, with the file and the way out.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { join } from "node:path";
import { withCheckout } from "../support/program/checkout.ts";
import { writeMigrations } from "../support/program/project.ts";

type Files = Readonly<Record<string, string>>;

const UP = "export async function up() {}\n";

/** Runs the task in a checkout that has these files in place of its own migrations; what it says is on stderr. */
async function assertRegistry(
  files: Files,
  code: number,
  expected: string,
): Promise<void> {
  await withCheckout(async ({ folder, task }) => {
    await Deno.remove(join(folder, "migrations"), { recursive: true });
    await writeMigrations(join(folder, "migrations"), files);
    for (const args of [[], ["--check"]]) {
      const result = await task(["registry", ...args]).result;
      assertEquals(result, { code, stdout: "", stderr: expected });
    }
  });
}

Deno.test("registry: imports that lead nowhere, or out of the folder, are told with file, line and way out", async () => {
  await assertRegistry(
    {
      "0001_a.ts": `import "./lib/h";
import type { Db } from "../src/text.ts";
import "@/db";
import "~/db.ts";
import lodash from "lodash";
import "./lib/h.js";
import "./lib/folder";
import "./lib/none.ts";
import "@scope/package/deep";
import { jsonArrayFrom } from "kysely/helpers/postgres";
import "node:crypto";
${UP}`,
      "lib/h.ts": 'import "./x";\n',
      "lib/folder/index.ts": "export {};\n",
    },
    1,
    `\
Cannot import "./lib/h" in migrations/0001_a.ts:1: there is no such file; write "./lib/h.ts"
Cannot import "../src/text.ts" in migrations/0001_a.ts:2: it is outside of migrations/, which alone goes into the program; move it into a folder in there, such as migrations/lib/
Cannot import "@/db" in migrations/0001_a.ts:3: it is an alias, which leads nowhere here; write the path, such as "./lib/db.ts"
Cannot import "~/db.ts" in migrations/0001_a.ts:4: it is an alias, which leads nowhere here; write the path, such as "./lib/db.ts"
Cannot import "lodash" in migrations/0001_a.ts:5: deno.json does not have it; add "lodash": "npm:lodash@VERSION" to its imports, or write the path if it is a file
Cannot import "./lib/h.js" in migrations/0001_a.ts:6: there is no such file; write "./lib/h.ts"
Cannot import "./lib/folder" in migrations/0001_a.ts:7: there is no such file; write "./lib/folder/index.ts"
Cannot import "./lib/none.ts" in migrations/0001_a.ts:8: there is no such file; add it, in a folder of migrations/
Cannot import "@scope/package/deep" in migrations/0001_a.ts:9: deno.json does not have it; add "@scope/package": "npm:@scope/package@VERSION" to its imports, or write the path if it is a file
`,
  );
});

Deno.test("registry: what an executable does not have is told: files, and variables that the setup does not name", async () => {
  const env = (line: number, name: string) =>
    `Cannot put migrations/0001_a.ts into an executable: line ${line} reads the environment variable "${name}", which it sees only when migrations/setup.ts names it: export const environment = ["${name}"]\n`;
  const unnamed = (path: string, line: number) =>
    `Cannot put ${path} into an executable: line ${line} reads environment variables by names that the code does not show; write each name out, as process.env.NAME\n`;
  const file = (path: string, line: number, what: string) =>
    `Cannot put ${path} into an executable: line ${line} finds or reads files with ${what}, and there they are not; import what it reads, as import text from "./file.sql" with { type: "text" }\n`;
  await assertRegistry(
    {
      "setup.ts": 'export const environment = ["NAMED"];\n',
      "0001_a.ts": `// deno-lint-ignore-file
import "./lib/reads.cjs";
// process.env.COMMENT and import.meta.url
const text = "process.env.TEXT";
const { ONE, TWO: two } = process.env;
export async function up() {
  console.log(text, ONE, two, process.env.NAMED, process.env.DATABASE_URL);
  console.log(globalThis.process.env["THREE"], Deno.env.get("FOUR")!);
  console.log(Object.keys(process.env), Deno.env.toObject());
  console.log((process.env as any).FIVE, process?.env?.SIX, process.env!.NAMED);
}
`,
      "0002_b.mts": `import { readFileSync } from "node:fs";
import { env } from "node:process";
export const up = async () => {
  readFileSync(new URL("./1.sql", import.meta.url));
  await Deno.readTextFile("1.sql");
  await import("fs/promises");
  console.log(env);
};
`,
      "0003_c.ts": `const { env, cwd } = process;
const { readTextFile: read } = Deno;
const { SEVEN, ...rest } = process.env;
export async function up() {
  await import("./lib/" + cwd());
  console.log(env, read, SEVEN, rest, import.meta.resolve("./x"), import.meta.main);
}
`,
      "lib/reads.cjs": `require("fs");
console.log(__dirname);
require(__dirname + "/x.cjs");
`,
    },
    1,
    [
      ...[env(5, "ONE"), env(5, "TWO"), env(8, "THREE"), env(8, "FOUR")],
      unnamed("migrations/0001_a.ts", 9),
      ...[env(10, "FIVE"), env(10, "SIX")],
      file("migrations/0002_b.mts", 1, "node:fs"),
      unnamed("migrations/0002_b.mts", 2),
      file("migrations/0002_b.mts", 4, "import.meta.url"),
      file("migrations/0002_b.mts", 5, "Deno.readTextFile"),
      file("migrations/0002_b.mts", 6, "fs/promises"),
      unnamed("migrations/0003_c.ts", 1),
      file("migrations/0003_c.ts", 2, "Deno.readTextFile"),
      env(3, "SEVEN").replace("0001_a", "0003_c"),
      unnamed("migrations/0003_c.ts", 3),
      file("migrations/0003_c.ts", 5, "import(…)"),
      file("migrations/0003_c.ts", 6, "import.meta.resolve"),
      file("migrations/lib/reads.cjs", 1, "fs"),
      file("migrations/lib/reads.cjs", 2, "__dirname"),
      file("migrations/lib/reads.cjs", 3, "require(…)"),
      file("migrations/lib/reads.cjs", 3, "__dirname"),
    ].join(""),
  );
});

Deno.test("registry: modules that are no migrations are told with the way out", async () => {
  await assertRegistry(
    {
      "0001_a.ts": `import type { Migration } from "kysely";
export const addCrews: Migration = { up: async () => {} };
`,
      "helpers.ts": "export function helper() {}\n",
    },
    1,
    `\
Cannot use the migration "0001_a": it exports no up function; its "addCrews" has one: export that as the default (export default addCrews)
Cannot use the migration "helpers": it exports no up function; if it is no migration, move it into a folder in migrations/, such as migrations/lib/
`,
  );
});

Deno.test("registry: a file that throws while it is loaded, and a setup that is none, are told", async () => {
  await assertRegistry(
    { "0001_a.ts": `${UP}null!.x;\n`, "0002_b.ts": UP },
    1,
    "Cannot load the migration \"0001_a\": TypeError: Cannot read properties of null (reading 'x') (at migrations/0001_a.ts:2:7)\n",
  );
  await assertRegistry(
    {
      "0001_a.ts": UP,
      "setup.ts":
        'export const plugin = [];\nexport const environment = "A";\n',
    },
    1,
    `\
Cannot use migrations/setup.ts: it exports "plugin", and may export plugins and environment only
Cannot use migrations/setup.ts: its environment is no array of names of variables
`,
  );
  await assertRegistry(
    {
      "0001_a.ts": UP,
      "setup.ts":
        'console.log("[]");\nexport const environment = ["A"];\nnull!.x;\n',
    },
    1,
    "[]\nCannot load migrations/setup.ts: TypeError: Cannot read properties of null (reading 'x') (at migrations/setup.ts:3:7)\n",
  );
  await assertRegistry(
    { "0001_a.ts": "export async function up( {\n", "0002_b.ts": UP },
    1,
    'Cannot load the migration "0001_a": TypeError: SyntaxError: Unexpected token `<eof>`. Expected identifier, string literal, numeric literal or [ for the computed key (at migrations/0001_a.ts:1:28)\n',
  );
});

Deno.test("registry: links to files are taken, links to folders are not", async () => {
  await withCheckout(async ({ folder, task }) => {
    const migrations = join(folder, "migrations");
    await Deno.remove(migrations, { recursive: true });
    await writeMigrations(migrations, { "lib/a.ts": UP });
    await Deno.symlink("lib/a.ts", join(migrations, "0001_a.ts"));
    await Deno.symlink(".", join(migrations, "circle"));
    await Deno.symlink("lib", join(migrations, "0002_b.ts"));
    const { code, stderr } = await task(["registry"]).result;
    assertEquals([code, stderr], [
      0,
      'warning: Passing over "lib/a.ts": migrations are not looked for in folders, and none imports it\n',
    ]);
    const mod = await Deno.readTextFile(join(migrations, "mod.ts"));
    assertEquals(mod.match(/name: "[^"]*"/g), ['name: "0001_a"']);
  });
});

Deno.test("registry: every way to export a migration is taken, and what it leaves out is named", async () => {
  await assertRegistry(
    {
      "0001_re.ts": 'export { down, up } from "./lib/x.ts";\n',
      "0002_class.ts":
        "class M { async up() {} async down() {} }\nexport default new M();\n",
      "0003_object.js": "export default { up: async () => {} };\n",
      "0004_typed.ts":
        'import type { Migration } from "kysely";\nexport const up: Migration["up"] = async () => {};\n',
      "0005_cjs.cjs": "module.exports = { async up() {} };\n",
      "0006_bom.mjs": `\ufeff${UP.replace("\n", "\r\n")}`,
      "0007 é: it's.ts": UP,
      "0008_text.ts":
        `import text from "./0008.sql" with { type: "text" };\n${UP}console.error(text.length);\n`,
      "0008.sql": "select 1",
      "0009.sql": "select 1",
      "0010.TS": UP,
      "0011.d.ts": "export {};\n",
      "2026/0012.ts": UP,
      "lib/x.ts":
        "export async function up() {}\nexport async function down() {}\n",
      "2024_init.ts": UP,
      "20240105_orders.ts": UP,
    },
    0,
    `\
warning: Passing over "0009.sql": a migration is a file in .ts, .mts, .js or .mjs
warning: Passing over "0010.TS": a migration is a file in .ts, .mts, .js or .mjs
warning: Passing over "0011.d.ts": a migration is a file in .ts, .mts, .js or .mjs
warning: Passing over "2026/0012.ts": migrations are not looked for in folders, and none imports it
warning: Migrations run by code unit, "20240105_orders" before "2024_init", and not in the order of localeCompare, which Kysely's own migrator expects of what was applied at the same time: where the order matters, rename the files of those that no database has yet, so that both sort them alike
`,
  );
});
