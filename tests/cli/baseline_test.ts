import { assertEquals } from "@std/assert";
import { table } from "../support/program/migrations.ts";
import { CONNECTED, scenario } from "../support/program/scenario.ts";

const ABC = {
  "0001_a": table("a"),
  "0002_b": table("b"),
  "0003_c": table("c"),
};

/** As Kysely's Migrator makes it. */
const KYSELY_TABLE = (name: string) => `
  create table ${name} (
    name varchar(255) not null primary key,
    timestamp varchar(255) not null
  )`;

scenario(
  "baseline --to records migrations as applied and runs none",
  ABC,
  async (s) => {
    await s.db.query("create table a (id int); create table b (id int)");
    assertEquals(await s.run("baseline --to 0002_b"), {
      code: 0,
      stdout: `\
Recorded 0001_a
Recorded 0002_b
Recorded 2 migrations in T
`,
      stderr: CONNECTED,
    });
    assertEquals(await s.history(), ["0001_a baseline", "0002_b baseline"]);
    assertEquals(
      (await s.run("up")).stdout,
      `\
Applied 0003_c (T)
Applied 1 migration in T
`,
    );
    assertEquals((await s.run("down --all --yes")).code, 0);
    assertEquals(await s.tables(), []);
  },
);

scenario(
  "baseline leaves what is applied, and says so when that is everything",
  ABC,
  async (s) => {
    assertEquals((await s.run("up --to 0001_a")).code, 0);
    assertEquals(
      (await s.run("baseline --to 0002_b")).stdout,
      `\
Recorded 0002_b
Recorded 1 migration in T
`,
    );
    assertEquals(await s.run("baseline --to 0002_b"), {
      code: 0,
      stdout: "Nothing to record: the history has these migrations already\n",
      stderr: CONNECTED,
    });
    assertEquals(await s.history(), ["0001_a applied", "0002_b baseline"]);
  },
);

scenario("baseline --to refuses an unknown name", ABC, async (s) => {
  assertEquals(await s.run("baseline --to 2_b"), {
    code: 2,
    stdout: "",
    stderr:
      'error: Option --to: this program carries no migration "2_b"; did you mean "0002_b"?\n',
  });
});

scenario(
  "baseline --from-kysely takes over names and times",
  ABC,
  async (s) => {
    await s.db.query(`
    ${KYSELY_TABLE("kysely_migration")};
    insert into kysely_migration values
      ('0002_b', '2023-05-06T07:08:09.010Z'), ('0001_a', '2023-04-05T06:07:08.009Z')`);
    assertEquals(await s.run("baseline --from-kysely kysely_migration"), {
      code: 0,
      stdout: `\
Recorded 0001_a
Recorded 0002_b
Recorded 2 migrations in T
`,
      stderr: CONNECTED,
    });
    assertEquals(
      await s.db.query(
        `select name, status, duration_ms, length(checksum) as sum,
         to_char(started_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS') as started,
         finished_at = started_at as at_once
       from migration_history order by id`,
      ),
      [
        {
          name: "0001_a",
          status: "baseline",
          duration_ms: null,
          sum: 64,
          started: "2023-04-05T06:07:08.009",
          at_once: true,
        },
        {
          name: "0002_b",
          status: "baseline",
          duration_ms: null,
          sum: 64,
          started: "2023-05-06T07:08:09.010",
          at_once: true,
        },
      ],
    );
    // The old tool's table is not ours to change.
    assertEquals(await s.tables(), ["kysely_migration"]);
  },
);

scenario(
  "baseline --from-kysely reads a table in another schema, whatever its name",
  ABC,
  async (s) => {
    await s.db.query(`
    create schema "Old";
    ${KYSELY_TABLE('"Old"."the ""table"""')};
    insert into "Old"."the ""table""" values ('0001_a', '2023-04-05T06:07:08.009Z')`);
    assertEquals(
      (await s.run(["baseline", "--from-kysely", 'Old.the "table"'])).stdout,
      "Recorded 0001_a\nRecorded 1 migration in T\n",
    );
  },
);

scenario(
  "baseline --from-kysely refuses what is no table of Kysely",
  ABC,
  async (s) => {
    await s.db.query("create table foreign_table (id int)");
    const refused = async (table: string, reason: string) => {
      assertEquals(await s.run(["baseline", "--from-kysely", table]), {
        code: 1,
        stdout: "",
        stderr: `\
${CONNECTED}error: Cannot read "${table}": ${reason}
Failed in T: nothing was changed
`,
      });
    };
    const missing = "there is no such table in this database";
    await refused("nothing", missing);
    await refused("nowhere.nothing", missing);
    await refused("other.nowhere.nothing", missing);
    await refused(
      "foreign_table",
      "it is not a migration table of Kysely, which has the columns name and timestamp",
    );
    assertEquals(
      await s.db.query("select to_regclass('migration_history') as found"),
      [{ found: null }],
    );
  },
);

scenario(
  "baseline --from-kysely refuses unknown names and times that are none",
  ABC,
  async (s) => {
    await s.db.query(`
    ${KYSELY_TABLE("kysely_migration")};
    insert into kysely_migration values
      ('0000_z', '2023-05-06T07:08:09.010Z'), ('0001_a', '2023-05-06T07:08:09.010Z'), ('0009_x', '2023-05-06T07:08:09.010Z')`);
    assertEquals(await s.run("baseline --from-kysely kysely_migration"), {
      code: 1,
      stdout: "",
      stderr: `\
${CONNECTED}error: Cannot record "0000_z", "0009_x" as applied: this program does not carry them; add the files to migrations/ or run the version of the program that does; if it carries them under other names, record what this database has: baseline --to NAME (the table lists 3, and number 3 here is "0003_c")
Failed in T: nothing was changed
`,
    });
    await s.db.query(`
    delete from kysely_migration where name <> '0001_a';
    update kysely_migration set timestamp = 'yesterday, I think'`);
    assertEquals(await s.run("baseline --from-kysely kysely_migration"), {
      code: 1,
      stdout: "",
      stderr: `\
${CONNECTED}error: Cannot read the time of "0001_a" in Kysely's table: "yesterday, I think" is not a time
Failed in T: nothing was changed
`,
    });
  },
);

scenario(
  "baseline --from-kysely of an empty table has nothing to record",
  ABC,
  async (s) => {
    await s.db.query(KYSELY_TABLE("kysely_migration"));
    assertEquals(
      (await s.run("baseline --from-kysely kysely_migration")).stdout,
      "Nothing to record: the history has these migrations already\n",
    );
  },
);
