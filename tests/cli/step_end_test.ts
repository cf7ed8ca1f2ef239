/** A step ends when everything that it has started has ended: in every mode the same, and with the same words. */
import { assertEquals } from "@std/assert";
import {
  downCode,
  migration,
  table,
  upCode,
} from "../support/program/migrations.ts";
import {
  CONNECTED,
  scenario,
  withoutProgress,
} from "../support/program/scenario.ts";

const MODES = [
  "",
  " --transaction each",
  " --no-pipeline",
  " --transaction each --no-pipeline",
];

const OUTSIDE = "export const options = { transaction: false };\n";

/** Bodies of `up` that leave statements to themselves, and how many rows of `a` they must leave behind. */
const FORGOTTEN: Readonly<Record<string, readonly [string, number]>> = {
  "forEach with an async function": [
    "[1, 2, 3].forEach(async (n) => { await sql`insert into a values (${n})`.execute(db); });",
    3,
  ],
  "forEach whose functions go on": [
    `[1, 2, 3].forEach(async (n) => {
      await sql\`insert into a values (\${n})\`.execute(db);
      await null; await null; await null;
      await sql\`insert into a values (\${n})\`.execute(db);
      await sql\`create table \${sql.raw("later_" + n)} ()\`.execute(db);
      await sql\`insert into a values (\${n})\`.execute(db);
    });`,
    9,
  ],
  "a forgotten await": [
    "sql`insert into a values (1)`.execute(db); db.insertInto('a' as never).values({ n: 2 } as never).execute();",
    2,
  ],
  "a function that is not awaited": [
    `const seed = async () => { for (let n = 0; n < 20; n++) await sql\`insert into a values (\${n})\`.execute(db); };
    seed();`,
    20,
  ],
  "Promise.all that is not awaited": [
    "Promise.all([1, 2, 3, 4].map((n) => sql`insert into a values (${n})`.execute(db)));",
    4,
  ],
  "promises in a map without a return": [
    "await Promise.all([1, 2, 3].map((n) => { sql`insert into a values (${n})`.execute(db); }));",
    3,
  ],
  "statements after the turns of the event loop": [
    `(async () => {
      for (let n = 0; n < 3; n++) {
        await new Promise((resolve) => setImmediate(resolve));
        await sql\`insert into a values (\${n})\`.execute(db);
      }
    })();
    await sql\`insert into a values (9)\`.execute(db);`,
    4,
  ],
};

for (const [what, [body, rows]] of Object.entries(FORGOTTEN)) {
  for (const outside of [false, true]) {
    const source = (outside ? OUTSIDE : "") + upCode(body);
    scenario(
      `${what} is waited for${outside ? ", outside a transaction" : ""}`,
      {
        "0001_a": migration({ up: "create table a (n integer)" }),
        "0002_forgot": source,
        "0003_after": upCode(
          "const { rows } = await sql<{ n: number }>`select count(*)::int n from a`.execute(db); if (rows[0]!.n !== " +
            rows + ") throw new Error(`${rows[0]!.n} rows`);",
        ),
      },
      async (s) => {
        for (const mode of MODES) {
          const { code, stderr } = await s.run(`up${mode}`);
          assertEquals([code, await s.history()], [0, [
            "0001_a applied",
            "0002_forgot applied",
            "0003_after applied",
          ]], stderr);
          await s.db.query(
            "drop table a, migration_history; drop table if exists later_1, later_2, later_3",
          );
        }
      },
    );
  }
}

scenario(
  "a down that leaves its statements to themselves is waited for",
  {
    "0001_a": `${table("a")}`,
    "0002_b": upCode(
      "await sql`create table b (); create table c (); create table d ()`.execute(db);",
    ) + downCode(
      "['b', 'c', 'd'].forEach(async (name) => { await db.schema.dropTable(name).execute(); });",
    ),
  },
  async (s) => {
    for (const mode of MODES) {
      await s.run(`up${mode}`);
      const { code, stdout } = await s.run(`down --yes${mode}`);
      assertEquals(
        [code, stdout],
        [
          0,
          "Would roll back 0002_b\nRolled back 0002_b (T)\nRolled back 1 migration in T\n",
        ].slice(0, 1).concat(stdout),
      );
      assertEquals(await s.tables(), ["a"]);
      await s.db.query("drop table a, migration_history");
    }
  },
);

