/** What the code of a migration does to the process that it runs in. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { migration, table, upCode } from "../support/program/migrations.ts";
import {
  CONNECTED,
  scenario,
  withoutProgress,
} from "../support/program/scenario.ts";

const INSTEAD = "a migration cannot end the program; to fail, throw an error";

/** Code that would end the process → what is said of it. */
const EXITS: Readonly<Record<string, string>> = {
  "process.exit(0);": "called process.exit(0)",
  "process.exit();": "called process.exit()",
  "Deno.exit(3);": "called Deno.exit(3)",
  "try { Deno.exit(0); } catch { /* who catches it fails all the same */ }":
    "called Deno.exit(0)",
  "try { await sql`select 1`.execute(db); } finally { process.exit(0); }":
    "called process.exit(0)",
  "(process as any).reallyExit(0);": "called process.exit(0)",
  "(await import('node:process')).exit(0);": "called process.exit(0)",
  "process.abort();": "called process.abort()",
  "process.kill(process.pid, 'SIGKILL');":
    `called process.kill(PID, "SIGKILL")`,
  "Deno.kill(Deno.pid);": "called Deno.kill(PID)",
  "globalThis.close();": "called globalThis.close()",
  "self.close();": "called globalThis.close()",
  "process.exitCode = 7;": "set the exit code to 7",
  "Deno.exitCode = 7;": "set the exit code to 7",
  "setTimeout(() => Deno.exit(0), 1);\nawait new Promise((resolve) => setTimeout(resolve, 200));":
    "called Deno.exit(0)",
  "const target = new EventTarget();\ntarget.addEventListener('x', () => process.exit(0));\ntarget.dispatchEvent(new Event('x'));":
    "called process.exit(0)",
};

function masked(text: string): string {
  return text.replace(/\.kill\(\d+/, ".kill(PID").replace(
    /(at migrations\/[^:]+):\d+:\d+/,
    "$1:LINE",
  );
}

for (const options of ["", "--transaction each", "--no-pipeline"]) {
  scenario(
    `a migration that would end the process fails, and the run with it (up ${options})`,
    {},
    async (s) => {
      for (const [code, said] of Object.entries(EXITS)) {
        await s.release({
          "0001_a": table("a"),
          "0002_exit": upCode(
            `await sql\`create table b ()\`.execute(db);\n${code}`,
          ),
          "0003_c": table("c"),
        });
        const result = withoutProgress(await s.run(`up ${options}`));
        const kept = options === "--transaction each";
        const at = said.startsWith("set")
          ? ""
          : "  at migrations/0002_exit.ts:LINE\n";
        assertEquals({ ...result, stderr: masked(result.stderr) }, {
          code: 1,
          stdout: kept ? "Applied 0001_a (T)\n" : "",
          stderr: `\
${CONNECTED}error: Cannot apply "0002_exit": its up function ${said}: ${INSTEAD}
${at}Failed in T: ${
            kept ? "1 migration applied, 2" : "nothing was changed, 3"
          } not run
`,
        });
        assertEquals(await s.tables(), kept ? ["a"] : []);
        assertEquals(
          await s.history(),
          kept ? ["0001_a applied", "0002_exit failed"] : ["0002_exit failed"],
        );
        await s.db.query("drop table if exists a, migration_history");
      }
    },
  );
}

scenario(
  "a down function that would end the process fails, and nothing is rolled back",
  {
    "0001_a": table("a"),
    "0002_exit": `${table("b").replace("down", "unused")}
export async function down(db: Kysely<any>): Promise<void> {
  await sql\`drop table b\`.execute(db);
  process.exit(0);
}
`,
  },
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    for (const options of ["", "--transaction each", "--no-pipeline"]) {
      const result = withoutProgress(
        await s.run(`down --all --yes ${options}`),
      );
      assertEquals(result, {
        code: 1,
        stdout: "",
        stderr: `\
${CONNECTED}error: Cannot roll back "0002_exit": its down function called process.exit(0): ${INSTEAD}
  at migrations/0002_exit.ts:13:11
Failed in T: nothing was changed, 2 not run
`,
      });
      assertEquals(await s.tables(), ["a", "b"]);
      assertEquals(await s.history(), ["0001_a applied", "0002_exit applied"]);
    }
    assertMatch(
      String(
        (await s.db.query("select error from migration_history"))[1]!.error,
      ),
      /^its down function called process\.exit\(0\): /,
    );
  },
);

