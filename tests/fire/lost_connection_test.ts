/** The session ends under the program: an administrator, a restart, a crash, a network. */
import { assertEquals, assertMatch } from "@std/assert";
import { openSession } from "../support/program/application.ts";
import {
  type MigrateResult,
  runMigrate,
  startMigrate,
} from "../support/program/cli.ts";
import {
  backends,
  closeGate,
  GATE,
  openGate,
  waitForStatement,
  waitUntilGone,
} from "../support/program/gate.ts";
import { migration, table, upCode } from "../support/program/migrations.ts";
import { queryUrl } from "../support/server/postgres.ts";
import { makeProject } from "../support/program/project.ts";
import { startProxy } from "../support/net/proxy.ts";
import { scenario } from "../support/program/scenario.ts";
import { type OwnServer, serverTest } from "../support/server/server.ts";
import { waitFor } from "../support/program/wait.ts";

for (const transaction of ["all", "each"] as const) {
  scenario(
    `a backend that an administrator ends in a long statement (--transaction ${transaction})`,
    {
      "0001_a": table("a"),
      "0002_wait": migration({ up: ["create table b ()", GATE] }),
      "0003_c": table("c"),
    },
    async (s) => {
      await closeGate(s.db);
      await using up = s.start(`up --transaction=${transaction}`);
      const { pid } = await waitForStatement(s.db, /gate\.opened/);
      await s.db.query(`select pg_terminate_backend(${pid})`);
      const { code, stdout, stderr } = await up.result;

      assertEquals(code, 1, stderr);
      assertMatch(
        stderr,
        /^error: Cannot apply "0002_wait": .*terminating connection due to administrator command/m,
      );
      const kept = transaction === "each";
      assertEquals(stdout, kept ? "Applied 0001_a (T)\n" : "");
      assertEquals(await s.tables(), kept ? ["a"] : []);
      assertEquals(await s.history(), [
        ...(kept ? ["0001_a applied"] : []),
        "0002_wait failed",
      ]);

      await openGate(s.db);
      const next = await s.run("up");
      assertEquals(next.code, 0, next.stderr);
      assertEquals(await s.tables(), ["a", "b", "c"]);
    },
  );
}

scenario(
  "a backend that ends while a migration is busy with something else: nothing after that runs outside the transaction",
  {
    "0001_busy": upCode(
      "  await sql`create table b ()`.execute(db);\n" +
        "  while ((await sql`select from gate.opened`.execute(db)).rows.length === 0) {\n" +
        "    await new Promise((resolve) => setTimeout(resolve, 50));\n" +
        "  }\n" +
        "  await sql`create table c ()`.execute(db);",
    ),
  },
  async (s) => {
    await closeGate(s.db);
    await using up = s.start("up");
    const { pid } = await waitFor(
      "the program is between two statements",
      async () =>
        (await backends(s.db)).find(({ state, query }) =>
          state === "idle in transaction" && /gate\.opened/.test(query)
        ),
    );
    await s.db.query(
      `select pg_terminate_backend(${pid}); insert into gate.opened values (now())`,
    );
    const { code, stderr } = await up.result;
    assertEquals(code, 1, stderr);
    assertMatch(
      stderr,
      /^error: Cannot apply "0001_busy": The connection to the database was lost: /m,
    );
    assertEquals(await s.tables(), []);
    assertEquals((await s.run("up")).code, 0);
  },
);

scenario(
  "a migration that swallows the loss of its connection is not taken for applied",
  {
    "0001_deaf": upCode(
      "  await sql`create table b ()`.execute(db);\n" +
        "  await sql.raw(" + JSON.stringify(GATE) +
        ").execute(db).catch(() => {});\n" +
        "  await sql`create table c ()`.execute(db).catch(() => {});",
    ),
  },
  async (s) => {
    await closeGate(s.db);
    await using up = s.start("up");
    const { pid } = await waitForStatement(s.db, /gate\.opened/);
    await s.db.query(`select pg_terminate_backend(${pid})`);
    const { code, stdout, stderr } = await up.result;
    assertEquals(code, 1, stderr);
    assertEquals(stdout, "");
    assertMatch(stderr, /^error: Cannot apply "0001_deaf": /m);
    assertEquals(await s.tables(), []);
  },
);

