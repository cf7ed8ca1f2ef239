/**
 * What migrations read that an executable does not have: files, and variables that it was not built to see.
 *
 * @module
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { VARIABLES } from "../../src/cli/variables.ts";
import { compareNames } from "../../src/plan/migration.ts";
import { denoOutput } from "./deno_command.ts";
import type { Modules } from "./folder_imports.ts";
import { READS_RULE } from "./folder_plugin.ts";
import { isScript, REGISTRY_FILE } from "./migration_files.ts";

/** What a file can read only if it says one of these words. */
const SUSPECT =
  /\benv\b|\bimport\.meta\b|\b__(?:dir|file)name\b|\bDeno\b|\bfs\b|\bimport\s*\(|\brequire\b/;

/**
 * One line for each place that reads what is not there in an executable: a file, or a variable that is not in `environment`.
 */
export async function readFaults(
  root: URL,
  modules: Modules,
  environment: readonly string[],
): Promise<string[]> {
  const suspects = new Map<string, string>();
  for (const path of modules.keys()) {
    if (!isScript(path) || path === `migrations/${REGISTRY_FILE}`) continue;
    const source = await Deno.readTextFile(join(fileURLToPath(root), path));
    if (SUSPECT.test(source)) suspects.set(path, source);
  }
  if (suspects.size === 0) return [];
  const allowed = [...VARIABLES, ...environment];
  const faults = (await lint(suspects)).flatMap(({ path, line, message }) => {
    const [kind, what] = message.split(" ");
    const at = `Cannot put ${path} into an executable: line ${line}`;
    if (kind === "file") {
      return `${at} finds or reads files with ${what}, and there they are not; import what it reads, as import text from "./file.sql" with { type: "text" }`;
    }
    if (what === undefined) {
      return `${at} reads environment variables by names that the code does not show; write each name out, as process.env.NAME`;
    }
    return allowed.includes(what)
      ? []
      : `${at} reads the environment variable ${
        JSON.stringify(what)
      }, which it sees only when migrations/setup.ts names it: export const environment = [${
        JSON.stringify(what)
      }]`;
  });
  return [...new Set(faults)];
}

/** What the plugin finds in copies of the sources, in which nothing can silence it. */
async function lint(
  sources: ReadonlyMap<string, string>,
): Promise<{ path: string; line: number; message: string }[]> {
  const folder = await Deno.makeTempDir({ prefix: "folder-" });
  try {
    const paths = new Map<string, string>();
    for (const [path, source] of sources) {
      const name = `${paths.size}${/\.\w+$/.exec(path)![0]}`;
      paths.set(name, path);
      await Deno.writeTextFile(
        join(folder, name),
        source.replaceAll("deno-lint-ignore", "deno-lint-heed"),
      );
    }
    const config = join(folder, "deno.json");
    const plugins = [new URL("folder_plugin.ts", import.meta.url).href];
    const rules = { tags: [], include: [READS_RULE] };
    await Deno.writeTextFile(
      config,
      JSON.stringify({ lint: { plugins, rules } }),
    );
    const { stdout, stderr } = await denoOutput(
      ["lint", "--json", `--config=${config}`, folder],
      folder,
    );
    const { diagnostics, errors }: LintResult = JSON.parse(stdout || stderr);
    if (errors.length > 0) {
      throw new Error(`Cannot read the migrations: ${errors[0]!.message}`);
    }
    return diagnostics.map(({ filename, range, message }) => ({
      path: paths.get(filename.slice(filename.lastIndexOf("/") + 1))!,
      line: range.start.line,
      message,
    })).sort((a, b) => compareNames(a.path, b.path) || a.line - b.line);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The part of the output of `deno lint --json` that is read here. */
interface LintResult {
  readonly diagnostics: readonly {
    readonly filename: string;
    readonly range: { readonly start: { readonly line: number } };
    readonly message: string;
  }[];
  readonly errors: readonly { readonly message: string }[];
}
