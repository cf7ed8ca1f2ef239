/** Servers that cannot do what is asked: what passes is waited for, what does not fails at once, and either is named. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { openSession } from "../support/program/application.ts";
import {
  type MigrateResult,
  runMigrate,
  type RunningMigrate,
  startMigrate,
} from "../support/program/cli.ts";
import { withSmallDisk } from "../support/server/disk.ts";
import { battlescope } from "../../scripts/dev/kysely.ts";
import { migration, table } from "../support/program/migrations.ts";
import { pgTest, queryUrl } from "../support/server/postgres.ts";
import { withProject } from "../support/program/project.ts";
import { startProxy } from "../support/net/proxy.ts";
import { scenario } from "../support/program/scenario.ts";
import {
  type OwnServer,
  serverTest,
  withServer,
} from "../support/server/server.ts";
import { waitFor } from "../support/program/wait.ts";

const APPLIED = new RegExp(
  `^Applied ${battlescope.length} migrations in `,
  "m",
);

/** What fails at once is not waited for, however long one may wait. */
const PATIENT = "--wait-for-db=10m";

serverTest(
  "a standby can be looked at, and is refused before anything is written",
  async (server) => {
    const url = server.url();
    assertEquals(
      (await run(url, "up", "--to=20260105104000_auth_config")).code,
      0,
    );
    await becomeStandby(server);

    const status = await run(url, "status", "--check");
    assertEquals(status.code, 3, status.stderr);
    const up = await run(url, "up", PATIENT);
    assertEquals(up.code, 1);
    assertEquals(up.stdout, "");
    assertMatch(
      up.stderr,
      /^error: Cannot write to "postgres" at 127\.0\.0\.1:\d+: it is a standby, .*; use the address of the primary/m,
    );
    const down = await run(url, "down", "--yes");
    assertEquals(down.code, 1);
    assertMatch(
      down.stderr,
      /^error: Cannot write to "postgres" at .*: it is a standby/m,
    );
    const baseline = await run(
      url,
      "baseline",
      "--to=20260105105000_audit_logs",
    );
    assertEquals(baseline.code, 1);
    assertMatch(
      baseline.stderr,
      /^error: Cannot write to "postgres" at .*: it is a standby/m,
    );
  },
);

serverTest(
  "a standby of a database that is up to date has nothing to refuse",
  async (server) => {
    const url = server.url();
    assertEquals((await run(url, "up")).code, 0);
    await becomeStandby(server);
    const { code, stdout, stderr } = await run(url, "up");
    assertEquals(code, 0, stderr);
    assertEquals(stdout, "Nothing to apply: the database is up to date\n");
  },
);

pgTest(
  "of a standby and a primary the primary is taken, whichever comes first",
  async (db) => {
    await withServer(db.version, async (standby) => {
      const role = await db.createRole((name) => [
        `grant create on schema public to ${name}`,
      ]);
      await standby.query(
        `create role ${role.name} login password '${role.password}'`,
      );
      await standby.query(`create database ${db.name}`);
      await becomeStandby(standby);
      const hosts = [
        `${standby.host}:${standby.port}`,
        `${db.host}:${db.port}`,
      ];
      for (const list of [hosts, hosts.toReversed()]) {
        const url =
          `postgres://${role.name}:${role.password}@${list}/${db.name}`;
        const up = await run(url, "up");
        assertEquals(up.code, 0, up.stderr);
        assertMatch(
          up.stderr,
          new RegExp(`^Connected to ".*" at ${hosts[1]} `, "m"),
        );
        assertMatch(up.stdout, APPLIED);
        assertEquals((await run(url, "down", "--all", "--yes")).code, 0);
      }
    });
  },
);

serverTest("a server that is starting up is waited for", async (server) => {
  const starting = await startSlowly(server);
  await using up = start(server.url(), "up", PATIENT);
  await up.waitFor(
    /^Waiting for the database, .*: the database system is (?:starting up|not )/m,
  );
  await starting.finish();
  await assertApplies(up);
});

