/**
 * The roles of `infra/sql`, from the files themselves: they suffice, and nothing in them could be left out.
 */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { runMigrate } from "../support/program/cli.ts";
import {
  pgTest,
  queryUrl,
  type TestDatabase,
} from "../support/server/postgres.ts";

const ROLES = ["migrator", "status", "app"] as const;

interface Roles {
  /** What their names begin with. */
  readonly prefix: string;
  /** The connection string of a role, in the test's database. */
  url(role: typeof ROLES[number]): string;
  /** The statements of a file of `infra/sql`, with the test's own names. */
  read(file: string): Promise<string>;
}

/** Roles belong to the whole server, so those of a test get names of their own. */
function rolesOf(db: TestDatabase): Roles {
  const prefix = `r${db.name.replace("test_", "")}`;
  return {
    prefix,
    url: (role) => {
      const url = new URL(db.url);
      url.username = `${prefix}_${role}`;
      url.password = "CHANGE-ME";
      return url.href;
    },
    read: async (file) => {
      const path = new URL(`../../infra/sql/${file}`, import.meta.url);
      return (await Deno.readTextFile(path))
        .replaceAll("battlescope_", `${prefix}_`)
        .replaceAll("database battlescope", `database ${db.name}`);
    },
  };
}

async function dropRoles(db: TestDatabase, prefix: string): Promise<void> {
  for (const role of ROLES) {
    await db.query(
      `drop owned by ${prefix}_${role} cascade; drop role ${prefix}_${role}`,
    );
  }
}

/** A test on a database that `1-roles.sql` has set up. */
function rolesTest(
  name: string,
  test: (db: TestDatabase, roles: Roles) => Promise<void>,
): void {
  pgTest(name, async (db) => {
    const roles = rolesOf(db);
    try {
      await db.query(await roles.read("1-roles.sql"));
      await test(db, roles);
    } finally {
      await dropRoles(db, roles.prefix);
    }
  });
}

rolesTest(
  "the grants of infra/sql suffice for up, status, down --all and up again",
  async (_db, roles) => {
    const as = async (
      role: "migrator" | "status",
      ...args: string[]
    ) => await runMigrate(args, { env: { DATABASE_URL: roles.url(role) } });

    await queryUrl(roles.url("migrator"), await roles.read("2-history.sql"));
    const before = await as("status", "status", "--check");
    assertEquals(before.code, 3, before.stderr);
    assertStringIncludes(before.stdout, "0 applied, 12 pending");

    const first = await as("migrator", "up");
    assertEquals(first.code, 0, first.stderr);
    // Nothing had to be granted in between: pods that wait since before the first migration come through.
    const status = await as("status", "status", "--wait", "1s");
    assertEquals(status.code, 0, status.stderr);
    assertStringIncludes(status.stdout, "12 applied, 0 pending");
    const nothing = await as("migrator", "up");
    assertEquals(nothing.code, 0, nothing.stderr);

    const down = await as("migrator", "down", "--all", "--yes");
    assertEquals(down.code, 0, down.stderr);
    const pending = await as("status", "status", "--wait", "0");
    assertEquals(pending.code, 3, pending.stderr);
    const again = await as("migrator", "up");
    assertEquals(again.code, 0, again.stderr);
    const redo = await as("migrator", "redo", "--yes");
    assertEquals(redo.code, 0, redo.stderr);
    const end = await as("status", "status", "--check", "--wait", "1s");
    assertEquals(end.code, 0, end.stderr);
  },
);

pgTest(
  "1-roles.sql needs no superuser: the owner of the database who may create roles can run it",
  async (db) => {
    const owner = await db.createRole();
    await db.query(
      `alter role ${owner.name} createrole; alter database ${db.name} owner to ${owner.name}`,
    );
    const { prefix, read } = rolesOf(db);
    try {
      await queryUrl(owner.url, await read("1-roles.sql"));
      // It keeps no way to act as the migrator.
      const members = await db.query(
        `select from pg_roles where rolname like '${prefix}%' and pg_has_role('${owner.name}', oid, 'usage')`,
      );
      assertEquals(members, []);
    } finally {
      await db.query(
        `reassign owned by ${owner.name} to current_user; drop owned by ${owner.name} cascade`,
      );
      await dropRoles(db, prefix);
    }
  },
);

rolesTest(
  "2-history.sql makes the history that the program makes, and changes none that is there",
  async (db, roles) => {
    const sql = await roles.read("2-history.sql");
    const owner = roles.url("migrator");
    await queryUrl(owner, sql);
    const made = await shapeOfHistory(db);
    await db.query("drop table migration_history");

    const env = { DATABASE_URL: owner };
    const { code, stderr } = await runMigrate(["up"], { env });
    assertEquals(code, 0, stderr);
    assertEquals(await shapeOfHistory(db), made);

    await queryUrl(owner, sql);
    const status = await runMigrate(["status", "--check"], {
      env: { DATABASE_URL: roles.url("status") },
    });
    assertEquals(status.code, 0, status.stderr);
    assertStringIncludes(status.stdout, "12 applied, 0 pending");
  },
);

