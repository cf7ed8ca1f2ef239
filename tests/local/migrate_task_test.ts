/** What `deno task migrate` adds to the program: `.env`, the registry's freshness, `new`. */
import { assertEquals, assertMatch } from "@std/assert";
import { join } from "node:path";
import { type Checkout, withCheckout } from "../support/program/checkout.ts";

Deno.test("migrate reads .env, and starts no server of its own then", async () => {
  await withCheckout(async ({ folder, task }) => {
    await Deno.writeTextFile(
      join(folder, ".env"),
      "# Nobody listens here\nexport POSTGRES_HOST='127.0.0.1'\nPOSTGRES_PORT=1\n" +
        'POSTGRES_USER="someone"\nMIGRATE_WAIT_FOR_DB=0s # at once\n',
    );
    const { code, stdout, stderr } = await task(["migrate"]).result;
    assertEquals(code, 1);
    assertEquals(stdout, "");
    assertMatch(stderr, /127\.0\.0\.1:1\b/);
    assertEquals(await hasData({ folder }), false);
  });
});

Deno.test("migrate prefers the environment to .env", async () => {
  await withCheckout(async ({ folder, task }) => {
    await Deno.writeTextFile(
      join(folder, ".env"),
      "DATABASE_URL=postgres://me@127.0.0.1:1/there\nMIGRATE_WAIT_FOR_DB=0s\n",
    );
    const env = { DATABASE_URL: "postgres://me@127.0.0.1:2/there" };
    const { code, stderr } = await task(["migrate"], { env }).result;
    assertEquals(code, 1);
    assertMatch(stderr, /127\.0\.0\.1:2\b/);
  });
});

Deno.test("migrate refuses a .env that it cannot read, and shows no value of it", async () => {
  await withCheckout(async ({ folder, task }) => {
    await Deno.writeTextFile(
      join(folder, ".env"),
      "POSTGRES_PASSWORD='hunter2\nhunter3\n",
    );
    assertEquals(await task(["migrate"]).result, {
      code: 2,
      stdout: "",
      stderr:
        'Cannot read ".env": line 1 ("POSTGRES_PASSWORD") has a quote or escape amiss; line 2 is not NAME=value\n',
    });
    assertEquals(await hasData({ folder }), false);
  });
});

Deno.test("migrate refuses a stale registry before it starts anything", async () => {
  await withCheckout(async ({ folder, task }) => {
    const added = join(folder, "migrations/29990101000000_late.ts");
    await Deno.writeTextFile(added, "export async function up() {}\n");
    assertEquals(await task(["migrate"]).result, {
      code: 1,
      stdout: "",
      stderr: `\
Cannot run with a stale registry:
  "29990101000000_late" is not in "mod.ts"
Run "deno task registry" first
`,
    });
    assertEquals(await hasData({ folder }), false);
    // Who has come through npx may have no other Deno.
    const byNpx = await task(["migrate"], { env: { npm_command: "exec" } })
      .result;
    assertEquals(
      byNpx.stderr.split("\n").at(-2),
      `Run "npx -y deno@${Deno.version.deno} task registry" first`,
    );

    const { code, stderr } = await task(["registry"]).result;
    assertEquals(code, 0, stderr);
    const next = await task(["migrate", "--dry-run"]).result;
    assertEquals(next.code, 0, next.stderr);
  });
});

Deno.test("migrate names a file that throws while it is loaded, and says no more", async () => {
  await withCheckout(async ({ folder, task }) => {
    await Deno.writeTextFile(
      join(folder, "migrations/20990101000000_throws.ts"),
      "export async function up() {}\nnull!.x;\n",
    );
    const fault =
      "Cannot load the migration \"20990101000000_throws\": TypeError: Cannot read properties of null (reading 'x') (at migrations/20990101000000_throws.ts:2:7)\n";
    assertEquals((await task(["registry"]).result).stderr, fault);
    const status = await task(["migrate", "status"]).result;
    assertEquals([status.code, status.stdout], [1, ""]);
    assertEquals(status.stderr.split("error: ")[1], fault);
  });
});

Deno.test("migrate new creates a migration and needs no database", async () => {
  await withCheckout(async ({ folder, task }) => {
    const { code, stdout, stderr } = await task([
      "migrate",
      "new",
      "add battle tags",
    ]).result;
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, /^migrations\/\d{14}_add_battle_tags\.ts\n$/);
    const path = join(folder, stdout.trim());
    assertMatch(await Deno.readTextFile(path), /export async function up/);
    assertEquals(await hasData({ folder }), false);
  });
});

Deno.test("migrate needs no server to show help, the version or a wrong option", async () => {
  await withCheckout(async ({ folder, task }) => {
    assertEquals((await task(["migrate", "help"]).result).code, 0);
    assertEquals((await task(["migrate", "version"]).result).code, 0);
    assertEquals((await task(["migrate", "--no-such-option"]).result).code, 2);
    assertEquals(await hasData({ folder }), false);
  });
});

async function hasData({ folder }: Pick<Checkout, "folder">): Promise<boolean> {
  return await Deno.stat(join(folder, ".data")).then(() => true, () => false);
}
