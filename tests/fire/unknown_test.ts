/** Nobody answers what became of a commit, or of a statement outside a transaction: what the program says and does then. */
import { assertEquals } from "@std/assert";
import type { RunningMigrate } from "../support/program/cli.ts";
import {
  backends,
  closeGate,
  GATE,
  openGate,
  waitForStatement,
  waitUntilGone,
} from "../support/program/gate.ts";
import { migration, table } from "../support/program/migrations.ts";
import type { TestDatabase } from "../support/server/postgres.ts";
import { type Proxy, startProxy } from "../support/net/proxy.ts";
import {
  CONNECTED,
  type Scenario,
  scenario,
} from "../support/program/scenario.ts";
import { waitFor } from "../support/program/wait.ts";

const AB = { "0001_a": table("a"), "0002_b": table("b") };

/** Written after the commit that the program waits for. */
const WARNING =
  "warning: The connection was lost during the commit; the history says that the commit took effect";

const WITHIN = ["--wait-for-db=5s"];
const ALONE = "{ transaction: false }";
const REFUSED =
  'Cannot connect to the database "DB" at PROXY: the server closed the connection';

scenario(
  "a commit whose answer is lost, and nobody answers any more: nobody can tell, and nothing is written",
  AB,
  async (s) => {
    await using proxy = await startProxy(s.db);
    const { code, stdout, stderr } = await lostCommit(s, proxy, {
      command: ["up", ...WITHIN],
    });
    assertEquals([code, stdout], [1, ""], stderr);
    assertEquals(
      stderr,
      `\
${CONNECTED}Applying 0001_a (1 of 2)
Applying 0002_b (2 of 2)
Waiting for the database, T left: ${REFUSED}
error: Cannot tell whether 2 migrations took effect: The connection to the database was lost: read ECONNRESET
  detail: ${REFUSED}
  hint: Run status to see
Failed in T: 2 migrations unknown
`,
    );
    assertEquals(await s.history(), ["0001_a applied", "0002_b applied"]);
  },
);

scenario(
  "a commit whose answer is lost, and the network comes back: it is told as if the answer had come",
  AB,
  async (s) => {
    await using proxy = await startProxy(s.db);
    const { code, stdout, stderr } = await lostCommit(s, proxy, {
      command: ["up"],
      meanwhile: async (up) => {
        await up.waitFor("Waiting for the database");
        proxy.front(undefined);
      },
    });
    assertEquals(code, 0, stderr);
    assertEquals(
      stdout,
      "Applied 0001_a (T)\nApplied 0002_b (T)\nApplied 2 migrations in T\n",
    );
    assertEquals(
      stderr,
      `\
${CONNECTED}Applying 0001_a (1 of 2)
Applying 0002_b (2 of 2)
Waiting for the database, T left: ${REFUSED}
${WARNING}
`,
    );
  },
);

scenario(
  "another run rolls back meanwhile what a lost commit has applied: it is told that it took effect, and that",
  AB,
  async (s) => {
    await using proxy = await startProxy(s.db);
    const { code, stdout, stderr } = await lostCommit(s, proxy, {
      command: ["up"],
      meanwhile: async () => {
        assertEquals((await s.run("down --yes")).code, 0);
        proxy.front(undefined);
      },
    });
    assertEquals(code, 0, stderr);
    assertEquals(
      stdout,
      "Applied 0001_a (T)\nApplied 0002_b (T)\nApplied 2 migrations in T\n",
    );
    assertEquals(
      lastLines(stderr, 1),
      `${WARNING}, and that another run has rolled back since\n`,
    );
    assertEquals(await s.history(), ["0001_a applied", "0002_b rolled_back"]);
  },
);

scenario(
  "another run applies meanwhile what a lost commit has not: its rows are not taken for those of this run",
  AB,
  async (s) => {
    await using proxy = await startProxy(s.db);
    const { code, stdout, stderr } = await lostCommit(s, proxy, {
      command: ["up"],
      lose: "request",
      meanwhile: async () => {
        assertEquals((await s.run("up")).code, 0);
        proxy.front(undefined);
      },
    });
    assertEquals([code, stdout], [1, ""], stderr);
    assertEquals(
      lastLines(stderr, 2),
      "error: Cannot commit 2 migrations: The connection to the database was lost: read ECONNRESET\n" +
        "Failed in T: nothing was changed, 2 not run\n",
    );
    assertEquals(await s.history(), ["0001_a applied", "0002_b applied"]);
  },
);

