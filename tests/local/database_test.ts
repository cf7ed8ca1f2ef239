/** The embedded database as somebody with a checkout and a terminal meets it. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
} from "@std/assert";
import { join } from "node:path";
import {
  killServer,
  serverPid,
  withCheckout,
} from "../support/program/checkout.ts";
import { queryUrl } from "../support/server/postgres.ts";
import { waitFor } from "../support/program/wait.ts";

const ANNOUNCEMENT =
  "No database configured: using the embedded PostgreSQL 18 in .data (set DATABASE_URL to use another)\n";

Deno.test("migrate creates the schema on an embedded server, and finds it the next time", async () => {
  await withCheckout(async ({ folder, task }) => {
    const first = await task(["migrate"]).result;
    assertEquals(first.code, 0, first.stderr);
    assert(first.stderr.startsWith(ANNOUNCEMENT), first.stderr);
    assertMatch(first.stdout, /^Applied \d+ migrations in /m);
    assertEquals(await serverPid(folder), undefined);

    const second = await task(["migrate"]).result;
    assertEquals(second.code, 0, second.stderr);
    assertEquals(
      second.stdout,
      "Nothing to apply: the database is up to date\n",
    );
    assertEquals(await serverPid(folder), undefined);
  });
});

Deno.test("migrate twice at once shares one server and applies everything once", async () => {
  await withCheckout(async ({ folder, task }) => {
    const results = await Promise.all(
      [task(["migrate"]), task(["migrate"])].map(({ result }) => result),
    );
    const shown = JSON.stringify(results);
    assertEquals(results.map(({ code }) => code), [0, 0], shown);
    const outcomes = results.map(({ stdout }) =>
      stdout.split("\n").at(-2)?.split(" ")[0]
    );
    assertEquals(outcomes.toSorted(), ["Applied", "Nothing"], shown);
    assertEquals(await serverPid(folder), undefined);
  });
});

Deno.test("migrate works after it was killed while it made the database", async () => {
  await withCheckout(async ({ folder, task }) => {
    await using killed = task(["migrate"]);
    await killed.waitFor("Creating a PostgreSQL 18 database");
    const home = join(folder, ".data/18");
    await waitFor("the data are being made", async () => {
      const draft = (await names(home)).find((name) =>
        name.startsWith("init-")
      );
      return draft !== undefined &&
        await exists(join(home, draft, "data/PG_VERSION"));
    });
    killed.kill("SIGKILL");
    await killed.result;
    assertEquals((await names(home)).includes("data"), false);

    const next = await task(["migrate"]).result;
    assertEquals(next.code, 0, next.stderr);
    assertEquals(await names(home), ["data", "password"]);
    assertEquals(await serverPid(folder), undefined);
  });
});

Deno.test("a server whose user was killed serves the next user, who stops it", async () => {
  await withCheckout(async ({ folder, task }) => {
    await using killed = task(["db"]);
    await killed.waitFor(/^postgres:.*\n/);
    const pid = await serverPid(folder);
    killed.kill("SIGKILL");
    await killed.result;
    assertEquals(await serverPid(folder), pid);

    const url = killed.output().stdout.trim();
    await queryUrl(url, "create table left_behind ()");
    await using next = task(["db"]);
    await next.waitFor(/^postgres:.*\n/);
    assertEquals(await serverPid(folder), pid);
    assertEquals(next.output().stdout.trim(), url);
    await queryUrl(url, "select from left_behind");
    next.kill("SIGINT");
    assertEquals((await next.result).code, 0);
    assertEquals(await serverPid(folder), undefined);
  });
});

Deno.test("a server that was killed is started again, with its data", async () => {
  await withCheckout(async ({ folder, task }) => {
    await using user = task(["db"]);
    await user.waitFor(/^postgres:.*\n/);
    const url = user.output().stdout.trim();
    await queryUrl(url, "create table kept ()");
    await killServer(folder);
    // Its user is still there, and the file that names the dead server too.
    const next = await task(["migrate"]).result;
    assertEquals(next.code, 0, next.stderr);
    await queryUrl(url, "select from kept");
    user.kill("SIGTERM");
    assertEquals((await user.result).code, 0);
    assertEquals(await serverPid(folder), undefined);
  });
});

Deno.test("db prints a URL that two terminals share until the last one ends", async () => {
  await withCheckout(async ({ folder, task }) => {
    await using one = task(["db"]);
    await using two = task(["db"]);
    await Promise.all([one, two].map((db) => db.waitFor(/^postgres:.*\n/)));
    await Promise.all([one, two].map((db) => db.waitFor("Press Ctrl-C")));
    const url = one.output().stdout.trim();
    assertMatch(
      url,
      /^postgres:\/\/postgres:[0-9a-f]{48}@127\.0\.0\.1:\d+\/battlescope$/,
    );
    assertEquals(two.output().stdout.trim(), url);

    one.kill("SIGINT");
    const { code, stderr } = await one.result;
    assertEquals(code, 0);
    assert(stderr.endsWith("Press Ctrl-C to stop\n"), stderr);
    assertEquals(await queryUrl(url, "select 1 as one"), [{ one: 1 }]);

    two.kill("SIGHUP");
    assertEquals((await two.result).code, 0);
    assertEquals(await serverPid(folder), undefined);
  });
});

Deno.test("the URL stays the same from start to start, unless its port is taken", async () => {
  await withCheckout(async ({ task }) => {
    const urlOfNext = async () => {
      await using db = task(["db"]);
      await db.waitFor(/^postgres:.*\n/);
      db.kill("SIGTERM");
      return new URL((await db.result).stdout.trim());
    };
    const first = await urlOfNext();
    assertEquals((await urlOfNext()).href, first.href);

    using _ = Deno.listen({ hostname: "127.0.0.1", port: Number(first.port) });
    const other = await urlOfNext();
    assertNotEquals(other.port, first.port);
    assertEquals(other.password, first.password);
  });
});

Deno.test("the number of a dead server may belong to another program by now", async () => {
  await withCheckout(async ({ folder, task }) => {
    const first = await task(["migrate", "up", "--steps", "1"]).result;
    assertEquals(first.code, 0, first.stderr);
    // PostgreSQL minds only processes of its own user.
    await using other = await startSleep(join(folder, ".data/18/data"));
    const file = join(folder, ".data/18/data/postmaster.pid");
    const lines = [other.pid, "/elsewhere", 1, 5432, "", "127.0.0.1", 0];
    await Deno.writeTextFile(file, lines.join("\n") + "\nready\n");

    const next = await task(["migrate", "status", "--quiet"]).result;
    assertEquals([next.code, next.stderr], [0, ""]);
  });
});

Deno.test("Ctrl-C ends the migration and then the server", async () => {
  await withCheckout(async ({ folder, task }) => {
    await Deno.writeTextFile(
      join(folder, "migrations/29990101000000_slow.ts"),
      `import { type Kysely, sql } from "kysely";
export async function up(db: Kysely<unknown>) {
  await sql\`select pg_sleep(600)\`.execute(db);
}
`,
    );
    assertEquals((await task(["registry"]).result).code, 0);
    await using migrate = task(["migrate"]);
    await migrate.waitFor("Applying 29990101000000_slow");
    migrate.kill("SIGINT");
    const { code, stdout } = await migrate.result;
    assertEquals(code, 130);
    assertEquals(/^Applied/m.test(stdout), false, stdout);
    assertEquals(await serverPid(folder), undefined);

    const status = await task(["migrate", "status", "--check"]).result;
    assertEquals(status.code, 3, status.stderr);
    assertMatch(status.stdout, /^0 applied, /m);
  });
});

/** A process that does nothing, of the user that owns the folder. */
async function startSleep(folder: string): Promise<Deno.ChildProcess> {
  const { uid, gid } = await Deno.stat(folder);
  const owner = Deno.uid() === 0 && uid !== null && gid !== null
    ? { uid, gid }
    : {};
  // The checkout may be closed to that user.
  const options = { args: ["600"], cwd: "/", ...owner };
  return new Deno.Command("sleep", options).spawn();
}

async function names(folder: string): Promise<string[]> {
  if (!await exists(folder)) return [];
  const entries = await Array.fromAsync(Deno.readDir(folder));
  return entries.map(({ name }) => name).toSorted();
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
