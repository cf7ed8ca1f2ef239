/** What is forecast of a run is what the run then does: each rule, on a real server. */
import { assert, assertEquals } from "@std/assert";
import postgres, { type Sql } from "postgres";
import type { Finding } from "../../src/insight/findings.ts";
import { RULES } from "../../src/insight/findings.ts";
import type { Effect, Forecast } from "../../src/insight/forecast_values.ts";
import { isStronger, type LockMode } from "../../src/insight/locks.ts";
import {
  forecastOn,
  recordOn,
  type SqlMigration,
  stepOf,
} from "../support/program/forecasts.ts";
import { pgTest } from "../support/server/postgres.ts";

/** Tables that are there, with rows where the run will be and without where it was recorded. */
const BEFORE = `
create table parent (id bigint primary key, name text, code text, n integer, at timestamptz);
create table child (id bigint primary key, parent_id bigint, kind text);
create table hollow (id bigint primary key, note text);
create index "Hollow note" on hollow (note);
create type mood as enum ('happy');
create view names as select name from parent;
create materialized view counts as select count(*) as n from child`;

const ROWS = `
insert into parent select i, 'name ' || i, 'code', i, now() from generate_series(1, 500) i;
insert into child select i, i, 'kind' from generate_series(1, 500) i;
analyze parent, child`;

/** As if the tables had some gigabytes. */
const TIMES = 100_000;

interface Case {
  /** What is run, all in one transaction unless told. */
  readonly run: readonly SqlMigration[];
  /** What is found: `level rule object`. */
  readonly finds: readonly string[];
  /** It fails where there are rows, as was forecast. */
  readonly fails?: string;
  readonly transaction?: "all" | "each";
  /** What somebody has done to the database where the run will be. */
  readonly drift?: string;
}

const one = (...up: string[]): SqlMigration[] => [{ name: "0001_a", up }];

