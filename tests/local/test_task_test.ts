/** `deno task test` on small sets of tests of its own. */
import { assertEquals, assertMatch } from "@std/assert";
import { cp } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Checkout, withCheckout } from "../support/program/checkout.ts";
import { waitFor } from "../support/program/wait.ts";

const SUPPORT = fileURLToPath(new URL("../support", import.meta.url));

const PG_TEST = `
import { pgTest } from "../support/server/postgres.ts";
pgTest("asks", async (db) => {
  const [row] = await db.query("show server_version_num");
  const major = Math.floor(Number(row?.server_version_num) / 10000);
  if (major !== db.version) throw new Error(String(major));
});
`;

Deno.test("test counts what passed and failed, in unit tests and on every server", async () => {
  await withTests({
    "unit/a_test.ts": `
Deno.test("passes", () => {});
Deno.test("fails <&>", () => { throw new Error("no"); });
Deno.test("reads", async () => { await Deno.readTextFile("deno.json"); });
`,
    "integration/b_test.ts": PG_TEST,
  }, async ({ task }) => {
    const env = { PG_VERSIONS: "18, 15" };
    const { code, stdout } = await task(["test"], { env }).result;
    assertEquals(code, 1);
    assertMatch(stdout, /asks \[pg15\] .*ok/);
    assertMatch(stdout, /asks \[pg18\] .*ok/);
    assertMatch(stdout, /NotCapable: Requires read access/);
    assertEquals(stdout.split("\n").at(-2), "3 passed, 2 failed");
  });
});

Deno.test("test runs only the files that it is given, with the options for deno test", async () => {
  await withTests({
    "unit/a_test.ts": 'Deno.test("one", () => {}); Deno.test("two", () => {});',
    "unit/b_test.ts": 'Deno.test("one", () => { throw new Error("no"); });',
  }, async ({ task }) => {
    const args = ["test", "tests/unit/a_test.ts", "--filter", "one"];
    const { code, stdout, stderr } = await task(args).result;
    assertEquals(code, 0, stderr);
    assertEquals(stdout.split("\n").at(-2), "1 passed, 0 failed");
  });
});

Deno.test("test fails when a file cannot be loaded, a test leaks or nothing was run", async () => {
  const lastLine = async (source: string) => {
    let line: string | undefined;
    await withTests({ "unit/a_test.ts": source }, async ({ task }) => {
      const { code, stdout } = await task(["test"]).result;
      assertEquals(code, 1);
      line = stdout.split("\n").at(-2);
    });
    return line;
  };
  assertEquals(await lastLine('throw new Error("no");'), "0 passed, 1 failed");
  assertEquals(
    await lastLine(
      'Deno.test("leaks", () => { setTimeout(() => {}, 9999); });',
    ),
    "0 passed, 1 failed",
  );
  assertEquals(await lastLine(""), "0 passed, 0 failed");
  // Whoever leaves a test out says why: see tests/support/program/needs.ts.
  assertEquals(
    await lastLine('Deno.test({ name: "x", ignore: true, fn() {} });'),
    "0 passed, 1 failed",
  );
});

const SOME = `
import { testWith } from "../support/program/needs.ts";
import { pgTest } from "../support/server/postgres.ts";
testWith("git")("has git", () => {});
pgTest("has a server", () => {});
pgTest("has both", () => {}, { needs: ["git"] });
`;
const NEEDING = { "fire/a_test.ts": SOME, "infra/a_test.ts": SOME };

Deno.test("test leaves out what needs more than Node, and says how to run it", async () => {
  await withTests(NEEDING, async ({ task }) => {
    const { code, stdout, stderr } = await task(["test"]).result;
    assertEquals(code, 0, stderr);
    const [, end = ""] = stdout.split("\nNot run:\n");
    assertMatch(
      end,
      /^ {2}2 tests need git\n {2}on PostgreSQL 15, 18: tests\/fire\n {2}on PostgreSQL 15: tests\/infra\n {2}on PostgreSQL 18 with --no-pipeline: tests\/fire\nTo run everything: deno task test --all\n(?: {2}.*\n)*1 passed, 0 failed\n$/,
    );
  });
});