scenario(
  "a backend that hangs in a commit keeps the lock: nobody can tell, and who has it is said",
  AB,
  async (s) => {
    await using proxy = await startProxy(s.db);
    const commit = proxy.hold(/^commit/);
    await using up = s.start("up --lock-wait=1s", { url: proxy.url(s.db.url) });
    await commit.held;
    await using hung = await stopBackend(s.db);
    commit.release();
    proxy.drop();
    const { code, stdout, stderr } = await up.result;
    assertEquals([code, stdout], [1, ""], stderr);
    const holder =
      `backend ${hung.pid} (${hung.application}, ADDRESS) holds it`;
    assertEquals(
      withoutAddresses(lastLines(stderr, 5)),
      `\
Waiting for the migration lock, T left: ${holder}
error: Cannot tell whether 2 migrations took effect: The connection to the database was lost: read ECONNRESET
  detail: Cannot take the migration lock within 10 s: ${holder}; let it finish, or wait longer with --lock-wait
  hint: Run status to see
Failed in T: 2 migrations unknown
`,
    );
  },
);

scenario(
  "a backend that waits in a transaction for a client that is gone is ended, and frees what it has locked",
  { "0001_note": migration({ up: "alter table orders add column note text" }) },
  async (s) => {
    await s.db.query("create table orders (id integer)");
    await using proxy = await startProxy(s.db);
    const commit = proxy.hold(/^commit/);
    await using up = s.start("up --connect-timeout=4s", {
      url: proxy.url(s.db.url),
    });
    await commit.held;
    proxy.front("says nothing");
    proxy.stall();
    commit.release();
    await up.waitFor("Waiting for the database");
    proxy.front(undefined);
    const { code, stdout, stderr } = await up.result;
    assertEquals([code, stdout], [1, ""], stderr);
    assertEquals(
      lastLines(stderr, 2),
      'error: Cannot apply "0001_note": The connection to the database was lost: the server does not answer any more\n' +
        "Failed in T: nothing was changed, 1 not run\n",
    );
    await waitUntilGone(s.db);
    assertEquals(await s.history(), ["0001_note failed"]);
  },
);

scenario(
  "what a standby says is not believed: it may not have heard of the commit yet",
  AB,
  async (s) => {
    await using proxy = await startProxy(s.db);
    const { code, stdout, stderr } = await lostCommit(s, proxy, {
      command: ["up"],
      meanwhile: async (up) => {
        await s.db.query(
          `alter database ${s.db.name} set default_transaction_read_only = on`,
        );
        proxy.front(undefined);
        await up.waitFor("is a standby");
        await s.db.query(
          `start transaction read write; alter database ${s.db.name} set default_transaction_read_only = off; commit`,
        );
      },
    });
    assertEquals(code, 0, stderr);
    assertEquals(
      stdout,
      "Applied 0001_a (T)\nApplied 0002_b (T)\nApplied 2 migrations in T\n",
    );
    assertEquals(lastLines(stderr, 1), `${WARNING}\n`);
  },
);

