/** `plan --probe`: what the rows that are there answer is what a run then meets. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { openSession } from "../support/program/application.ts";
import { migration } from "../support/program/migrations.ts";
import { recorded } from "../support/program/recording.ts";
import { type Scenario, scenario } from "../support/program/scenario.ts";
import { withPgBouncer } from "../support/server/pgbouncer.ts";

interface Case {
  /** The table before, and what is in it. */
  readonly before: readonly string[];
  readonly rows: readonly string[];
  /** What a migration demands of it. */
  readonly demand: string;
  /** `object kind outcome` of each question. */
  readonly answers: readonly string[];
}

const CASES: Readonly<Record<string, Case>> = {
  required_fails: {
    before: ["create table t1 (id int, n int)"],
    rows: ["insert into t1 values (1, 1), (2, null)"],
    demand: "alter table t1 alter n set not null",
    answers: ["t1.n not null fails"],
  },
  required_holds: {
    before: ['create table "T 2" (id int, "N n" int)'],
    rows: ['insert into "T 2" values (1, 1)'],
    demand: 'alter table "T 2" alter "N n" set not null',
    answers: ["T 2.N n not null holds"],
  },
  check_fails: {
    before: ["create table t3 (a text)"],
    rows: ["insert into t3 values ('ab'), (null), ('')"],
    demand: "alter table t3 add constraint c check (length(a) > 0 and a <> '')",
    answers: ["t3.c check fails"],
  },
  check_holds_for_null: {
    before: ["create table t4 (a text)"],
    rows: ["insert into t4 values ('ab'), (null)"],
    demand: "alter table t4 add constraint c check (length(a) > 0)",
    answers: ["t4.c check holds"],
  },
  validated: {
    before: [
      "create table t5 (a int)",
      "alter table t5 add constraint c check (a > 0) not valid",
    ],
    rows: [
      "alter table t5 drop constraint c",
      "insert into t5 values (0)",
      "alter table t5 add constraint c check (a > 0) not valid",
    ],
    demand: "alter table t5 validate constraint c",
    answers: ["t5.c check fails"],
  },
  not_validated: {
    before: ["create table t6 (a int)"],
    rows: ["insert into t6 values (0)"],
    demand: "alter table t6 add constraint c check (a > 0) not valid",
    answers: [],
  },
  unique_fails: {
    before: ["create table t7 (a text, b int, gone boolean)"],
    rows: ["insert into t7 values ('x', 1, false), ('X', 1, false)"],
    demand: "create unique index i7 on t7 (lower(a) desc, b) where not gone",
    answers: ["t7.i7 unique fails"],
  },
  unique_holds: {
    before: ["create table t8 (a text, gone boolean)"],
    rows: [
      "insert into t8 values ('x', true), ('x', false), (null, false), (null, false)",
    ],
    demand: "create unique index i8 on t8 (a) where not gone",
    answers: ["t8.i8 unique holds"],
  },
  unique_with_nulls: {
    before: ["create table t9 (a int, b int)"],
    rows: ["insert into t9 values (1, null), (1, null)"],
    demand: "alter table t9 add constraint u unique nulls not distinct (a, b)",
    answers: ["t9.u unique fails"],
  },
  key_fails: {
    before: ["create table t10 (a int, b int)"],
    rows: ["insert into t10 values (1, null), (1, 2)"],
    demand: "alter table t10 add constraint k primary key (a, b)",
    answers: [
      "t10.b not null fails",
      "t10.a not null holds",
      "t10.k unique holds",
    ],
  },
  reference_fails: {
    before: [
      "create table p11 (id int primary key)",
      "create table t11 (p int)",
    ],
    rows: ["insert into p11 values (1)", "insert into t11 values (1), (2)"],
    demand: "alter table t11 add constraint f foreign key (p) references p11",
    answers: ["t11.f foreign key fails"],
  },
  reference_holds: {
    before: [
      "create table p12 (a int, b int, primary key (a, b))",
      "create table t12 (x int, y int)",
    ],
    rows: [
      "insert into p12 values (1, 2)",
      "insert into t12 values (1, 2), (7, null)",
    ],
    demand:
      "alter table t12 add constraint f foreign key (x, y) references p12 (a, b)",
    answers: ["t12.f foreign key holds"],
  },
  reference_in_full: {
    before: [
      "create table p13 (a int, b int, primary key (a, b))",
      "create table t13 (x int, y int)",
    ],
    rows: ["insert into t13 values (7, null)"],
    demand:
      "alter table t13 add constraint f foreign key (x, y) references p13 (a, b) match full",
    answers: ["t13.f foreign key fails"],
  },
  partitions: {
    before: [
      "create table t14 (id int, n int) partition by range (id)",
      "create table t14_1 partition of t14 default",
    ],
    rows: ["insert into t14 values (1, null)"],
    demand: "alter table t14 alter n set not null",
    answers: ["t14.n not null fails", "t14_1.n not null fails"],
  },
  inherited_keys: {
    before: [
      "create table t16 (id int)",
      "create table t16_child () inherits (t16)",
    ],
    rows: ["insert into t16 values (1)", "insert into t16_child values (1)"],
    demand: "create unique index i16 on t16 (id)",
    answers: ["t16.i16 unique holds"],
  },
  reference_to_an_heir: {
    before: [
      "create table p17 (id int primary key)",
      "create table p17_child () inherits (p17)",
      "create table t17 (p int)",
    ],
    rows: ["insert into p17_child values (1)", "insert into t17 values (1)"],
    demand: "alter table t17 add constraint f foreign key (p) references p17",
    answers: ["t17.f foreign key fails"],
  },
  not_of_heirs: {
    before: [
      "create table t18 (n int)",
      "create table t18_child () inherits (t18)",
    ],
    rows: ["insert into t18 values (1)", "insert into t18_child values (0)"],
    demand: "alter table t18 add constraint c check (n > 0) no inherit",
    answers: ["t18.c check holds"],
  },
  redefined: {
    before: ["create table t19 (n int, constraint c check (n > 0))"],
    rows: ["insert into t19 values (1)"],
    demand: "alter table t19 drop constraint c, add constraint c check (n > 5)",
    answers: ["t19.c check fails"],
  },
  index_redefined: {
    before: [
      "create table t20 (a int, b int)",
      "create unique index i20 on t20 (a, b)",
    ],
    rows: ["insert into t20 values (1, 1), (1, 2)"],
    demand: "drop index i20; create unique index i20 on t20 (a)",
    answers: ["t20.i20 unique fails"],
  },
  row_of_nulls: {
    before: ["create type pair as (a int, b int)", "create table t21 (p pair)"],
    rows: ["insert into t21 values (row(null, null))"],
    demand: "alter table t21 alter p set not null",
    answers: ["t21.p not null holds"],
  },
  other_type: {
    before: [
      "create extension citext",
      "create table p22 (name citext primary key)",
      "create table t22 (name citext)",
    ],
    rows: ["insert into p22 values ('A')", "insert into t22 values ('a')"],
    demand:
      "alter table t22 add constraint f foreign key (name) references p22",
    answers: ["t22.f foreign key unknown"],
  },
  other_type_unique: {
    before: ["create table t23 (name citext)"],
    rows: ["insert into t23 values ('A'), ('a')"],
    demand: "create unique index i23 on t23 (name)",
    answers: ["t23.i23 unique fails"],
  },
  other_collation: {
    before: ["create table t25 (a text)"],
    rows: ["insert into t25 values ('x')"],
    demand: 'create unique index i25 on t25 (a collate "C")',
    answers: ["t25.i25 unique unknown"],
  },
  other_schema: {
    before: [
      "create schema far",
      'create table far."P 24" (id int primary key)',
      "create table t24 (p int)",
    ],
    rows: ["insert into t24 values (1)"],
    demand:
      'alter table t24 add constraint f foreign key (p) references far."P 24"',
    answers: ["t24.f foreign key fails"],
  },
  empty: {
    before: ["create table t15 (n int)"],
    rows: [],
    demand: "alter table t15 alter n set not null",
    answers: [],
  },
};

