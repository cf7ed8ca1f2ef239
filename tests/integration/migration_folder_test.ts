/**
 * `deno task registry` and `deno task new` on a real folder.
 *
 * @module
 */
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { pathToFileURL } from "node:url";
import { createMigration } from "../../scripts/build/new.ts";
import { staleRegistry, writeRegistry } from "../../scripts/build/registry.ts";
import { checksumOf } from "../../src/plan/migration.ts";

const NOW = new Date("2026-03-04T05:06:07Z");
const ROOT = new URL("../../", import.meta.url);

const MIGRATION = `\
import type { Kysely } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema.dropTable("a").execute();
}
`;

async function withFolder(
  use: (folder: URL, path: string) => Promise<void>,
): Promise<void> {
  const path = await Deno.makeTempDir({ prefix: "migrations-" });
  try {
    await use(pathToFileURL(`${path}/`), path);
  } finally {
    await Deno.remove(path, { recursive: true });
  }
}

async function listFiles(path: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(path)))
    .map(({ name }) => name).sort();
}

/** Runs `deno` with the settings of this checkout; what it says comes without colours. */
async function deno(
  ...args: string[]
): Promise<{ code: number; text: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  const text = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { code, text: text.join("") };
}

Deno.test("writeRegistry() makes a registry that is fresh, and staleRegistry() says what has changed since", async () => {
  await withFolder(async (folder, path) => {
    await Deno.writeTextFile(`${path}/0001_a.ts`, MIGRATION);
    await Deno.writeTextFile(`${path}/README.md`, "Not a migration");
    await Deno.mkdir(`${path}/old.ts`);
    assertEquals(await staleRegistry(folder), ['"mod.ts" is missing']);

    await writeRegistry(folder);
    assertEquals(await staleRegistry(folder), []);

    await Deno.writeTextFile(`${path}/0002_b.ts`, MIGRATION);
    assertEquals(await staleRegistry(folder), ['"0002_b" is not in "mod.ts"']);
    await Deno.remove(`${path}/0002_b.ts`);
    await Deno.writeTextFile(`${path}/mod.ts`, "// mine\n", { append: true });
    assertEquals(await staleRegistry(folder), [
      '"mod.ts" was edited, or another version generated it',
    ]);
  });
});

Deno.test("writeRegistry() leaves a fresh registry alone, also one with other line endings", async () => {
  await withFolder(async (folder, path) => {
    await Deno.writeTextFile(`${path}/0001_a.ts`, MIGRATION);
    await writeRegistry(folder);
    const text = await Deno.readTextFile(`${path}/mod.ts`);
    const windows = text.replaceAll("\n", "\r\n");
    await Deno.writeTextFile(`${path}/mod.ts`, windows);

    await writeRegistry(folder);

    assertEquals(await Deno.readTextFile(`${path}/mod.ts`), windows);
  });
});

Deno.test("writeRegistry() reads files of odd names, links too, as the file system has them", async () => {
  await withFolder(async (folder, path) => {
    await Deno.writeTextFile(`${path}/%20.ts`, MIGRATION);
    await Deno.writeTextFile(
      `${path}/a#b?\\c.mjs`,
      "\ufeffexport const up = 1;\r\n",
    );
    await Deno.symlink("%20.ts", `${path}/link.ts`);
    await Deno.symlink(".", `${path}/folder.ts`);
    await writeRegistry(folder);

    const { migrations } = await import(new URL("mod.ts", folder).href);

    assertEquals(
      migrations.map(({ name }: { name: string }) => name),
      ["%20", "a#b?\\c", "link"],
    );
    assertEquals(migrations[0].checksum, migrations[2].checksum);
    assertEquals(
      migrations[1].checksum,
      await checksumOf("export const up = 1;\n"),
    );
    assertEquals(await staleRegistry(folder), []);
  });
});

Deno.test("writeRegistry() refuses a name that cannot be a migration", async () => {
  await withFolder(async (folder, path) => {
    await Deno.writeTextFile(`${path}/a\n.ts`, MIGRATION);

    const error = await assertRejects(() => writeRegistry(folder), TypeError);

    assertEquals(
      error.message,
      'Cannot register "a\\n.ts": its name must have 1 to 255 characters, and no / or control character',
    );
    assertEquals(await listFiles(path), ["a\n.ts"]);
  });
});

Deno.test("writeRegistry() does not write over a mod.ts that was not generated", async () => {
  await withFolder(async (folder, path) => {
    await Deno.writeTextFile(`${path}/mod.ts`, MIGRATION);

    const error = await assertRejects(() => writeRegistry(folder), Error);

    assertEquals(
      error.message,
      'Cannot write the registry: "mod.ts" is there, and nothing that was generated; give it another name, or move it into a subfolder',
    );
    assertEquals(await Deno.readTextFile(`${path}/mod.ts`), MIGRATION);
  });
});

Deno.test("writeRegistry() makes a registry that is formatted, linted and type-checked, with migrations or without", async () => {
  await withFolder(async (folder, path) => {
    const check = async () => {
      await writeRegistry(folder);
      for (const command of ["fmt --check", "lint", "check"]) {
        const { code, text } = await deno(
          ...command.split(" "),
          `${path}/mod.ts`,
        );
        assertEquals(code, 0, text);
      }
    };
    await check();

    await Deno.writeTextFile(`${path}/${"x".repeat(200)}.ts`, MIGRATION);
    await Deno.writeTextFile(
      `${path}/20230309T045948368Z-init.ts`,
      `import { type Kysely, sql } from "kysely";
      interface Tables { a: { id: number } }
      export const options = { transaction: false } as const;
      export const up = async (db: Kysely<Tables>) => await db.selectFrom("a").select("id").execute();
      export function down(db: Kysely<Tables>): Promise<unknown> { return sql\`select 1\`.execute(db); }`,
    );
    await Deno.writeTextFile(
      `${path}/0001_plain.ts`,
      "export async function up(db: any) { await db.schema.dropTable('a').execute(); }",
    );
    await check();
  });
});