for (const [signal, code] of [["SIGTERM", 143], ["SIGINT", 130]] as const) {
  scenario(
    `${signal} while it looks for somebody who knows: it says that nobody can tell, and ends`,
    AB,
    async (s) => {
      await using proxy = await startProxy(s.db);
      const result = await lostCommit(s, proxy, {
        command: ["up"],
        meanwhile: async (up) => {
          await up.waitFor("Waiting for the database");
          up.kill(signal);
        },
      });
      assertEquals([result.code, result.stdout], [code, ""], result.stderr);
      assertEquals(
        lastLines(result.stderr, 4),
        `\
error: Cannot tell whether 2 migrations took effect: The connection to the database was lost: read ECONNRESET
  detail: Stopped by ${signal}
  hint: Run status to see
Failed in T: 2 migrations unknown
`,
      );
      assertEquals(await s.history(), ["0001_a applied", "0002_b applied"]);
    },
  );

  scenario(
    `${signal} while the server hangs in a commit: it says that nobody can tell, and ends`,
    AB,
    async (s) => {
      await using proxy = await startProxy(s.db);
      const commit = proxy.hold(/^commit/);
      await using up = s.start("up", { url: proxy.url(s.db.url) });
      await commit.held;
      await using hung = await stopBackend(s.db);
      commit.release();
      up.kill(signal);
      const { stdout, stderr } = await up.result;
      assertEquals([(await up.result).code, stdout], [code, ""], stderr);
      assertEquals(
        withoutAddresses(lastLines(stderr, 4)),
        `\
error: Cannot tell whether 2 migrations took effect: Stopped by ${signal}
  detail: Cannot take the migration lock: backend ${hung.pid} (${hung.application}, ADDRESS) holds it
  hint: Run status to see
Failed in T: 2 migrations unknown
`,
      );
    },
  );

  scenario(
    `${signal} while the server hangs in a step outside a transaction: its row stays running, and what to do is said`,
    {
      "0001_wait": migration({ up: GATE, options: ALONE }),
      "0002_b": table("b"),
    },
    async (s) => {
      await closeGate(s.db);
      await using up = s.start("up");
      await waitForStatement(s.db, /gate\.opened/);
      await using hung = await stopBackend(s.db);
      up.kill(signal);
      const { stdout, stderr } = await up.result;
      assertEquals([(await up.result).code, stdout], [code, ""], stderr);
      assertEquals(
        withoutAddresses(lastLines(stderr, 4)),
        `\
error: Cannot tell whether "0001_wait" took effect: Stopped by ${signal}
  detail: Cannot take the migration lock: backend ${hung.pid} (${hung.application}, ADDRESS) holds it
  hint: The history says running: look at the database, then run repair --retry 0001_wait or repair --mark-applied 0001_wait
Failed in T: 1 migration unknown, 1 not run
`,
      );
      assertEquals(await s.history(), ["0001_wait running"]);
    },
  );

  scenario(
    `${signal} when the network swallows everything: what is known to be undone is said to be`,
    { "0001_wait": migration({ up: GATE }) },
    async (s) => {
      await closeGate(s.db);
      await using proxy = await startProxy(s.db);
      await using up = s.start("up", { url: proxy.url(s.db.url) });
      await waitForStatement(s.db, /gate\.opened/);
      proxy.front("says nothing");
      proxy.stall();
      up.kill(signal);
      const result = await up.result;
      const stderr = result.stderr.replaceAll(
        `127.0.0.1:${proxy.port}`,
        "PROXY",
      );
      assertEquals([result.code, result.stdout], [code, ""], stderr);
      assertEquals(
        lastLines(stderr, 3),
        `\
warning: Cannot record the failure of "0001_wait" in the history: Stopped by ${signal}
error: Cannot apply "0001_wait": Stopped by ${signal}
Failed in T: nothing was changed, 1 not run
`,
      );
    },
  );
}

scenario(
  "a statement outside a transaction whose answer is lost: its row stays running, and nobody says failed",
  {
    "0001_wait": migration({ up: GATE, options: ALONE }),
    "0002_b": table("b"),
  },
  async (s) => {
    await closeGate(s.db);
    await using proxy = await startProxy(s.db);
    await using up = s.start("up", { url: proxy.url(s.db.url) });
    await waitForStatement(s.db, /gate\.opened/);
    proxy.drop();
    const { code, stdout, stderr } = await up.result;
    assertEquals([code, stdout], [1, ""], stderr);
    assertEquals(
      lastLines(stderr, 3),
      `\
error: Cannot tell whether "0001_wait" took effect: The connection to the database was lost: read ECONNRESET
  hint: The history says running: look at the database, then run repair --retry 0001_wait or repair --mark-applied 0001_wait
Failed in T: 1 migration unknown, 1 not run
`,
    );
    assertEquals(await s.history(), ["0001_wait running"]);
    await openGate(s.db);
    assertEquals((await s.run("repair --retry 0001_wait")).code, 0);
    assertEquals((await s.run("up")).code, 0);
  },
);

scenario(
  "an idempotent step whose answer is lost is tried again by the next up, and it says so",
  {
    "0001_wait": migration({
      up: GATE,
      options: "{ transaction: false, idempotent: true }",
    }),
  },
  async (s) => {
    await closeGate(s.db);
    await using proxy = await startProxy(s.db);
    await using up = s.start("up", { url: proxy.url(s.db.url) });
    await waitForStatement(s.db, /gate\.opened/);
    proxy.drop();
    const { code, stdout, stderr } = await up.result;
    assertEquals([code, stdout], [1, ""], stderr);
    assertEquals(
      lastLines(stderr, 3),
      `\
error: Cannot tell whether "0001_wait" took effect: The connection to the database was lost: read ECONNRESET
  hint: The history says running, and it is idempotent: the next up tries it again
Failed in T: 1 migration unknown
`,
    );
    await openGate(s.db);
    const next = await s.run("up");
    assertEquals(next.code, 0, next.stderr);
    assertEquals(await s.history(), ["0001_wait failed", "0001_wait applied"]);
  },
);