const CASES: Readonly<Record<string, Case>> = {
  "a table of that name": {
    drift: 'create table "Fresh Thing" ()',
    run: one('create table "Fresh Thing" (id bigint)'),
    fails: "42P07",
    finds: ["error object-exists Fresh Thing"],
  },
  "a column of that name": {
    drift: 'alter table hollow add column "Extra" text',
    run: one('alter table hollow add column "Extra" text'),
    fails: "42701",
    finds: ["error object-exists hollow.Extra"],
  },
  "a column of that name, which it may find": {
    drift: "alter table hollow add column extra text",
    run: one("alter table hollow add column if not exists extra text"),
    finds: [],
  },
  "a table that is not there": {
    drift: "drop table hollow",
    run: one("alter table hollow add column extra text"),
    fails: "42P01",
    finds: ["error object-missing hollow"],
  },
  "an index that is not there": {
    drift: 'drop index "Hollow note"',
    run: one('drop index "Hollow note"'),
    fails: "42704",
    finds: ["error object-missing Hollow note"],
  },
  "a type that is not there": {
    drift: "drop type mood",
    run: one("drop type mood"),
    fails: "42704",
    finds: ["error object-missing mood"],
  },
  "a column that is not there": {
    drift: "alter table hollow drop column note",
    run: one("alter table hollow drop column note"),
    fails: "42703",
    finds: ["error object-missing hollow.note"],
  },
  "a column that is not there, and would be another": {
    drift: "alter table hollow rename column note to remark",
    run: one("alter table hollow alter column note set not null"),
    fails: "42703",
    finds: ["error object-missing hollow.note"],
  },
  "names that the run itself gives and takes": {
    run: [
      {
        name: "0001_a",
        up: [
          'drop index "Hollow note"',
          'create index "Hollow note" on hollow (id, note)',
          'create table "Kid Thing" (id bigint, "Two" text)',
          "alter table hollow drop column note",
          "alter table hollow add column note integer",
          'alter table hollow rename column note to "Note"',
          'alter table hollow alter column "Note" set not null',
          "drop view names",
        ],
      },
      {
        name: "0002_b",
        up: [
          'alter table "Kid Thing" rename column "Two" to two',
          'create index "Kid idx" on "Kid Thing" (two)',
          'alter index "Kid idx" rename to "Kid index"',
          'alter table hollow rename to "Full"',
          'alter table "Full" add column again text',
          "create view names as select 1 as one",
        ],
      },
      {
        name: "0003_c",
        up: [
          'drop index "Kid index"',
          'alter table "Full" drop column "Note", drop column again',
          'alter table "Kid Thing" drop column two',
          'drop table "Kid Thing"',
          "drop view names",
          'create type "Kid Thing" as enum ()',
        ],
      },
    ],
    finds: [
      "note loses-data hollow.note",
      "warning breaks-old-code hollow",
      "warning breaks-old-code hollow.note",
    ],
  },
  "a type that is stored otherwise": {
    run: one("alter table parent alter column n type bigint"),
    finds: ["warning breaks-old-code parent.n", "error rewrites-table parent"],
  },
  "a type that is stored alike": {
    run: one("alter table child alter column kind type varchar"),
    finds: ["warning breaks-old-code child.kind"],
  },
  "a volatile default": {
    run: one("alter table parent add column u uuid default gen_random_uuid()"),
    finds: ["error rewrites-table parent"],
  },
  "a constant default": {
    run: one("alter table parent add column tags text[] default '{}' not null"),
    finds: [],
  },
  "NOT NULL without a proof": {
    run: one("alter table parent alter column name set not null"),
    finds: ["error validates-at-once parent"],
  },
  "NOT NULL with a proof": {
    run: [
      {
        name: "0001_a",
        up: [
          "alter table parent add constraint c check (name is not null) not valid",
        ],
      },
      { name: "0002_b", up: ["alter table parent validate constraint c"] },
      {
        name: "0003_c",
        up: ["alter table parent alter column name set not null"],
      },
    ],
    transaction: "each",
    finds: [],
  },
  "a check at once": {
    run: one("alter table parent add check (n > 0)"),
    finds: ["error validates-at-once parent"],
  },
  "a foreign key at once": {
    run: one(
      "alter table child add constraint fk foreign key (parent_id) references parent",
    ),
    finds: [
      "error validates-at-once child",
      "warning foreign-key-without-index child.fk",
    ],
  },
  "NOT VALID and VALIDATE in one transaction": {
    run: one(
      "create index on child (parent_id)",
      "alter table child add constraint fk foreign key (parent_id) references parent not valid",
      "alter table child validate constraint fk",
    ),
    finds: [
      "error index-blocks-writes child",
      "error lock-held-long parent",
      "error validates-under-lock child",
    ],
  },
  "an index": {
    run: one("create index parent_name on parent (name)"),
    finds: ["error index-blocks-writes parent"],
  },
  "an index that is built while others write": {
    run: [{
      name: "0001_a",
      transaction: false,
      up: ["create index concurrently parent_name on parent (name)"],
    }],
    finds: [],
  },
  "a unique constraint": {
    run: one("alter table parent add constraint u unique (name)"),
    finds: ["error unique-blocks-all parent"],
  },
  "a unique constraint on an index that is there": {
    run: [
      {
        name: "0001_a",
        transaction: false,
        up: ["create unique index concurrently u on parent (name)"],
      },
      {
        name: "0002_b",
        up: ["alter table parent add constraint u unique using index u"],
      },
    ],
    finds: [],
  },
  "rows of a whole table": {
    run: one("update parent set n = n + 1"),
    finds: ["error changes-many-rows parent"],
  },
  "rows by their key": {
    run: one("update parent set n = n + 1 where id = 5"),
    finds: [],
  },
  "rows behind a definition": {
    run: one(
      "alter table child add column more text",
      "update parent set n = n + 1",
    ),
    finds: [
      "error lock-held-long child",
      "error changes-many-rows parent",
      "error data-and-ddl-together child",
    ],
  },
  "a lock that is held for another table": {
    run: [
      { name: "0001_a", up: ["alter table child add column more text"] },
      { name: "0002_b", up: ["create index parent_name on parent (name)"] },
    ],
    finds: ["error lock-held-long child", "error index-blocks-writes parent"],
  },
  "the same with a transaction each": {
    run: [
      { name: "0001_a", up: ["alter table child add column more text"] },
      { name: "0002_b", up: ["create index parent_name on parent (name)"] },
    ],
    transaction: "each",
    finds: ["error index-blocks-writes parent"],
  },
  "a column that goes": {
    run: one("alter table child drop column kind"),
    finds: [
      "error loses-data child.kind",
      "warning breaks-old-code child.kind",
    ],
  },
  "a table that goes, and what depends on it": {
    run: one("drop table parent cascade"),
    finds: [
      "error loses-data parent",
      "error drops-by-cascade names",
      "warning breaks-old-code parent",
    ],
  },
  "what goes with a table that has no rows": {
    run: one(
      "drop table hollow",
    ),
    finds: ["note loses-data hollow", "warning breaks-old-code hollow"],
  },
  "a column that only rows would have to have": {
    run: one("alter table hollow add column must text not null"),
    finds: [],
  },
  "a table that is emptied": {
    run: one("truncate child"),
    finds: ["error loses-data child"],
  },
  "a table that is renamed, and used under its new name": {
    run: [
      { name: "0001_a", up: ["alter table child rename to kid"] },
      { name: "0002_b", up: ["create index kid_kind on kid (kind)"] },
    ],
    finds: [
      "warning breaks-old-code child",
      "error index-blocks-writes child",
    ],
  },
  "a column that is renamed": {
    run: one("alter table child rename column kind to sort"),
    finds: ["warning breaks-old-code child.kind"],
  },
  "a column that rows would have to have": {
    run: one("alter table parent add column must text not null"),
    fails: "23502",
    finds: [
      "error fails-with-rows parent.must",
      "error validates-at-once parent",
    ],
  },
  "an enum's value": {
    run: one("alter type mood add value 'sad'"),
    finds: ["warning enum-in-transaction mood"],
  },
  "what a new table is made of": {
    run: one(
      "create table fresh (id serial primary key, at timestamp, parent_id bigint references parent, an_extraordinarily_long_name_of_a_column_that_nobody_will_want_to_write text)",
      "create index on fresh (at)",
      "update fresh set at = now()",
      "alter table fresh add check (id > 0)",
    ),
    finds: [
      "warning foreign-key-without-index fresh.fresh_parent_id_fkey",
      "note int-key fresh.id",
      "note timestamp-without-zone fresh.at",
      "warning name-too-long an_extraordinarily_long_name_of_a_column_that_nobody_will_want_to_write",
    ],
  },
  "what it reads": {
    run: one("select id from parent where name is null"),
    finds: ["note reads-data parent"],
  },
};