const NAMES = Object.keys(CASES);
const MIGRATIONS = {
  "0000_before": migration({
    up: Object.values(CASES).flatMap(({ before }) => before),
  }),
  ...Object.fromEntries(
    NAMES.map((name, i) => [
      `${String(i + 1).padStart(4, "0")}_${name}`,
      migration({ up: CASES[name]!.demand }),
    ]),
  ),
};

interface Probed {
  readonly object: string;
  readonly outcome: string;
  readonly reason?: string;
  readonly query?: string;
  readonly demand: { readonly kind: string };
}

async function probesOf(
  s: Scenario,
  options: Parameters<Scenario["run"]>[1] = {},
): Promise<ReadonlyMap<string, readonly Probed[]>> {
  const { code, stdout, stderr } = await s.run(
    "plan --probe --format json",
    options,
  );
  assertEquals(code, 0, stderr);
  const { segments } = JSON.parse(stdout);
  return new Map(
    segments.flatMap((one: { migrations: unknown[] }) => one.migrations).map((
      { name, probes }: { name: string; probes: Probed[] },
    ) => [name.slice(5), probes]),
  );
}

const told = ({ object, demand, outcome }: Probed) =>
  `${object} ${demand.kind} ${outcome}`;

scenario("plan --probe answers as the run would fail", {}, async (s) => {
  await s.release(await recorded(MIGRATIONS));
  assertEquals((await s.run("up --to 0000_before")).code, 0);
  for (const { rows } of Object.values(CASES)) {
    for (const row of rows) await s.db.query(row);
  }
  const probes = await probesOf(s);
  for (const [name, { demand, answers }] of Object.entries(CASES)) {
    const found = probes.get(name)!;
    assertEquals(
      [name, found.map(told).toSorted()],
      [name, answers.toSorted()],
    );
    const fails = await s.db.query(`begin; ${demand}; rollback`)
      .then(() => false, () => true);
    assertEquals(
      [name, found.some(({ outcome }) => outcome === "fails")],
      [name, fails],
    );
    for (const { query } of found) {
      if (query === undefined) continue;
      assert((await s.db.query(query)).length > 0, query);
    }
  }
  const { code, stdout } = await s.run("plan --probe --strict");
  assertEquals(code, 3);
  assertStringIncludes(
    stdout,
    `  error fails-with-rows: t1.n: there are rows where it is null: it fails with the rows that are there now; change them first; to see some: select * from "public"."t1" where "n" is not distinct from null limit 10\n`,
  );
  assertStringIncludes(
    stdout,
    "  probe T 2.N n: not null: all rows satisfy it now\n",
  );
  const markdown = await s.run("plan --probe --format markdown");
  assertStringIncludes(
    markdown.stdout,
    "\n- probe t4.c: check: all rows satisfy it now\n",
  );
});

