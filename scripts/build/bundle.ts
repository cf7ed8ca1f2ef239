/**
 * The program as JavaScript, with everything in it that it needs and nothing else: a file that is loaded at the start,
 * and beside it those that are loaded when a migration runs.
 *
 * @module
 */
import { cp } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { RECORDING_FILE } from "../../src/insight/recording.ts";
import {
  environmentOf,
  makeRegistryLazy,
  MAP_FILE,
  RECORDING_ARCHIVE,
} from "./lazy_registry.ts";
import type { SourceMap } from "../../src/registry/source_map.ts";
import { exists } from "../dev/server_data.ts";

export interface Bundle {
  /** The path of the code that is loaded at the start. */
  readonly code: string;
  /** The paths of the source maps, one for each file of code. */
  readonly maps: readonly string[];
  /** The paths of the data that the executable itself needs: a source map, and the recording of the migrations. */
  readonly data: readonly string[];
  /** The names of the variables that migrations may read. */
  readonly environment: readonly string[];
}

/** What the program is made of. */
const PARTS = ["deno.json", "deno.lock", "src", "migrations"];

const CHECKOUT = fileURLToPath(new URL("../../", import.meta.url));

/**
 * Bundles a copy of the sources in `folder`.
 *
 * @param commit what `version` is to print
 * @param runtime whose runtime the code is for: Deno's own, or the one that npm has
 */
export async function bundle(
  folder: string,
  commit: string,
  runtime: "deno" | "npm",
): Promise<Bundle> {
  for (const part of PARTS) {
    await cp(join(CHECKOUT, part), join(folder, part), {
      recursive: true,
      dereference: true,
    });
  }
  const build = join(folder, "src", "cli", "build.ts");
  if (!await exists(build)) throw new Error(`Cannot bundle: no "${build}"`);
  await Deno.writeTextFile(
    build,
    `export const COMMIT: string | null = ${JSON.stringify(commit)};\n`,
  );
  const environment = await environmentOf(pathToFileURL(`${folder}/`));
  if (runtime === "npm") {
    await cp(
      join(CHECKOUT, "scripts", "build", "deno_2_4.ts"),
      join(folder, "src", "postgres", "wire", "runtime_of_driver.ts"),
    );
  }
  await makeRegistryLazy(folder, environment);
  // The main module gives the code its name.
  const name = "battlescope-migrate";
  await Deno.rename(
    join(folder, "src", "main.ts"),
    join(folder, "src", `${name}.ts`),
  );
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["bundle", "--quiet", "--frozen", "--code-splitting"],
      // Maps of their own, beside the executables: inside, they would cost 4 MB of memory.
      ...["--minify", "--sourcemap=external"],
      // Names of files are made from paths: those of Deno's cache differ between machines, these do not.
      ...["--node-modules-dir=auto", "--outdir=bundle", `src/${name}.ts`],
    ],
    cwd: folder,
    env: { NO_COLOR: "1" },
  }).output();
  if (!success) {
    throw new Error(
      `Cannot bundle the program: ${new TextDecoder().decode(stderr).trim()}`,
    );
  }
  const output = join(folder, "bundle");
  const files = await Array.fromAsync(Deno.readDir(output));
  const paths = files.map((file) => join(output, file.name)).sort();
  const maps = paths.filter((path) => path.endsWith(".map"));
  for (const path of paths) {
    // The executable holds it, and has to be the same whenever it is built.
    if (!maps.includes(path)) await Deno.utime(path, 0, 0);
  }
  for (const map of maps) {
    await Deno.writeTextFile(map, portable(await Deno.readTextFile(map)));
  }
  return {
    code: join(output, `${name}.js`),
    maps,
    data: [
      await writeMigrationsMap(output, maps),
      ...await writeRecording(folder, output),
    ],
    environment,
  };
}

/** What tells the place of an error in a migration: the map of the code that they are in, and of that what is needed. */
async function writeMigrationsMap(
  output: string,
  maps: readonly string[],
): Promise<string> {
  const path = join(output, MAP_FILE);
  for (const map of maps) {
    const { sources, mappings }: SourceMap = JSON.parse(
      await Deno.readTextFile(map),
    );
    if (!sources.includes("migrations/mod.ts")) continue;
    const file = basename(map, ".map");
    const text = JSON.stringify({ file, sources, mappings } as SourceMap);
    await Deno.writeFile(path, gzipSync(text, { level: 9 }));
    await Deno.utime(path, 0, 0);
    return path;
  }
  throw new Error("Cannot bundle: no code comes from migrations/mod.ts");
}

/** The recording of the migrations, if there is one. */
async function writeRecording(
  folder: string,
  output: string,
): Promise<string[]> {
  const recording = join(folder, "migrations", RECORDING_FILE);
  if (!await exists(recording)) return [];
  const path = join(output, RECORDING_ARCHIVE);
  const text = await Deno.readTextFile(recording);
  await Deno.writeFile(path, gzipSync(text, { level: 9 }));
  await Deno.utime(path, 0, 0);
  return [path];
}

/** The git commit of the checkout, with "-dirty" when files differ from it; `COMMIT` says it where git cannot. */
export async function currentCommit(): Promise<string> {
  const given = Deno.env.get("COMMIT");
  if (given) return given;
  const { success, stdout } = await new Deno.Command("git", {
    args: ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
    cwd: CHECKOUT,
    stderr: "null",
  }).output().catch(() => ({ success: false, stdout: new Uint8Array() }));
  return success ? new TextDecoder().decode(stdout).trim() : "unknown";
}

/** The bundler encodes what is not usual in a path. */
function decoded(source: string): string {
  try {
    return decodeURIComponent(source);
  } catch {
    return source;
  }
}

/** Sources as their authors know them, not where they lay in the copy. */
function portable(map: string): string {
  const parsed: { sources: string[] } = JSON.parse(map);
  const sources = parsed.sources.map((source) =>
    decoded(source).replace(/^(?:\.\.\/)+/, "")
      .replace(/^node_modules\/\.deno\/.*\/node_modules\//, "npm/")
  );
  return JSON.stringify({ ...parsed, sources });
}
