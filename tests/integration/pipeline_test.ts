/** Statements that are sent ahead: nobody must be able to tell. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { readCatalog } from "../support/server/catalog.ts";
import { runMigrate } from "../support/program/cli.ts";
import { migration, table, upCode } from "../support/program/migrations.ts";
import { pgTest, queryUrl } from "../support/server/postgres.ts";
import { withProject } from "../support/program/project.ts";
import { startProxy } from "../support/net/proxy.ts";
import {
  type Migrations,
  type Scenario,
  scenario,
  withoutProgress,
} from "../support/program/scenario.ts";

const without = [
  "migration_history",
  "kysely_migration",
  "kysely_migration_lock",
];

/** Definitions of every kind, and in between what must be awaited. */
const MANY: Migrations = {
  "0001_types": migration({
    up: [
      "create type color as enum ('red', 'green')",
      "create domain positive as integer check (value > 0)",
      "create table a (id integer generated always as identity primary key, c color, n positive)",
      "comment on table a is 'it''s; a table'",
    ],
  }),
  "0002_rows": upCode(
    `  const db2 = db as Kysely<any>;
  const rows = await db2.insertInto("a").values([{ c: "red", n: 1 }, { c: "green", n: 2 }]).returning("id").execute();
  await db2.insertInto("a").values({ c: "red", n: rows.length + 10 }).execute();`,
  ),
  "0003_code": migration({
    up: [
      "create function next(n integer) returns integer language plpgsql as $$ begin return n + 1; end $$",
      "create view v as select id, next(n) as m from a",
      "create table log (id integer, at timestamptz)",
      "create function note() returns trigger language plpgsql as $$ begin insert into log values (new.id); return new; end $$",
      "create trigger note after insert on a for each row execute function note()",
    ],
  }),
  "0004_more_rows": upCode(
    `  const db2 = db as Kysely<any>;
  await sql\`insert into a (c, n) select 'green', m from v where m > \${10}\`.execute(db);
  const { m } = await db2.selectFrom("v").select((e) => e.fn.max("m").as("m")).executeTakeFirstOrThrow();
  await db2.updateTable("a").set({ n: m }).where("c", "=", "green").execute();`,
  ),
  "0005_rights": migration({
    up: [
      "grant select on a to public",
      "alter table a add column later text default 'x'",
      "create index a_c_idx on a (c) where n > 1",
      "drop view v",
      "alter type color rename value 'red' to 'crimson'",
    ],
  }),
  "0006_savepoint": upCode(
    `  await sql\`create table b (id integer)\`.execute(db);
  await sql\`savepoint try\`.execute(db);
  await sql\`create table a (id integer)\`.execute(db).catch(() => sql\`rollback to try\`.execute(db));
  await sql\`insert into b values (1)\`.execute(db);`,
  ),
};

for (const transaction of ["all", "each"]) {
  scenario(
    `--no-pipeline gives the same catalog and history, with --transaction ${transaction}`,
    MANY,
    async (s) => {
      const other = await s.db.createDatabase();
      const command = `up --transaction=${transaction}`;

      const ahead = await s.run(command);
      const awaited = await s.run(`${command} --no-pipeline`, {
        url: other.url,
      });

      assertEquals(ahead.code, 0, ahead.stderr);
      assertEquals(ahead.stdout, awaited.stdout);
      assertEquals(
        await readCatalog(s.db.url, { without }),
        await readCatalog(other.url, { without }),
      );
      assertEquals(await historyOf(s.db.url), await historyOf(other.url));
    },
  );
}

scenario(
  "an array of a type that the run itself has created",
  {
    "0001_type": migration({
      up: [
        "create type mood as enum ('happy', 'sad')",
        "create table days (moods mood[])",
      ],
    }),
    "0002_rows": upCode(
      `  const { rows } = await sql\`insert into days values (\${["sad", "happy"]}) returning moods\`.execute(db);
  console.error(JSON.stringify(rows));`,
    ),
  },
  async (s) => {
    for (const option of ["", " --no-pipeline"]) {
      const { url } = await s.db.createDatabase();
      const { code, stderr } = await s.run(`up${option}`, { url });

      assertEquals(code, 0, stderr);
      assertStringIncludes(stderr, '[{"moods":["sad","happy"]}]');
    }
  },
);

scenario(
  "a value that the server cannot read is its error, in the same words",
  {
    "0001_wrong": upCode(
      `  await sql\`create table numbers (n integer)\`.execute(db);
  await (db as Kysely<any>).insertInto("numbers").values({ n: "many" }).execute();`,
    ),
  },
  async (s) => {
    const { failed, awaited } = await bothWays(s);

    assertEquals(failed, awaited);
    assertStringIncludes(
      failed,
      'invalid input syntax for type integer: "many" (SQLSTATE 22P02)',
    );
  },
);