const UNSURE = {
  "0000_before": migration({
    up: [
      "create function is_fine(text) returns boolean language sql immutable as 'select true'",
      "create table a (n int, s text)",
      "create table b (n int)",
      "create table c (n int)",
      "create table d (n int)",
      "create table e (n int)",
    ],
  }),
  "0001_own_function": migration({
    up: "alter table a add constraint own check (is_fine(s))",
  }),
  "0002_new_column": migration({
    up: [
      "alter table a add m int",
      "alter table a add constraint m check (m > 0)",
    ],
  }),
  "0003_filled_before": migration({
    up: [
      "update b set n = 0 where n is null",
      "alter table b alter n set not null",
    ],
  }),
  "0004_theirs": migration({ up: "alter table c alter n set not null" }),
  "0005_locked": migration({ up: "alter table d alter n set not null" }),
  "0006_slow": migration({
    up: "alter table e add constraint slow check (pg_sleep(60) is not null)",
  }),
};

scenario("plan --probe says what it does not know, and why", {}, async (s) => {
  await s.release(await recorded(UNSURE));
  assertEquals((await s.run("up --to 0000_before")).code, 0);
  await s.db.query(
    "insert into a values (1, 's'); insert into b values (null); insert into c values (1); insert into d values (1); insert into e values (1)",
  );
  const role = await s.db.createRole((name) => [
    `grant select on migration_history, a, b, d, e to ${name}`,
  ]);
  await using other = await openSession(s.db.url);
  await other.run("begin; lock table d in access exclusive mode");
  const probes = await probesOf(s, { as: role });
  const reasons = [...probes.values()].flat().map((one) =>
    `${told(one)}${one.reason === undefined ? "" : `: ${one.reason}`}`
  );
  const foreign =
    "it is about something that is not there yet, or not PostgreSQL's own";
  assertEquals(reasons, [
    `a.own check unknown: ${foreign}: function is_fine(text) does not exist`,
    `a.m check unknown: ${foreign}: column "m" does not exist`,
    "b.n not null fails",
    "c.n not null unknown: not allowed: it takes select on c (n)",
    "d.n not null unknown: somebody has locked the table",
    "e.slow check unknown: it takes longer than 2 s",
  ]);
  const { stdout } = await s.run("plan --probe", { as: role });
  assertStringIncludes(
    stdout,
    "  warning fails-with-rows: b.n: there are rows where it is null now; the run changes rows before, or may do so; change them first;",
  );
});

