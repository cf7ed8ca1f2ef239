/**
 * A registry for executables, which loads the migrations when one of them is to run.
 *
 * Whether anything is to be done can be told from names and checksums. Most runs find that nothing is: they need not
 * parse the migrations, nor Kysely, which is more than half of the program.
 *
 * @module
 */
import { join } from "node:path";

/** Loads what the list of the new registry stands for. Its text is the beginning of that registry. */
const HEAD =
  `import { type Migration, readRegistry } from "../src/migration.ts";
import type { Kysely } from "kysely";

let loaded: Promise<ReadonlyMap<string, Migration>> | undefined;

async function load(): Promise<ReadonlyMap<string, Migration>> {
  const { migrations } = await import("./all.ts");
  return new Map(readRegistry(migrations).map((one) => [one.name, one]));
}

async function run(name: string, direction: "up" | "down", db: Kysely<unknown>) {
  const migrations = await (loaded ??= load());
  await migrations.get(name)![direction]!(db);
}

function entry(name: string, checksum: string, options: object, reversible: boolean) {
  const up = (db: Kysely<unknown>) => run(name, "up", db);
  const down = (db: Kysely<unknown>) => run(name, "down", db);
  return { name, checksum, module: reversible ? { up, down, options } : { up, options } };
}
`;

/** Prints what the list needs to know of each migration. */
const LIST = `import { migrations } from "./migrations/all.ts";
import { readRegistry } from "./src/migration.ts";

console.log(JSON.stringify(
  readRegistry(migrations).map(({ name, checksum, transaction, idempotent, down }) =>
    [name, checksum, { transaction, idempotent }, down !== undefined]
  ),
));
`;

/** Puts it in the place of the registry of a copy of the sources, which it keeps as `all.ts`. */
export async function makeRegistryLazy(folder: string): Promise<void> {
  const registry = join(folder, "migrations", "mod.ts");
  await Deno.rename(registry, join(folder, "migrations", "all.ts"));
  const list: unknown[][] = JSON.parse(await evaluate(folder, LIST));
  const lines = list.map((parts) =>
    `  entry(${parts.map((part) => JSON.stringify(part)).join(", ")}),\n`
  );
  await Deno.writeTextFile(
    registry,
    `${HEAD}\nexport const migrations = [\n${lines.join("")}];\n`,
  );
}

/** Runs code beside the sources, with no permission at all, and returns what it prints. */
async function evaluate(folder: string, code: string): Promise<string> {
  await Deno.writeTextFile(join(folder, "list.ts"), code);
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--frozen", "--no-prompt", "list.ts"],
    cwd: folder,
    env: { NO_COLOR: "1" },
  }).output();
  if (success) return new TextDecoder().decode(stdout);
  throw new Error(
    `Cannot list the migrations: ${new TextDecoder().decode(stderr).trim()}`,
  );
}
