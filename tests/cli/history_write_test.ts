/** A write to the history that does not write its rows cannot be committed: the server refuses it in the same transaction. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { migration, table } from "../support/program/migrations.ts";
import { startProxy } from "../support/net/proxy.ts";
import { type Scenario, scenario } from "../support/program/scenario.ts";

const AB = { "0001_a": table("a"), "0002_b": table("b") };
const ABC = { ...AB, "0003_c": table("c") };
const NO_TRANSACTION = "{ transaction: false }";

const WHY =
  "look for a trigger, a rule or a policy on the table, or for somebody else who has changed or deleted a row";

/** What cannot be recorded, as an error says it. */
function unwritten(what: string, rows = "1 row"): string {
  return `Cannot record ${what} in the history "public.migration_history": of ${rows} the server wrote 0; ${WHY}`;
}

/** A trigger on the history that keeps rows out, or does something else to them. */
async function trap(
  s: Scenario,
  event: "insert" | "update",
  body = "return null",
): Promise<void> {
  await s.db.query(`
    create function trap() returns trigger language plpgsql as $$ begin ${body}; end $$;
    create trigger trap before ${event} on migration_history for each row execute function trap()`);
}

/** The database as it must stay: its tables, and the history in full. */
async function everything(s: Scenario): Promise<unknown> {
  return [
    await s.tables(),
    await s.db.query("select * from migration_history order by id"),
  ];
}

for (const options of ["", " --no-pipeline", " --transaction each"]) {
  scenario(
    `up${options} is not committed when a trigger keeps its row out of the history`,
    AB,
    async (s) => {
      assertEquals((await s.run("up --to 0001_a")).code, 0);
      await trap(s, "insert");
      const before = await everything(s);

      const { code, stdout, stderr } = await s.run(`up${options}`);

      assertEquals([code, stdout], [1, ""]);
      assertStringIncludes(
        stderr,
        `error: Cannot apply "0002_b": ${unwritten('"0002_b" as applied')}\n`,
      );
      assertStringIncludes(stderr, "nothing was changed, 1 not run\n");
      assertEquals(await everything(s), before);
    },
  );

  scenario(
    `down${options} is not committed when a trigger keeps the row as it was`,
    AB,
    async (s) => {
      assertEquals((await s.run("up")).code, 0);
      await trap(s, "update");
      const before = await everything(s);

      const { code, stdout, stderr } = await s.run(`down --yes${options}`);

      assertEquals([code, stdout], [1, ""]);
      assertStringIncludes(
        stderr,
        `error: Cannot roll back "0002_b": ${
          unwritten('"0002_b" as rolled back')
        }\n`,
      );
      assertEquals(await everything(s), before);
    },
  );
}

scenario(
  "a run of several migrations is not committed when a trigger keeps one row out of the history",
  ABC,
  async (s) => {
    assertEquals((await s.run("baseline --to 0001_a")).code, 0);
    await trap(
      s,
      "insert",
      "if new.name = '0003_c' then return null; end if; return new",
    );
    const before = await everything(s);
    const { code, stdout, stderr } = await s.run("up");
    assertEquals([code, stdout], [1, ""]);
    assertStringIncludes(
      stderr,
      "error: Cannot commit 2 migrations: Cannot record 2 migrations as applied in the history " +
        `"public.migration_history": of 2 rows the server wrote 1; ${WHY}\n`,
    );
    assertEquals(await everything(s), before);
  },
);

scenario(
  "a row that a trigger changes is not the row that was to be written",
  AB,
  async (s) => {
    assertEquals((await s.run("up --to 0001_a")).code, 0);
    await trap(s, "insert", "new.status = 'failed'; return new");
    const { code, stderr } = await s.run("up");
    assertEquals(code, 1);
    assertStringIncludes(stderr, unwritten('"0002_b" as applied'));
    assertEquals(await s.tables(), ["a"]);
    assertEquals(await s.history(), ["0001_a applied", "0002_b failed"]);
  },
);

scenario(
  "a trigger that lets the row pass is the owner's business",
  AB,
  async (s) => {
    assertEquals((await s.run("up --to 0001_a")).code, 0);
    await trap(
      s,
      "insert",
      "new.host = upper(new.host); return new",
    );
    assertEquals((await s.run("up")).code, 0);
    assertEquals(
      await s.db.query("select host from migration_history order by id"),
      [{ host: "test-host" }, { host: "TEST-HOST" }],
    );
  },
);

