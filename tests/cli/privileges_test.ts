import { assertEquals } from "@std/assert";
import { migration, table } from "../support/program/migrations.ts";
import { CONNECTED, scenario } from "../support/program/scenario.ts";

const AB = { "0001_a": table("a"), "0002_b": table("b") };
const ABC = { ...AB, "0003_c": table("c") };

scenario(
  "a role that may not create tables is told which grant to ask for",
  AB,
  async (s) => {
    const role = await s.db.createRole();
    assertEquals(await s.run("up", { as: role }), {
      code: 1,
      stdout: "",
      stderr: `\
${CONNECTED}error: permission denied for schema public (SQLSTATE 42501)
  hint: As the owner of the schema: grant usage, create on schema "public" to "ROLE"
Failed in T: nothing was changed, 2 not run
`,
    });
    await s.db.query(
      `grant usage, create on schema "public" to "${role.name}"`,
    );
    assertEquals((await s.run("up", { as: role })).code, 0);
  },
);

scenario(
  "a role that may read can run status, and up with nothing pending",
  AB,
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    const reader = await s.db.createRole((name) => [
      `grant select on migration_history to ${name}`,
    ]);
    assertEquals((await s.run("status --check", { as: reader })).code, 0);
    assertEquals(await s.run("up", { as: reader }), {
      code: 0,
      stdout: "Nothing to apply: the database is up to date\n",
      stderr: CONNECTED,
    });
    await s.release(ABC);
    assertEquals(await s.run("up --dry-run", { as: reader }), {
      code: 0,
      stdout:
        "Would apply 0003_c\nDry run: 1 migration would run, nothing was changed\n",
      stderr: CONNECTED,
    });
    assertEquals((await s.run("status --check", { as: reader })).code, 3);
    const { code, stdout } = await s.run("up", { as: reader });
    assertEquals([code, stdout], [1, ""]);
    assertEquals(await s.tables(), ["a", "b"]);
  },
);

scenario(
  "a role on an empty database can run status and a dry run without any grant",
  AB,
  async (s) => {
    const role = await s.db.createRole();
    assertEquals((await s.run("status --check", { as: role })).code, 3);
    assertEquals((await s.run("up --dry-run", { as: role })).code, 0);
    assertEquals(
      (await s.run("down --dry-run", { as: role })).stdout,
      "Dry run: nothing to do\n",
    );
  },
);

scenario(
  "a role that may not read the history is told which grant to ask for",
  AB,
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    const role = await s.db.createRole();
    for (const command of ["status", "up"]) {
      assertEquals(await s.run(command, { as: role }), {
        code: 1,
        stdout: "",
        stderr: `\
error: Cannot use the table "public.migration_history": "ROLE" may not read it; as its owner: grant select on "public"."migration_history" to "ROLE"
${command === "up" ? "Failed in T: nothing was changed\n" : ""}`,
      });
    }
  },
);

scenario(
  "a role that may create but not write the history is told which grant to ask for",
  AB,
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    await s.release(ABC);
    const role = await s.db.createRole((name) => [
      `grant usage, create on schema public to ${name}`,
      `grant select on migration_history to ${name}`,
    ]);
    assertEquals(await s.run("up", { as: role }), {
      code: 1,
      stdout: "",
      stderr: `\
${CONNECTED}Applying 0003_c (1 of 1)
warning: Cannot record the failure of "0003_c" in the history: 42501: permission denied for table migration_history
error: Cannot apply "0003_c": permission denied for table migration_history (SQLSTATE 42501)
  hint: As the owner of the table: grant select, insert, update on "public"."migration_history" to "ROLE"
Failed in T: nothing was changed, 1 not run
`,
    });
    assertEquals(await s.tables(), ["a", "b"]);
    await s.db.query(
      `grant select, insert, update on "public"."migration_history" to "${role.name}"`,
    );
    assertEquals((await s.run("up", { as: role })).code, 0);
  },
);

