/**
 * The roles of `infra/sql`, from the files themselves: they suffice, and nothing in them could be left out.
 */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { runMigrate } from "../support/cli.ts";
import { pgTest, queryUrl, type TestDatabase } from "../support/postgres.ts";

const ROLES = ["migrator", "status", "app"] as const;

interface Roles {
  /** The connection string of a role, in the test's database. */
  url(role: typeof ROLES[number]): string;
  /** The statements of a file of `infra/sql`, with the test's own names. */
  read(file: string): Promise<string>;
}

/** A test on a database that `1-roles.sql` has set up. Roles belong to the whole server, so they get names of their own. */
function rolesTest(
  name: string,
  test: (db: TestDatabase, roles: Roles) => Promise<void>,
): void {
  pgTest(name, async (db) => {
    const prefix = `r${db.name.replace("test_", "")}`;
    const roles: Roles = {
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
    try {
      await db.query(await roles.read("1-roles.sql"));
      await test(db, roles);
    } finally {
      for (const role of ROLES) {
        await db.query(
          `drop owned by ${prefix}_${role} cascade; drop role ${prefix}_${role}`,
        );
      }
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

    // Before there is a history, reading it needs no right to it.
    const before = await as("status", "status", "--check");
    assertEquals(before.code, 3, before.stderr);
    assertStringIncludes(before.stdout, "0 applied, 12 pending");

    const first = await as("migrator", "up");
    assertEquals(first.code, 0, first.stderr);
    await queryUrl(roles.url("migrator"), await roles.read("2-history.sql"));

    const status = await as("status", "status", "--check");
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
    assertStringIncludes(down.stderr, "permission denied");
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

pgTest("the grant of the old guide is no SQL", async (db) => {
  const role = await db.createRole();
  const error = await assertRejects(() =>
    db.query(
      `GRANT CREATE, ALTER, DROP ON DATABASE ${db.name} TO ${role.name}`,
    )
  );
  assertEquals((error as { code?: string }).code, "42601");
});