scenario(
  "a backend that ends in a non-transactional migration: the history says failed, and repair decides",
  {
    "0001_a": table("a"),
    "0002_wait": migration({ up: GATE, options: "{ transaction: false }" }),
  },
  async (s) => {
    await closeGate(s.db);
    await using up = s.start("up");
    const { pid } = await waitForStatement(s.db, /gate\.opened/);
    await s.db.query(`select pg_terminate_backend(${pid})`);
    const { code, stdout, stderr } = await up.result;
    assertEquals(code, 1, stderr);
    assertEquals(stdout, "Applied 0001_a (T)\n");
    assertMatch(
      stderr,
      /^error: Cannot apply "0002_wait": .*terminating connection due to administrator command/m,
    );
    assertEquals(await s.history(), ["0001_a applied", "0002_wait failed"]);
    const [row] = await s.db.query<{ error: string }>(
      "select error from migration_history where status = 'failed'",
    );
    assertMatch(row!.error, /terminating connection/);

    await openGate(s.db);
    assertEquals((await s.run("up")).code, 1);
    assertEquals((await s.run("repair --retry 0002_wait")).code, 0);
    assertEquals((await s.run("up")).code, 0);
  },
);

scenario(
  "a backend that ends while the program waits for another copy",
  { "0001_wait": migration({ up: GATE }) },
  async (s) => {
    await closeGate(s.db);
    await using first = s.start("up");
    const holder = await waitForStatement(s.db, /gate\.opened/);
    await using second = s.start("up");
    await second.waitFor("Waiting for the migration lock");
    const waiting = (await backends(s.db)).find(({ pid }) =>
      pid !== holder.pid
    );
    await s.db.query(`select pg_terminate_backend(${waiting!.pid})`);
    const { code, stderr } = await second.result;
    assertEquals(code, 1, stderr);
    assertMatch(stderr, /^error: .*The connection to the database was lost/m);
    await openGate(s.db);
    assertEquals((await first.result).code, 0);
  },
);

scenario(
  "a connection that dies while its server is out of reach: the failure cannot be recorded, and it says so",
  { "0001_a": table("a"), "0002_wait": migration({ up: GATE }) },
  async (s) => {
    await closeGate(s.db);
    await using proxy = await startProxy(s.db);
    await using up = s.start("up", { url: proxy.url(s.db.url) });
    await waitForStatement(s.db, /gate\.opened/);
    proxy.front("accepts and closes");
    proxy.drop();
    const { code, stderr } = await up.result;
    assertEquals(code, 1, stderr);
    assertMatch(
      stderr,
      /^warning: Cannot record the failure of "0002_wait" in the history: /m,
    );
    assertMatch(
      stderr,
      /^error: Cannot apply "0002_wait": The connection to the database was lost: /m,
    );
    await waitUntilGone(s.db);
    assertEquals(await s.tables(), []);
  },
);

scenario(
  "a slow network changes nothing but the time",
  { "0001_a": table("a"), "0002_b": table("b") },
  async (s) => {
    await using proxy = await startProxy(s.db, { latencyMs: 150 });
    const url = proxy.url(s.db.url);
    const { code, stderr } = await s.run("up", { url });
    assertEquals(code, 0, stderr);
    assertEquals((await s.run("down --all --yes", { url })).code, 0);
    assertEquals(await s.tables(), []);
  },
);

serverTest(
  "a server that restarts in the middle of a run",
  async (server) => {
    await using running = await startOn(server);
    await server.stop("fast");
    await server.start();
    const { code, stderr } = await running.result;
    assertEquals(code, 1, stderr);
    assertMatch(
      stderr,
      /^error: Cannot apply "0002_wait": .*terminating connection due to administrator command/m,
    );
    await assertCompletes(server);
  },
);

serverTest(
  "a server that crashes in the middle of a run",
  async (server) => {
    await using running = await startOn(server);
    await server.stop("immediate");
    await server.start();
    const { code, stderr } = await running.result;
    assertEquals(code, 1, stderr);
    assertMatch(
      stderr,
      /^error: Cannot apply "0002_wait": .*(?:The connection to the database was lost|terminating connection because of)/m,
    );
    await assertCompletes(server);
  },
);

serverTest(
  "what is called applied survives a crash right after it, also where the server may lose a commit",
  async (server) => {
    const env = { DATABASE_URL: server.url() };
    const up = await runMigrate(["up"], { env });
    assertEquals(up.code, 0, up.stderr);
    await server.stop("immediate");
    await server.start();
    const status = await runMigrate(["status", "--check"], { env });
    assertEquals(status.code, 0, status.stdout);
  },
  { synchronous_commit: "off", wal_writer_delay: "10s" },
);

