/** Where the history is: it is found where it was written, and what cannot be it is never taken for it. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { openSession } from "../support/program/application.ts";
import {
  closeGate,
  GATE,
  openGate,
  waitForStatement,
} from "../support/program/gate.ts";
import { migration, table } from "../support/program/migrations.ts";
import { withPgBouncer } from "../support/server/pgbouncer.ts";
import { queryUrl, type TestRole } from "../support/server/postgres.ts";
import {
  CONNECTED,
  type Scenario,
  scenario,
} from "../support/program/scenario.ts";

const AB = { "0001_a": table("a"), "0002_b": table("b") };
const ABC = { ...AB, "0003_c": table("c") };
const NOTHING = "Nothing to apply: the database is up to date\n";

/** The first migration creates the schema that the search path looks at first. */
const OWN_SCHEMA = {
  "0001_schema": migration({
    up: "create schema authorization current_user",
    down: "do $$ begin execute format('drop schema %I', current_user); end $$",
  }),
  "0002_fees": migration({
    up: [
      "create table public.fees (amount int)",
      "insert into public.fees values (100)",
    ],
    down: "drop table public.fees",
  }),
};

/** A role that owns the database, and so may create schemas. */
function ownerOf(s: Scenario): Promise<TestRole> {
  return s.db.createRole((name) => [
    `alter database ${s.db.name} owner to ${name}`,
  ]);
}

/** The connection string of the superuser with another search path. */
function withPath(s: Scenario, path: string, direct = s.db.url): string {
  const url = new URL(direct);
  const option = `-c search_path=${path.replaceAll(/[\\ ]/g, "\\$&")}`;
  url.search = `options=${encodeURIComponent(option)}`;
  return url.href;
}

for (const mode of ["all", "each"]) {
  scenario(
    `a schema that the first migration puts before the history does not hide it, with --transaction ${mode}`,
    OWN_SCHEMA,
    async (s) => {
      const as = await ownerOf(s);
      const run = (command: string) => s.run(command, { as });

      const up = await run(`up --transaction ${mode}`);
      assertEquals([up.code, up.stdout], [
        0,
        "Applied 0001_schema (T)\nApplied 0002_fees (T)\nApplied 2 migrations in T\n",
      ]);
      assertEquals((await run("up")).stdout, NOTHING);
      assertEquals((await run("status --check")).code, 0);
      assertEquals(await s.history(), [
        "0001_schema applied",
        "0002_fees applied",
      ]);
      assertEquals(
        (await run(`down --all --yes --transaction ${mode}`)).stdout,
        "Rolled back 0002_fees (T)\nRolled back 0001_schema (T)\nRolled back 2 migrations in T\n",
      );
      assertEquals(
        await s.db.query(
          "select relnamespace::regnamespace::text as schema from pg_class where relname = 'migration_history'",
        ),
        [{ schema: "public" }],
      );
    },
  );

  scenario(
    `two copies at the moment at which the search path changes exclude each other, with --transaction ${mode}`,
    {
      ...OWN_SCHEMA,
      "0003_gate": migration({ up: GATE }),
    },
    async (s) => {
      const as = await ownerOf(s);
      await closeGate(s.db);
      await s.db.query(
        `grant usage on schema gate to "${as.name}"; grant select on gate.opened to "${as.name}"`,
      );
      // In one transaction the second copy sees no history and no schema before the first one has committed.
      await using first = s.start(`up --transaction ${mode}`, { as });
      await waitForStatement(s.db, /gate\.opened/);
      await using second = s.start(`up --transaction ${mode}`, { as });
      await second.waitFor("Waiting for the migration lock");
      await openGate(s.db);

      const results = [await first.result, await second.result];
      assertEquals(results.map(({ code }) => code), [0, 0], results[1]!.stderr);
      assertEquals(results.map(({ stdout }) => stdout === NOTHING), [
        false,
        true,
      ]);
      assertEquals(await s.db.query("select amount from fees"), [
        { amount: 100 },
      ]);
    },
  );
}

scenario(
  "the first table along the search path is the history, in either form",
  ABC,
  async (s) => {
    await s.db.query("create schema one; create schema two");
    assertEquals((await s.run("up --to 0001_a --schema two")).code, 0);
    const url = withPath(s, "one,two,public");
    assertEquals((await s.run("up --to 0002_b", { url })).code, 0);
    assertEquals(await s.history("two"), ["0001_a applied", "0002_b applied"]);
    // New tables go where the search path says.
    assertEquals(await s.tables("one"), ["b"]);
    assertEquals(await s.tables("two"), ["a"]);

    await s.db.query(`
      create table one.migration_history (name varchar(255) primary key, timestamp varchar(255) not null);
      insert into one.migration_history values ('0001_a', '2024-01-02T03:04:05.678Z')`);
    const { stdout } = await s.run("up --dry-run", { url });
    assertStringIncludes(stdout, "Would apply 0002_b\nWould apply 0003_c\n");
  },
);

