import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { migration, table, upCode } from "../support/program/migrations.ts";
import { CONNECTED, scenario } from "../support/program/scenario.ts";
import { waitFor } from "../support/program/wait.ts";

scenario(
  "an error of JavaScript fails the migration and undoes its statements",
  {
    "0001_a": upCode(
      "await sql`create table a ()`.execute(db);\n(undefined as any).foo();",
    ),
  },
  async (s) => {
    assertEquals(await s.run("up"), {
      code: 1,
      stdout: "",
      stderr: `\
${CONNECTED}Applying 0001_a (1 of 1)
error: Cannot apply "0001_a": TypeError: Cannot read properties of undefined (reading 'foo')
  at migrations/0001_a.ts:5:20
Failed in T: nothing was changed, 1 not run
`,
    });
    assertEquals(await s.tables(), []);
    assertEquals(
      await s.db.query("select name, status, error from migration_history"),
      [{
        name: "0001_a",
        status: "failed",
        error:
          "TypeError: Cannot read properties of undefined (reading 'foo') (at migrations/0001_a.ts:5:20)",
      }],
    );
  },
);

for (const copy of ["copy a from stdin", "copy a to stdout"]) {
  scenario(
    `${copy} fails with the reason and undoes the migration`,
    {
      "0001_a": upCode(
        `await sql\`create table a ()\`.execute(db);\nawait sql\`${copy}\`.execute(db);`,
      ),
    },
    async (s) => {
      assertEquals(
        (await s.run("up")).stderr,
        `\
${CONNECTED}Applying 0001_a (1 of 1)
error: Cannot apply "0001_a": COPY from stdin and to stdout need a client that handles the data, which this is not: \
insert the rows instead
Failed in T: nothing was changed, 1 not run
`,
      );
      assertEquals(await s.tables(), []);
    },
  );
}

scenario(
  "an error with a cause is told with its cause, also in the history",
  {
    "0001_a": upCode(
      'throw new Error("No rules", { cause: new RangeError("7 is too many") });',
    ),
  },
  async (s) => {
    assertEquals(
      (await s.run("up")).stderr,
      `\
${CONNECTED}Applying 0001_a (1 of 1)
error: Cannot apply "0001_a": No rules: RangeError: 7 is too many
  at migrations/0001_a.ts:4:7
Failed in T: nothing was changed, 1 not run
`,
    );
    assertEquals(await s.db.query("select error from migration_history"), [
      {
        error:
          "No rules: RangeError: 7 is too many (at migrations/0001_a.ts:4:7)",
      },
    ]);
  },
);

scenario(
  "a migration that throws something else than an error fails all the same",
  { "0001_a": upCode('throw "no";'), "0002_b": upCode("throw undefined;") },
  async (s) => {
    assertEquals(
      (await s.run("up")).stderr,
      `\
${CONNECTED}Applying 0001_a (1 of 2)
error: Cannot apply "0001_a": no
Failed in T: nothing was changed, 2 not run
`,
    );
    await s.release({ "0002_b": upCode("throw undefined;") });
    assertEquals(
      (await s.run("up")).stderr,
      `\
${CONNECTED}Applying 0002_b (1 of 1)
error: Cannot apply "0002_b": undefined
Failed in T: nothing was changed, 1 not run
`,
    );
    assertEquals(await s.history(), ["0001_a failed", "0002_b failed"]);
  },
);

scenario(
  "a migration that catches the error of a statement fails, for its transaction is lost",
  {
    "0001_a": table("a"),
    "0002_b": upCode(
      "try { await sql`insert into nowhere values (1)`.execute(db); } catch { /* never mind */ }",
    ),
  },
  async (s) => {
    assertEquals(await s.run("up"), {
      code: 1,
      stdout: "",
      stderr: `\
${CONNECTED}Applying 0001_a (1 of 2)
Applying 0002_b (2 of 2)
error: Cannot apply "0002_b": its up function caught an error that had already aborted the transaction: relation "nowhere" does not exist (SQLSTATE 42P01)
  statement: insert into nowhere values (1)
             ${"            "}^
Failed in T: nothing was changed, 2 not run
`,
    });
    assertEquals(await s.tables(), []);
    assertEquals(await s.history(), ["0002_b failed"]);
  },
);

scenario(
  "a migration may catch an error that it has put behind a savepoint",
  {
    "0001_a": upCode(`\
  await sql\`create table a ()\`.execute(db);
  await sql\`savepoint s\`.execute(db);
  try {
    await sql\`select 1 / 0\`.execute(db);
  } catch {
    await sql\`rollback to savepoint s\`.execute(db);
  }
  await sql\`create table b ()\`.execute(db);`),
  },
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    assertEquals(await s.tables(), ["a", "b"]);
  },
);

const DEFERRED = [
  "create table parent (id int primary key)",
  "create table child (id int references parent deferrable initially deferred)",
];

scenario(
  "a constraint that fails at the commit fails the migration",
  {
    "0001_a": migration({ up: [...DEFERRED, "insert into child values (1)"] }),
  },
  async (s) => {
    assertEquals(await s.run("up"), {
      code: 1,
      stdout: "",
      stderr: `\
${CONNECTED}Applying 0001_a (1 of 1)
error: Cannot apply "0001_a": insert or update on table "child" violates foreign key constraint "child_id_fkey" (SQLSTATE 23503)
  detail: Key (id)=(1) is not present in table "parent".
Failed in T: nothing was changed, 1 not run
`,
    });
    assertEquals(await s.tables(), []);
    assertEquals(await s.history(), ["0001_a failed"]);
  },
);