serverTest(
  "a server that does not start in time is given up, with its own words",
  async (server) => {
    const starting = await startSlowly(server);
    const { code, stdout, stderr } = await run(
      server.url(),
      "up",
      "--wait-for-db=1s",
    );
    assertEquals(code, 1, stderr);
    assertEquals(stdout, "");
    assertMatch(
      stderr,
      /^error: Cannot connect to the database "postgres" at [\d.:]+: the database system is .* \(SQLSTATE 57P03\)$/m,
    );
    await starting.finish();
  },
);

serverTest(
  "a server that is shutting down is waited for until it is back",
  async (server) => {
    await using session = await openSession(server.url());
    await server.stopWhenIdle();
    await waitFor(
      "it takes no new session",
      () => queryUrl(server.url(), "select 1").then(() => false, () => true),
    );
    await using up = start(server.url(), "up", PATIENT);
    await up.waitFor(
      /^Waiting for the database, .*: the database system is shutting down$/m,
    );
    await session[Symbol.asyncDispose]();
    await up.waitFor(
      /^Waiting for the database, .*: the connection was refused$/m,
    );
    await server.start();
    await assertApplies(up);
  },
);

serverTest(
  "a server that has too many clients is waited for",
  async (server) => {
    await server.query(
      "create role app login password 'app-password'; grant create on schema public to app",
    );
    const url = new URL(server.url());
    url.username = "app";
    url.password = "app-password";
    const first = await openSession(url.href);
    await using second = await openSession(url.href);
    void second;

    const refused = await run(url.href, "up", "--wait-for-db=1s");
    assertEquals(refused.code, 1);
    assertMatch(
      refused.stderr,
      /^error: Cannot connect to the database "postgres" at [\d.:]+: .*(?:too many clients|remaining connection slots).* \(SQLSTATE 53300\)$/m,
    );
    await using up = start(url.href, "up", PATIENT);
    await up.waitFor(
      /^Waiting for the database, .*: .*(?:too many clients|remaining connection slots)/m,
    );
    await first[Symbol.asyncDispose]();
    await assertApplies(up);
  },
  {
    max_connections: "5",
    superuser_reserved_connections: "3",
    max_wal_senders: "0",
  },
);

scenario(
  "a role that has used up its connections is waited for",
  { "0001_a": table("a") },
  async (s) => {
    const role = await s.db.createRole((name) => [
      `grant create on schema public to ${name}`,
    ]);
    await s.db.query(`alter role ${role.name} connection limit 1`);
    const session = await openSession(role.url);
    await using up = s.start(["up", PATIENT], { as: role });
    await up.waitFor(
      /^Waiting for the database, .*: too many connections for role /m,
    );
    await session[Symbol.asyncDispose]();
    const { code, stderr } = await up.result;
    assertEquals(code, 0, stderr);
  },
);

scenario(
  "a database that takes no connections fails at once",
  { "0001_a": table("a") },
  async (s) => {
    await queryUrl(
      s.db.adminUrl,
      `alter database ${s.db.name} with allow_connections false`,
    );
    const { code, stderr } = await s.run(["up", PATIENT]);
    await queryUrl(
      s.db.adminUrl,
      `alter database ${s.db.name} with allow_connections true`,
    );
    assertEquals(code, 1);
    assertMatch(
      stderr,
      /^error: Cannot connect to the database "DB" at HOST:PORT: database "DB" is not currently accepting connections \(SQLSTATE 55000\)$/m,
    );
  },
);

scenario(
  "a role that may not connect to the database fails at once and is told the grant",
  { "0001_a": table("a") },
  async (s) => {
    await s.db.query(`revoke connect on database ${s.db.name} from public`);
    const role = await s.db.createRole();
    const { code, stderr } = await s.run(["up", PATIENT], { as: role });
    assertEquals(code, 1);
    assertMatch(
      stderr,
      /^error: Cannot connect to the database "DB" at HOST:PORT: permission denied for database "DB" \(SQLSTATE 42501\)$/m,
    );
    assertMatch(
      stderr,
      /^ {2}hint: As the owner of the database: grant connect on database "DB" to "ROLE"$/m,
    );
  },
);