for (
  const [name, { run, finds, fails, drift, transaction = "all" }] of Object
    .entries(
      CASES,
    )
) {
  pgTest(`forecast: ${name}`, async (db) => {
    const recording = await db.createDatabase();
    await db.query(BEFORE);
    await db.query(ROWS);
    if (drift !== undefined) await db.query(drift);
    const sql = postgres(recording.url, { max: 1, onnotice: () => {} });
    await sql.unsafe(BEFORE).then(() => sql.end());
    const footprints = await recordOn(recording.url, run);
    const steps = run.map((one, i) => stepOf(one, footprints[i]!));
    const found = await forecastOn(db.url, steps, {
      times: TIMES,
      transaction,
    });
    assertEquals(findingsOf(found).map(told).toSorted(), finds.toSorted());
    await assertHappens(db.url, run, found, transaction, fails);
  });
}

Deno.test("forecast: every rule has a case", () => {
  const seen = new Set(
    Object.values(CASES).flatMap(({ finds }) =>
      finds.map((one) => one.split(" ")[1])
    ),
  );
  // These are of other places: a role, another database, what the recorder has compared.
  const elsewhere = [
    "needs-superuser",
    "missing-privilege",
    "down-not-exact",
  ];
  assertEquals(RULES.filter((rule) => !seen.has(rule)), elsewhere as unknown[]);
});