scenario("plan --probe works behind a pooler", {}, async (s) => {
  await s.release(await recorded(MIGRATIONS));
  assertEquals((await s.run("up --to 0000_before")).code, 0);
  await s.db.query("insert into t1 values (1, null)");
  await withPgBouncer(s.db, async ({ url }) => {
    const probes = await probesOf(s, { url: url(s.db.url) });
    assertEquals(probes.get("required_fails")!.map(told), [
      "t1.n not null fails",
    ]);
    // Nothing of its settings is left in the server's session.
    const { code } = await s.run("up --to 0002_required_holds", {
      url: url(s.db.url),
    });
    assertEquals(code, 1);
  });
}, { needs: ["pgbouncer"] });

const CODE = `import { type Kysely, sql } from "kysely";
export async function up(db: Kysely<unknown>): Promise<void> {
  const { rows } = await sql<{ id: number }>\`select id from read where n is null\`.execute(db);
  for (const { id } of rows) await sql\`update read set n = 0 where id = \${id}\`.execute(db);
  await sql\`alter table read alter n set not null\`.execute(db);
}
`;

const MENDED = {
  "0000_before": migration({
    up: [
      "create table read (id int, n int)",
      "create table emptied (n int)",
      "create table parent (id int primary key)",
      "create table child (id int)",
    ],
  }),
  "0001_reads": CODE,
  "0002_emptied": migration({
    up: ["truncate emptied", "alter table emptied alter n set not null"],
  }),
  "0003_parent": migration({
    up: [
      "insert into parent values (1)",
      "alter table child add constraint f foreign key (id) references parent",
    ],
  }),
};

scenario(
  "plan --probe warns only where the run may mend the rows itself",
  {},
  async (s) => {
    await s.release(await recorded(MENDED));
    assertEquals((await s.run("up --to 0000_before")).code, 0);
    await s.db.query(
      "insert into read values (1, null); insert into emptied values (null); insert into child values (1)",
    );
    const { code, stdout } = await s.run("plan --probe");
    assertEquals(code, 0);
    assertEquals(stdout.match(/\w+ fails-with-rows: [^:]+/g), [
      "warning fails-with-rows: read.n",
      "warning fails-with-rows: emptied.n",
      "warning fails-with-rows: child.f",
    ]);
    assertEquals((await s.run("up")).code, 0);
  },
);

const SECRETS = {
  "0000_before": migration({
    up: [
      "create table a (s text, t text, u text)",
      "create schema theirs",
      "create function theirs.fine(text) returns boolean language sql immutable as 'select true'",
    ],
  }),
  "0001_cast": migration({
    up: "alter table a add constraint number check (s::int > 0)",
  }),
  "0002_theirs": migration({
    up: "alter table a add constraint theirs check (theirs.fine(t))",
  }),
  "0003_other": migration({
    up: "alter table a add constraint other check (u <> 'x')",
  }),
};

scenario(
  "plan --probe shows no value of a row, runs nobody's function, and reads only the columns that it needs",
  {},
  async (s) => {
    await s.release(await recorded(SECRETS));
    assertEquals((await s.run("up --to 0000_before")).code, 0);
    await s.db.query(`insert into a values ('a secret', 'b', 'c');
      create or replace function theirs.fine(text) returns boolean language plpgsql immutable as
        $$ begin raise exception 'run as %', current_user; end $$`);
    const reasons = (probes: ReadonlyMap<string, readonly Probed[]>) =>
      [...probes.values()].flat().map(({ outcome, reason }) =>
        reason ?? outcome
      );
    assertEquals(reasons(await probesOf(s)), [
      "the server cannot tell (22P02)",
      "it names a function, an operator or a type with its schema, and none of those is run",
      "holds",
    ]);
    const role = await s.db.createRole((name) => [
      `grant select on migration_history to ${name}`,
      `grant select (u) on a to ${name}`,
    ]);
    assertEquals(reasons(await probesOf(s, { as: role })), [
      "not allowed: it takes select on a (s)",
      "it names a function, an operator or a type with its schema, and none of those is run",
      "holds",
    ]);
  },
);