scenario(
  "redo is not committed when a trigger keeps either half of it out",
  AB,
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    for (const event of ["insert", "update"] as const) {
      await trap(s, event);
      const before = await everything(s);
      const { code, stdout, stderr } = await s.run("redo --yes");
      assertEquals([code, stdout], [1, ""]);
      assertStringIncludes(
        stderr,
        event === "insert"
          ? unwritten('"0002_b" as applied')
          : unwritten('"0002_b" as rolled back'),
      );
      assertEquals(await everything(s), before);
      await s.db.query("drop function trap() cascade");
    }
  },
);

scenario(
  "baseline and repair are not committed when a trigger keeps their rows out",
  {
    ...AB,
    "0003_fails": migration({ up: "select 1/0", options: NO_TRANSACTION }),
  },
  async (s) => {
    assertEquals((await s.run("up")).code, 1);
    await s.db.query(
      "update migration_history set checksum = 'f' where name = '0001_a'",
    );
    await trap(s, "update");
    for (
      const [command, error] of [
        [
          "repair --accept-checksum 0001_a",
          `Cannot accept the checksum of "0001_a" in the history "public.migration_history": of 1 row the server wrote 0; ${WHY}`,
        ],
        ["repair --retry 0003_fails", unwritten('"0003_fails" as rolled back')],
        [
          "repair --mark-applied 0003_fails",
          unwritten('"0003_fails" as applied'),
        ],
      ] as const
    ) {
      const before = await everything(s);
      const { code, stdout, stderr } = await s.run(command);
      assertEquals([code, stdout], [1, ""]);
      assertStringIncludes(stderr, `error: ${error}\n`);
      assertEquals(await everything(s), before);
    }
    await s.db.query("drop function trap() cascade");
    await s.release({ ...ABC, "0004_d": table("d") });
    await s.db.query("delete from migration_history where name = '0003_fails'");
    await trap(s, "insert");
    const before = await everything(s);
    const { code, stdout, stderr } = await s.run("baseline --to 0004_d");
    assertEquals([code, stdout], [1, ""]);
    assertStringIncludes(
      stderr,
      `error: Cannot record 2 migrations as baseline in the history "public.migration_history": of 2 rows the server wrote 0; ${WHY}\n`,
    );
    assertEquals(await everything(s), before);
  },
);

scenario(
  "a failure that a trigger keeps out of the history is said, and the cause stays the error",
  { "0001_a": table("a"), "0002_fails": migration({ up: "select 1/0" }) },
  async (s) => {
    assertEquals((await s.run("up --to 0001_a")).code, 0);
    await trap(s, "insert");
    const { code, stderr } = await s.run("up");
    assertEquals(code, 1);
    assertStringIncludes(
      stderr,
      `warning: Cannot record the failure of "0002_fails" in the history: ${
        unwritten('the failure of "0002_fails"')
      }\n`,
    );
    assertStringIncludes(
      stderr,
      'error: Cannot apply "0002_fails": division by zero (SQLSTATE 22012)',
    );
  },
);

const JOURNALLED = {
  "0001_a": table("a"),
  "0002_alone": migration({
    up: "create table alone (id int)",
    down: "drop table alone",
    options: NO_TRANSACTION,
  }),
};

scenario(
  "a migration outside a transaction does not begin when the history does not say so",
  JOURNALLED,
  async (s) => {
    assertEquals((await s.run("up --to 0001_a")).code, 0);
    await trap(s, "insert");
    const before = await everything(s);
    const { code, stdout, stderr } = await s.run("up");
    assertEquals([code, stdout], [1, ""]);
    assertStringIncludes(
      stderr,
      `error: Cannot record that "0002_alone" begins in the history`,
    );
    assertEquals(await everything(s), before);

    await s.db.query("drop function trap() cascade");
    assertEquals((await s.run("up")).code, 0);
    await trap(s, "update");
    const applied = await everything(s);
    const down = await s.run("down --yes");
    assertEquals([down.code, down.stdout], [1, ""]);
    assertStringIncludes(
      down.stderr,
      `error: Cannot record that the rollback of "0002_alone" begins in the history`,
    );
    assertEquals(await everything(s), applied);
  },
);