scenario(
  "a constraint that would fail at the commit of several migrations names the one that broke it",
  {
    "0001_a": migration({ up: DEFERRED }),
    "0002_b": migration({ up: "insert into child values (1)" }),
  },
  async (s) => {
    assertEquals(await s.run("up"), {
      code: 1,
      stdout: "",
      stderr: `\
${CONNECTED}Applying 0001_a (1 of 2)
Applying 0002_b (2 of 2)
error: Cannot apply "0002_b": insert or update on table "child" violates foreign key constraint "child_id_fkey" (SQLSTATE 23503)
  detail: Key (id)=(1) is not present in table "parent".
Failed in T: nothing was changed, 2 not run
`,
    });
    assertEquals(await s.tables(), []);
    assertEquals(await s.history(), ["0002_b failed"]);
  },
);

scenario(
  "an error shows the line, also after letters that count for two and beyond many columns",
  {
    "0001_a": upCode(
      'await sql.raw(`select \'🚀🚀\',\\n  ${"1 + ".repeat(40)}nothing + ${"1 + ".repeat(40)}2`).execute(db);',
    ),
  },
  async (s) => {
    assertEquals(
      (await s.run("up")).stderr,
      `\
${CONNECTED}Applying 0001_a (1 of 1)
error: Cannot apply "0001_a": column "nothing" does not exist (SQLSTATE 42703)
  statement: …${" + 1".repeat(14)} + nothing${" + 1".repeat(13)}${" "}
             ${" ".repeat(60)}^
Failed in T: nothing was changed, 1 not run
`,
    );
  },
);

scenario(
  "what a server says is shown without control characters, with all it says",
  {
    "0001_a": migration({
      up:
        `do $$ begin raise exception e'no\\x1b[31m red\\nsecond line' using detail = e'one\\ntwo', hint = 'try again', errcode = 'ZZ001'; end $$`,
    }),
  },
  async (s) => {
    assertEquals(
      (await s.run("up")).stderr,
      `\
${CONNECTED}Applying 0001_a (1 of 1)
error: Cannot apply "0001_a": no\\u001b[31m red (SQLSTATE ZZ001)
  second line
  detail: one
    two
  statement: do $$ begin raise exception e'no\\x1b[31m red\\nsecond line' using detail = e'one\\ntwo', hint = 'try again', errcode = 'ZZ001'; end $$
  where: PL/pgSQL function inline_code_block line 1 at RAISE
  hint: try again
Failed in T: nothing was changed, 1 not run
`,
    );
  },
);

scenario(
  "a broken program is refused before it connects, with every fault",
  {
    "0001_a": "export const down = 1;\n",
    "0002_b": `export const options = { transactional: false };\n${table("b")}`,
  },
  async (s) => {
    const faults = [
      'Cannot use the migration "0001_a": it exports no up function; if it is no migration, move it into a folder in migrations/, such as migrations/lib/',
      'Cannot use the migration "0001_a": its down is not a function',
      'Cannot use the migration "0002_b": its options have an unknown key "transactional" (known: transaction, idempotent, phase, accept)',
    ];
    for (const command of ["up", "status"]) {
      assertEquals(await s.run(command), {
        code: 1,
        stdout: "",
        stderr: faults.map((fault) => `error: ${fault}\n`).join(""),
      });
    }
    const { code, stdout, stderr } = await s.run("version");
    assertEquals([code, stdout.split("\n").at(-2), stderr], [
      0,
      "migrations cannot be loaded",
      faults.map((fault) => `warning: ${fault}\n`).join(""),
    ]);
  },
);

scenario(
  "an error that a migration does not wait for stops the run, which is rolled back",
  {
    "0001_a": table("a"),
    "0002_b": upCode(`\
  setTimeout(() => { throw new TypeError("stray"); }, 700);
  await sql\`select pg_sleep(600)\`.execute(db);`),
  },
  async (s) => {
    assertEquals(await s.run("up"), {
      code: 1,
      stdout: "",
      stderr: `\
${CONNECTED}Applying 0001_a (1 of 2)
Applying 0002_b (2 of 2)
error: Cannot apply "0002_b": something failed that nothing waited for: TypeError: stray
  at migrations/0002_b.ts:4:28
Failed in T: nothing was changed, 2 not run
`,
    });
    assertEquals(await s.tables(), []);
    assertEquals(await s.history(), ["0002_b failed"]);
  },
);

scenario(
  "a promise that is rejected and that nothing waits for is never a success",
  {
    "0001_a": `export const options = { transaction: false };\n${
      upCode('Promise.reject(new Error("stray"));')
    }`,
    "0002_b": table("b"),
  },
  async (s) => {
    const { code, stderr } = await s.run("up");
    assertEquals(code, 1, stderr);
    assertStringIncludes(
      stderr,
      "something failed that nothing waited for: stray\n",
    );
    assert(!stderr.includes("Applying 0002_b"), stderr);
  },
);

scenario(
  "a connection that ends while a migration waits for something else fails the run",
  { "0001_a": upCode("await new Promise(() => {});") },
  async (s) => {
    await using running = s.start("up");
    await running.waitFor("Applying 0001_a");
    await waitFor("the migration's backend", async () => {
      const ended = await s.db.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and application_name like 'battlescope-migrate%' and state = 'idle in transaction'`,
      );
      return ended.length > 0;
    });
    const { code, stdout, stderr } = await running.result;
    assertEquals([code, stdout], [1, ""]);
    assertStringIncludes(stderr, 'error: Cannot apply "0001_a": ');
    assertStringIncludes(
      stderr,
      "Failed in T: nothing was changed, 1 not run\n",
    );
    assertEquals(await s.history(), ["0001_a failed"]);
  },
);
