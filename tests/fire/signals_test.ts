/** The process is told to stop, at whatever it is: what it was at is undone, and it says so. */
import { assertEquals, assertMatch } from "@std/assert";
import { openSession } from "../support/program/application.ts";
import type { RunningMigrate } from "../support/program/cli.ts";
import {
  closeGate,
  GATE,
  openGate,
  waitForStatement,
  waitUntilGone,
} from "../support/program/gate.ts";
import { migration, table, upCode } from "../support/program/migrations.ts";
import { startProxy } from "../support/net/proxy.ts";
import { scenario } from "../support/program/scenario.ts";
import { delay, waitFor } from "../support/program/wait.ts";

const CODES = { SIGTERM: 143, SIGINT: 130 } as const;
const SIGNALS = Object.keys(CODES) as (keyof typeof CODES)[];

for (const signal of SIGNALS) {
  scenario(
    `${signal} while waiting for a server that does not answer`,
    { "0001_a": table("a") },
    async (s) => {
      await using proxy = await startProxy(s.db);
      proxy.front("says nothing");
      await using up = s.start("up --connect-timeout=10m", {
        url: proxy.url(s.db.url),
      });
      await waitFor("it has connected", () => proxy.accepted > 0);
      const { stdout, stderr } = await stop(up, signal);
      assertEquals(stdout, "");
      assertMatch(stderr, new RegExp(`^error: Stopped by ${signal}$`, "m"));
    },
  );

  scenario(
    `${signal} between two attempts to connect`,
    { "0001_a": table("a") },
    async (s) => {
      await using proxy = await startProxy(s.db);
      proxy.front("accepts and closes");
      await using up = s.start("up --wait-for-db=10m", {
        url: proxy.url(s.db.url),
      });
      await up.waitFor("Waiting for the database");
      const { stderr } = await stop(up, signal);
      assertMatch(stderr, new RegExp(`^error: Stopped by ${signal}$`, "m"));
    },
  );

  scenario(
    `${signal} while waiting for another copy`,
    { "0001_wait": migration({ up: GATE }), "0002_a": table("a") },
    async (s) => {
      await closeGate(s.db);
      await using first = s.start("up");
      await waitForStatement(s.db, /gate\.opened/);
      await using second = s.start("up --lock-wait=10m");
      await second.waitFor("Waiting for the migration lock");
      const { stdout, stderr } = await stop(second, signal);
      assertEquals(stdout, "");
      assertMatch(stderr, new RegExp(`^error: Stopped by ${signal}$`, "m"));

      await openGate(s.db);
      assertEquals((await first.result).code, 0);
      assertEquals(await s.tables(), ["a"]);
      assertEquals(await s.history(), ["0001_wait applied", "0002_a applied"]);
    },
  );

  for (const transaction of ["all", "each"] as const) {
    scenario(
      `${signal} in a long statement of up --transaction ${transaction}`,
      {
        "0001_a": table("a"),
        "0002_wait": migration({ up: ["create table b ()", GATE] }),
        "0003_c": table("c"),
      },
      async (s) => {
        await closeGate(s.db);
        await using up = s.start(`up --transaction=${transaction}`);
        await waitForStatement(s.db, /gate\.opened/);
        const { stdout, stderr } = await stop(up, signal);

        // The server must not go on for a client that is gone.
        await waitUntilGone(s.db);
        const kept = transaction === "all" ? [] : ["a"];
        assertEquals(await s.tables(), kept);
        assertEquals(await s.history(), [
          ...(transaction === "all" ? [] : ["0001_a applied"]),
          "0002_wait failed",
        ]);
        const [row] = await s.db.query(
          "select error from migration_history where status = 'failed'",
        );
        assertEquals(row, { error: `Stopped by ${signal}` });
        assertEquals(
          stdout,
          transaction === "all" ? "" : "Applied 0001_a (T)\n",
        );
        assertMatch(
          stderr,
          new RegExp(
            `^error: Cannot apply "0002_wait": Stopped by ${signal}$`,
            "m",
          ),
        );

        await openGate(s.db);
        const next = await s.run("up");
        assertEquals(next.code, 0, next.stderr);
        assertEquals(await s.tables(), ["a", "b", "c"]);
      },
    );
  }

  scenario(
    `${signal} between two migrations with a transaction of their own`,
    { "0001_a": table("a"), "0002_b": table("b") },
    async (s) => {
      await using proxy = await startProxy(s.db);
      const first = proxy.hold(/^start transaction/);
      await using up = s.start("up --transaction=each", {
        url: proxy.url(s.db.url),
      });
      await first.held;
      const second = proxy.hold(/^start transaction/);
      first.release();
      await second.held;
      const before = proxy.accepted;
      up.kill(signal);
      await waitFor("it asks to cancel", () => proxy.accepted > before);
      second.release();
      const { code, stdout, stderr } = await up.result;
      assertEquals(code, CODES[signal], stderr);
      assertEquals(stdout, "Applied 0001_a (T)\n");
      assertMatch(stderr, new RegExp(`^error: .*Stopped by ${signal}$`, "m"));
      await waitUntilGone(s.db);
      assertEquals(await s.tables(), ["a"]);
      assertEquals((await s.history())[0], "0001_a applied");

      assertEquals((await s.run("up")).code, 0);
      assertEquals(await s.tables(), ["a", "b"]);
    },
  );

  scenario(
    `${signal} while a migration is busy with something else than the database`,
    {
      "0001_a": table("a"),
      "0002_busy": upCode(
        "  await sql`create table b ()`.execute(db);\n" +
          '  console.error("busy now");\n' +
          "  await new Promise((resolve) => setTimeout(resolve, 600_000));",
      ),
    },
    async (s) => {
      await using up = s.start("up --transaction=each");
      await up.waitFor("busy now");
      await stop(up, signal);
      await waitUntilGone(s.db);
      assertEquals(await s.tables(), ["a"]);
      assertEquals((await s.history())[0], "0001_a applied");
      await s.release({ "0001_a": table("a"), "0002_busy": table("b") });
      assertEquals((await s.run("up")).code, 0);
    },
  );

  scenario(
    `${signal} in a non-transactional migration`,
    {
      "0001_rows": migration({ up: "create table numbers (id integer)" }),
      "0002_index": migration({
        up:
          "create index concurrently if not exists numbers_idx on numbers (id)",
        options: "{ transaction: false, idempotent: true }",
      }),
      "0003_c": table("c"),
    },
    async (s) => {
      await s.run("up --to 0001_rows");
      await using writer = await openSession(s.db.url);
      await writer.run("begin; insert into numbers values (1)");
      await using up = s.start("up --lock-timeout=10m");
      await waitForStatement(s.db, /^create index concurrently/);
      const { stderr } = await stop(up, signal);
      assertMatch(
        stderr,
        new RegExp(
          `^error: Cannot apply "0002_index": Stopped by ${signal}$`,
          "m",
        ),
      );
      await waitUntilGone(s.db);
      assertEquals(await s.history(), [
        "0001_rows applied",
        "0002_index failed",
      ]);
      const [row] = await s.db.query(
        "select error from migration_history where status = 'failed'",
      );
      assertEquals(row, { error: `Stopped by ${signal}` });
      assertEquals(await s.tables(), ["numbers"]);

      await writer.run("commit");
      const next = await s.run("up");
      assertEquals(next.code, 0, next.stderr);
      const [index] = await s.db.query(
        "select indisvalid from pg_index where indexrelid = 'numbers_idx'::regclass",
      );
      assertEquals(index, { indisvalid: true });
    },
  );

  scenario(
    `${signal} while waiting for a lock that the application holds`,
    {
      "0001_note": migration({ up: "alter table orders add column note text" }),
    },
    async (s) => {
      await s.db.query("create table orders (id integer)");
      await using forgotten = await openSession(s.db.url);
      await forgotten.run("begin; select from orders");
      await using up = s.start("up --lock-timeout=10m");
      await waitForStatement(s.db, /^alter table orders/);
      await stop(up, signal);
      await waitUntilGone(s.db);
      // Nothing is left in the queue for when the application lets go.
      await forgotten.run("commit");
      const columns = await s.db.query(
        "select attname from pg_attribute where attrelid = 'orders'::regclass and attnum > 0",
      );
      assertEquals(columns, [{ attname: "id" }]);
    },
  );

  scenario(
    `${signal} between two attempts at a lock`,
    {
      "0001_note": migration({ up: "alter table orders add column note text" }),
    },
    async (s) => {
      await s.db.query("create table orders (id integer)");
      await using forgotten = await openSession(s.db.url);
      await forgotten.run("begin; select from orders");
      await using up = s.start("up --lock-timeout=100ms --lock-retry=10m");
      await up.waitFor(/Trying again[^]*Trying again[^]*Trying again/);
      const { stdout, stderr } = await stop(up, signal);
      assertEquals(stdout, "");
      assertMatch(stderr, new RegExp(`^error: .*Stopped by ${signal}$`, "m"));
      await waitUntilGone(s.db);
      assertEquals(await s.tables(), ["orders"]);
      assertEquals(
        await s.db.query(
          "select attname from pg_attribute where attrelid = 'orders'::regclass and attnum > 0",
        ),
        [{ attname: "id" }],
      );
    },
  );

  scenario(
    `a second ${signal} ends the program at once`,
    { "0001_wait": migration({ up: GATE }) },
    async (s) => {
      await closeGate(s.db);
      await using proxy = await startProxy(s.db);
      await using up = s.start("up", { url: proxy.url(s.db.url) });
      await waitForStatement(s.db, /gate\.opened/);
      // A network that swallows everything keeps the first one from being done.
      proxy.front("says nothing");
      proxy.stall();
      up.kill(signal);
      await waitFor(
        "it asks the server to cancel",
        () => proxy.accepted > 1,
      );
      // One Ctrl-C may arrive twice, but not so far apart.
      await delay(500);
      up.kill(signal);
      const { code, stderr } = await up.result;
      assertEquals(code, CODES[signal], stderr);
      // It has not waited for the first one to be done, which would have been told.
      assertEquals(/^(?:error|Failed)/m.test(stderr), false, stderr);
      assertEquals(await s.tables(), []);
    },
  );

  scenario(
    `${signal} when the network swallows everything ends the program all the same`,
    { "0001_wait": migration({ up: GATE }) },
    async (s) => {
      await closeGate(s.db);
      await using proxy = await startProxy(s.db);
      await using up = s.start("up", { url: proxy.url(s.db.url) });
      await waitForStatement(s.db, /gate\.opened/);
      proxy.front("says nothing");
      proxy.stall();
      await stop(up, signal);
      assertEquals(await s.tables(), []);
    },
  );
}