scenario(
  "the lock is that of the history, whatever search path leads to it",
  {
    ...AB,
    "0003_gate": migration({ up: GATE }),
  },
  async (s) => {
    await s.db.query("create schema app");
    assertEquals((await s.run("up --to 0002_b")).code, 0);
    await closeGate(s.db);
    await using first = s.start("up");
    await waitForStatement(s.db, /gate\.opened/);

    for (
      const [args, url] of [
        ["up", withPath(s, "app,public")],
        ["up --schema public", s.db.url],
      ] as const
    ) {
      const { code, stderr } = await s.run(`${args} --lock-wait 0`, { url });
      assertEquals(code, 1);
      assertMatch(
        stderr,
        /^error: Cannot take the migration lock within 0 ms: .*battlescope-migrate/m,
      );
    }
    assertEquals(
      (await s.run("up --to 0001_a --lock-wait 0 --schema app")).code,
      0,
    );
    await openGate(s.db);
    assertEquals((await first.result).code, 0);
  },
);

scenario(
  "two copies whose search paths differ do not make a history each",
  { "0001_gate": migration({ up: [GATE, "create table a (id int)"] }) },
  async (s) => {
    await s.db.query("create schema one; create schema two");
    await closeGate(s.db);
    await using first = s.start("up", { url: withPath(s, "one") });
    await waitForStatement(s.db, /gate\.opened/);
    await using second = s.start("up", { url: withPath(s, "two") });
    await second.waitFor("Waiting for the migration lock");
    assertMatch(second.output().stderr, /left: .*battlescope-migrate/);
    await openGate(s.db);

    assertEquals((await first.result).code, 0);
    const { code, stderr } = await second.result;
    assertEquals(code, 1);
    assertStringIncludes(
      stderr,
      'error: Cannot find the history on the search path: there is one in the schema "one"; to go on with it, ' +
        "pass --schema one; to begin another one, pass --schema two\n",
    );
    assertEquals(await s.tables("two"), []);
  },
);

scenario(
  "a history in a schema that the search path does not lead to is named, and none is begun",
  AB,
  async (s) => {
    await s.db.query(`create schema app; create schema "Two words"`);
    assertEquals((await s.run(["up", "--schema", "Two words"])).code, 0);
    const error =
      'error: Cannot find the history on the search path: there is one in the schema "Two words"; to go on with it, ' +
      "pass --schema 'Two words'; to begin another one, pass --schema public\n";
    for (
      const [command, more] of [
        ["status", ""],
        ["up", "Failed in T: nothing was changed\n"],
        ["up --dry-run", "Failed in T: nothing was changed\n"],
        ["down --yes", "Failed in T: nothing was changed\n"],
        ["baseline --to 0001_a", "Failed in T: nothing was changed\n"],
      ] as const
    ) {
      assertEquals(await s.run(command), {
        code: 1,
        stdout: "",
        stderr: `${error}${more}`,
      });
    }
    // Who may not write it does not mean it.
    const reader = await s.db.createRole((name) => [
      `grant usage on schema "Two words" to ${name}`,
      `grant select on "Two words".migration_history to ${name}`,
    ]);
    assertEquals((await s.run("status --check", { as: reader })).code, 3);
    assertEquals((await s.run("up --schema public")).code, 0);
    assertEquals((await s.run("status --check")).code, 0);
  },
);

const KYSELY =
  "(name varchar(255) primary key, timestamp varchar(255) not null)";

const UNFIT: Readonly<
  Record<string, { make: string; why: string; out: string }>
