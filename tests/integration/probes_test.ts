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
    `  error fails-with-rows: t1.n: there are rows where it is null: it fails with the rows that are there now; change them first; to see some: select * from "public"."t1" where "n" is null limit 10\n`,
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
    "c.n not null unknown: not allowed: permission denied for table c",
    "d.n not null unknown: somebody has locked the table",
    "e.slow check unknown: it takes longer than 2 s",
  ]);
  const { stdout } = await s.run("plan --probe", { as: role });
  assertStringIncludes(
    stdout,
    "  warning fails-with-rows: b.n: there are rows where it is null now; the run changes rows of the table before; change them first;",
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
