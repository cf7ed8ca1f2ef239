/** A step is sealed before the next one begins: it leaves the transaction, the session and its settings as they were given. */
import { assertEquals } from "@std/assert";
import { migration, table, upCode } from "../support/program/migrations.ts";
import {
  CONNECTED,
  type Scenario,
  scenario,
} from "../support/program/scenario.ts";

const MODES = [
  "",
  " --transaction each",
  " --no-pipeline",
  " --transaction each --no-pipeline",
];

const OUTSIDE = "{ transaction: false }";

/** Ways to change how the next migration runs. `ROLE` is another role. */
const LEAKS: Readonly<Record<string, readonly string[]>> = {
  "set after a comment": ["-- why\nset search_path to elsewhere"],
  "set in the middle of a text": [
    "select 1; /* ; */ set search_path = elsewhere; select 2",
  ],
  "set local": ["set local search_path = elsewhere"],
  "set_config() in a select": [
    "select set_config('search_path', 'elsewhere', false)",
  ],
  "a do block": ["do $$ begin set search_path = elsewhere; end $$"],
  "a do block with execute": [
    "do $$ begin execute 'set ' || 'search_path = elsewhere'; end $$",
  ],
  "a function": [
    "create function leak() returns void language sql as $$ select set_config('search_path', 'elsewhere', false) $$",
    "select leak()",
  ],
  "set role": ["/* another */ set role ROLE"],
  "set local role": ["set local role ROLE"],
  "a role through set_config()": ["select set_config('role', 'ROLE', false)"],
  "set session authorization": ["set session authorization ROLE"],
  "set session authorization after a comment": [
    "/**/set/**/session/**/authorization/**/ROLE",
  ],
  "standard_conforming_strings": ["set standard_conforming_strings = off"],
  "settings of sessions and of later transactions": [
    "set row_security = off; set default_transaction_read_only = on; set session_replication_role = replica",
  ],
  "deferred constraints": ["set constraints all deferred"],
};

/** What the next migration, and whoever reads the history, finds. */
const AFTER =
  `select current_user::text as who, session_user::text as session, current_schema()::text as path,
  current_setting('standard_conforming_strings') as strings, current_setting('lock_timeout') as lock,
  current_setting('session_replication_role') as triggers, current_setting('default_transaction_read_only') as read`;

for (const [what, statements] of Object.entries(LEAKS)) {
  for (const options of [undefined, OUTSIDE]) {
    scenario(
      `what ${what} changes${
        options ? ", outside a transaction," : ""
      } does not reach the next migration`,
      {},
      async (s) => {
        const role = await s.db.createRole();
        await s.db.query(
          `create schema elsewhere; grant all on schema elsewhere, public to ${role.name}`,
        );
        const usable = options === undefined
          ? statements
          : statements.filter((one) =>
            !/^set local|^set constraints/.test(one)
          );
        await s.release({
          "0001_before": migration({ up: "create table found as " + AFTER }),
          "0002_leak": migration({
            up: usable.map((one) => one.replaceAll("ROLE", role.name)),
            ...(options && { options }),
          }),
          "0003_after": migration({
            up: [`insert into found ${AFTER}`, "create table made ()"],
            down: "select 1",
          }),
        });
        for (const mode of MODES) {
          const { code, stderr } = await s.run(`up${mode}`);
          assertEquals(code, 0, stderr);
          assertEquals(
            await s.db.query(
              "select distinct on (found.*) 1 as one from found",
            ),
            [{ one: 1 }],
            JSON.stringify(await s.db.query("select * from found")),
          );
          assertEquals(await s.tables(), ["found", "made"]);
          assertEquals(await s.history(), [
            "0001_before applied",
            "0002_leak applied",
            "0003_after applied",
          ]);
          await s.db.query(
            "drop table found, made, migration_history; drop function if exists leak",
          );
        }
      },
    );
  }
}

/** The same words in every mode. */
async function failsAlike(
  s: Scenario,
  modes: readonly string[],
  stderr: string,
  history: readonly string[],
): Promise<void> {
  for (const mode of modes) {
    const result = await s.run(`up${mode}`);
    assertEquals([result.code, result.stderr], [1, stderr], mode);
    assertEquals(await s.history(), history, mode);
    await s.db.query("drop table if exists a, b, c, d, migration_history");
  }
}

scenario(
  "a deferred constraint fails the migration that broke it, and its row tells",
  {
    "0001_a": migration({
      up:
        "create table a (id integer primary key); create table b (id integer references a deferrable initially deferred)",
    }),
    "0002_b": migration({ up: "insert into b values (1)" }),
    "0003_c": table("c"),
  },
  async (s) => {
    await failsAlike(
      s,
      ["", " --no-pipeline"],
      `\
${CONNECTED}Applying 0001_a (1 of 3)
Applying 0002_b (2 of 3)
error: Cannot apply "0002_b": insert or update on table "b" violates foreign key constraint "b_id_fkey" (SQLSTATE 23503)
  detail: Key (id)=(1) is not present in table "a".
Failed in T: nothing was changed, 3 not run
`,
      ["0002_b failed"],
    );
  },
);

scenario(
  "a deferrable constraint is as deferred for the next migration as it was for the first",
  {
    "0001_a": migration({
      up:
        "create table a (id integer primary key); create table b (id integer references a deferrable initially deferred)",
    }),
    "0002_b": migration({
      up: ["insert into b values (1)", "insert into a values (1)"],
    }),
    "0003_c": migration({
      up: ["insert into b values (2)", "insert into a values (2)"],
    }),
  },
  async (s) => {
    for (const mode of MODES) {
      const { code, stderr } = await s.run(`up${mode}`);
      assertEquals(code, 0, stderr);
      await s.db.query("drop table a, b, migration_history");
    }
  },
);

