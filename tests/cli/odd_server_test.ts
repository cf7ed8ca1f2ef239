/** Servers that say odd things of themselves, and addresses that are no host and port. */
import { assertEquals } from "@std/assert";
import { table } from "../support/program/migrations.ts";
import { startProxy } from "../support/net/proxy.ts";
import { CONNECTED, scenario } from "../support/program/scenario.ts";

const A = { "0001_a": table("a") };

scenario(
  "a server whose version cannot be read is refused with that reason",
  A,
  async (s) => {
    await using proxy = await startProxy(s.db);
    const number = await s.db.query<{ server_version_num: string }>(
      "show server_version_num",
    );
    proxy.rewrite(number[0]!.server_version_num, "000000");
    const { code, stdout, stderr } = await s.run("status", {
      url: proxy.url(s.db.url),
    });
    assertEquals([code, stdout, stderr], [
      1,
      "",
      `error: Cannot use the server at 127.0.0.1:${proxy.port}: it does not say which version of PostgreSQL it is; 15 is the oldest that works\n`,
    ]);
  },
);

scenario("a Unix socket that may not be opened is told of", A, async (s) => {
  const url = new URL(s.db.url);
  const socket =
    `postgres://${url.username}@/${s.db.name}?host=/nowhere/at/all`;
  const { code, stdout, stderr } = await s.run("status", { url: socket });
  assertEquals([code, stdout, stderr], [
    1,
    "",
    'error: Cannot connect to the database "DB" at /nowhere/at/all: this program may open no Unix socket there\n' +
    "  hint: Connect by TCP, or make the socket in /run/postgresql, where every build may open it\n",
  ]);
});

scenario("a row of the history that none can be is refused", A, async (s) => {
  assertEquals((await s.run("up")).code, 0);
  await s.db.query(
    "alter table migration_history drop constraint migration_history_status_check; " +
      "update migration_history set status = 'paused'",
  );
  for (const command of ["status", "up", "down --yes"]) {
    const { code, stdout, stderr } = await s.run(command);
    assertEquals([
      code,
      stdout,
      stderr.replace(CONNECTED, "").replace(
        /^Failed in T: nothing was changed\n$/m,
        "",
      ),
    ], [
      1,
      "",
      'error: Cannot read the history: its row 1, of "0001_a", says "paused", which this program does not know; use the newest one that has worked here\n',
    ], command);
  }
});
