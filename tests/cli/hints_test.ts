/** What is said beside an error of the server: what helps here, and nothing else. */
import { assertEquals } from "@std/assert";
import { openSession } from "../support/program/application.ts";
import { waitForStatement } from "../support/program/gate.ts";
import { migration, table, upCode } from "../support/program/migrations.ts";
import {
  type RunOptions,
  type Scenario,
  scenario,
} from "../support/program/scenario.ts";

const OUTSIDE = "export const options = { transaction: false }";

/** The hint of the error that a run ends with; none if it has none. */
async function hintOf(
  s: Scenario,
  command: string,
  options?: RunOptions,
): Promise<string | undefined> {
  const { code, stderr } = await s.run(command, options);
  assertEquals(code, 1, stderr);
  return /^ {2}hint: (.*)$/m.exec(stderr)?.[1];
}

function outside(body: string): string {
  return `${OUTSIDE};\n${upCode(body)}`;
}

/** A migration that fails → its hint in one transaction with an earlier one, and in one of its own. */
interface Case {
  readonly before: string;
  readonly failing: string;
  readonly all?: string;
  readonly each?: string;
  /** Whether `--transaction each` lets it pass. */
  readonly passes?: boolean;
}

const CASES: Readonly<Record<string, Case>> = {
  "a statement that cannot run in a transaction": {
    before: table("a"),
    failing: migration({ up: "create index concurrently i on a (id)" }),
    all: `To run it outside a transaction: ${OUTSIDE}`,
    each: `To run it outside a transaction: ${OUTSIDE}`,
  },
  "such a statement in a do block": {
    before: table("a"),
    failing: migration({ up: "do $$ begin execute 'vacuum a'; end $$" }),
    all:
      `Send it as a statement of its own, and outside a transaction: ${OUTSIDE}`,
    each:
      `Send it as a statement of its own, and outside a transaction: ${OUTSIDE}`,
  },
  "a commit in a do block": {
    before: table("a"),
    failing: migration({ up: "do $$ begin commit; end $$" }),
    all:
      `It ends transactions itself, which it can only outside of one: ${OUTSIDE}`,
    each:
      `It ends transactions itself, which it can only outside of one: ${OUTSIDE}`,
  },
  "a temporary table of an earlier migration": {
    before: migration({
      up: "create temp table staging (id int) on commit drop",
    }),
    failing: migration({
      up: "/* again */ create temporary table staging (id int) on commit drop",
    }),
    all:
      "A temporary table outlives the migration that makes it: drop it there, or run with --transaction each",
    passes: true,
  },
  "a temporary table that stays": {
    before: migration({ up: "create temp table staging (id int)" }),
    failing: migration({ up: "create temp table staging (id int)" }),
    all:
      "A temporary table outlives the migration that makes it: drop it there",
    each:
      "A temporary table outlives the migration that makes it: drop it there",
  },
  "a table that is there": {
    before: table("a"),
    failing: migration({ up: "create table a (id int)" }),
  },
  "a table with deferred triggers to come": {
    before: migration({
      up: [
        "create table fleets (id int primary key)",
        "create table ships (id int primary key, fleet int references fleets deferrable initially deferred)",
        "insert into fleets values (1); insert into ships values (1, 1)",
      ],
    }),
    failing: migration({ up: "alter table ships add hull text" }),
    all:
      "What waits for the commit may be an earlier migration's: run with --transaction each, or run set constraints all immediate before it",
    passes: true,
  },
};

for (
  const [what, { before, failing, all, each, passes }] of Object.entries(CASES)
) {
  scenario(
    `the hint at ${what}`,
    { "0001_before": before, "0002_failing": failing },
    async (s) => {
      for (const options of ["", " --no-pipeline"]) {
        assertEquals(await hintOf(s, `up${options}`), all);
        assertEquals(await s.tables(), []);
        await s.db.query("drop table migration_history");
      }
      if (passes) {
        assertEquals((await s.run("up --transaction each")).code, 0);
      } else assertEquals(await hintOf(s, "up --transaction each"), each);
    },
  );
}

