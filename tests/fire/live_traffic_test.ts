/** Migrations on a database that the application is using: its traffic goes first. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { openSession, startTraffic } from "../support/program/application.ts";
import {
  backends,
  closeGate,
  GATE,
  openGate,
  waitForStatement,
} from "../support/program/gate.ts";
import { migration, table, upCode } from "../support/program/migrations.ts";
import { startProxy } from "../support/net/proxy.ts";
import { scenario } from "../support/program/scenario.ts";
import { waitFor } from "../support/program/wait.ts";

const ADD_COLUMN = migration({
  up: "alter table orders add column note text",
});
const ORDERS = "create table orders (id bigserial primary key, customer text)";

scenario(
  "a forgotten transaction does not make up stall the traffic: it gives up, names who is in the way and tries again",
  { "0001_note": ADD_COLUMN },
  async (s) => {
    await s.db.query(ORDERS);
    await using forgotten = await openSession(s.db.url, "report");
    await forgotten.run(
      "begin; select count(*) from orders where customer = 'canary-customer' and id > 424242",
    );
    await using traffic = startTraffic(s.db.url, [
      "insert into orders (customer) values ('a')",
      "select max(id) from orders",
      "update orders set customer = 'b' where id = 1",
    ]);
    await using up = s.start("up --lock-timeout=500ms --lock-retry=10m");
    // Behind a migration that does not give up there is no traffic at all: the forgotten transaction never ends.
    for (const attempt of [1, 2, 3]) {
      await waitFor(
        `it has given up ${attempt} times`,
        () => up.output().stderr.split("Trying again").length > attempt,
      );
      const before = traffic.count;
      await waitFor("the traffic goes on", () => traffic.count > before + 50);
    }
    await forgotten.run("commit");
    const { code, stdout, stderr } = await up.result;

    assertEquals(code, 0, stderr);
    assertMatch(stdout, /^Applied 0001_note /);
    assertMatch(
      stderr,
      new RegExp(
        String
          .raw`^  blocked by backend ${forgotten.pid} \(report, user ${s.db.user}, idle in transaction, ` +
          String
            .raw`its transaction is [\d.]+ m?s old\): .*select count\(\*\) from orders`,
        "m",
      ),
    );
    assertMatch(
      stderr,
      /^Trying again in .* left: 55P03: canceling statement due to lock timeout$/m,
    );
    // What somebody else's statement looks for is none of our business.
    assertEquals(/canary-customer|424242/.test(stdout + stderr), false, stderr);
    assertEquals((await s.history()).at(-1), "0001_note applied");
  },
);

scenario(
  "each attempt names who is in the way",
  { "0001_note": ADD_COLUMN },
  async (s) => {
    await s.db.query(ORDERS);
    await using first = await openSession(s.db.url, "first");
    await first.run("begin; select from orders");
    await using up = s.start("up --lock-timeout=300ms --lock-retry=10m");
    await up.waitFor(`blocked by backend ${first.pid} (first, `);
    await up.waitFor("Trying again");
    await using second = await openSession(s.db.url, "second");
    await second.run("begin; lock table orders in row exclusive mode");
    await first.run("commit");
    await up.waitFor(`blocked by backend ${second.pid} (second, `);
    await second.run("commit");
    assertEquals((await up.result).code, 0);
  },
);

scenario(
  "up fails with the lock's error when --lock-retry is spent, and leaves nothing behind",
  { "0001_a": table("a"), "0002_note": ADD_COLUMN },
  async (s) => {
    await s.db.query(ORDERS);
    await using forgotten = await openSession(s.db.url);
    await forgotten.run("begin; select from orders");

    const { code, stdout, stderr } = await s.run(
      "up --lock-timeout=200ms --lock-retry=5s",
    );

    assertEquals(code, 1, stderr);
    assertEquals(stdout, "");
    assertMatch(
      stderr,
      /^error: Cannot apply "0002_note": canceling statement due to lock timeout \(SQLSTATE 55P03\)$/m,
    );
    assert(stderr.split("Trying again in ").length > 2, stderr);
    assertEquals(await s.tables(), ["orders"]);
    assertEquals(await s.history(), ["0002_note failed"]);
  },
);

scenario(
  "a deadlock with the application is tried again",
  {
    "0001_both": migration({
      up: [
        "lock table a in access exclusive mode",
        GATE,
        "lock table b in access exclusive mode",
        "create table done ()",
      ],
    }),
  },
  async (s) => {
    await closeGate(s.db);
    await s.db.query("create table a (); create table b ()");
    // The program is the one that notices.
    await using other = await openSession(s.db.url);
    await other.run("set deadlock_timeout = '10min'");
    await using up = s.start("up --lock-timeout=10m");
    await waitForStatement(s.db, /gate\.opened/);
    await other.run("begin; lock table b in access exclusive mode");
    const locked = other.run("lock table a in access exclusive mode");
    await waitFor("the application waits for the program", async () => {
      const [row] = await s.db.query<{ blocked: boolean }>(
        `select pg_blocking_pids(${other.pid}) <> '{}' as blocked`,
      );
      return row!.blocked;
    });
    await openGate(s.db);
    await up.waitFor(/Trying again in .*: 40P01: deadlock detected/);
    await locked;
    await other.run("commit");

    const { code, stderr } = await up.result;
    assertEquals(code, 0, stderr);
    assertEquals(await s.tables(), ["a", "b", "done"]);
  },
  { settings: { deadlock_timeout: "100ms" } },
);

scenario(
  "an attempt that is given up takes no effect of an earlier one with it",
  {
    "0001_rows": upCode(
      "  await sql`create table rows_seen (id integer)`.execute(db);\n" +
        "  await sql`insert into rows_seen values (1)`.execute(db);",
    ),
    "0002_note": ADD_COLUMN,
  },
  async (s) => {
    await s.db.query(ORDERS);
    await using forgotten = await openSession(s.db.url);
    await forgotten.run("begin; select from orders");
    await using up = s.start("up --lock-timeout=200ms --lock-retry=10m");
    await waitFor(
      "it has tried twice",
      () => up.output().stderr.split("Trying again").length > 2,
    );
    await forgotten.run("commit");

    assertEquals((await up.result).code, 0);
    assertEquals(await s.db.query("select id from rows_seen"), [{ id: 1 }]);
    assertEquals(await s.history(), ["0001_rows applied", "0002_note applied"]);
  },
);

scenario(
  "a long create index says how far it is, through a second connection that a short run does without",
  {
    "0001_short": table("short"),
    "0002_index": migration({
      up: "create index orders_slow_idx on orders (slow(id))",
    }),
  },
  async (s) => {
    await s.db.query(ORDERS);
    await s.db.query(
      "insert into orders (customer) select 'c' from generate_series(1, 500)",
    );
    await s.db.query(
      `create function slow(n bigint) returns bigint language plpgsql immutable
      as $$ begin perform pg_sleep(0.01); return n; end $$`,
    );
    await using proxy = await startProxy(s.db);
    const url = proxy.url(s.db.url);

    assertEquals((await s.run("up --to 0001_short", { url })).code, 0);
    assertEquals(proxy.sessions.length, 1);

    await using up = s.start("up", { url });
    await up.waitFor("Running since");
    const monitor = (await backends(s.db)).length;
    const { code, stderr } = await up.result;
    assertEquals(code, 0, stderr);
    assertEquals(monitor, 2);
    assertMatch(
      stderr,
      /^Running since .*: create index orders_slow_idx on orders \(slow\(id\)\) \(building index: scanning table/m,
    );
  },
);

scenario(
  "a long statement succeeds where a second connection is not allowed",
  { "0001_slow": migration({ up: GATE }) },
  async (s) => {
    await closeGate(s.db);
    const role = await s.db.createRole((name) => [
      `grant create, usage on schema public, gate to ${name}`,
      `grant select on gate.opened to ${name}`,
    ]);
    await s.db.query(`alter role ${role.name} connection limit 1`);
    await using proxy = await startProxy(s.db);
    await using up = s.start("up --lock-timeout=500ms", {
      as: role,
      url: proxy.url(role.url),
    });
    await waitFor(
      "the watcher was turned away",
      () => proxy.sessions.length === 2 && proxy.sessions[1]!.closed,
    );
    await openGate(s.db);

    const { code, stderr } = await up.result;
    assertEquals(code, 0, stderr);
    assertEquals(
      stderr.split("\n").filter((line) => /warning|error|FATAL/.test(line)),
      [],
    );
  },
);

scenario(
  "a role that may not see other sessions still learns which backend is in the way",
  { "0001_note": ADD_COLUMN },
  async (s) => {
    await s.db.query(ORDERS);
    const role = await s.db.createRole((name) => [
      `grant create on schema public to ${name}`,
      `alter table orders owner to ${name}`,
    ]);
    await using forgotten = await openSession(s.db.url, "report");
    await forgotten.run("begin; select from orders");
    await using up = s.start("up --lock-timeout=500ms", { as: role });
    await up.waitFor(
      new RegExp(
        `blocked by backend ${forgotten.pid} \\(report, user ${s.db.user}, `,
      ),
    );
    await forgotten.run("commit");
    assertEquals((await up.result).code, 0);
  },
);
