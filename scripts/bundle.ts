/**
 * The program as one file of JavaScript, with everything in it that it needs and nothing else.
 *
 * @module
 */
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { exists } from "./server_data.ts";

export interface Bundle {
  /** The path of the code. */
  readonly code: string;
  /** The path of its source map. */
  readonly map: string;
}

/** What the program is made of. */
const PARTS = ["deno.json", "deno.lock", "src", "migrations"];

const CHECKOUT = fileURLToPath(new URL("..", import.meta.url));

/**
 * Bundles a copy of the sources in `folder`. Classes keep their names, for stack traces.
 *
 * @param commit what `version` is to print
 */
export async function bundle(folder: string, commit: string): Promise<Bundle> {
  for (const part of PARTS) {
    await cp(join(CHECKOUT, part), join(folder, part), { recursive: true });
  }
  const build = join(folder, "src", "build.ts");
  if (!await exists(build)) throw new Error(`Cannot bundle: no "${build}"`);
  await Deno.writeTextFile(
    build,
    `export const COMMIT: string | null = ${JSON.stringify(commit)};\n`,
  );
  const name = "battlescope-migrate.js";
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["bundle", "--quiet", "--frozen"],
      // A map of its own, beside the executables: inside, it would cost 4 MB of memory and explain nothing.
      ...["--minify", "--keep-names", "--sourcemap=external"],
      ...[`--output=${name}`, "src/main.ts"],
    ],
    cwd: folder,
    env: { NO_COLOR: "1" },
  }).output();
  if (!success) {
    throw new Error(
      `Cannot bundle the program: ${new TextDecoder().decode(stderr).trim()}`,
    );
  }
  const code = join(folder, name);
  const map = `${code}.map`;
  await Deno.writeTextFile(map, portable(await Deno.readTextFile(map)));
  return { code, map };
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

/** The same map on every machine: packages are named, not where Deno keeps them. */
function portable(map: string): string {
  const parsed: { sources: string[] } = JSON.parse(map);
  const sources = parsed.sources.map((source) =>
    source.replace(/^.*\/npm\/[^/]+\//, "npm/")
  );
  return JSON.stringify({ ...parsed, sources });
}