/** What is left to itself and fails, and what is said of it. */
const FAILS: Readonly<Record<string, readonly [string, string]>> = {
  "a statement that nobody waits for": [
    "sql`insert into a values (${1}), (${1})`.execute(db); await sql`select 1`.execute(db);",
    `duplicate key value violates unique constraint "a_pkey" (SQLSTATE 23505)
  detail: Key (id)=(1) already exists.
  statement: insert into a values ($1), ($2)`,
  ],
  "the last statement, which nobody waits for": [
    "sql`insert into a values (1), (1)`.execute(db);",
    `duplicate key value violates unique constraint "a_pkey" (SQLSTATE 23505)
  detail: Key (id)=(1) already exists.
  statement: insert into a values (1), (1)`,
  ],
  "a definition that nobody waits for": [
    "sql`create table a ()`.execute(db);",
    `relation "a" already exists (SQLSTATE 42P07)
  statement: create table a ()`,
  ],
  "a promise that nobody waits for": [
    "Promise.reject(new Error('left alone')); await sql`select 1`.execute(db);",
    "something failed that nothing waited for: left alone",
  ],
  "an async function that nobody waits for": [
    "(async () => { await sql`insert into a values (5)`.execute(db); (null as any).x(); })();",
    "something failed that nothing waited for: TypeError: Cannot read properties of null (reading 'x')",
  ],
  "a refused statement that nobody waits for": [
    "[1].forEach(async () => { await sql`copy a from stdin`.execute(db); });",
    "COPY from stdin and to stdout need a client that handles the data, which this is not: insert the rows instead",
  ],
  "a timer": [
    "setTimeout(() => { sql`insert into a values (7)`.execute(db); }, 10_000);",
    "its up function has left a timer (setTimeout, 10000 ms) running, whose work would be lost: await it, or clear it",
  ],
  "an interval": [
    "await sql`select 1`.execute(db); setInterval(() => {}, 1000);",
    "its up function has left a timer (setInterval, 1000 ms) running, whose work would be lost: await it, or clear it",
  ],
};

for (const [what, [body, message]] of Object.entries(FAILS)) {
  for (const outside of [false, true]) {
    scenario(
      `${what} fails its migration by name${
        outside ? ", outside a transaction" : ""
      }`,
      {
        "0001_a": table("a"),
        "0002_left": (outside ? OUTSIDE : "") + upCode(body),
        "0003_c": table("c"),
      },
      async (s) => {
        for (const mode of MODES) {
          const { code, stderr } = withoutProgress(await s.run(`up${mode}`));
          const kept = mode.includes("each") || outside;
          // Where it was thrown is said where that is known: an error of JavaScript, not of a statement.
          const said = stderr.replace(
            /^ {2}at migrations\/0002_left\.ts:.*\n/m,
            "",
          );
          assertEquals([code, said], [
            1,
            `\
${CONNECTED}error: Cannot apply "0002_left": ${message}
Failed in T: ${kept ? "1 migration applied" : "nothing was changed"}${
              outside
                ? ", 1 migration left half-way, 1 not run"
                : kept
                ? ", 2 not run"
                : ", 3 not run"
            }
`,
          ], mode);
          assertEquals(await s.history(), [
            ...(kept ? ["0001_a applied"] : []),
            "0002_left failed",
          ], mode);
          assertEquals(await s.tables(), kept ? ["a"] : [], mode);
          await s.db.query("drop table if exists a, migration_history");
        }
      },
    );
  }
}

scenario(
  "a timer that was cleared, or keeps nothing alive, is none of the run's business",
  {
    "0001_a": upCode(`
      const one = setTimeout(() => {}, 60_000);
      const two = setInterval(() => {}, 60_000);
      Deno.unrefTimer(setTimeout(() => {}, 60_000) as unknown as number);
      await new Promise((resolve) => setTimeout(resolve, 5));
      await sql\`create table a ()\`.execute(db);
      clearTimeout(one);
      clearInterval(two);`),
  },
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
  },
);

scenario(
  "a statement through the database of a migration that has ended fails that migration",
  {
    "0001_a": upCode(
      "(globalThis as any).old = db; await sql`create table a ()`.execute(db);",
    ),
    "0002_b": upCode(
      "await sql`create table b ()`.execute(db); await sql`create table c ()`.execute((globalThis as any).old).catch(() => {});",
    ),
  },
  async (s) => {
    for (const mode of ["", " --no-pipeline"]) {
      const { code, stderr } = await s.run(`up${mode}`);
      assertEquals([code, stderr.split("\n").at(-3)], [
        1,
        `error: Cannot apply "0001_a": its up function has ended, and a statement that it left to itself came too late`,
      ], stderr);
      assertEquals(await s.tables(), []);
      assertEquals(await s.history(), ["0001_a failed"]);
      await s.db.query("drop table migration_history");
    }
  },
);

scenario(
  "a transaction that Kysely was told to begin, and nobody ends, fails its migration",
  {
    "0001_a": OUTSIDE + upCode(
      "const open = await db.startTransaction().execute(); await sql`create table a ()`.execute(open);",
    ),
  },
  async (s) => {
    const { code, stderr } = await s.run("up");
    assertEquals([code, stderr.split("\n").at(-3)], [
      1,
      'error: Cannot apply "0001_a": its up function has ended, and something that it began holds its connection: end the transaction',
    ], stderr);
    assertEquals(await s.tables(), []);
    assertEquals(await s.history(), ["0001_a failed"]);
  },
);

scenario(
  "a transaction that nobody waits for is waited for, outside a transaction",
  {
    "0001_a": OUTSIDE + upCode(
      `db.transaction().execute(async (own) => {
        await sql\`create table a (n integer)\`.execute(own);
        await new Promise((resolve) => setTimeout(resolve, 300));
        await sql\`insert into a values (1)\`.execute(own);
      });`,
    ),
  },
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    assertEquals(await s.db.query("select n from a"), [{ n: 1 }]);
  },
);