scenario(
  "the hint at deferred triggers of the migration itself",
  {
    "0001_a": migration({
      up: [
        "create table fleets (id int primary key)",
        "create table ships (id int primary key, fleet int references fleets deferrable initially deferred)",
        "insert into fleets values (1)",
        "insert into ships values (1, 1)",
        "alter table ships add hull text",
      ],
    }),
  },
  async (s) => {
    assertEquals(
      await hintOf(s, "up"),
      "What waits for the commit has to be done first: run set constraints all immediate before it",
    );
  },
);

scenario(
  "the hint at a new value of an enum goes with that of the server",
  { "0001_mood": migration({ up: "create type mood as enum ('ok')" }) },
  async (s) => {
    const server =
      "New enum values must be committed before they can be used. ";
    assertEquals((await s.run("up")).code, 0);
    await s.release({
      "0001_mood": migration({ up: "create type mood as enum ('ok')" }),
      "0002_value": migration({ up: "alter type mood add value 'fine'" }),
      "0003_use": migration({ up: "create table a as select 'fine'::mood" }),
    });
    assertEquals(
      await hintOf(s, "up"),
      `${server}Run with --transaction each; a migration that adds a value and uses it has to become two.`,
    );
    assertEquals((await s.run("up --transaction each")).code, 0);
    await s.release({
      "0001_mood": migration({ up: "create type mood as enum ('ok')" }),
      "0002_value": migration({ up: "alter type mood add value 'fine'" }),
      "0003_use": migration({ up: "create table a as select 'fine'::mood" }),
      "0004_both": migration({
        up: ["alter type mood add value 'bad'", "select 'bad'::mood"],
      }),
    });
    assertEquals(
      await hintOf(s, "up"),
      `${server}Add it in a migration of its own, with ${OUTSIDE}.`,
    );
  },
);

const ALONE: Readonly<Record<string, readonly [string, string]>> = {
  "several statements in one text": [
    "await sql`select 1; create index concurrently i on a (id)`.execute(db);",
    "Several statements in one text are one transaction for PostgreSQL: send each by itself",
  ],
  "a transaction of its own": [
    "await db.transaction().execute((db) => sql`create index concurrently i on a (id)`.execute(db));",
    "It runs in a transaction that the migration has begun: run it before or after that",
  ],
  "a do block": [
    "await sql`do $$ begin execute 'vacuum a'; end $$`.execute(db);",
    "Send it as a statement of its own, not from a function or a do block",
  ],
  "a commit in a transaction of its own": [
    "await db.transaction().execute((db) => sql`do $$ begin commit; end $$`.execute(db));",
    "It runs in a transaction that the migration has begun: run it before or after that",
  ],
};

for (const [what, [body, hint]] of Object.entries(ALONE)) {
  scenario(
    `outside a transaction the hint does not say to go there: ${what}`,
    { "0001_a": table("a"), "0002_b": outside(body) },
    async (s) => {
      assertEquals(await hintOf(s, "up"), hint);
    },
  );
}

scenario(
  "what is denied is named, not what is at hand",
  { "0001_a": table("a") },
  async (s) => {
    await s.db.query(
      `create schema reporting; create schema "odd ""name"; create table kept (id int)`,
    );
    const role = await s.db.createRole((name) => [
      `grant usage, create on schema public to ${name}`,
    ]);
    const denied: Readonly<Record<string, string | undefined>> = {
      "create table reporting.daily (id int)":
        'As the owner of the schema: grant usage, create on schema "reporting" to "ROLE"',
      'create table "odd ""name".daily (id int)':
        'As the owner of the schema: grant usage, create on schema "odd ""name" to "ROLE"',
      "create schema other":
        'As the owner of the database: grant create on database "DB" to "ROLE"',
      "select from kept":
        'Run the migrator as the owner of the object, or grant the privilege to "ROLE"',
      "drop table kept":
        'Run the migrator as the owner of the object, or grant the owner\'s role to "ROLE"',
      "create role other": undefined,
      "create table reporting.migration_history (id int)":
        'As the owner of the schema: grant usage, create on schema "reporting" to "ROLE"',
    };
    for (const [statement, hint] of Object.entries(denied)) {
      await s.release({ "0001_a": migration({ up: statement }) });
      assertEquals(await hintOf(s, "up", { as: role }), hint, statement);
    }
  },
);

