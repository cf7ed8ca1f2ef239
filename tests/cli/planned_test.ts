/** What was planned for a migration is kept beside what it took, where its work grows with a table that is there. */
import { assertEquals, assertMatch } from "@std/assert";
import { migration } from "../support/program/migrations.ts";
import { startProxy } from "../support/net/proxy.ts";
import { layOverloads } from "../support/program/overloads.ts";
import { recorded } from "../support/program/recording.ts";
import {
  type RunOptions,
  type Scenario,
  scenario,
} from "../support/program/scenario.ts";

const MIGRATIONS = {
  "0001_table": migration({
    up: "create table t (id int primary key, a int)",
    down: "drop table t",
  }),
  "0002_quick": migration({
    up: "alter table t add column b int",
    down: "alter table t drop column b",
  }),
  "0003_rewrite": migration({
    up: [
      "alter table t alter a type bigint",
      "create index t_a on t (a)",
    ],
    down: ["drop index t_a", "alter table t alter a type int"],
  }),
  "0004_alone": migration({
    up: "create index concurrently t_b on t (b)",
    down: "drop index concurrently t_b",
    options: "{ transaction: false }",
  }),
};

/** The first migration is applied and its table has rows; then `test`. */
function planned(name: string, test: (s: Scenario) => Promise<void>): void {
  scenario(name, {}, async (s) => {
    await s.release(await recorded(MIGRATIONS));
    assertEquals((await s.run("up --to 0001_table")).code, 0);
    await s.db.query(
      "insert into t select i, i from generate_series(1, 20000) i",
    );
    await test(s);
  });
}

/** The migrations of which `status` says what was planned, and by what rates. */
async function plannedOf(
  s: Scenario,
  options?: RunOptions,
): Promise<Record<string, string[]>> {
  const { lines } = await s.json("status", options);
  const { migrations } = lines[0] as {
    migrations: { name: string; planned?: { bytes: Record<string, number> } }[];
  };
  return Object.fromEntries(
    migrations.flatMap(({ name, planned }) =>
      planned === undefined ? [] : [[name, Object.keys(planned.bytes).sort()]]
    ),
  );
}

const KEPT = {
  "0003_rewrite": ["build", "rewrite"],
  "0004_alone": ["build"],
};

for (const options of ["", " --transaction=each", " --no-pipeline"]) {
  planned(`status shows what was planned: up${options}`, async (s) => {
    const { code, stderr } = await s.run(`up${options}`);
    assertEquals(code, 0, stderr);
    assertEquals(await plannedOf(s), KEPT);
    const { stdout } = await s.run("status");
    assertMatch(stdout, /^STATE +MIGRATION +APPLIED AT +TOOK +PLANNED +BY$/m);
    assertMatch(stdout, /^applied +0003_rewrite .* under 1 s +\w+$/m);
    assertMatch(stdout, /^applied +0002_quick +\S+ \S+ +\d+ ms {2,}\w+$/m);
    assertEquals((await s.run("verify")).code, 0);
  });
}

/** Whether there is such a table, and how many rows it has. */
async function keptRows(s: Scenario): Promise<number | undefined> {
  const [row] = await s.db.query<{ found: boolean }>(
    "select to_regclass('migration_plans') is not null as found",
  );
  if (!row!.found) return undefined;
  const [{ n } = { n: NaN }] = await s.db.query<{ n: number }>(
    "select count(*)::int as n from migration_plans",
  );
  return n;
}

planned(
  "what was planned stays with its row of the history when it is rolled back",
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    assertEquals((await s.run("down --steps 2 --yes")).code, 0);
    assertEquals([await plannedOf(s), await keptRows(s)], [{}, 2]);
    assertEquals((await s.run("up")).code, 0);
    assertEquals([await plannedOf(s), await keptRows(s)], [KEPT, 4]);
    assertEquals((await s.run("redo --yes")).code, 0);
    assertEquals([await plannedOf(s), await keptRows(s)], [KEPT, 5]);
  },
);

scenario("nothing is planned where no work grows", {}, async (s) => {
  await s.release(await recorded(MIGRATIONS));
  assertEquals((await s.run("up")).code, 0);
  assertEquals(await keptRows(s), undefined);
  await s.db.query("insert into t select i, i from generate_series(1, 20) i");
  assertEquals((await s.run("down --steps 3 --yes")).code, 0);
  assertEquals((await s.run("up --to 0002_quick")).code, 0);
  assertEquals(await keptRows(s), undefined);
  await s.release(MIGRATIONS);
  assertEquals((await s.run("up")).code, 0);
  assertEquals(await keptRows(s), undefined);
});