> = {
  view: {
    make: "create view app.migration_history as select 1 as id",
    why: "it is a view, and no plain table",
    out: "rename it, or choose another schema with --schema",
  },
  "materialized view": {
    make: "create materialized view app.migration_history as select 1 as id",
    why: "it is a materialized view, and no plain table",
    out: "rename it, or choose another schema with --schema",
  },
  "partitioned table": {
    make:
      `create table app.migration_history (name text, timestamp text) partition by list (name)`,
    why: "it is a partitioned table, and no plain table",
    out: "rename it, or choose another schema with --schema",
  },
  sequence: {
    make: "create sequence app.migration_history",
    why: "it is a sequence, and no plain table",
    out: "rename it, or choose another schema with --schema",
  },
  "table of another shape": {
    make: "create table app.migration_history (id int, status text)",
    why: "it is neither this program's history nor a migration table of Kysely",
    out: "rename it, or choose another schema with --schema",
  },
  "table that has columns of another type": {
    make:
      "create table app.migration_history (like public.migration_history); alter table app.migration_history " +
      "alter run_id type text, drop host, drop error, add error text generated always as (name) stored",
    why:
      "it is no history of this program, which has these columns too, or with another type: run_id, host, error",
    out: "rename it, or choose another schema with --schema",
  },
};

for (const [kind, { make, why, out }] of Object.entries(UNFIT)) {
  scenario(
    `a ${kind} is refused in the first schema of the search path, and passed over in a later one`,
    AB,
    async (s) => {
      assertEquals((await s.run("up")).code, 0);
      await s.db.query("create schema app; create schema first");
      await s.db.query(make);
      for (
        const [command, url] of [
          ["status", withPath(s, "app,public")],
          ["status --schema app", s.db.url],
        ] as const
      ) {
        assertEquals(await s.run(command, { url }), {
          code: 1,
          stdout: "",
          stderr:
            `error: Cannot use the table "app.migration_history": ${why}; ${out}\n`,
        });
      }
      assertEquals(
        await s.run("up", { url: withPath(s, "first,app,public") }),
        {
          code: 0,
          stdout: NOTHING,
          stderr:
            `warning: Passing over "app.migration_history" on the search path: ${why}\n${CONNECTED}`,
        },
      );
    },
  );
}

scenario(
  "a table that may not be read is refused in the first schema of the search path, and passed over in a later one",
  AB,
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    await s.db.query("create schema app; create schema first");
    assertEquals((await s.run("up --schema app --to 0001_a")).code, 0);
    const reader = await s.db.createRole((name) => [
      `grant usage on schema app, first to ${name}`,
      `grant select on public.migration_history to ${name}`,
    ]);
    const refused = await s.run("status", {
      as: reader,
      url: withPath(s, "app,public", reader.url),
    });
    assertEquals(refused, {
      code: 1,
      stdout: "",
      stderr:
        'error: Cannot use the table "app.migration_history": "ROLE" may not read it; ' +
        'as its owner: grant select on "app"."migration_history" to "ROLE"\n',
    });
    const later = await s.run("up", {
      as: reader,
      url: withPath(s, "first,app,public", reader.url),
    });
    assertEquals(later, {
      code: 0,
      stdout: NOTHING,
      stderr:
        `warning: Passing over "app.migration_history" on the search path: "ROLE" may not read it\n${CONNECTED}`,
    });
  },
);

scenario(
  "a history that row level security may cut short is refused, in every schema of the search path",
  ABC,
  async (s) => {
    assertEquals((await s.run("up --to 0002_b")).code, 0);
    await s.db.query(
      "create schema first; alter table migration_history enable row level security",
    );
    const reader = await s.db.createRole((name) => [
      `grant usage, create on schema first, public to ${name}`,
      `grant all on migration_history to ${name}`,
    ]);
    const error =
      'error: Cannot use the table "public.migration_history": row level security may hide rows of it from "ROLE", and ' +
      "a history without them would not be what has happened; as its owner: alter table " +
      '"public"."migration_history" disable row level security, or as a superuser: alter role "ROLE" bypassrls\n';
    for (const command of ["status --check", "up", "down --yes --all"]) {
      for (const path of ["public", "first,public"]) {
        const url = withPath(s, path, reader.url);
        const { code, stdout, stderr } = await s.run(command, {
          as: reader,
          url,
        });
        assertEquals([code, stdout], [1, ""]);
        assertEquals(stderr.startsWith(error), true, stderr);
      }
    }
    assertEquals(await s.tables("first"), []);
    // Whom it does not concern reads on.
    assertEquals((await s.run("status --check")).code, 3);
    await s.db.query(`alter role "${reader.name}" bypassrls`);
    assertEquals((await s.run("status --check", { as: reader })).code, 3);
    assertEquals((await s.run("up", { as: reader })).code, 0);
  },
);

