/** `--grant-status`: another role may run `status` once `up` has run, and nothing else. */
import { assertEquals } from "@std/assert";
import { table } from "../support/program/migrations.ts";
import { type Scenario, scenario } from "../support/program/scenario.ts";

const AB = { "0001_a": table("a"), "0002_b": table("b") };
const OUTSIDE = {
  "0001_a":
    `import { type Kysely, sql } from "kysely";\nexport const transaction = false;\n` +
    `export async function up(db: Kysely<unknown>) { await sql\`create table a ()\`.execute(db); }\n`,
};

/** What the role may do, as `insert select usage`. */
async function rightsOf(s: Scenario, role: string, schema = "public") {
  const [row] = await s.db.query<{ rights: string }>(
    `select concat_ws(' ', case when has_table_privilege('${role}', '${schema}.migration_history', 'insert') then 'insert' end,
      case when has_table_privilege('${role}', '${schema}.migration_history', 'select') then 'select' end,
      case when has_schema_privilege('${role}', '${schema}', 'usage') then 'usage' end) as rights`,
  );
  return row!.rights;
}

scenario(
  "up --grant-status lets the role run status, with the history that it makes and one that is there already",
  AB,
  async (s) => {
    await s.db.query("revoke usage on schema public from public");
    const [first, second, third] = [
      await s.db.createRole(),
      await s.db.createRole(),
      await s.db.createRole(),
    ];

    const made = await s.run(`up --to 0001_a --grant-status ${first.name}`);
    assertEquals(made.code, 0, made.stderr);
    assertEquals(await rightsOf(s, first.name), "select usage");
    assertEquals((await s.run("status", { as: first })).code, 0);

    const pending = await s.run("up", {
      env: { MIGRATE_GRANT_STATUS: second.name },
    });
    assertEquals(pending.code, 0, pending.stderr);
    assertEquals(await rightsOf(s, second.name), "select usage");

    const nothing = await s.run(`up --grant-status ${third.name}`);
    assertEquals(
      [nothing.code, nothing.stdout],
      [0, "Nothing to apply: the database is up to date\n"],
      nothing.stderr,
    );
    assertEquals(await rightsOf(s, third.name), "select usage");
    const check = await s.run("status --check", { as: third });
    assertEquals(check.code, 0, check.stderr);

    // Once it has them nothing is sent: a statement would be shown.
    const again = await s.run(`up --verbose --grant-status ${third.name}`);
    const without = await s.run("up --verbose");
    assertEquals(again, without);
  },
);

scenario(
  "up --grant-status grants with a migration outside a transaction, in a schema that is chosen, and to a name that needs quotes",
  OUTSIDE,
  async (s) => {
    const role = await s.db.createRole();
    const odd = `${role.name} "Größe'`;
    const quoted = `"${odd.replaceAll('"', '""')}"`;
    await s.db.query(`create schema other; create role ${quoted}`);
    try {
      const result = await s.run([
        "up",
        "--schema",
        "other",
        "--grant-status",
        odd,
      ]);
      assertEquals(result.code, 0, result.stderr);
      assertEquals(
        await s.db.query(
          `select has_table_privilege(oid, 'other.migration_history', 'select') as reads,
            has_schema_privilege(oid, 'other', 'usage') as uses
          from pg_roles where rolname = '${odd.replaceAll("'", "''")}'`,
        ),
        [{ reads: true, uses: true }],
      );
    } finally {
      await s.db.query(`drop owned by ${quoted}; drop role ${quoted}`);
    }
  },
);

scenario(
  "up --grant-status refuses a role that does not exist, and what the user may not grant, before anything runs",
  AB,
  async (s) => {
    const refused = async (
      role: string,
      message: string,
      options: Parameters<Scenario["run"]>[1] = {},
    ) => {
      const result = await s.run(["up", "--grant-status", role], options);
      assertEquals(
        [result.code, result.stderr],
        [1, `error: ${message}\nFailed in T: nothing was changed\n`],
      );
      assertEquals(await s.tables(), []);
    };
    for (const role of ["nobody_here", "public", "n".repeat(64)]) {
      await refused(
        role,
        `Cannot grant "status" to "${role}": there is no such role; create it (create role "${role}" login), or correct --grant-status`,
      );
    }

    const migrator = await s.db.createRole((name) => [
      `grant usage, create on schema public to ${name}`,
    ]);
    const reader = await s.db.createRole();
    await s.db.query("revoke usage on schema public from public");
    await refused(
      reader.name,
      `Cannot grant "status" to "${reader.name}": "ROLE" may not; as the owner: grant usage on schema "public" to "${reader.name}"`,
      { as: migrator },
    );
    await s.db.query(`grant usage on schema public to ${reader.name}`);
    const result = await s.run(`up --grant-status ${reader.name}`, {
      as: migrator,
    });
    assertEquals(result.code, 0, result.stderr);
    assertEquals(await rightsOf(s, reader.name), "select usage");

    // The variable may be set for every command; only up grants.
    const status = await s.run("status", {
      env: { MIGRATE_GRANT_STATUS: "nobody_here" },
    });
    assertEquals(status.code, 0, status.stderr);
  },
);

scenario(
  "up --grant-status is rolled back with a migration that fails, and grants with the record of the failure",
  {
    "0001_a": table("a"),
    "0002_b": `export function up() { throw new Error("no"); }`,
  },
  async (s) => {
    const role = await s.db.createRole();
    assertEquals((await s.run(`up --grant-status ${role.name}`)).code, 1);
    assertEquals(await s.history(), ["0002_b failed"]);
    assertEquals(await rightsOf(s, role.name), "select usage");
    const status = await s.run("status", { as: role });
    assertEquals(status.code, 0, status.stderr);
  },
);

scenario(
  "up --grant-status keeps its grant when Kysely's table becomes the history",
  AB,
  async (s) => {
    const role = await s.db.createRole();
    await s.db.query(
      `create table migration_history (name varchar(255) primary key, "timestamp" varchar(255) not null);
      create table a (); insert into migration_history values ('0001_a', '2024-01-01T00:00:00.000Z')`,
    );
    const result = await s.run(`up --grant-status ${role.name}`);
    assertEquals(result.code, 0, result.stderr);
    assertEquals(await rightsOf(s, role.name), "select usage");
  },
);
