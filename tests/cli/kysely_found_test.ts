/** A database that Kysely's own migrator has migrated, and that nobody has told the program of. */
import { assertEquals } from "@std/assert";
import { table } from "../support/program/migrations.ts";
import {
  CONNECTED,
  type Scenario,
  scenario,
} from "../support/program/scenario.ts";

const ABC = {
  "0001_a": table("a"),
  "0002_b": table("b"),
  "0003_c": table("c"),
};

/** As if Kysely's Migrator had applied these. */
async function leaveBehind(
  s: Scenario,
  names: readonly string[],
  name = "kysely_migration",
): Promise<void> {
  await s.db.query(`
    create table ${name} (name varchar(255) not null primary key, timestamp varchar(255) not null);
    create table ${name}_lock (id varchar(255) not null primary key, is_locked integer not null default 0);
    insert into ${name}_lock values ('migration_lock', 0)`);
  for (const [i, one] of names.entries()) {
    await s.db.query(`insert into ${name} values ($1, $2)`, [
      one,
      `2024-01-0${i + 1}T00:00:00.000Z`,
    ]);
  }
}

const SAYS = (table: string) =>
  `"${table}" says that Kysely's own migrator has applied`;

scenario(
  "up and status recognise a database that Kysely has migrated, and name the command that takes it over",
  ABC,
  async (s) => {
    await s.db.query("create table a (id int); create table b (id int)");
    await leaveBehind(s, ["0001_a", "0002_b"]);
    const text =
      `Cannot apply 3 migrations: ${
        SAYS("public.kysely_migration")
      } 2 of them ` +
      "already; record what it has applied: baseline --from-kysely public.kysely_migration";
    for (const command of ["up", "up --dry-run", "up --to 0001_a"]) {
      const { code, stdout, stderr } = await s.run(command);
      assertEquals([code, stdout], [1, ""]);
      if (command.includes("--to")) continue;
      assertEquals(
        stderr,
        `${CONNECTED}error: ${text}\nFailed in T: nothing was changed\n`,
      );
    }
    const status = await s.run("status --check");
    assertEquals([status.code, status.stderr], [
      3,
      `${CONNECTED}warning: ${text}\n`,
    ]);
    assertEquals((await s.json("status")).lines.length, 1);

    assertEquals(
      (await s.run("baseline --from-kysely public.kysely_migration")).code,
      0,
    );
    assertEquals(await s.run("up"), {
      code: 0,
      stdout: "Applied 0003_c (T)\nApplied 1 migration in T\n",
      stderr: `${CONNECTED}Applying 0003_c (1 of 1)\n`,
    });
    // What was rolled back is ours to apply again, whatever the old table says.
    assertEquals((await s.run("down --all --yes")).code, 0);
    assertEquals((await s.run("up")).code, 0);
    assertEquals((await s.run("status --check")).stderr, CONNECTED);
  },
);

scenario(
  "the table of Kysely may have any name, be in any schema, and is looked for with --schema and after a failure, too",
  { "0001_a": table("a") },
  async (s) => {
    await s.db.query(
      `create table a (id int); create schema "my app"; create schema other`,
    );
    assertEquals((await s.run("up")).code, 1);
    assertEquals(await s.history(), ["0001_a failed"]);
    await leaveBehind(s, ["0001_a"], `"my app".done`);
    const text =
      `Cannot apply 1 migration: ${SAYS("my app.done")} it already; ` +
      "record what it has applied: baseline --from-kysely 'my app.done'";
    const { code, stderr } = await s.run("up");
    assertEquals([code, stderr], [
      1,
      `${CONNECTED}error: ${text}; if that was in another schema than "public", pass --schema public\nFailed in T: nothing was changed\n`,
    ]);
    // That of another tenant is no reason to refuse, and the way out where it is taken for ours.
    assertEquals((await s.run("up --schema other")).code, 0);
    assertEquals((await s.run(["up", "--schema", "my app"])).code, 1);
    assertEquals(
      (await s.run("status --schema public")).stderr.split("\n")[1],
      `warning: ${
        SAYS("my app.done")
      } 1 of 1 pending migrations; if that was in the schema "public", ` +
        "record what it has applied: baseline --from-kysely 'my app.done'",
    );
    assertEquals(
      (await s.run(["baseline", "--from-kysely", "my app.done"])).code,
      0,
    );
    assertEquals(await s.run("up"), {
      code: 0,
      stdout: "Nothing to apply: the database is up to date\n",
      stderr: CONNECTED,
    });
  },
);

scenario(
  "another project's table of Kysely is told, and stops nothing",
  ABC,
  async (s) => {
    await leaveBehind(s, ["x", "y"]);
    await s.db.query(
      `create table log (name text, timestamp timestamptz, message text)`,
    );
    const text = `${SAYS("public.kysely_migration")} 2 migrations to this ` +
      "database, none of which this program carries; if it has the same ones under other names, " +
      "record them: baseline --to NAME, with the last that this database has";
    assertEquals(
      (await s.run("status")).stderr,
      `${CONNECTED}warning: ${text}\n`,
    );
    const up = await s.run("up");
    assertEquals([up.code, up.stderr.split("\n")[1]], [0, `warning: ${text}`]);
    assertEquals((await s.run("status")).stderr, CONNECTED);
  },
);

scenario("an empty table of Kysely says nothing", ABC, async (s) => {
  await leaveBehind(s, []);
  assertEquals((await s.run("status")).stderr, CONNECTED);
  assertEquals((await s.run("up")).code, 0);
});

scenario(
  "a stranger's table of Kysely's form does not stop the program",
  ABC,
  async (s) => {
    await leaveBehind(s, ["0001_a"]);
    const stranger = await s.db.createRole(() => []);
    const user = await s.db.createRole((name) => [
      `grant create, usage on schema public to ${name}`,
      `grant select on kysely_migration to ${name}`,
    ]);
    await s.db.query(
      `alter table kysely_migration owner to ${stranger.name}`,
    );
    const text =
      `"public.kysely_migration" has the form of the table of Kysely's own migrator, and is not read because it belongs to "${stranger.name}"; ` +
      `if that migrator has been at work here, pass --trust-history-owner ${stranger.name}`;
    assertEquals(
      (await s.run("status", { as: user })).stderr,
      `${CONNECTED}warning: ${text}\n`,
    );
    const trusting = await s.run(
      `up --trust-history-owner ${stranger.name}`,
      { as: user },
    );
    assertEquals([trusting.code, trusting.stdout], [1, ""]);
    assertEquals((await s.run("up", { as: user })).code, 0);
    assertEquals((await s.run("status", { as: user })).stderr, CONNECTED);
  },
);

scenario(
  "baseline --from-kysely finds names with a path, an ending, or letters in another form",
  { "0001_a": table("a"), "0002_caf\u00e9": table("b"), "0003_c": table("c") },
  async (s) => {
    await leaveBehind(s, [
      ...["migrations/0001_a.ts", "0001_a", "0002_cafe\u0301.js"],
    ]);
    assertEquals(
      (await s.run("up")).stderr.split("\n")[1]?.slice(0, 30),
      "error: Cannot apply 3 migratio",
    );
    assertEquals(
      (await s.run("baseline --from-kysely kysely_migration")).code,
      0,
    );
    assertEquals(await s.history(), [
      "0001_a baseline",
      "0002_caf\u00e9 baseline",
    ]);
  },
);
