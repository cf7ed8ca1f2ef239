/** `npm run` and `pnpm run` do what they did with the old image, and Deno takes no notice of `package.json`. */
import { assertEquals, assertMatch } from "@std/assert";
import { join } from "node:path";
import packageJson from "../../package.json" with { type: "json" };
import { type Checkout, withCheckout } from "../support/program/checkout.ts";

const ROOT = new URL("../../", import.meta.url);

Deno.test("npm run db:… creates, applies, shows and rolls back migrations", async () => {
  await withCheckout(async ({ folder, start }) => {
    const npm = async (...args: string[]) => {
      const { code, stdout, stderr } = await start("npm", [
        "run",
        "--silent",
        ...args,
      ]).result;
      assertEquals(code, 0, stderr);
      return stdout;
    };
    const file = (await npm("db:migrate:make", "--", "add battle tags")).trim();
    assertMatch(file, /^migrations\/\d{14}_add_battle_tags\.ts$/);
    assertMatch(
      await npm("db:migrate"),
      /^Applied \d{14}_add_battle_tags .*\nApplied 13 migrations in /m,
    );
    assertMatch(await npm("db:status"), /\n13 applied, 0 pending\n$/);
    assertMatch(
      await npm("db:rollback", "--", "--yes"),
      /^Rolled back \d{14}_add_battle_tags /,
    );
    assertMatch(
      await npm("db:status", "--", "--format=json"),
      /"applied":12,.*"pending":1\b/,
    );
    assertMatch(
      await npm("db:reset", "--", "--yes"),
      /^Applied 13 migrations in /m,
    );
    await assertUntouched(folder);
  });
});

Deno.test("package.json brings no packages, and makes Deno put none into the checkout", async () => {
  assertEquals(
    Object.keys(packageJson).filter((key) => /dependencies/i.test(key)),
    [],
  );
  await withCheckout(async ({ folder, start }) => {
    const { code, stderr } = await start(Deno.execPath(), [
      "install",
      "--frozen",
    ]).result;
    assertEquals(code, 0, stderr);
    await assertUntouched(folder);
  });
});

Deno.test("whatever names a version of Deno names the same", async () => {
  const files = [
    ...["package.json", "Makefile", "Dockerfile", "README.md"],
    ...["CONTRIBUTING.md", ".ci/run", ".github/workflows/release.yml"],
    "scripts/build/image_stand_ins.sh",
  ];
  const named = new Map<string, string[]>();
  for (const file of files) {
    const text = await Deno.readTextFile(new URL(file, ROOT));
    const versions = text.matchAll(
      /\bdeno(?:_version)?(?:@|:| *:?= *|: )(\d+\.\d+\.\d+)/gi,
    );
    named.set(file, [...new Set(Array.from(versions, ([, one]) => one!))]);
  }
  const [version] = named.get("package.json")!;
  assertEquals(
    [...named].filter(([, versions]) => versions.join() !== version),
    [],
  );
});

async function assertUntouched(folder: Checkout["folder"]): Promise<void> {
  const names = await Array.fromAsync(Deno.readDir(folder), ({ name }) => name);
  assertEquals(names.includes("node_modules"), false);
  assertEquals(
    await Deno.readTextFile(join(folder, "deno.lock")),
    await Deno.readTextFile(new URL("deno.lock", ROOT)),
  );
}