serverTest(
  "a server that stops and stays away: the run ends by itself",
  async (server) => {
    await using running = await startOn(server);
    await server.stop("immediate");
    const { code, stderr } = await running.result;
    assertEquals(code, 1, stderr);
    assertMatch(
      stderr,
      /^warning: Cannot record the failure of "0002_wait" in the history: Cannot connect to the database /m,
    );
    await server.start();
    await assertCompletes(server);
  },
);

serverTest(
  "another backend that is killed takes every session with it, and the failure is recorded after the recovery",
  async (server) => {
    await using running = await startOn(server);
    await using other = await openSession(server.url());
    Deno.kill(other.pid, "SIGKILL");
    const { code, stderr } = await running.result;
    assertEquals(code, 1, stderr);
    assertMatch(stderr, /^error: Cannot apply "0002_wait": /m);
    await waitFor(
      "the server has recovered",
      () => server.query("select 1").then(() => true, () => false),
    );
    assertEquals(
      await server.query("select name, status from migration_history"),
      [{ name: "0002_wait", status: "failed" }],
    );
    await assertCompletes(server);
  },
);

serverTest(
  "a database that is dropped in the middle of a run, and then is not there",
  async (server) => {
    await server.query("create database doomed");
    const url = server.url("doomed");
    await using running = await startOn(server, url);
    await server.query("drop database doomed with (force)");
    const { code, stderr } = await running.result;
    assertEquals(code, 1, stderr);
    assertMatch(
      stderr,
      /^error: Cannot apply "0002_wait": .*terminating connection due to administrator command/m,
    );
    assertMatch(
      stderr,
      /^warning: Cannot record the failure of "0002_wait" in the history: .*database "doomed" does not exist/m,
    );

    // What is not there is not waited for.
    await using next = await startProgram(url, "--wait-for-db=10m");
    const gone = await next.result;
    assertEquals(gone.code, 1, gone.stderr);
    assertMatch(
      gone.stderr,
      /^error: Cannot connect to the database "doomed" at [\d.:]+: database "doomed" does not exist \(SQLSTATE 3D000\)\n {2}hint: Create it first: create database "doomed"$/m,
    );
  },
);

const PROJECT = {
  "0001_a": table("a"),
  "0002_wait": migration({ up: ["create table b ()", GATE] }),
};

/** A program in the middle of `0002_wait`, on a server of the test's own. */
async function startOn(
  server: OwnServer,
  url = server.url(),
): ReturnType<typeof startProgram> {
  await queryUrl(
    url,
    "create schema gate; create table gate.opened (at timestamptz)",
  );
  const program = await startProgram(url);
  await waitForStatement(
    { query: (text) => queryUrl(url, text) },
    /gate\.opened/,
  );
  return program;
}

async function startProgram(
  url: string,
  ...options: readonly string[]
): Promise<AsyncDisposable & { readonly result: Promise<MigrateResult> }> {
  const project = await makeProject(PROJECT);
  const running = startMigrate(["up", ...options], {
    project,
    env: { DATABASE_URL: url },
  });
  return {
    result: running.result,
    async [Symbol.asyncDispose]() {
      await running[Symbol.asyncDispose]();
      await project[Symbol.asyncDispose]();
    },
  };
}

/** Nothing of the lost run is left, and the next one does all of it. */
async function assertCompletes(server: OwnServer): Promise<void> {
  const tables = async () =>
    (await server.query<{ name: string }>(
      "select tablename as name from pg_tables where schemaname = 'public' and tablename <> 'migration_history' order by 1",
    )).map(({ name }) => name);
  assertEquals(await tables(), []);
  await server.query("insert into gate.opened values (now())");
  await using next = await startProgram(server.url());
  const { code, stderr } = await next.result;
  assertEquals(code, 0, stderr);
  assertEquals(await tables(), ["a", "b"]);
}

scenario(
  "a rollback that is lost with the connection does not hide what it was for",
  {
    "0001_a": upCode(
      'await sql`create table a ()`.execute(db);\nthrow new Error("No rules");',
    ),
  },
  async (s) => {
    await using proxy = await startProxy(s.db);
    const rollback = proxy.hold(/^rollback$/);
    await using up = s.start("up", { url: proxy.url(s.db.url) });
    await rollback.held;
    proxy.drop();
    rollback.release();
    const { code, stdout, stderr } = await up.result;
    assertEquals([code, stdout], [1, ""]);
    assertMatch(stderr, /^error: Cannot apply "0001_a": No rules/m);
    assertEquals(await s.tables(), []);
  },
);
