/** The second connection, which watches a long statement: where it leads elsewhere or nowhere, it proves nothing. */
import { assertEquals } from "@std/assert";
import { runMigrate, startMigrate } from "../support/program/cli.ts";
import {
  closeGate,
  GATE,
  openGate,
  waitForStatement,
} from "../support/program/gate.ts";
import { migration, table } from "../support/program/migrations.ts";
import { makeProject } from "../support/program/project.ts";
import { queryUrl, type TestDatabase } from "../support/server/postgres.ts";
import { startProxy } from "../support/net/proxy.ts";
import { scenario } from "../support/program/scenario.ts";
import { serverTest, withServer } from "../support/server/server.ts";
import { delay } from "../support/program/wait.ts";

/** Long enough for a server that says that it has answered to be believed. */
const BELIEVED_MS = 12_000;

const WAITING = {
  "0001_wait": migration({ up: ["create table a ()", GATE] }),
  "0002_b": table("b"),
};

serverTest(
  "a second connection that reaches another server does not end a healthy statement",
  (server) =>
    withServer(server.version, async (other) => {
      const url = new URL(server.url());
      const password = url.password.replaceAll("'", "''");
      await other.query(`alter role ${url.username} password '${password}'`);
      const db = { query: server.query } as Pick<TestDatabase, "query">;
      await closeGate(db as TestDatabase);
      await using proxy = await startProxy(server);
      await using project = await makeProject(WAITING);
      const env = { DATABASE_URL: proxy.url(server.url()) };
      await using up = startMigrate(["up"], { project, env });
      await waitForStatement(db, /gate\.opened/);
      proxy.redirect(other);
      await up.waitFor(
        "warning: A second connection reaches another server: what the statement at work waits for cannot be shown\n",
      );
      await delay(BELIEVED_MS);
      await openGate(db as TestDatabase);
      const { code, stderr } = await up.result;
      assertEquals(code, 0, stderr);
      const tables = (url: string) =>
        queryUrl(
          url,
          "select tablename as name from pg_tables where schemaname = 'public' order by 1",
        );
      assertEquals(await tables(server.url()), [
        { name: "a" },
        { name: "b" },
        { name: "migration_history" },
      ]);
      url.port = `${other.port}`;
      assertEquals(await tables(url.href), []);
      assertEquals(
        (await runMigrate(["status", "--check"], {
          project,
          env: { DATABASE_URL: server.url() },
        })).code,
        0,
      );
    }),
);

for (const way of ["refuses", "closes"] as const) {
  scenario(
    `a second connection that is not made while the server works does not end a healthy statement soon: it ${way}`,
    WAITING,
    async (s) => {
      await closeGate(s.db);
      await using proxy = await startProxy(s.db);
      await using up = s.start("up", { url: proxy.url(s.db.url) });
      await waitForStatement(s.db, /gate\.opened/);
      if (way === "refuses") proxy.refuse();
      else proxy.front("accepts and closes");
      await delay(BELIEVED_MS);
      await openGate(s.db);
      const { code, stderr } = await up.result;
      assertEquals(code, 0, stderr);
      assertEquals(await s.tables(), ["a", "b"]);
    },
  );
}