scenario("nothing is planned of a table that is empty", {}, async (s) => {
  await s.release(await recorded(MIGRATIONS));
  assertEquals((await s.run("up --to 0001_table")).code, 0);
  assertEquals((await s.run("up")).code, 0);
  assertEquals([await plannedOf(s), await keptRows(s)], [{}, undefined]);
});

const TABLE =
  "create table migration_plans (history_id bigint, from_ms bigint, to_ms bigint, bytes jsonb)";
const FAILS =
  "create function fails() returns trigger language plpgsql as $$ begin raise 'no'; end $$";

/** What may stand where plans are to be kept, and whether that is harmless enough to be written to. */
const IN_THE_WAY: Readonly<Record<string, readonly string[]>> = {
  "a trigger that fails": [
    TABLE,
    FAILS,
    "create trigger fails before insert on migration_plans for each row execute function fails()",
  ],
  "a table of another shape": ["create table migration_plans (id int)"],
  "a view": ["create view migration_plans as select 1 as history_id"],
  "a type": ["create type migration_plans as enum ('a')"],
  "a stranger's table": [
    TABLE,
    "create role stranger",
    "alter table migration_plans owner to stranger",
  ],
  "a database without PL/pgSQL": ["drop extension plpgsql"],
};

for (const [what, statements] of Object.entries(IN_THE_WAY)) {
  planned(`a run succeeds that cannot keep its plans: ${what}`, async (s) => {
    for (const statement of statements) await s.db.query(statement);
    const { code, stderr } = await s.run("up");
    assertEquals(code, 0, stderr);
    assertEquals(stderr.includes("warning"), false, stderr);
    assertEquals(await plannedOf(s), {});
    if (what === "a stranger's table") {
      assertEquals(await keptRows(s), 0);
      await s.db.query("drop table migration_plans; drop role stranger");
    }
  });
}

planned(
  "a run succeeds for a role that may write to the history and make no table",
  async (s) => {
    const role = await s.db.createRole((name) => [
      `grant usage on schema public to ${name}`,
      `grant select, insert, update on migration_history to ${name}`,
      `alter table t owner to ${name}`,
      `grant create on schema public to ${name}`,
    ]);
    const { code, stderr } = await s.run("up", { as: role });
    assertEquals(code, 0, stderr);
    assertEquals([await plannedOf(s), await keptRows(s)], [{}, undefined]);
  },
);

planned(
  "whoever may read the history may read the plans, and nobody else",
  async (s) => {
    const reader = await s.db.createRole();
    const other = await s.db.createRole((name) => [
      `alter default privileges in schema public grant all on tables to ${name}`,
    ]);
    const late = await s.db.createRole();
    await s.db.query(`grant select on migration_history to ${reader.name}`);
    assertEquals((await s.run("up")).code, 0);
    assertEquals(await plannedOf(s, { as: reader }), KEPT);
    assertEquals(
      await s.db.query(
        `select has_table_privilege('${other.name}', 'migration_plans', 'select') as may`,
      ),
      [{ may: false }],
    );
    await s.db.query(`grant select on migration_history to ${late.name}`);
    assertEquals(await plannedOf(s, { as: late }), {});
    assertEquals((await s.run(`up --grant-status ${late.name}`)).code, 0);
    assertEquals(await plannedOf(s, { as: late }), KEPT);
  },
);

planned(
  "nobody reads the plans of a stranger unless he says so, nor runs what a stranger has built into them",
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    const stranger = await s.db.createRole((name) => [
      `alter table migration_plans owner to ${name}`,
      `alter table migration_history owner to ${name}`,
      `grant create on schema public to ${name}`,
    ]);
    assertEquals(await plannedOf(s), {});
    const owner = { env: { MIGRATE_TRUST_HISTORY_OWNER: stranger.name } };
    assertEquals(await plannedOf(s, owner), KEPT);
    assertEquals(await plannedOf(s, { as: stranger }), KEPT);
  },
);

scenario(
  "plans are kept in a schema whose name needs quotes",
  {},
  async (s) => {
    const schema = `it's 100% "mine"\\`;
    await s.db.query(`create schema "${schema.replaceAll('"', '""')}"`);
    await s.release(await recorded(MIGRATIONS));
    const run = async (...args: string[]) => {
      const { code, stderr } = await s.run([...args, "--schema", schema]);
      assertEquals(code, 0, stderr);
    };
    await run("up", "--to", "0001_table");
    await s.db.query(
      `insert into "${
        schema.replaceAll('"', '""')
      }".t select i, i from generate_series(1, 1000) i`,
    );
    await run("up");
    const { stdout } = await s.run(["status", "--schema", schema]);
    assertMatch(stdout, /^applied +0003_rewrite .* under 1 s +\w+$/m);
  },
);