scenario(
  "a migration outside a transaction whose end cannot be recorded is not told as applied",
  JOURNALLED,
  async (s) => {
    assertEquals((await s.run("up --to 0001_a")).code, 0);
    await trap(s, "update");
    const { code, stdout, stderr } = await s.run("up");
    assertEquals([code, stdout], [1, ""]);
    assertStringIncludes(stderr, unwritten('"0002_alone" as applied'));
    assertEquals(await s.history(), ["0001_a applied", "0002_alone running"]);
  },
);

scenario(
  "a row that is gone when its migration is rolled back keeps that from being committed",
  {
    "0001_a": table("a"),
    "0002_b": migration({
      up: "create table b (id int)",
      down: [
        "drop table b",
        "delete from migration_history where name = '0002_b'",
      ],
    }),
  },
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    const before = await everything(s);
    for (const options of ["", " --no-pipeline"]) {
      const { code, stdout, stderr } = await s.run(`down --yes${options}`);
      assertEquals([code, stdout], [1, ""]);
      assertStringIncludes(stderr, unwritten('"0002_b" as rolled back'));
    }
    assertEquals(
      (await everything(s) as unknown[])[0],
      (before as unknown[])[0],
    );
    assertEquals(await s.history(), ["0001_a applied", "0002_b applied"]);
  },
);

scenario(
  "a row that somebody else has settled meanwhile is not written over",
  {
    "0001_a": table("a"),
    "0002_b": migration({
      up: "create table b (id int)",
      down: [
        "drop table b",
        "update migration_history set status = 'rolled_back' where name = '0002_b'",
      ],
    }),
  },
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    const { code, stdout, stderr } = await s.run("down --yes");
    assertEquals([code, stdout], [1, ""]);
    assertStringIncludes(stderr, unwritten('"0002_b" as rolled back'));
    assertEquals(await s.tables(), ["a", "b"]);
  },
);

scenario(
  "a policy that a migration lays on the history keeps it from being committed",
  {
    "0001_a": table("a"),
    "0002_policy": migration({
      up: "select 1",
      down: [
        "create policy read on migration_history for select using (true)",
        "alter table migration_history enable row level security, force row level security",
      ],
    }),
  },
  async (s) => {
    const owner = await s.db.createRole((name) => [
      `grant create on schema public to ${name}`,
    ]);
    assertEquals((await s.run("up", { as: owner })).code, 0);
    const before = await everything(s);
    const { code, stdout, stderr } = await s.run("down --yes", { as: owner });
    assertEquals([code, stdout], [1, ""]);
    assertStringIncludes(stderr, unwritten('"0002_policy" as rolled back'));
    assertEquals(
      await s.db.query("select polname from pg_policy"),
      [],
    );
    assertEquals(
      (await everything(s) as unknown[])[0],
      (before as unknown[])[0],
    );
  },
);

for (const rule of ["do instead nothing", "do also notify history"]) {
  scenario(
    `a rule on the history, ${rule}, is refused by the server`,
    AB,
    async (s) => {
      assertEquals((await s.run("up --to 0001_a")).code, 0);
      await s.db.query(
        `create rule r as on insert to migration_history ${rule}`,
      );
      const before = await everything(s);
      const { code, stdout, stderr } = await s.run("up");
      assertEquals([code, stdout], [1, ""]);
      assertStringIncludes(
        stderr,
        'error: Cannot apply "0002_b": Cannot write to the history "public.migration_history": it has a rule, ' +
          "which can change what is written; use a trigger instead\n",
      );
      assertEquals(await everything(s), before);
    },
  );
}

scenario(
  "Kysely's table is not converted while its own migrator writes to it",
  ABC,
  async (s) => {
    await s.db.query(`
      create table a (id int);
      create table migration_history (name varchar(255) primary key, timestamp varchar(255) not null);
      insert into migration_history values ('0001_a', '2024-01-02T03:04:05.678Z')`);
    await using proxy = await startProxy(s.db);
    const { held, release } = proxy.hold(
      /lock table "public"\.migration_history/,
    );
    await using up = s.start("up", { url: proxy.url(s.db.url) });
    await held;
    await s.db.query(
      "insert into migration_history values ('0002_b', '2024-02-03T04:05:06.789Z')",
    );
    release();
    const { code, stdout, stderr } = await up.result;
    assertEquals([code, stdout], [1, ""]);
    assertStringIncludes(
      stderr,
      'error: Cannot take over Kysely\'s rows: somebody is writing to the history "public.migration_history"; ' +
        "stop the other migrator, and start again\n",
    );
    assertEquals(
      await s.db.query("select name from migration_history order by name"),
      [{ name: "0001_a" }, { name: "0002_b" }],
    );
  },
);