function findingsOf({ segments }: Forecast): Finding[] {
  return segments.flatMap(({ migrations }) => migrations).flatMap((one) => [
    ...one.statements.flatMap(({ findings }) => findings),
    ...one.findings,
  ]);
}

function told({ level, rule, object }: Finding): string {
  return `${level} ${rule} ${object}`;
}

/** Runs it, and compares what the server does with the effects that were forecast, statement by statement. */
async function assertHappens(
  url: string,
  run: readonly SqlMigration[],
  { segments }: Forecast,
  transaction: "all" | "each",
  fails: string | undefined,
): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  const forecasts = segments.flatMap(({ migrations }) => migrations);
  try {
    let code: string | undefined;
    for (const [i, { up, transaction: inside = true }] of run.entries()) {
      if (
        inside &&
        (i === 0 || transaction === "each" || run[i - 1]!.transaction === false)
      ) {
        await sql.unsafe("begin");
      }
      for (const [j, text] of up.entries()) {
        const before = await stateOf(sql);
        code = await sql.unsafe(text).then(
          () => undefined,
          (error) => error.code,
        );
        if (code !== undefined) break;
        const { effects } = forecasts[i]!.statements[j]!;
        assertEffects(text, effects, before, await stateOf(sql), inside);
      }
      const isLast = i === run.length - 1;
      if (inside && (isLast || transaction === "each")) {
        await sql.unsafe("commit");
      }
    }
    assertEquals(code, fails);
  } finally {
    await sql.end();
  }
}

interface State {
  readonly files: ReadonlyMap<string, string>;
  readonly locks: ReadonlyMap<string, LockMode>;
  readonly scans: ReadonlyMap<string, number>;
  readonly ids: ReadonlyMap<string, string>;
}

async function stateOf(sql: Sql): Promise<State> {
  const tables = await sql.unsafe(
    `select c.oid::text as id, c.relname::text as name, pg_relation_filenode(c.oid)::text as file, (s.seq_scan + coalesce(s.idx_scan, 0))::int as scans
     from pg_class c left join pg_stat_xact_user_tables s on s.relid = c.oid
     where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'm')`,
  );
  const locks = await sql.unsafe(
    "select relation::text as id, mode from pg_locks where pid = pg_backend_pid() and locktype = 'relation'",
  );
  const strongest = new Map<string, LockMode>();
  for (const { id, mode } of locks) {
    const one = mode.replace(/Lock$/, "") as LockMode;
    if (isStronger(one, strongest.get(id))) strongest.set(id, one);
  }
  return {
    files: new Map(tables.map(({ id, file }) => [id, file])),
    scans: new Map(tables.map(({ id, scans }) => [id, scans ?? 0])),
    ids: new Map(tables.map(({ id, name }) => [name, id])),
    locks: strongest,
  };
}

const OLD_NAMES: Readonly<Record<string, string>> = {
  child: "kid",
  hollow: "Full",
};

function assertEffects(
  text: string,
  effects: readonly Effect[],
  before: State,
  after: State,
  inside: boolean,
): void {
  for (const effect of effects) {
    const { table } = effect;
    const id = before.ids.get(table) ?? before.ids.get(OLD_NAMES[table] ?? "")!;
    assert(id !== undefined, `${text}: there is no ${table}`);
    switch (effect.kind) {
      case "lock":
        if (inside) {
          const mode = after.locks.get(id);
          assert(
            mode === effect.mode || isStronger(mode!, effect.mode),
            `${text}: ${mode}, not ${effect.mode}`,
          );
        }
        break;
      case "rewrites":
        assert(
          before.files.get(id) !== after.files.get(id),
          `${text}: not written anew`,
        );
        break;
      default:
        if (inside) {
          assert(
            after.scans.get(id)! > before.scans.get(id)!,
            `${text}: not read`,
          );
        }
    }
  }
  // What is written anew is told.
  for (const [id, file] of before.files) {
    const now = after.files.get(id);
    const isTold = /^truncate/.test(text) ||
      effects.some((one) => one.kind === "rewrites");
    if (now !== undefined && now !== file) {
      assert(isTold, `${text}: written anew, and not told`);
    }
  }
}