planned(
  "a plan takes one flight, where there is something to plan",
  async (s) => {
    await using proxy = await startProxy(s.db, { turns: true });
    const url = proxy.url(s.db.url);
    const flights = async (command: string) => {
      const { code, stderr } = await s.run(`${command} --no-pipeline`, { url });
      assertEquals(code, 0, stderr);
      return proxy.sessions.at(-1)!.flights;
    };
    /** Of a run that has nothing to do, of one with nothing to plan, and of one with something. */
    const taken = async () => {
      const nothing = await flights("up --to 0001_table");
      const quick = await flights("up --to 0002_quick");
      const growing = await flights("up --to 0003_rewrite");
      assertEquals((await s.run("down --steps 2 --yes")).code, 0);
      return [nothing, quick, growing] as const;
    };
    /** On a busy machine an answer may come in two pieces, which counts as one more. */
    const least = async () => {
      const runs = [await taken(), await taken(), await taken()];
      return [0, 1, 2].map((i) => Math.min(...runs.map((run) => run[i]!)));
    };
    const [nothing, quick, growing] = await least();
    await s.release(MIGRATIONS);
    const [before, ...rest] = await least();
    assertEquals([nothing, quick, growing], [before, rest[0], rest[1]! + 1]);
  },
);

for (const name of ["0003_rewrite", "0004_alone"]) {
  planned(
    `a connection that is lost while a plan is kept says what became of the migration: ${name}`,
    async (s) => {
      if (name === "0004_alone") await s.run("up --to 0003_rewrite");
      await using proxy = await startProxy(s.db);
      const url = proxy.url(s.db.url);
      const held = proxy.hold(/^do .*migration_plans/s);
      await using up = s.start(`up --to ${name}`, { url });
      await held.held;
      proxy.drop();
      held.release();
      const { code, stderr } = await up.result;
      const isApplied = (await s.history()).includes(`${name} applied`);
      assertEquals(
        [code, isApplied],
        name === "0004_alone" ? [0, true] : [1, false],
        stderr,
      );
      assertEquals((await s.run("up")).code, 0);
      assertEquals("0003_rewrite" in await plannedOf(s), true);
    },
  );
}

scenario(
  "what keeps plans finds nothing by the search path but the migrations' own",
  {},
  async (s) => {
    const role = await s.db.createRole((name) => [
      "create schema mine",
      "create schema strange",
      `alter role ${name} superuser`,
      `alter role ${name} in database ${s.db.name} set search_path = mine, strange, pg_catalog`,
    ]);
    await s.release(await recorded(MIGRATIONS));
    const run = async (command: string) => {
      const { code, stderr } = await s.run(command, { as: role });
      assertEquals(code, 0, stderr);
    };
    await run("up --to 0001_table");
    await s.db.query(
      "insert into mine.t select i, i from generate_series(1, 1000) i",
    );
    const reader = await s.db.createRole();
    await s.db.query(
      `grant select on mine.migration_history to ${reader.name}`,
    );
    await layOverloads(s.db, "strange");
    await run("up");
    assertEquals(await plannedOf(s, { as: role }), KEPT);
    assertEquals(
      await s.db.query(
        `select is_called, has_table_privilege('${reader.name}', 'mine.migration_plans', 'select') as may
         from strange.calls`,
      ),
      [{ is_called: false, may: true }],
    );
  },
);

const WIDER = {
  "0001_table": migration({
    up: "create table t (id int primary key, a int, pad text)",
  }),
  ...Object.fromEntries(
    ["bigint", "numeric", "bigint", "numeric", "bigint"].map((type, i) => [
      `000${i + 2}_${type}`,
      migration({ up: `alter table t alter a type ${type}` }),
    ]),
  ),
};

scenario("plan uses the server's own rates after three runs", {}, async (s) => {
  await s.release(await recorded(WIDER));
  assertEquals((await s.run("up --to 0001_table")).code, 0);
  await s.db.query(
    "insert into t select i, i, repeat('x', 100) from generate_series(1, 120000) i; analyze t",
  );
  const rates = async () => {
    const { lines } = await s.json("plan");
    return (lines[0] as { rates: Record<string, { seen: number }> }).rates;
  };
  assertEquals((await s.run("up --steps 2 --transaction each")).code, 0);
  assertEquals(await rates(), {});
  assertEquals((await s.run("up --steps 1")).code, 0);
  const { rewrite, ...others } = await rates();
  assertEquals([rewrite!.seen, others], [3, {}]);
  assertMatch(
    (await s.run("plan")).stdout,
    /^Measured here, 3 times: rewrite [\d.]+ to [\d.]+ MB\/s$/m,
  );
});