Deno.test("writeRegistry() makes a registry whose type errors name what is wrong with a migration", async () => {
  await withFolder(async (folder, path) => {
    const faults = {
      a: "export async function down() {}",
      b: "export const up = async () => {}; export const options = { transactional: false };",
      c: "export const up = async () => {}; export const options = { transaction: 'no' };",
      d: "export function up() {}",
    };
    for (const [name, source] of Object.entries(faults)) {
      await Deno.writeTextFile(`${path}/${name}.ts`, source);
    }
    await writeRegistry(folder);

    const { code, text } = await deno("check", `${path}/mod.ts`);

    assertEquals(code, 1);
    assertMatch(
      text,
      /Property 'up' is missing in type 'typeof import\("\S+\/a\.ts"/,
    );
    assertMatch(
      text,
      /Type '{ transactional: boolean; }' has no properties in common with type/,
    );
    assertMatch(text, /The types of 'options\.transaction' are incompatible/);
    assertMatch(text, /The types returned by 'up\(\.\.\.\)' are incompatible/);
    assertMatch(text, /Found 4 errors/);
  });
});

Deno.test("writeRegistry() takes 1,000 migrations", async () => {
  await withFolder(async (folder, path) => {
    const names = Array.from({ length: 1_000 }, (_, i) => `${10_000 + i}_m`);
    for (const name of names) {
      await Deno.writeTextFile(
        `${path}/${name}.ts`,
        `export const up = ${name.length};`,
      );
    }

    await writeRegistry(folder);

    const text = await Deno.readTextFile(`${path}/mod.ts`);
    assertEquals(
      Array.from(text.matchAll(/ name: "(\w+)"/g), ([, name]) => name),
      names,
    );
    assertEquals(await staleRegistry(folder), []);
  });
});

Deno.test("createMigration() creates a migration that is registered, formatted and type-checked", async () => {
  await withFolder(async (folder, path) => {
    const file = await createMigration("Add battle tags", { folder, now: NOW });

    assertEquals(await listFiles(path), [
      "20260304050607_add_battle_tags.ts",
      "mod.ts",
    ]);
    assertMatch(file, /20260304050607_add_battle_tags\.ts$/);
    assertEquals(await staleRegistry(folder), []);
    for (const command of ["fmt --check", "lint", "check"]) {
      const { code, text } = await deno(...command.split(" "), path);
      assertEquals(code, 0, text);
    }
  });
});

Deno.test("createMigration() never overwrites and never repeats a timestamp within one second", async () => {
  await withFolder(async (folder, path) => {
    for (let i = 0; i < 3; i++) {
      await createMigration("same", { folder, now: NOW });
    }

    assertEquals(await listFiles(path), [
      "20260304050607_same.ts",
      "20260304050608_same.ts",
      "20260304050609_same.ts",
      "mod.ts",
    ]);
  });
});

Deno.test("createMigration() keeps every file when several are created at once", async () => {
  await withFolder(async (folder, path) => {
    const files = await Promise.all(
      Array.from(
        { length: 8 },
        () => createMigration("same", { folder, now: NOW }),
      ),
    );

    assertEquals(new Set(files).size, 8);
    assertEquals((await listFiles(path)).length, 9);
  });
});

Deno.test("createMigration() says what it created when the registry cannot be written", async () => {
  await withFolder(async (folder, path) => {
    await Deno.writeTextFile(`${path}/0001_a.ts`, "");
    await Deno.writeTextFile(`${path}/0001_a.js`, "");

    const error = await assertRejects(
      () => createMigration("b", { folder, now: NOW }),
      Error,
    );

    assertMatch(
      error.message,
      /^Created "\S+20260304050607_b\.ts", but cannot update the registry: Cannot register "0001_a\.ts" beside "0001_a\.js"/,
    );
    assertEquals(await listFiles(path), [
      "0001_a.js",
      "0001_a.ts",
      "20260304050607_b.ts",
    ]);
  });
});

Deno.test("createMigration() says that the folder is missing", async () => {
  await withFolder(async (_, path) => {
    const error = await assertRejects(
      () =>
        createMigration("b", {
          folder: pathToFileURL(`${path}/none/`),
          now: NOW,
        }),
      Error,
    );

    assertEquals(
      error.message,
      `Cannot read the folder "${path}/none/": it does not exist`,
    );
  });
});

Deno.test("createMigration() says why it cannot write to the folder", async () => {
  await withFolder(async (folder, path) => {
    // The process lacks the permission, not the user: root, as in a container, may write to any folder.
    const script = `
      import { createMigration } from ${
      JSON.stringify(new URL("scripts/build/new.ts", ROOT).href)
    };
      await createMigration("b", { folder: new URL(${
      JSON.stringify(folder.href)
    }) }).catch((error) =>
        console.log(error.message)
      );`;
    await Deno.writeTextFile(`${path}/script.js.txt`, script);

    const { text } = await deno(
      ...["run", "--quiet", "--no-prompt", "--allow-read", "--ext=ts"],
      `${path}/script.js.txt`,
    );

    assertMatch(
      text,
      /^Cannot create the migration "\d{14}_b" in "\S+": Requires write access/,
    );
  });
});