scenario(
  "SIGTERM while rolling back leaves the migrations applied",
  {
    "0001_a": table("a"),
    "0002_wait": migration({
      up: "create table b ()",
      down: ["drop table b", GATE],
    }),
  },
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    await closeGate(s.db);
    await using down = s.start("down --all --yes");
    await waitForStatement(s.db, /gate\.opened/);
    const { stderr } = await stop(down, "SIGTERM");
    assertMatch(
      stderr,
      /^error: Cannot roll back "0002_wait": Stopped by SIGTERM$/m,
    );
    await waitUntilGone(s.db);
    assertEquals(await s.tables(), ["a", "b"]);
    assertEquals(await s.history(), ["0001_a applied", "0002_wait applied"]);
  },
);

scenario(
  "SIGTERM makes the closing JSON say failed",
  { "0001_wait": migration({ up: GATE }) },
  async (s) => {
    await closeGate(s.db);
    await using up = s.start("up --format=json");
    await waitForStatement(s.db, /gate\.opened/);
    const { stdout } = await stop(up, "SIGTERM");
    const lines = stdout.trim().split("\n").map((line) => JSON.parse(line));
    const { event, failed, applied } = lines.at(-1);
    assertEquals({ event, failed, applied }, {
      event: "summary",
      failed: true,
      applied: 0,
    });
    assertEquals(lines.at(-2).event, "failed");
    assertEquals(lines.at(-2).migration, "0001_wait");
  },
);