scenario(
  "only who has the rights of its owner converts Kysely's table",
  AB,
  async (s) => {
    await s.db.query(
      "create table migration_history (name varchar(255) primary key, timestamp varchar(255) not null)",
    );
    const as = await s.db.createRole((name) => [
      `grant create on schema public to ${name}`,
      `grant all on migration_history to ${name}`,
    ]);
    assertEquals((await s.run("up --dry-run", { as })).code, 0);
    const { code, stderr } = await s.run("up", { as });
    assertEquals(code, 1);
    assertStringIncludes(
      stderr,
      'error: Cannot turn the table of Kysely\'s migrator into the history "public.migration_history": that takes the rights ' +
        'of its owner, "postgres"; run the program as that role once\n',
    );
  },
);

for (const options of ["", " --transaction each", " --no-pipeline"]) {
  scenario(
    `a migration that drops or moves the history's schema is told so, with up${options}`,
    {
      "0001_reset": migration({
        up: [
          "drop schema public cascade",
          "create schema public",
          "create table t (id int)",
        ],
      }),
    },
    async (s) => {
      const gone = (name: string) =>
        `error: Cannot apply "${name}": its up function has dropped or renamed the history, or its schema: a migration ` +
        "must leave it where it is; it can be kept in a schema of its own with --schema\n";
      const run = async (name: string) => {
        const { code, stdout, stderr } = await s.run(`up${options}`);
        assertEquals([code, stdout], [1, ""]);
        assertStringIncludes(stderr, gone(name));
      };
      await run("0001_reset");
      assertEquals(await s.tables(), []);
      assertEquals(await s.history(), ["0001_reset failed"]);

      for (
        const [name, statement] of [
          [
            "0001_moved",
            "alter schema public rename to v1; create schema public",
          ],
          ["0001_renamed", "alter table migration_history rename to h"],
          ["0001_dropped", "drop table migration_history"],
        ] as const
      ) {
        await s.release({ [name]: migration({ up: statement }) });
        await run(name);
      }
    },
  );
}

scenario(
  "of a run of several migrations the one that drops the history is named, and nothing is applied",
  {
    ...AB,
    "0003_drop": migration({ up: "drop table migration_history" }),
    "0004_d": table("d"),
  },
  async (s) => {
    for (const options of ["", " --no-pipeline"]) {
      const { code, stdout, stderr } = await s.run(`up${options}`);
      assertEquals([code, stdout], [1, ""]);
      assertStringIncludes(
        stderr,
        'error: Cannot apply "0003_drop": its up function has dropped or renamed the history, or its schema:',
      );
      assertEquals(await s.tables(), []);
    }
  },
);

scenario(
  "a migration outside a transaction that drops the history is told so",
  {
    "0001_drop": migration({
      up: "drop table migration_history",
      options: NO_TRANSACTION,
    }),
  },
  async (s) => {
    const { code, stdout, stderr } = await s.run("up");
    assertEquals([code, stdout], [1, ""]);
    assertStringIncludes(
      stderr,
      'error: Cannot apply "0001_drop": its up function has dropped or renamed the history, or its schema:',
    );
  },
);

scenario(
  "a history whose sequence is behind its rows is told so, with the statement that mends it",
  AB,
  async (s) => {
    assertEquals((await s.run("up --to 0001_a")).code, 0);
    await s.db.query(
      "select setval(pg_get_serial_sequence('migration_history', 'id'), 1, false)",
    );
    for (const command of ["up", "up --no-pipeline", "baseline --to 0002_b"]) {
      const { code, stdout, stderr } = await s.run(command);
      assertEquals([code, stdout], [1, ""]);
      assertStringIncludes(
        stderr,
        'Cannot write to the history "public.migration_history": the sequence of its numbers is behind its rows, as after a ' +
          "copy without sequences; run select setval(pg_get_serial_sequence('\"public\".migration_history', 'id'), " +
          '(select max(id) from "public".migration_history))\n',
      );
      await s.db.query(
        "select setval(pg_get_serial_sequence('migration_history', 'id'), 1, false)",
      );
    }
    await s.db.query(
      `select setval(pg_get_serial_sequence('"public".migration_history', 'id'), (select max(id) from "public".migration_history))`,
    );
    assertEquals((await s.run("up")).code, 0);
  },
);