scenario(
  "a non-transactional migration that would end the process fails, and the history says so",
  {
    "0001_exit": `export const options = { transaction: false };\n${
      upCode(
        "await sql`create table a ()`.execute(db);\ntry { Deno.exit(0); } catch {}",
      )
    }`,
    "0002_b": table("b"),
  },
  async (s) => {
    assertEquals(withoutProgress(await s.run("up")), {
      code: 1,
      stdout: "",
      stderr: `\
${CONNECTED}error: Cannot apply "0001_exit": its up function called Deno.exit(0): ${INSTEAD}
  at migrations/0001_exit.ts:6:12
Failed in T: 1 migration left half-way, 1 not run
`,
    });
    assertEquals(await s.tables(), ["a"]);
    assertEquals(await s.history(), ["0001_exit failed"]);
  },
);

scenario(
  "a migration that would end the process because of an error fails for that error",
  {
    "0001_exit": upCode(
      "await sql`select nothing`.execute(db).catch(() => Deno.exit(0));",
    ),
  },
  async (s) => {
    for (const options of ["", "--transaction each", "--no-pipeline"]) {
      const { code, stdout, stderr } = await s.run(`up ${options}`);
      assertEquals([code, stdout], [1, ""]);
      assertMatch(
        stderr,
        /^error: Cannot apply "0001_exit": column "nothing" does not exist \(SQLSTATE 42703\)$/m,
      );
      assertEquals(await s.tables(), []);
    }
    assertEquals(await s.history(), Array(3).fill("0001_exit failed"));
  },
);

scenario(
  "who would end the process after the end of its function is named, and its step fails",
  {
    "0001_late": upCode(`
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    port1.close();
    Deno.exit(0);
  };
  const worker = new Worker(URL.createObjectURL(new Blob([
    "onmessage = ({ ports: [port] }) => setTimeout(() => { port.postMessage(0); close(); }, 500)",
  ])), { type: "module" });
  worker.postMessage(0, [port2]);`),
    "0002_b": migration({ up: "select pg_sleep(20)" }),
  },
  async (s) => {
    assertEquals(withoutProgress(await s.run("up")), {
      code: 1,
      stdout: "",
      stderr: `\
${CONNECTED}error: Cannot apply "0001_late": its up function called Deno.exit(0): ${INSTEAD}
  at migrations/0001_late.ts:8:10
Failed in T: nothing was changed, 2 not run
`,
    });
    assertEquals(await s.history(), ["0001_late failed"]);
  },
);

scenario(
  "a migration may send signals to others, and ask whether it runs itself",
  {
    "0001_a": upCode(`
  process.kill(process.pid, 0);
  try {
    process.kill(2 ** 22 + 1, "SIGTERM");
  } catch (error) {
    console.log(error instanceof Error && error.message.includes("cannot end"));
  }`),
  },
  async (s) => {
    const { code, stderr } = await s.run("up");
    assertEquals(code, 0, stderr);
    assertStringIncludes(stderr, "\nfalse\n");
  },
);

scenario(
  "listeners for the end of the process do not decide how it ends",
  {
    "0001_a": upCode(`
  addEventListener("unload", () => { Deno.exitCode = 5; });
  process.on("exit", () => process.exit(6));
  process.exitCode = 0;`),
  },
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
  },
);