scenario(
  "a role without privileges fails at once, and nothing is created",
  { "0001_a": table("a") },
  async (s) => {
    const role = await s.db.createRole();
    const { code, stderr } = await s.run(["up", PATIENT], { as: role });
    assertEquals(code, 1);
    assertMatch(
      stderr,
      /^error: .*permission denied for schema public \(SQLSTATE 42501\)$/m,
    );
    assertMatch(
      stderr,
      /^ {2}hint: .*grant .*create on schema "?public"? to "ROLE"/m,
    );
    assertEquals(
      await s.db.query("select to_regclass('migration_history') as history"),
      [{ history: null }],
    );
  },
);

scenario(
  "a migration that its role may not run is rolled back, with the statement and a hint",
  {
    "0001_a": table("a"),
    "0002_orders": migration({ up: "alter table orders add column note text" }),
  },
  async (s) => {
    await s.db.query("create table orders (id integer)");
    const role = await s.db.createRole((name) => [
      `grant create on schema public to ${name}`,
    ]);
    const { code, stdout, stderr } = await s.run("up", { as: role });
    assertEquals(code, 1);
    assertEquals(stdout, "");
    assertMatch(
      stderr,
      /^error: Cannot apply "0002_orders": must be owner of table orders \(SQLSTATE 42501\)$/m,
    );
    assertMatch(stderr, /^ {2}hint: /m);
    assertEquals(await s.tables(), ["orders"]);
  },
);

pgTest("a server older than 15 is refused at once", async (db) => {
  const [row] = await db.query<{ number: string }>(
    "select current_setting('server_version_num') as number",
  );
  await using proxy = await startProxy(db);
  proxy.rewrite(row!.number, `14${row!.number.slice(2)}`);
  const { code, stdout, stderr } = await run(
    proxy.url(db.url),
    "up",
    PATIENT,
  );
  assertEquals(code, 1, stdout);
  assertMatch(
    stderr,
    /^error: Cannot use the server at [\d.:]+: it is PostgreSQL 14\.\d+, and 15 is the oldest that works$/m,
  );
  assertEquals(
    await db.query("select to_regclass('migration_history') as history"),
    [{ history: null }],
  );
});

for (const behaviour of ["accepts and closes", "reads and closes"] as const) {
  scenario(
    `a balancer without a server that ${behaviour} is tried a few times, not a thousand`,
    { "0001_a": table("a") },
    async (s) => {
      await using proxy = await startProxy(s.db);
      proxy.front(behaviour);
      const url = proxy.url(s.db.url);
      const { code, stderr } = await s.run("up --wait-for-db=2s", { url });
      assertEquals(code, 1);
      assertMatch(
        stderr,
        /^error: Cannot connect to the database "DB" at [\d.:]+: /m,
      );
      assert(proxy.accepted >= 2 && proxy.accepted < 20, `${proxy.accepted}`);

      // A sidecar that is ready a moment later, as in a mesh.
      await using up = s.start(["up", PATIENT], { url });
      await up.waitFor("Waiting for the database");
      proxy.front(undefined);
      assertEquals((await up.result).code, 0);
    },
  );
}

serverTest(
  "a full disk rolls the migration back, and says so",
  async (server) => {
    await withSmallDisk(16, server.data, async (folder) => {
      await server.query(`create tablespace small location '${folder}'`);
      await withProject({
        "0001_a": table("a"),
        "0002_rows": migration({
          up:
            "create table numbers tablespace small as select n, repeat('x', 500) as text from generate_series(1, 100000) n",
        }),
      }, async (project) => {
        const env = { DATABASE_URL: server.url() };
        const full = await runMigrate(["up"], { env, project });
        assertEquals(full.code, 1, full.stderr);
        assertEquals(full.stdout, "");
        assertMatch(
          full.stderr,
          /^error: Cannot apply "0002_rows": could not (?:extend|write).*No space left on device \(SQLSTATE 53100\)$/m,
        );
        assertEquals(await tablesOf(server), ["migration_history"]);
        assertEquals(
          await server.query("select name, status from migration_history"),
          [{ name: "0002_rows", status: "failed" }],
        );
      });
      await server.query("drop tablespace small");
    });
  },
  {},
  ["namespaces"],
);

