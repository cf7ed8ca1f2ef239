/**
 * What an executable has of its migrations at the start: a list, in the place of `src/embedded.ts`.
 *
 * @module
 */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { RECORDING_FILE } from "../../src/insight/recording.ts";
import { VARIABLES } from "../../src/cli/variables.ts";
import { exists } from "../dev/server_data.ts";
import { denoOutput } from "./deno_command.ts";
import { SETUP_FILE } from "./migration_files.ts";
import type { Listed } from "../../src/registry/executable.ts";

/** The name of the source map of the migrations' code, beside the code. */
export const MAP_FILE = "migrations.map.gz";

/** The recording of the migrations, compressed, beside the code. */
export const RECORDING_ARCHIVE = "migrations.insight.gz";

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

/** The list of a checkout's migrations, loaded as an executable would. @throws {Error} naming all that cannot be loaded */
export async function listMigrations(
  root: URL,
  environment: readonly string[],
): Promise<Listed[]> {
  return JSON.parse(await evaluate(root, LIST, environment));
}

/** Prints the names of the variables that migrations may read; what is wrong with the setup is told when it is loaded with them. */
const ENVIRONMENT = `let names = [];
try {
  const { environment } = await import("./migrations/${SETUP_FILE}");
  if (Array.isArray(environment)) names = environment;
} catch { /* told later */ }
console.log("\\n" + JSON.stringify(names));
`;

/** The names of the variables that a checkout's migrations may read. */
export async function environmentOf(root: URL): Promise<readonly string[]> {
  if (!await exists(new URL(`migrations/${SETUP_FILE}`, root))) return [];
  const printed = await evaluate(root, ENVIRONMENT, []);
  return JSON.parse(printed.trimEnd().split("\n").at(-1)!);
}

/** Puts the list into a copy of the sources. @throws {Error} naming every migration that cannot be loaded */
export async function makeRegistryLazy(
  folder: string,
  environment: readonly string[],
): Promise<void> {
  const root = pathToFileURL(`${folder}/`);
  const list = await listMigrations(root, environment);
  const isRecorded = await exists(
    new URL(`migrations/${RECORDING_FILE}`, root),
  );
  const recording = isRecorded
    ? `  new URL(${JSON.stringify(RECORDING_ARCHIVE)}, import.meta.url),\n`
    : "";
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
${recording});
`,
  );
}

/** Runs code beside the sources, which may no more than an executable, and returns what it prints. */
async function evaluate(
  root: URL,
  code: string,
  environment: readonly string[],
): Promise<string> {
  const { success, stdout, stderr } = await denoOutput(
    [
      // To read is what the executable may, too; and a link needs it now and then.
      ...["run", "--quiet", "--no-prompt", "--allow-read", "--ext=ts"],
      ...[`--allow-env=${[...VARIABLES, ...environment].join(",")}`, "-"],
    ],
    root,
    code,
  );
  if (success) return stdout;
  throw new Error(stderr);
}