for (const method of [".destroy()", "[Symbol.asyncDispose]()"]) {
  scenario(
    `db${method} does not close the connection of a later migration`,
    {
      "0001_a": `export const options = { transaction: false };\n${
        upCode(
          `try { await sql\`create table a ()\`.execute(db); } finally { await db${method}; }`,
        )
      }`,
      "0002_b": `export const options = { transaction: false };\n${
        upCode(
          `await db.withSchema("public")${method};\nawait sql\`create table b ()\`.execute(db);`,
        )
      }`,
      "0003_c": table("c"),
    },
    async (s) => {
      assertEquals((await s.run("up")).code, 0);
      assertEquals(await s.tables(), ["a", "b", "c"]);
    },
  );
}

scenario(
  "in a transaction Kysely itself refuses to be destroyed, and the migration fails by name",
  { "0001_a": upCode("await db.destroy();") },
  async (s) => {
    assertEquals(withoutProgress(await s.run("up")), {
      code: 1,
      stdout: "",
      stderr: `\
${CONNECTED}error: Cannot apply "0001_a": calling the destroy method for a Transaction is not supported
  at migrations/0001_a.ts:4:10
Failed in T: nothing was changed, 1 not run
`,
    });
  },
);

/** Files that fail while they are loaded → what is said of them. */
const BROKEN: Readonly<Record<string, readonly [string, string]>> = {
  "0002_throws": [
    `const prefix = undefined as unknown as string;
export const name: string = prefix.toLowerCase() + "b";
${table("b")}`,
    "TypeError: Cannot read properties of undefined (reading 'toLowerCase') (at migrations/0002_throws.ts:2:36)",
  ],
  "0003_import": [
    `import { missing } from "./helpers/c.ts";\nmissing();\n${table("c")}`,
    'TypeError: Module not found "file:///FOLDER/migrations/helpers/c.ts". (at migrations/0003_import.ts:1:25)',
  ],
  "0004_export": [
    `import { nothing } from "kysely";\nnothing();\n${
      table("d").replace(/^.*\n/, "")
    }`,
    "SyntaxError: The requested module 'kysely' does not provide an export named 'nothing' (at migrations/0004_export.ts:1:10)",
  ],
  "0005_no_error": ['throw "no";\n', "no"],
  "0006_syntax": [
    "export function up( {}\n",
    "TypeError: SyntaxError: Expected ',', got '<eof>' (at migrations/0006_syntax.ts:1:23)",
  ],
  "0007_exit": [
    `${table("e")}\nprocess.exit(0);\n`,
    `a migration called process.exit(0): ${INSTEAD} (at migrations/0007_exit.ts:11:9)`,
  ],
  "0008_rejects": [
    `${table("f")}\nawait Promise.reject(new RangeError("later"));\n`,
    "RangeError: later (at migrations/0008_rejects.ts:11:22)",
  ],
};

scenario(
  "a file that fails while it is loaded is named, for every command that needs it",
  {},
  async (s) => {
    for (const [name, [source, said]] of Object.entries(BROKEN)) {
      await s.release({ "0001_a": table("a"), [name]: source });
      const text = `Cannot load the migration "${name}": ${said}\n`;
      for (const command of ["up", "down --yes", "status", "version"]) {
        const { code, stdout, stderr } = await s.run(command);
        const masked = stderr.replace(
          /\/\/\/.*\/migrations/,
          "///FOLDER/migrations",
        );
        if (command === "version") {
          assertEquals([code, masked], [0, `warning: ${text}`]);
          assertMatch(
            stdout,
            /^battlescope-migrate .*\ncommit .*\ndeno .*\nkysely .*\nmigrations cannot be loaded\n$/,
          );
        } else {
          assertEquals([code, stdout, masked], [1, "", `error: ${text}`]);
        }
      }
      assertEquals((await s.run("help")).code, 0);
    }
    assertEquals(
      await s.db.query("select to_regclass('migration_history') as history"),
      [{ history: null }],
    );
  },
);

scenario(
  "every file that fails while it is loaded is named, and version as JSON says what it can",
  {
    "0001_a": 'throw new Error("one");\n',
    "0002_b": table("b"),
    "0003_c": 'throw new Error("two");\n',
  },
  async (s) => {
    const faults = [
      'Cannot load the migration "0001_a": one (at migrations/0001_a.ts:1:7)',
      'Cannot load the migration "0003_c": two (at migrations/0003_c.ts:1:7)',
    ];
    assertEquals(await s.run("up"), {
      code: 1,
      stdout: "",
      stderr: faults.map((fault) => `error: ${fault}\n`).join(""),
    });
    const { code, lines, stderr } = await s.json("version");
    assertEquals([code, lines.length, lines[0]?.migrations], [0, 1, null]);
    assertEquals(stderr, faults.map((fault) => `warning: ${fault}\n`).join(""));
  },
);

scenario(
  "a file that would end the process while it is loaded fails, though it catches the error",
  {
    "0001_a": table("a"),
    "0002_b": `${table("b")}\ntry { Deno.exit(0); } catch { /* so what */ }\n`,
    "0003_c": table("c"),
  },
  async (s) => {
    assertEquals(await s.run("up"), {
      code: 1,
      stdout: "",
      stderr:
        `error: Cannot load the migration "0002_b": a migration called Deno.exit(0): ${INSTEAD} (at migrations/0002_b.ts:11:12)\n`,
    });
  },
);

scenario(
  "a password is hidden in what a file throws or prints while it is loaded",
  {
    "0001_a": `const url = Deno.env.get("DATABASE_URL");
console.log(url);
throw new Error(\`Cannot read \${url}\`);
`,
  },
  async (s) => {
    const role = await s.db.createRole();
    for (const command of ["up", "status", "version"]) {
      const { code, stderr } = await s.run(command, { as: role });
      assertEquals(code, command === "version" ? 0 : 1);
      assertMatch(
        stderr,
        /^postgres:\/\/ROLE:\*\*\*@\S+\n\w+: Cannot load the migration "0001_a": Cannot read postgres:\/\/ROLE:\*\*\*@\S+ \(at migrations\/0001_a\.ts:3:7\)\n$/,
      );
    }
  },
);

scenario(
  "what a file prints while it is loaded is not among the results",
  {
    "0001_a": `${
      table("a")
    }\nconsole.log("loaded");\nprocess.stdout.write("half");\n`,
  },
  async (s) => {
    const status = await s.json("status");
    assertEquals([status.code, status.lines.length], [0, 1]);
    assertStringIncludes(status.stderr, "loaded\nhalf\n");
    const version = await s.run("version");
    assertEquals([version.code, version.stderr], [0, "loaded\nhalf\n"]);
    assertMatch(version.stdout, /\nmigrations 1, the last is 0001_a\n$/);
  },
);

scenario(
  "up and down are called on what exports them",
  {
    "0001_object": `import type { Kysely } from "kysely";
export default {
  table: "a",
  async up(db: Kysely<any>) { await db.schema.createTable(this.table).execute(); },
  async down(db: Kysely<any>) { await db.schema.dropTable(this.table).execute(); },
};
`,
    "0002_class": `import type { Kysely } from "kysely";
class Base {
  #table: string;
  constructor(table: string) { this.#table = table; }
  async up(db: Kysely<any>) { await db.schema.createTable(this.#table).execute(); }
  async down(db: Kysely<any>) { await db.schema.dropTable(this.#table).execute(); }
}
class Crews extends Base {
  readonly options = { transaction: false };
}
export default new Crews("b");
`,
    "0003_module": `import type { Kysely } from "kysely";
export const name = "c";
export async function up(this: { name: string }, db: Kysely<any>) {
  await db.schema.createTable(this.name).execute();
}
export async function down(this: { name: string }, db: Kysely<any>) {
  await db.schema.dropTable(this.name).execute();
}
`,
  },
  async (s) => {
    for (const options of ["", "--transaction each", "--no-pipeline"]) {
      const up = await s.run(`up ${options}`);
      assertEquals(up.code, 0, up.stderr);
      assertEquals(await s.tables(), ["a", "b", "c"]);
      const down = await s.run(`down --all --yes ${options}`);
      assertEquals(down.code, 0, down.stderr);
      assertEquals(await s.tables(), []);
    }
  },
);