serverTest(
  "a disk so full that the failure cannot be recorded: the run fails for what it failed for",
  async (server) => {
    await withSmallDisk(24, server.data, async (folder) => {
      await server.query(`create tablespace small location '${folder}'`);
      await server.query("create database crowded tablespace small");
      const url = server.url("crowded");
      await queryUrl(url, "create table filler (text text)");
      await withProject({ "0001_a": table("a") }, async (project) => {
        // The last kilobytes go to the application.
        for (const size of [1_000_000, 100_000, 7_000]) {
          const insert =
            `insert into filler select repeat('x', 1000) from generate_series(1, ${
              size / 1_000
            })`;
          await waitFor(
            "the disk is full",
            () => queryUrl(url, insert).then(() => false, () => true),
          );
        }
        const env = { DATABASE_URL: url };
        const full = await runMigrate(["up"], { env, project });
        assertEquals(full.code, 1, full.stderr);
        assertEquals(full.stdout, "");
        assertMatch(
          full.stderr,
          /^error: .*No space left on device \(SQLSTATE 53100\)$/m,
        );

        await queryUrl(url, "drop table filler");
        const next = await runMigrate(["up"], { env, project });
        assertEquals(next.code, 0, next.stderr);
      });
      await server.query("drop database crowded");
      await server.query("drop tablespace small");
    });
  },
  {},
  ["namespaces"],
);

function run(url: string, ...args: string[]): Promise<MigrateResult> {
  return runMigrate(args, { env: { DATABASE_URL: url } });
}

function start(url: string, ...args: string[]): RunningMigrate {
  return startMigrate(args, { env: { DATABASE_URL: url } });
}

async function assertApplies(up: RunningMigrate): Promise<void> {
  const { code, stdout, stderr } = await up.result;
  assertEquals(code, 0, stderr);
  assertMatch(stdout, APPLIED);
}

async function tablesOf(server: OwnServer): Promise<string[]> {
  const rows = await server.query<{ name: string }>(
    "select tablename as name from pg_tables where schemaname = 'public' order by 1",
  );
  return rows.map(({ name }) => name);
}

/** A server with this file takes what it finds for another server's, and only follows. */
async function becomeStandby(server: OwnServer): Promise<void> {
  await server.stop("fast");
  await writeFor(server, "standby.signal", "");
  await server.start();
}

/** Starts a server that goes on looking for the rest of its log, in recovery, until it is told to finish. */
async function startSlowly(
  server: OwnServer,
): Promise<{ finish(): Promise<void> }> {
  await server.stop("fast");
  await writeFor(server, "recovery.signal", "");
  await writeFor(server, "hold", "");
  const started = server.start({
    hot_standby: "off",
    restore_command: "while [ -e hold ]; do sleep 0.05; done; false",
  });
  await waitFor(
    "it answers that it is starting",
    () =>
      queryUrl(server.url(), "select 1").then(
        () => false,
        (error) => error.code === "57P03",
      ),
  );
  return {
    finish: async () => {
      await Deno.remove(`${server.data}/hold`);
      await started;
    },
  };
}

async function writeFor(
  { data }: OwnServer,
  name: string,
  content: string,
): Promise<void> {
  const { uid, gid } = await Deno.stat(data);
  await Deno.writeTextFile(`${data}/${name}`, content);
  if (Deno.uid() === 0) await Deno.chown(`${data}/${name}`, uid, gid);
}