scenario("a role that does not own a table is told so", {
  ...AB,
  "0003_c": migration({ up: "alter table a add column n int" }),
}, async (s) => {
  assertEquals((await s.run("up --to 0002_b")).code, 0);
  const role = await s.db.createRole((name) => [
    `grant usage, create on schema public to ${name}`,
    `grant select, insert, update on migration_history to ${name}`,
  ]);
  assertEquals(await s.run("up", { as: role }), {
    code: 1,
    stdout: "",
    stderr: `\
${CONNECTED}Applying 0003_c (1 of 1)
error: Cannot apply "0003_c": must be owner of table a (SQLSTATE 42501)
  statement: alter table a add column n int
  hint: Run the migrator as the owner of the object, or grant the owner's role to "ROLE"
Failed in T: nothing was changed, 1 not run
`,
  });
});

scenario(
  "a role whose sessions are read-only can look, and is told why it cannot write",
  AB,
  async (s) => {
    const role = await s.db.createRole((name) => [
      `grant usage, create on schema public to ${name}`,
      `alter role ${name} set default_transaction_read_only = on`,
    ]);
    assertEquals((await s.run("status --check", { as: role })).code, 3);
    assertEquals((await s.run("up --dry-run", { as: role })).code, 0);
    const refused = {
      code: 1,
      stdout: "",
      stderr: `\
${CONNECTED}error: Cannot write to "DB" at HOST:PORT: it is a standby, or default_transaction_read_only is on; use the address of the primary, and a role that may write
Failed in T: nothing was changed
`,
    };
    assertEquals(await s.run("up", { as: role }), refused);
    assertEquals(await s.run("baseline --to 0001_a", { as: role }), refused);
    assertEquals(await s.tables(), []);

    assertEquals((await s.run("up")).code, 0);
    await s.db.query(`grant select on migration_history to "${role.name}"`);
    assertEquals((await s.run("up", { as: role })).code, 0);
    assertEquals(await s.run("down --yes", { as: role }), refused);
  },
);

scenario(
  "a role without usage on the schema is told which grant to ask for",
  AB,
  async (s) => {
    await s.db.query("revoke all on schema public from public");
    const role = await s.db.createRole();
    assertEquals(await s.run("up", { as: role }), {
      code: 1,
      stdout: "",
      stderr: `\
${CONNECTED}warning: The search path leads to no schema that this role may use
error: Cannot find a schema to work in: the search path leads to none; create it, or grant usage on it to "ROLE", or choose one with --schema
Failed in T: nothing was changed, 2 not run
`,
    });
    assertEquals(await s.run("up --schema public", { as: role }), {
      code: 1,
      stdout: "",
      stderr: `\
error: Cannot use the schema "public": "ROLE" may not; as its owner: grant usage, create on schema "public" to "ROLE"
Failed in T: nothing was changed
`,
    });
  },
);

scenario("a role without the right to connect is told so", AB, async (s) => {
  await s.db.query(`revoke connect on database ${s.db.name} from public`);
  const role = await s.db.createRole();
  const { code, stdout, stderr } = await s.run("status", { as: role });
  assertEquals([code, stdout, stderr], [
    1,
    "",
    `\
error: Cannot connect to the database "DB" at HOST:PORT: permission denied for database "DB" (SQLSTATE 42501)
  detail: User does not have CONNECT privilege.
  hint: As the owner of the database: grant connect on database "DB" to "ROLE"
`,
  ]);
});

scenario(
  "baseline and repair with a role that may only read fail with the grant to ask for",
  ABC,
  async (s) => {
    assertEquals((await s.run("up --to 0001_a")).code, 0);
    const reader = await s.db.createRole((name) => [
      `grant select on migration_history to ${name}`,
    ]);
    const denied = {
      code: 1,
      stdout: "",
      stderr: `\
${CONNECTED}error: permission denied for table migration_history (SQLSTATE 42501)
  hint: As the owner of the table: grant select, insert, update on "public"."migration_history" to "ROLE"
Failed in T: nothing was changed
`,
    };
    assertEquals(await s.run("baseline --to 0002_b", { as: reader }), denied);
    await s.db.query("update migration_history set checksum = 'f'");
    assertEquals(
      await s.run("repair --accept-checksum 0001_a", { as: reader }),
      denied,
    );
    assertEquals(await s.history(), ["0001_a applied"]);
  },
);