scenario(
  "a transaction that a migration has made read only is that migration's fault",
  {
    "0001_a": table("a"),
    "0002_b": migration({ up: "set transaction read only" }),
    "0003_c": table("c"),
  },
  async (s) => {
    await failsAlike(
      s,
      ["", " --no-pipeline"],
      `\
${CONNECTED}Applying 0001_a (1 of 3)
Applying 0002_b (2 of 3)
error: Cannot apply "0002_b": its up function has made the transaction read only
Failed in T: nothing was changed, 3 not run
`,
      ["0002_b failed"],
    );
  },
);

scenario(
  "a savepoint is gone with the migration that has set it",
  {
    "0001_a": migration({
      up: ["savepoint mine", "create table a (id integer)"],
    }),
    "0002_b": migration({ up: "rollback to savepoint mine" }),
  },
  async (s) => {
    await failsAlike(
      s,
      ["", " --no-pipeline"],
      `\
${CONNECTED}Applying 0001_a (1 of 2)
Applying 0002_b (2 of 2)
error: Cannot apply "0002_b": savepoint "mine" does not exist (SQLSTATE 3B001)
  statement: rollback to savepoint mine
Failed in T: nothing was changed, 2 not run
`,
      ["0002_b failed"],
    );
  },
);

for (
  const [what, text] of [
    ["discard all", "discard all"],
    ["an unlock of everything", "select pg_advisory_unlock_all()"],
  ] as const
) {
  scenario(
    `${what} outside a transaction fails the migration: the lock is gone`,
    {
      "0001_a": migration({ up: text, options: OUTSIDE }),
      "0002_b": table("b"),
    },
    async (s) => {
      await failsAlike(
        s,
        ["", " --no-pipeline"],
        `\
${CONNECTED}Applying 0001_a (1 of 2)
error: Cannot apply "0001_a": its up function has released the migration lock: another migrator may have been at work meanwhile
Failed in T: 1 migration left half-way, 1 not run
`,
        ["0001_a failed"],
      );
    },
  );
}

/** Spellings of a commit, and of savepoints, that a text can hide. */
const HIDDEN_COMMITS = [
  "/* a */ commit; begin",
  "select 'it''s'; commit; begin",
  "select E'\\\\'; commit; begin --'",
  "select $a$ ; $a$; end; begin",
  "select 1; commit and chain",
  "rollback; begin",
  "abort; start transaction",
  "commit work;begin",
  "end transaction",
  "prepare transaction 'x'",
  "select '\\'; commit; begin --'",
];

for (const text of HIDDEN_COMMITS) {
  scenario(
    `${text} does not end the transaction of the run`,
    { "0001_a": table("a"), "0002_b": migration({ up: text }) },
    async (s) => {
      await failsAlike(
        s,
        ["", " --no-pipeline"],
        `\
${CONNECTED}Applying 0001_a (1 of 2)
Applying 0002_b (2 of 2)
error: Cannot apply "0002_b": leave out BEGIN and COMMIT: the program sends both, and a migration may not end the transaction that it runs in; to run outside of a transaction: export const options = { transaction: false }
Failed in T: nothing was changed, 2 not run
`,
        ["0002_b failed"],
      );
      assertEquals(await s.tables(), []);
    },
  );
}

scenario(
  "a commit that only non-conforming strings hide is seen as the server reads it",
  {
    "0001_a": table("a"),
    "0002_b": migration({
      up: [
        "set standard_conforming_strings = off",
        "select '\\'; commit; begin --'",
        "create table b ()",
      ],
    }),
  },
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    assertEquals(await s.tables(), ["a", "b"]);
  },
);

for (
  const [way, back] of [
    ["savepoint s", "rollback to s"],
    ["-- may be missing\nsavepoint s", "rollback work to savepoint s"],
    ["select 1; savepoint s", "/**/ rollback transaction to savepoint s"],
    ['savepoint "S s"', 'rollback to "S s"'],
  ] as const
) {
  scenario(
    `an error under ${way} is caught by ${back}`,
    {
      "0001_a": upCode(
        `await sql.raw(${JSON.stringify(way)}).execute(db);
        try { await sql\`create extension no_such_extension\`.execute(db); }
        catch { await sql.raw(${JSON.stringify(back)}).execute(db); }
        await sql\`create table a ()\`.execute(db);`,
      ),
      "0002_b": table("b"),
    },
    async (s) => {
      for (const mode of MODES) {
        const { code, stderr } = await s.run(`up${mode}`);
        assertEquals(code, 0, stderr);
        assertEquals(await s.tables(), ["a", "b"]);
        await s.db.query("drop table a, b, migration_history");
      }
    },
  );
}

for (const end of ["commit", "commit work", "end", "-- now\nend transaction"]) {
  scenario(
    `a transaction of its own that ends with ${end} and was rolled back is not told as applied`,
    {
      "0001_a": upCode(
        `await sql\`create table a (id int primary key)\`.execute(db);
        await sql\`begin\`.execute(db);
        await sql\`insert into a values (1)\`.execute(db);
        await sql\`insert into a values (1)\`.execute(db).catch(() => {});
        await sql.raw(${JSON.stringify(end)}).execute(db).catch(() => {});`,
      )
        .replace("\n\n", `\n\nexport const options = ${OUTSIDE};\n\n`),
    },
    async (s) => {
      const { code, stderr } = await s.run("up");
      assertEquals([code, stderr.split("\n").at(-5)], [
        1,
        'error: Cannot apply "0001_a": duplicate key value violates unique constraint "a_pkey" (SQLSTATE 23505)',
      ], stderr);
      assertEquals(await s.history(), ["0001_a failed"]);
    },
  );
}