scenario(
  "a temporary table is never taken for the history",
  {
    "0001_temporary": migration({
      up: [
        "create temp table migration_history (like public.migration_history)",
        "create table a (id int)",
      ],
    }),
    "0002_b": table("b"),
    "0003_c": migration({
      up: "create table c (id int)",
      options: "{ transaction: false }",
    }),
  },
  async (s) => {
    for (const mode of ["each", "all"]) {
      const { code, stderr } = await s.run(`up --transaction ${mode}`);
      assertEquals(code, 0, stderr);
      assertEquals(await s.history(), [
        "0001_temporary applied",
        "0002_b applied",
        "0003_c applied",
      ]);
      await s.db.query("drop table migration_history, a, b, c");
    }
    // Not even where it stands first.
    const url = withPath(s, "pg_temp,public");
    assertEquals((await s.run("baseline --to 0003_c", { url })).code, 0);
    assertEquals((await s.history()).length, 3);
  },
);

scenario(
  "a temporary table that another client of a pooler has left behind is not taken for the history",
  AB,
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    await withPgBouncer(s.db, async (pooler) => {
      const url = pooler.url(s.db.url);
      await queryUrl(
        url,
        "create temp table migration_history (like public.migration_history)",
      );
      for (const option of ["", " --schema public"]) {
        assertEquals((await s.run(`status --check${option}`, { url })).code, 0);
      }
      await s.release(ABC);
      assertEquals((await s.run("up", { url })).code, 0);
      assertEquals((await s.history()).length, 3);
    }, { poolSize: 1 });
  },
  { needs: ["pgbouncer"] },
);

const ODD = `Odd "schema's" näme; %s \\ $x$, "$user"`;

scenario(
  "a schema of any name may stand in the search path",
  AB,
  async (s) => {
    const quoted = `"${ODD.replaceAll('"', '""')}"`;
    await s.db.query(`create schema ${quoted}; create schema app`);
    const url = withPath(s, `app,${quoted}`);
    assertEquals((await s.run(["up", "--schema", ODD])).code, 0);
    assertEquals((await s.run("up", { url })).stdout, NOTHING);
    await s.release(ABC);
    assertEquals((await s.run("up", { url })).code, 0);
    assertEquals(await s.history(ODD), [
      "0001_a applied",
      "0002_b applied",
      "0003_c applied",
    ]);
    assertEquals(await s.tables("app"), ["c"]);
    const elsewhere = await s.run("status");
    assertEquals(elsewhere.code, 1);
    assertStringIncludes(
      elsewhere.stderr,
      `pass --schema '${ODD.replace("'", "'\\''")}';`,
    );
  },
);

scenario(
  "a name that the search path takes for the user's is no schema to choose",
  AB,
  async (s) => {
    assertEquals(await s.run(["up", "--schema", "$user"]), {
      code: 2,
      stdout: "",
      stderr:
        'error: Option --schema: PostgreSQL cannot search the schema "$user"\n',
    });
  },
);

scenario(
  "a history that appears between the look and the lock is the one that is used",
  { "0001_a": table("a"), "0002_b": table("b") },
  async (s) => {
    await s.db.query("create schema app");
    const url = withPath(s, "app,public");
    await using other = await openSession(s.db.url);
    // The program knows of no history, and is kept from its lock.
    await other.run(`select pg_advisory_lock(${0x62736d67}, hashtext('app'))`);
    await using up = s.start("up", { url });
    await up.waitFor("Waiting for the migration lock");
    await s.run("up --schema public --to 0001_a");
    await other.run("select pg_advisory_unlock_all()");
    const { code, stdout, stderr } = await up.result;
    assertEquals([code, stdout], [
      0,
      "Applied 0002_b (T)\nApplied 1 migration in T\n",
    ], stderr);
    assertEquals(await s.history(), ["0001_a applied", "0002_b applied"]);
    assertEquals(await s.tables("app"), ["b"]);
  },
);

scenario(
  "an unreadable history of Kysely's in a later schema is passed over, and a new one is begun",
  AB,
  async (s) => {
    await s.db.query(
      `create schema app; create table public.migration_history ${KYSELY}`,
    );
    const as = await s.db.createRole((name) => [
      `grant usage, create on schema app to ${name}`,
    ]);
    const url = withPath(s, "app,public", as.url);
    const { code, stderr } = await s.run("up", { as, url });
    assertEquals(code, 0, stderr);
    assertEquals(await s.history("app"), ["0001_a applied", "0002_b applied"]);
    assertStringIncludes(
      stderr,
      'warning: Passing over "public.migration_history" on the search path: "ROLE" may not read it\n',
    );
  },
);
