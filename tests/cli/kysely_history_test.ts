/** What today's Node image leaves behind: a `migration_history` in the form of Kysely's own migrator. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { migration, table } from "../support/program/migrations.ts";
import {
  CONNECTED,
  type Scenario,
  scenario,
} from "../support/program/scenario.ts";

const AB = { "0001_a": table("a"), "0002_b": table("b") };
const ABC = { ...AB, "0003_c": table("c") };

/** As if Kysely's Migrator had applied `0001_a` and `0002_b`; its rows are not in the order of their times. */
async function leaveBehind(s: Scenario): Promise<void> {
  await s.db.query(`
    create table a (id int); create table b (id int);
    create table migration_history (name varchar(255) not null primary key, timestamp varchar(255) not null);
    create table migration_history_lock (id varchar(255) not null primary key, is_locked integer not null default 0);
    insert into migration_history_lock values ('migration_lock', 0);
    insert into migration_history values
      ('0002_b', '2024-02-03T04:05:06.789Z'), ('0001_a', '2024-01-02T03:04:05.678Z')`);
}

const SHAPE =
  `select string_agg(attname, ',' order by attnum) as columns from pg_attribute
   where attrelid = 'migration_history'::regclass and attnum > 0 and not attisdropped`;
const KYSELY_COLUMNS = [{ columns: "name,timestamp" }];

scenario(
  "status reads Kysely's form, also with credentials that may only read, and leaves it",
  ABC,
  async (s) => {
    await leaveBehind(s);
    const reader = await s.db.createRole((name) => [
      `grant select on migration_history to ${name}`,
    ]);
    assertEquals(await s.run("status", { as: reader }), {
      code: 0,
      stdout: `\
STATE    MIGRATION  APPLIED AT            TOOK  BY
applied  0001_a     2024-01-02 03:04:05Z
applied  0002_b     2024-02-03 04:05:06Z
pending  0003_c

2 applied, 1 pending
`,
      stderr: CONNECTED,
    });
    assertEquals((await s.run("up --dry-run", { as: reader })).code, 0);
    assertEquals(await s.db.query(SHAPE), KYSELY_COLUMNS);
  },
);

scenario(
  "up converts Kysely's form in place, keeping names and times",
  ABC,
  async (s) => {
    await leaveBehind(s);
    assertEquals(await s.run("up"), {
      code: 0,
      stdout: "Applied 0003_c (T)\nApplied 1 migration in T\n",
      stderr: `${CONNECTED}Applying 0003_c (1 of 1)\n`,
    });
    assertEquals(
      await s.db.query(`
      select id::int, name, status, length(checksum) as sum, duration_ms is null as untimed,
        to_char(finished_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS') as finished
      from migration_history where id < 3 order by id`),
      [
        {
          id: 1,
          name: "0001_a",
          status: "applied",
          sum: 64,
          untimed: true,
          finished: "2024-01-02T03:04:05.678",
        },
        {
          id: 2,
          name: "0002_b",
          status: "applied",
          sum: 64,
          untimed: true,
          finished: "2024-02-03T04:05:06.789",
        },
      ],
    );
    assertEquals(await s.history(), [
      "0001_a applied",
      "0002_b applied",
      "0003_c applied",
    ]);
    assertEquals((await s.run("up")).code, 0);
    assertEquals((await s.run("status --check")).code, 0);
  },
);

scenario(
  "up with nothing pending leaves Kysely's form as it is",
  AB,
  async (s) => {
    await leaveBehind(s);
    assertEquals(
      (await s.run("up")).stdout,
      "Nothing to apply: the database is up to date\n",
    );
    assertEquals(await s.db.query(SHAPE), KYSELY_COLUMNS);
  },
);

scenario(
  "a failing run converts Kysely's form all the same, to keep the failure",
  {
    ...AB,
    "0003_c": migration({ up: "select 1 / 0" }),
  },
  async (s) => {
    await leaveBehind(s);
    assertEquals((await s.run("up")).code, 1);
    assertEquals(await s.history(), [
      "0001_a applied",
      "0002_b applied",
      "0003_c failed",
    ]);
  },
);

scenario("an empty table in Kysely's form is converted too", AB, async (s) => {
  await s.db.query(
    "create table migration_history (name varchar(255) primary key, timestamp varchar(255) not null)",
  );
  assertEquals((await s.run("status")).code, 0);
  assertEquals((await s.run("up")).code, 0);
  assertEquals(await s.history(), ["0001_a applied", "0002_b applied"]);
});

scenario(
  "down on Kysely's form rolls back the newest name, and marks its row",
  ABC,
  async (s) => {
    await leaveBehind(s);
    await s.db.query(
      "create table c (id int); insert into migration_history values ('0003_c', '2024-03-04T05:06:07.890Z')",
    );
    assertEquals(
      (await s.run("down --steps 2 --yes")).stdout,
      `\
Rolled back 0003_c (T)
Rolled back 0002_b (T)
Rolled back 2 migrations in T
`,
    );
    assertEquals(await s.tables(), ["a", "migration_history_lock"]);
    assertEquals(await s.history(), [
      "0001_a applied",
      "0002_b rolled_back",
      "0003_c rolled_back",
    ]);
  },
);

scenario("redo on Kysely's form marks the right row", ABC, async (s) => {
  await leaveBehind(s);
  assertEquals((await s.run("redo --yes")).code, 0);
  assertEquals(await s.history(), [
    "0001_a applied",
    "0002_b rolled_back",
    "0002_b applied",
  ]);
});

scenario(
  "a name that the program does not carry survives the conversion without a checksum",
  ABC,
  async (s) => {
    await leaveBehind(s);
    await s.db.query(
      "insert into migration_history values ('0000_gone', '2023-01-01T00:00:00Z')",
    );
    const { code, stderr } = await s.run("up");
    assertEquals(code, 1);
    assertStringIncludes(stderr, 'its history has "0000_gone"');
    assertEquals(await s.db.query(SHAPE), KYSELY_COLUMNS);

    assertEquals((await s.run("down --yes")).code, 0);
    assertEquals(
      await s.db.query(
        "select name, checksum from migration_history where checksum = ''",
      ),
      [{ name: "0000_gone", checksum: "" }],
    );
    const [status] = (await s.json("status")).lines;
    assertEquals(
      (status?.migrations as { state: string }[]).map(({ state }) => state),
      [
        "missing",
        "applied",
        "pending",
        "pending",
      ],
    );
  },
);

scenario(
  "times with a zone and of the type timestamptz are taken over",
  AB,
  async (s) => {
    await s.db.query(`
    create table a (id int);
    create table migration_history (name text primary key, timestamp timestamptz not null);
    insert into migration_history values ('0001_a', '2024-01-02 03:04:05.678+02')`);
    assertEquals((await s.run("up")).code, 0);
    assertEquals(
      await s.db.query(
        "select finished_at = '2024-01-02 01:04:05.678Z' as kept from migration_history where id = 1",
      ),
      [{ kept: true }],
    );
  },
);

scenario(
  "the conversion keeps what others may do with the table",
  AB,
  async (s) => {
    await leaveBehind(s);
    await s.release(ABC);
    const reader = await s.db.createRole((name) => [
      `grant select on migration_history to ${name}`,
    ]);
    assertEquals((await s.run("up")).code, 0);
    assertEquals((await s.run("status --check", { as: reader })).code, 0);
  },
);