scenario(
  "a statement that was cancelled: by whom, or by which limit",
  {
    "0001_a": migration({ up: "select pg_sleep(60)" }),
  },
  async (s) => {
    assertEquals(
      await hintOf(s, "up --statement-timeout 100ms"),
      "--statement-timeout is 100 ms: raise it, or leave it out",
    );
    await s.release({
      "0001_a": migration({
        up: ["set local statement_timeout = '100ms'", "select pg_sleep(60)"],
      }),
    });
    assertEquals(
      await hintOf(s, "up"),
      "The migration, or the function that it calls, has set a statement_timeout itself",
    );
    await s.release({
      "0001_a": migration({
        up:
          "do $$ begin perform pg_cancel_backend(pg_backend_pid()); perform pg_sleep(60); end $$",
      }),
    });
    assertEquals(
      await hintOf(s, "up"),
      "Somebody else has cancelled it (pg_cancel_backend), not this program",
    );
  },
);

scenario(
  "a lock that did not come: which limits there are",
  { "0001_a": migration({ up: "alter table busy add n int" }) },
  async (s) => {
    await s.db.query("create table busy (id int)");
    await using other = await openSession(s.db.url);
    await other.run("begin; lock table busy");
    const limits = "--lock-timeout 100ms --lock-retry 0";
    assertEquals(
      await hintOf(s, `up ${limits}`),
      "--lock-timeout is 100 ms, and --lock-retry, for which it was tried again, 0 ms: end what holds the lock, or raise one of the two",
    );
    await s.release({
      "0002_b": outside("await sql`alter table busy add n int`.execute(db);"),
    });
    assertEquals(
      await hintOf(s, `up ${limits}`),
      "--lock-timeout is 100 ms, and outside a transaction nothing is tried again: end what holds the lock, or raise it",
    );
    await s.release({
      "0003_c": migration({ up: "lock table busy nowait" }),
    });
    await s.db.query("drop table migration_history");
    assertEquals(await hintOf(s, `up ${limits}`), undefined);
  },
);

scenario(
  "a transaction that the server ended because nothing came",
  {
    "0001_a": upCode(`
  await sql\`set local idle_in_transaction_session_timeout = '100ms'\`.execute(db);
  for (const end = Date.now() + 1000; Date.now() < end;);
  // What is sent on a closed connection may be answered by a reset, which takes the server's last words with it.
  await new Promise((resolve) => setTimeout(resolve, 500));
  await sql\`select 1\`.execute(db);`),
  },
  async (s) => {
    assertEquals(
      await hintOf(s, "up"),
      `It kept the program busy for too long while its transaction was open: let it await something now and then, or run it outside of one: ${OUTSIDE}`,
    );
    assertEquals(await s.history(), ["0001_a failed"]);
  },
);

scenario(
  "two transactions that change the same",
  {
    "0001_a": outside(`
  await db.transaction().setIsolationLevel("repeatable read").execute(async (one) => {
    await sql\`select * from a\`.execute(one);
    await sql\`do $$ begin perform pg_sleep(0.5); end $$\`.execute(one);
    await sql\`update a set n = n + 1\`.execute(one);
  });`),
  },
  async (s) => {
    await s.db.query("create table a (n int); insert into a values (1)");
    const hint = hintOf(s, "up");
    await waitForStatement(s.db, /pg_sleep\(0\.5\)/);
    await s.db.query("update a set n = n + 1");
    assertEquals(
      await hint,
      "A transaction of somebody else has changed what it has read; run the migrator again",
    );
  },
);

scenario(
  "BEGIN and COMMIT in a migration can go: that is said first",
  {
    "0001_a": migration({
      up: "BEGIN;\ncreate table a (id int);\nCOMMIT;",
    }),
  },
  async (s) => {
    const { code, stderr } = await s.run("up");
    assertEquals([code, /^error: .*$/m.exec(stderr)?.[0]], [
      1,
      'error: Cannot apply "0001_a": leave out BEGIN and COMMIT: the program sends both, and a migration may not end the transaction that it runs in; ' +
      `to run outside of a transaction: ${OUTSIDE}`,
    ]);
  },
);