scenario(
  "the row of a step outside a transaction is lost on the way: it did not run, and the history does not say so",
  { "0001_alone": migration({ up: "create table alone ()", options: ALONE }) },
  async (s) => {
    await using proxy = await startProxy(s.db);
    const row = proxy.hold(/"status":"running"/);
    await using up = s.start("up", { url: proxy.url(s.db.url) });
    await row.held;
    proxy.mute();
    row.release();
    await hasRow(s, "0001_alone running");
    proxy.drop();
    const { code, stdout, stderr } = masked(await up.result, proxy);
    assertEquals([code, stdout], [1, ""], stderr);
    assertEquals(
      stderr,
      `\
${CONNECTED}error: The connection to the database was lost: read ECONNRESET
Failed in T: nothing was changed, 1 not run
`,
    );
    assertEquals(await s.history(), ["0001_alone rolled_back"]);
    assertEquals(await s.tables(), []);
    assertEquals((await s.run("up")).code, 0);
    assertEquals(await s.tables(), ["alone"]);
  },
);

scenario(
  "the row of a step outside a transaction is lost on the way, and nobody answers any more",
  { "0001_alone": migration({ up: "create table alone ()", options: ALONE }) },
  async (s) => {
    await using proxy = await startProxy(s.db);
    const row = proxy.hold(/"status":"running"/);
    await using up = s.start(["up", ...WITHIN], { url: proxy.url(s.db.url) });
    await row.held;
    proxy.mute();
    row.release();
    await hasRow(s, "0001_alone running");
    proxy.front("accepts and closes");
    proxy.drop();
    const { code, stdout, stderr } = masked(await up.result, proxy);
    assertEquals([code, stdout], [1, ""], stderr);
    assertEquals(
      lastLines(stderr, 4),
      `\
error: Cannot tell whether the history says that "0001_alone" runs: The connection to the database was lost: read ECONNRESET
  detail: ${REFUSED}
  hint: It did not run: if status says running, run repair --retry 0001_alone
Failed in T: 1 migration unknown
`,
    );
    assertEquals((await s.run("repair --retry 0001_alone")).code, 0);
    assertEquals((await s.run("up")).code, 0);
  },
);

scenario(
  "the end of a step outside a transaction cannot be written, and nobody answers any more",
  { "0001_alone": migration({ up: "create table alone ()", options: ALONE }) },
  async (s) => {
    await using proxy = await startProxy(s.db);
    const end = proxy.hold(/set status = 'applied'/);
    await using up = s.start(["up", ...WITHIN], { url: proxy.url(s.db.url) });
    await end.held;
    proxy.front("accepts and closes");
    proxy.drop();
    const { code, stdout, stderr } = masked(await up.result, proxy);
    assertEquals([code, stdout], [1, ""], stderr);
    assertEquals(
      lastLines(stderr, 4),
      `\
error: Cannot tell whether the history says that "0001_alone" is applied: The connection to the database was lost: read ECONNRESET
  detail: ${REFUSED}
  hint: It has taken effect: if status says running, run repair --mark-applied 0001_alone
Failed in T: 1 migration unknown
`,
    );
    assertEquals(await s.tables(), ["alone"]);
    assertEquals(await s.history(), ["0001_alone running"]);
    assertEquals((await s.run("repair --mark-applied 0001_alone")).code, 0);
    assertEquals((await s.run("status --check")).code, 0);
  },
);

scenario(
  "the history cannot be told that a step outside a transaction is done: it took effect, and that is said",
  {
    "0001_alone": migration({
      up: [
        "create table alone ()",
        "alter table migration_history add constraint nothing check (status <> 'applied') not valid",
      ],
      options: ALONE,
    }),
  },
  async (s) => {
    const { code, stdout, stderr } = await s.run("up");
    assertEquals([code, stdout], [1, ""], stderr);
    assertEquals(
      lastLines(stderr, 2),
      `\
  hint: It has taken effect: run repair --mark-applied 0001_alone
Failed in T: 1 migration unknown
`,
    );
    assertEquals(
      stderr.includes(
        'error: Cannot record that "0001_alone" is applied: new row for relation "migration_history" violates check constraint "nothing" (SQLSTATE 23514)\n',
      ),
      true,
      stderr,
    );
    assertEquals(await s.history(), ["0001_alone running"]);
  },
);

