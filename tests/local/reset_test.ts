/** `deno task reset`, and who is told of it. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "node:path";
import {
  type Checkout,
  killServer,
  serverPid,
  withCheckout,
} from "../support/program/checkout.ts";
import { queryUrl } from "../support/server/postgres.ts";

const HINT =
  'This is the embedded database, whose data nobody else has: "deno task reset" throws it away and builds it anew ' +
  "with the edited migration\n";

const FIRST = "20260105090000_set_updated_at";

Deno.test("reset builds the embedded database anew, and its URL stays the same", async () => {
  await withCheckout(async ({ folder, task }) => {
    const urlOfNext = async (statement: string) => {
      await using db = task(["db"]);
      await db.waitFor("Press Ctrl-C");
      const url = db.output().stdout.trim();
      const rows = await queryUrl(url, statement);
      db.kill("SIGTERM");
      await db.result;
      return { url, rows };
    };
    assertEquals((await task(["migrate"]).result).code, 0);
    const { url } = await urlOfNext(
      "create table mine (); create role somebody",
    );

    const reset = await task(["reset", "--yes"]).result;
    assertEquals(reset.code, 0, reset.stderr);
    assertMatch(reset.stdout, /^Applied \d+ migrations in /m);
    assertEquals(await serverPid(folder), undefined);

    const next = await urlOfNext(
      "select to_regclass('mine') as mine, (select count(*)::int from pg_roles where rolname = 'somebody') as roles",
    );
    assertEquals(next, { url, rows: [{ mine: null, roles: 0 }] });
    const files = await Array.fromAsync(
      Deno.readDir(join(folder, ".data/18")),
      ({ name }) => name,
    );
    assertEquals(files.sort(), ["data", "password"]);
  });
});

Deno.test("reset builds a database where there is none, or a broken one", async () => {
  await withCheckout(async ({ folder, task }) => {
    assertEquals((await task(["reset", "--yes"]).result).code, 0);
    await Deno.remove(join(folder, ".data/18/data/global"), {
      recursive: true,
    });
    assertEquals((await task(["migrate"]).result).code, 1);
    const { code, stderr } = await task(["reset", "--yes"]).result;
    assertEquals(code, 0, stderr);
    assertEquals((await task(["migrate", "status", "--check"]).result).code, 0);
  });
});

Deno.test("reset refuses while somebody is at work, and stops a server that nobody uses", async () => {
  await withCheckout(async ({ folder, task }) => {
    await using db = task(["db"]);
    await db.waitFor("Press Ctrl-C");
    const url = db.output().stdout.trim();
    await queryUrl(url, "create table mine ()");
    assertEquals(await task(["reset", "--yes"]).result, {
      code: 1,
      stdout: "",
      stderr:
        `Cannot throw away the embedded database in "${folder}/.data/18": it is in use; end "deno task db" and ` +
        "whatever else works on it first\n",
    });
    await queryUrl(url, "select from mine");

    const pid = await serverPid(folder);
    db.kill("SIGKILL");
    await db.result;
    assertEquals(await serverPid(folder), pid);
    const { code, stderr } = await task(["reset", "--yes"]).result;
    assertEquals(code, 0, stderr);
    assertEquals(await serverPid(folder), undefined);
  });
});

Deno.test("reset asks first, and touches nothing without a yes or with a stale registry", async () => {
  await withCheckout(async ({ folder, task }) => {
    assertEquals((await task(["migrate"]).result).code, 0);
    const file = join(folder, ".data/18/data/PG_VERSION");
    const before = (await Deno.stat(file)).ino;
    assertEquals(await task(["reset"]).result, {
      code: 2,
      stdout: "",
      stderr:
        "The command reset throws data away: pass --yes where there is no terminal\n",
    });
    assertEquals(await task(["reset", "--force"]).result, {
      code: 2,
      stdout: "",
      stderr: 'Unknown argument "--force" (known: --yes)\n',
    });
    await Deno.writeTextFile(
      join(folder, "migrations/29990101000000_late.ts"),
      "export async function up() {}\n",
    );
    const stale = await task(["reset", "--yes"]).result;
    assertEquals([stale.code, stale.stdout], [1, ""]);
    assertMatch(stale.stderr, /^Cannot run with a stale registry:\n/);
    assertEquals((await Deno.stat(file)).ino, before);
  });
});

Deno.test("reset keeps away from a database that is configured", async () => {
  await withCheckout(async ({ folder, task }) => {
    const DATABASE_URL = "postgres://me@127.0.0.1:1/there";
    await Deno.writeTextFile(
      join(folder, ".env"),
      "POSTGRES_HOST=127.0.0.1\nPOSTGRES_PORT=1\nPOSTGRES_USER=me\n",
    );
    const { code, stdout, stderr } = await task(["reset", "--yes"], {
      env: { DATABASE_URL },
    }).result;
    assertEquals(code, 0, stderr);
    assertMatch(stdout, /^Applied \d+ migrations in /m);
    assert(!stderr.includes("127.0.0.1:1/"), stderr);
  });
});

Deno.test("migrate names reset when a migration was edited, on the embedded database alone", async () => {
  await withCheckout(async (checkout) => {
    const { folder, task } = checkout;
    assertEquals((await task(["migrate"]).result).code, 0);
    await edit(checkout);

    const refused = await task(["migrate"]).result;
    assertEquals([refused.code, refused.stdout], [1, ""]);
    assertMatch(
      refused.stderr,
      new RegExp(`^error: Cannot go on with "${FIRST}": `, "m"),
    );
    assert(refused.stderr.endsWith(HINT), refused.stderr);

    await using db = task(["db"]);
    await db.waitFor("Press Ctrl-C");
    const env = { DATABASE_URL: db.output().stdout.trim() };
    const elsewhere = await task(["migrate"], { env }).result;
    assertEquals(elsewhere.code, 1);
    assertEquals(elsewhere.stderr.includes("reset"), false, elsewhere.stderr);
    db.kill("SIGTERM");
    await db.result;

    assertEquals((await task(["reset", "--yes"]).result).code, 0);
    assertEquals((await task(["migrate"]).result).code, 0);
    // Another failure has another way out.
    await Deno.writeTextFile(
      join(folder, "migrations/29990101000000_broken.ts"),
      'export async function up() { throw new Error("broken"); }\n',
    );
    assertEquals((await task(["registry"]).result).code, 0);
    const broken = await task(["migrate"]).result;
    assertEquals(broken.code, 1);
    assertEquals(broken.stderr.includes("reset"), false, broken.stderr);
  });
});

Deno.test("migrate works after reset was killed", async () => {
  await withCheckout(async ({ folder, task }) => {
    assertEquals((await task(["migrate"]).result).code, 0);
    await using killed = task(["reset", "--yes"]);
    await killed.waitFor("Creating a PostgreSQL 18 database");
    killed.kill("SIGKILL");
    await killed.result;
    if (await serverPid(folder) !== undefined) await killServer(folder);
    const { code, stderr } = await task(["migrate"]).result;
    assertEquals(code, 0, stderr);
    assertEquals(await serverPid(folder), undefined);
  });
});

async function edit({ folder, task }: Checkout): Promise<void> {
  const file = join(folder, `migrations/${FIRST}.ts`);
  await Deno.writeTextFile(file, "\n// edited\n", { append: true });
  assertEquals((await task(["registry"]).result).code, 0);
}
