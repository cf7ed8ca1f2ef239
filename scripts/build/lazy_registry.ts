/**
 * What an executable has of its migrations at the start: a list, in the place of `src/embedded.ts`.
 *
 * @module
 */
import { join } from "node:path";
import type { Listed } from "../../src/registry/executable.ts";

/** The name of the source map of the migrations' code, beside the code. */
export const MAP_FILE = "migrations.map.gz";

/** Prints what the list needs to know of each migration, or why one cannot be loaded. */
const LIST = `import { processBackground } from "./src/process/background.ts";
import { EMBEDDED } from "./src/embedded.ts";
import { guardProcess } from "./src/process/migration_code.ts";
import { writeLine } from "./src/process/output.ts";

const options = { background: processBackground(), hide: (text) => text };
const ends = new DisposableStack();
try {
  const migrations = await EMBEDDED.list((locate) =>
    Promise.resolve(guardProcess({ ...options, locate }, ends))
  );
  const text = JSON.stringify(
    migrations.map((
      { name, checksum, transaction, idempotent, phase, down, backfill },
    ) => [
      name,
      checksum,
      { transaction, idempotent, phase },
      down !== undefined,
      backfill !== undefined,
    ]),
  );
  writeLine({ stream: "stdout", text });
} catch (error) {
  writeLine({ stream: "stderr", text: error.message });
  Deno.exitCode = 1;
}
`;

/** Puts the list into a copy of the sources. @throws {Error} naming every migration that cannot be loaded */
export async function makeRegistryLazy(folder: string): Promise<void> {
  const list: Listed[] = JSON.parse(await evaluate(folder, LIST));
  const lines = list.map((one) => `  ${JSON.stringify(one)},\n`);
  await Deno.writeTextFile(
    join(folder, "src", "embedded.ts"),
    `import type { Registry } from "./plan/migration.ts";
import { executableRegistry } from "./registry/executable.ts";

export const EMBEDDED: Registry = executableRegistry(
  [
${lines.join("")}],
  () => import("../migrations/mod.ts"),
  new URL(${JSON.stringify(MAP_FILE)}, import.meta.url),
);
`,
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
    `Cannot compile: ${new TextDecoder().decode(stderr).trim()}`,
  );
}