scenario(
  "a record of a failure whose answer is lost is not written twice",
  { "0001_broken": migration({ up: "select 1 / 0" }) },
  async (s) => {
    await using proxy = await startProxy(s.db);
    const commit = proxy.hold(/^commit/);
    await using up = s.start("up", { url: proxy.url(s.db.url) });
    await commit.held;
    proxy.mute();
    commit.release();
    await hasRow(s, "0001_broken failed");
    proxy.drop();
    const { code, stderr } = await up.result;
    assertEquals(code, 1, stderr);
    assertEquals(
      lastLines(stderr, 3),
      `\
error: Cannot apply "0001_broken": division by zero (SQLSTATE 22012)
  statement: select 1 / 0
Failed in T: nothing was changed, 1 not run
`,
    );
    assertEquals(await s.history(), ["0001_broken failed"]);
  },
);

scenario(
  "a record of a failure whose answer is lost, and nobody answers any more",
  { "0001_broken": migration({ up: "select 1 / 0" }) },
  async (s) => {
    await using proxy = await startProxy(s.db);
    const commit = proxy.hold(/^commit/);
    await using up = s.start(["up", ...WITHIN], { url: proxy.url(s.db.url) });
    await commit.held;
    proxy.front("accepts and closes");
    proxy.drop();
    const { code, stderr } = masked(await up.result, proxy);
    assertEquals(code, 1, stderr);
    assertEquals(
      lastLines(stderr, 4),
      `\
warning: Cannot tell whether the history has the failure of "0001_broken": ${REFUSED}
error: Cannot apply "0001_broken": division by zero (SQLSTATE 22012)
  statement: select 1 / 0
Failed in T: nothing was changed, 1 not run
`,
    );
  },
);

/** Runs the program until its commit, loses what that says or its answer, and keeps new connections out. */
async function lostCommit(
  s: Scenario,
  proxy: Proxy,
  { command, lose = "answer", meanwhile = async () => {} }: {
    readonly command: readonly string[];
    readonly lose?: "request" | "answer";
    /** Comes while nobody can connect. */
    readonly meanwhile?: (program: RunningMigrate) => Promise<unknown>;
  },
): Promise<{ code: number; stdout: string; stderr: string }> {
  const commit = proxy.hold(/^commit/);
  await using program = s.start(command, { url: proxy.url(s.db.url) });
  await commit.held;
  if (lose === "answer") {
    proxy.mute();
    commit.release();
    await hasRow(s, "0001_a applied");
  }
  proxy.front("accepts and closes");
  proxy.drop();
  await meanwhile(program);
  return masked(await program.result, proxy);
}

/** Waits until the history has the row. */
async function hasRow(s: Scenario, row: string): Promise<void> {
  await waitFor(
    `the history has ${row}`,
    async () => (await s.history().catch((): string[] => [])).includes(row),
  );
}

/** Makes the program's backend hang until the scope is left. */
async function stopBackend(
  db: TestDatabase,
): Promise<AsyncDisposable & { pid: number; application: string }> {
  const [{ pid } = { pid: 0 }] = await backends(db);
  const [row] = await db.query<{ application: string }>(
    `select application_name as application from pg_stat_activity where pid = ${pid}`,
  );
  Deno.kill(pid, "SIGSTOP");
  return {
    pid,
    application: row!.application,
    async [Symbol.asyncDispose]() {
      Deno.kill(pid, "SIGCONT");
      await waitUntilGone(db);
    },
  };
}

/** The proxy's address is no news, nor is how often it was tried. */
function masked<T extends { readonly stderr: string }>(
  result: T,
  { port }: Proxy,
): T {
  const stderr = result.stderr.replaceAll(`127.0.0.1:${port}`, "PROXY")
    .replace(/(^Connected to .* at )PROXY/m, "$1HOST:PORT")
    .replaceAll(/(^Waiting for the database, .*\n)\1+/gm, "$1");
  return { ...result, stderr };
}

function withoutAddresses(text: string): string {
  return text.replaceAll(/, 127\.0\.0\.1:\d+, for [^)]*\)/g, ", ADDRESS)");
}

function lastLines(text: string, n: number): string {
  return text.split("\n").slice(-n - 1).join("\n");
}