Deno.test("test --all leaves nothing out", async () => {
  await withTests(NEEDING, async ({ folder, task }) => {
    const git = join(folder, "bin", "git");
    await Deno.mkdir(dirname(git));
    await Deno.writeTextFile(git, "#!/bin/sh\n", { mode: 0o755 });
    const env = { PATH: `${dirname(git)}:${Deno.env.get("PATH")}` };
    const { code, stdout, stderr } = await task(["test", "--all"], { env })
      .result;
    assertEquals(code, 0, stderr);
    assertMatch(stderr, /^Once more, with --no-pipeline: tests\/fire$/m);
    assertEquals(stdout.includes("Not run"), false, stdout);
    // In the first round on two servers, in the second on one; what has no server counts in both.
    assertEquals(stdout.split("\n").at(-2), "13 passed, 0 failed");
  });
});

Deno.test("test --all names what is missing before it starts", async () => {
  await withTests(NEEDING, async ({ folder, task }) => {
    const env = { PATH: folder };
    const { code, stdout, stderr } = await task(["test", "--all"], { env })
      .result;
    assertEquals([code, stdout], [1, ""]);
    const command =
      "apt-get update && apt-get install --yes --no-install-recommends git";
    assertEquals(
      stderr,
      `Cannot run all tests: there is no git\n  first: ${
        Deno.uid() === 0 ? command : `sudo sh -c '${command}'`
      }\n`,
    );
  });
});

Deno.test("test refuses a PostgreSQL that it does not know", async () => {
  await withTests({}, async ({ task }) => {
    const env = { PG_VERSIONS: "18,14" };
    assertEquals(await task(["test"], { env }).result, {
      code: 1,
      stdout: "",
      stderr:
        'Cannot test on PG_VERSIONS="18,14": "14" is none of 15, 16, 17, 18\n',
    });
  });
});

Deno.test("test stops its servers when it is interrupted, and those of a run that was killed", async () => {
  const hanging = `
import { testServers } from "../support/server/postgres.ts";
Deno.test("hangs", async () => {
  await Deno.writeTextFile("url.part", testServers()[0]?.url ?? "");
  await Deno.rename("url.part", "url");
  await new Promise((resolve) => setTimeout(resolve, 60_000));
});
`;
  await withTests({ "fire/a_test.ts": hanging }, async (checkout) => {
    const path = join(checkout.folder, "url");
    const start = () =>
      checkout.task(["test", "--all"], { env: { PG_VERSIONS: "18" } });
    const urlOf = async () => {
      await waitFor(
        "the test has written the URL",
        () => Deno.stat(path).then(() => true, () => false),
      );
      const url = await Deno.readTextFile(path);
      await Deno.remove(path);
      return url;
    };
    await using killed = start();
    const first = await urlOf();
    killed.kill("SIGKILL");
    await killed.result;
    assertEquals(await isUp(first), true);

    await using interrupted = start();
    const second = await urlOf();
    assertEquals(await isUp(first), false);
    assertEquals(await isUp(second), true);
    interrupted.kill("SIGINT");
    const { code, stdout, stderr } = await interrupted.result;
    assertEquals(code, 130);
    // The round that would have followed is not begun.
    assertEquals(stderr.includes("Once more"), false, stderr);
    assertMatch(
      stdout,
      /^ {2}on PostgreSQL 18 with --no-pipeline: tests\/fire$/m,
    );
    assertEquals(await isUp(second), false);
  });
});

async function withTests(
  files: Readonly<Record<string, string>>,
  use: (checkout: Checkout) => Promise<void>,
): Promise<void> {
  await withCheckout(async (checkout) => {
    const tests = join(checkout.folder, "tests");
    await cp(SUPPORT, join(tests, "support"), { recursive: true });
    for (const [name, source] of Object.entries(files)) {
      await Deno.mkdir(dirname(join(tests, name)), { recursive: true });
      await Deno.writeTextFile(join(tests, name), source);
    }
    await use(checkout);
  });
}

async function isUp(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url);
  try {
    using _ = await Deno.connect({ hostname, port: Number(port) });
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) return false;
    throw error;
  }
}