scenario(
  "SIGTERM ends status --wait",
  { "0001_a": table("a") },
  async (s) => {
    await using status = s.start("status --wait=10m");
    await status.waitFor("Waiting for 1 migration");
    await stop(status, "SIGTERM");
  },
);

scenario(
  "kill -9 in a long statement: the server ends it within seconds, nothing is applied, the next up succeeds",
  { "0001_a": table("a"), "0002_wait": migration({ up: GATE }) },
  async (s) => {
    await closeGate(s.db);
    await using killed = s.start("up");
    await waitForStatement(s.db, /gate\.opened/);
    killed.kill("SIGKILL");
    assertEquals((await killed.result).code, 137);
    await waitUntilGone(s.db);
    await openGate(s.db);
    assertEquals(await s.tables(), []);

    const next = await s.run("up");
    assertEquals(next.code, 0, next.stderr);
    assertEquals(await s.history(), ["0001_a applied", "0002_wait applied"]);
  },
);

scenario(
  "kill -9 while waiting for a lock: the statement does not run when the lock is free",
  { "0001_note": migration({ up: "alter table orders add column note text" }) },
  async (s) => {
    await s.db.query("create table orders (id integer)");
    await using forgotten = await openSession(s.db.url);
    await forgotten.run("begin; select from orders");
    await using killed = s.start("up --lock-timeout=10m");
    await waitForStatement(s.db, /^alter table orders/);
    killed.kill("SIGKILL");
    await killed.result;
    await waitUntilGone(s.db);
    await forgotten.run("commit");
    const columns = await s.db.query(
      "select attname from pg_attribute where attrelid = 'orders'::regclass and attnum > 0",
    );
    assertEquals(columns, [{ attname: "id" }]);
    assertEquals((await s.run("up")).code, 0);
  },
);

scenario(
  "kill -9 of the holder lets a waiting copy do the work",
  { "0001_wait": migration({ up: GATE }), "0002_a": table("a") },
  async (s) => {
    await closeGate(s.db);
    await using killed = s.start("up");
    await waitForStatement(s.db, /gate\.opened/);
    await using waiting = s.start("up");
    await waiting.waitFor("Waiting for the migration lock");
    killed.kill("SIGKILL");
    await killed.result;
    await waiting.waitFor("Applying 0001_wait");
    await openGate(s.db);
    const { code, stderr } = await waiting.result;
    assertEquals(code, 0, stderr);
    assertEquals(await s.tables(), ["a"]);
  },
);

/** Signals the program, which would go on for ten minutes, and returns what it came to; fails when the code is not that of the signal. */
async function stop(
  program: RunningMigrate,
  signal: keyof typeof CODES,
): Promise<{ stdout: string; stderr: string }> {
  program.kill(signal);
  const { code, stdout, stderr } = await program.result;
  assertEquals(code, CODES[signal], stderr);
  return { stdout, stderr };
}
