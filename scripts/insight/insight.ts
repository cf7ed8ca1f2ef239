// deno-lint-ignore-file no-console -- a script for the terminal
/**
 * Records what the migrations do: `deno task insight [--check] [--no-fail] [FOLDER]`.
 *
 * Writes `insight.json` beside the migrations, and of this checkout's own `docs/schema.md`, `docs/schema.svg` and `docs/database.ts`. With `--check` it needs no server, writes nothing and exits 1 when the file
 * is stale; with `--no-fail` what is wrong with a migration is written down and let pass.
 *
 * @module
 */
import { pathToFileURL } from "node:url";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { RECORDING_FILE, recordingText } from "../../src/insight/recording.ts";
import { drainOutput } from "../../src/process/output.ts";
import { staleRecording } from "../build/recording.ts";
import { MIGRATIONS_FOLDER, staleRegistry } from "../build/registry.ts";
import { RECORDING_SETUP_FILE } from "../build/migration_files.ts";
import { POSTGRES_VERSIONS } from "../dev/postgres_binaries.ts";
import { withServers } from "../dev/test_servers.ts";
import { staleDocuments, writeDocuments } from "./documents.ts";
import { Program } from "./program.ts";
import { record } from "./recorder.ts";

const USAGE = "Usage: deno task insight [--check] [--no-fail] [FOLDER]";

async function readIfThere(file: URL): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

async function check(folder: URL): Promise<number> {
  const differences = await staleRecording(folder);
  if (differences === undefined) {
    console.error(
      `There is no ${RECORDING_FILE}: nothing was recorded, and verify cannot tell what to expect`,
    );
    return 0;
  }
  if (differences.length === 0) return await checkDocuments(folder);
  console.error(
    `${RECORDING_FILE} is stale:\n  ${
      differences.join("\n  ")
    }\nRun "deno task insight" and commit the result`,
  );
  return 1;
}

/** Those are of this checkout's own migrations. */
async function checkDocuments(folder: URL): Promise<number> {
  if (folder.href !== MIGRATIONS_FOLDER.href) return 0;
  const stale = await staleDocuments();
  for (const name of stale) {
    console.error(
      `${name} is stale: run "deno task insight" and commit the result`,
    );
  }
  return stale.length > 0 ? 1 : 0;
}

async function write(folder: URL, fails: boolean): Promise<number> {
  const stale = await staleRegistry(folder);
  if (stale.length > 0) {
    throw new Error(
      `Cannot record with a stale registry:\n  ${stale.join("\n  ")}\n` +
        'Run "deno task registry" first',
    );
  }
  const setup = await readIfThere(new URL(RECORDING_SETUP_FILE, folder)) ?? "";
  using program = await Program.load(new URL("mod.ts", folder));
  let code = 0;
  await withServers(POSTGRES_VERSIONS, console.error, async (servers) => {
    const { recording, faults } = await record({
      servers,
      program,
      setup,
      say: console.error,
    });
    for (const fault of faults) {
      console.error(fails ? fault : `warning: ${fault}`);
    }
    if (faults.length > 0 && fails) {
      console.error(
        `Nothing was written: mend ${
          faults.length === 1 ? "this" : `these ${faults.length} faults`
        }, or write down with --no-fail what is wrong`,
      );
      code = 1;
      return;
    }
    await Deno.writeTextFile(
      new URL(RECORDING_FILE, folder),
      recordingText(recording),
    );
    if (folder.href === MIGRATIONS_FOLDER.href) await writeDocuments();
  });
  return code;
}

async function main(args: readonly string[]): Promise<number> {
  let folder = MIGRATIONS_FOLDER;
  let values: { check: boolean; "no-fail": boolean };
  try {
    const parsed = parseArgs({
      args: [...args],
      options: {
        check: { type: "boolean", default: false },
        "no-fail": { type: "boolean", default: false },
      },
      allowPositionals: true,
    });
    values = parsed.values as typeof values;
    const [path, ...rest] = parsed.positionals;
    if (rest.length > 0) throw new TypeError(`Unexpected "${rest[0]}"`);
    if (path !== undefined) folder = pathToFileURL(`${resolve(path)}/`);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    console.error(USAGE);
    return 2;
  }
  try {
    return values.check
      ? await check(folder)
      : await write(folder, !values["no-fail"]);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return 1;
  }
}

if (import.meta.main) {
  const code = await main(Deno.args);
  // Once migrations are loaded, what is printed goes through the program's own output.
  await drainOutput(5_000);
  Deno.exit(code);
}