rolesTest(
  "2-history.sql lets the table of the Node image be, and the rights outlive its conversion",
  async (_db, roles) => {
    const owner = roles.url("migrator");
    await queryUrl(
      owner,
      `create table migration_history (name varchar(255) primary key, timestamp varchar(255) not null)`,
    );
    await queryUrl(owner, await roles.read("2-history.sql"));
    const up = await runMigrate(["up"], { env: { DATABASE_URL: owner } });
    assertEquals(up.code, 0, up.stderr);
    const status = await runMigrate(["status", "--check"], {
      env: { DATABASE_URL: roles.url("status") },
    });
    assertEquals(status.code, 0, status.stderr);
  },
);

rolesTest(
  "the services' role works with the rows, and neither with the schema nor with the history",
  async (_db, roles) => {
    const app = roles.url("app");
    const env = { DATABASE_URL: roles.url("migrator") };
    const { code, stderr } = await runMigrate(["up"], { env });
    assertEquals(code, 0, stderr);
    await queryUrl(roles.url("migrator"), await roles.read("2-history.sql"));

    await queryUrl(
      app,
      `insert into accounts (display_name) values ('a');
       update accounts set display_name = 'b';
       delete from accounts`,
    );
    for (
      const statement of [
        "create table mine (id int)",
        "alter table accounts add mine int",
        "drop table accounts",
        "truncate accounts",
        "select from migration_history",
        "delete from migration_history",
        "create temp table mine (id int)",
      ]
    ) {
      const error = await assertRejects(() => queryUrl(app, statement));
      assertEquals((error as { code?: string }).code, "42501", statement);
    }
  },
);

rolesTest(
  "the status role reads the history and nothing else",
  async (_db, roles) => {
    const url = roles.url("status");
    const env = { DATABASE_URL: url };
    await runMigrate(["up"], { env: { DATABASE_URL: roles.url("migrator") } });

    const without = await runMigrate(["status"], { env });
    assertEquals(without.code, 1, without.stderr);
    assertStringIncludes(without.stderr, "may not read it");

    await queryUrl(roles.url("migrator"), await roles.read("2-history.sql"));
    for (
      const statement of [
        "select from accounts",
        "create table mine (id int)",
        "delete from migration_history",
      ]
    ) {
      const error = await assertRejects(() => queryUrl(url, statement));
      assertEquals((error as { code?: string }).code, "42501", statement);
    }
    // It has no other way to change something either.
    const down = await runMigrate(["down", "--yes"], { env });
    assertEquals(down.code, 1, down.stderr);
    assertStringIncludes(
      down.stderr,
      'error: Cannot write to the history "public.migration_history": ',
    );
    assertStringIncludes(down.stderr, " may not; as its owner: grant insert");
  },
);

for (
  const [right, revoke, message] of [
    ["connect", "revoke connect on database DB from ROLE", "permission denied"],
    [
      "usage on the schema",
      "revoke usage on schema public from ROLE, public",
      "grant usage on it to",
    ],
    [
      "create on the schema",
      "revoke create on schema public from ROLE",
      "permission denied",
    ],
  ] as const
) {
  rolesTest(
    `the migrator cannot do without ${right}`,
    async (db, roles) => {
      const { username } = new URL(roles.url("migrator"));
      await db.query(
        revoke.replace("DB", db.name).replace("ROLE", username),
      );
      const env = { DATABASE_URL: roles.url("migrator") };
      const { code, stdout, stderr } = await runMigrate(["up"], { env });
      assertEquals([code, stdout], [1, ""], stderr);
      assertStringIncludes(stderr, message);
      const [{ count } = {}] = await db.query(
        "select count(*)::int from pg_tables where schemaname = 'public'",
      );
      assertEquals(count, 0);
    },
  );
}

/** Everything that the table is made of: columns, constraints, indexes, owner. */
function shapeOfHistory(db: TestDatabase): Promise<unknown[]> {
  return db.query(`
    select a.attname as name, format_type(a.atttypid, a.atttypmod) as text,
      concat(a.attnotnull, a.attidentity) || coalesce(pg_get_expr(d.adbin, d.adrelid), '') as more
    from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = 'migration_history'::regclass and a.attnum > 0
    union all select conname, pg_get_constraintdef(oid), contype::text
    from pg_constraint where conrelid = 'migration_history'::regclass
    union all select indexrelid::regclass::text, pg_get_indexdef(indexrelid), ''
    from pg_index where indrelid = 'migration_history'::regclass
    union all select 'owner', relowner::regrole::text, relkind::text
    from pg_class where oid = 'migration_history'::regclass
    order by 1, 2`);
}

pgTest("the grant of the old guide is no SQL", async (db) => {
  const role = await db.createRole();
  const error = await assertRejects(() =>
    db.query(
      `GRANT CREATE, ALTER, DROP ON DATABASE ${db.name} TO ${role.name}`,
    )
  );
  assertEquals((error as { code?: string }).code, "42601");
});