const FAILURES: Readonly<Record<string, Migrations>> = {
  "in the first statement of a migration": {
    "0001_a": table("a"),
    "0002_bad": migration({
      up: ["alter table a add column x integr", "create table b ()"],
    }),
    "0003_c": table("c"),
  },
  "in the last statement of the run": {
    "0001_a": table("a"),
    "0002_bad": migration({
      up: ["create table b ()", "create table c (id integr)"],
    }),
  },
  "many migrations before it is noticed": {
    "0001_a": table("a"),
    "0002_bad": migration({
      up: ["create table b ()", "create view v as select missing from b"],
    }),
    ...Object.fromEntries(
      Array.from(
        { length: 30 },
        (_, i) => [`01${i + 10}_more`, table(`m${i}`)],
      ),
    ),
    "0200_rows": migration({ up: "insert into m1 values (1)" }),
  },
  "before a query of a later migration": {
    "0001_bad": migration({
      up: ["create table a (id integer default missing())"],
    }),
    "0002_b": table("b"),
    "0003_query": migration({ up: "select 1" }),
  },
};

for (const [where, migrations] of Object.entries(FAILURES)) {
  for (const transaction of ["all", "each"]) {
    scenario(
      `an error ${where} names its migration, statement and position, with --transaction ${transaction}`,
      migrations,
      async (s) => {
        const { failed, awaited } = await bothWays(s, transaction);
        const [bad] = Object.keys(migrations).filter((name) =>
          name.endsWith("_bad")
        );

        assertEquals(failed, awaited);
        assertStringIncludes(failed, `"${bad}"`);
        assert(/^ +\^$/m.test(failed), `No mark under the place:\n${failed}`);
        assertEquals(
          (await s.history()).filter((line) => line.endsWith("failed")),
          [`${bad} failed`],
        );
      },
    );
  }
}

pgTest("nothing pending costs one flight after the log-in", async (db) => {
  const env = { DATABASE_URL: db.url };
  await runMigrate(["up"], { env });
  await using proxy = await startProxy(db);

  const { code, stdout } = await runMigrate(["up"], {
    env: { DATABASE_URL: proxy.url(db.url) },
  });

  assertEquals([code, stdout], [
    0,
    "Nothing to apply: the database is up to date\n",
  ]);
  assertEquals(proxy.accepted, 1);
  const [session] = proxy.sessions;
  // SCRAM takes three; the farewell is sent without waiting for an answer.
  assertEquals(session!.requests.length, 3 + 1);
  assertEquals(session!.flights, 3 + 1 + 1);
});

pgTest(
  "the flights of a first run do not depend on the number of migrations",
  async (db) => {
    const few = await flightsOfFirstRun(db.url, 5);
    const other = await db.createDatabase();
    const many = await flightsOfFirstRun(other.url, 60);

    assertEquals(few, many);
    assert(few <= 20, `${few} flights`);
  },
);

/** Counts the flights of a run: of those that it has waited for, whoever is faster. */
async function flightsOfFirstRun(url: string, count: number): Promise<number> {
  const { hostname, port } = new URL(url);
  await using proxy = await startProxy(
    { host: hostname, port: Number(port) },
    { turns: true },
  );
  const migrations = Array.from(
    { length: count },
    (_, i) => [`${i + 1_000}_table`, table(`t${i}`)] as const,
  );
  return await withProject(Object.fromEntries(migrations), async (project) => {
    const { code, stderr } = await runMigrate(["up"], {
      project,
      env: { DATABASE_URL: proxy.url(url) },
    });
    assertEquals(code, 0, stderr);
    const tables = await queryUrl(
      url,
      "select from pg_class where relkind = 'r' and relname ~ '^t[0-9]+$'",
    );
    assertEquals(tables.length, count);
    return proxy.sessions[0]!.flights;
  });
}

/** Runs `up`, and in another database `up --no-pipeline`; both fail. What is on stderr from the error on. */
async function bothWays(
  s: Scenario,
  transaction = "all",
): Promise<{ failed: string; awaited: string }> {
  const other = await s.db.createDatabase();
  const command = `up --transaction=${transaction}`;
  const ahead = await s.run(command);
  const awaited = await s.run(`${command} --no-pipeline`, { url: other.url });
  assertEquals([ahead.code, awaited.code], [1, 1], ahead.stderr);
  assertEquals(ahead.stdout, awaited.stdout);
  assertEquals(
    await readCatalog(s.db.url, { without }),
    await readCatalog(other.url, { without }),
  );
  assertEquals(await historyOf(s.db.url), await historyOf(other.url));
  const said = (result: typeof ahead) =>
    withoutProgress(result).stderr.replace(/^Connected .*\n/, "");
  return { failed: said(ahead), awaited: said(awaited) };
}

/** What the history says, without times and numbers of runs. */
function historyOf(url: string): Promise<Record<string, unknown>[]> {
  return queryUrl(
    url,
    `select id, name, checksum, status, finished_at is null as open, applied_by, host, binary_version, error
     from migration_history order by id`,
  );
}
