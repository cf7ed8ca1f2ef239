/**
 * The modules of a folder of migrations, and the imports that lead nowhere or out of it, as Deno resolves them.
 *
 * @module
 */
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { ModuleGraph } from "../dev/imports.ts";
import { exists } from "../dev/server_data.ts";
import { denoOutput } from "./deno_command.ts";
import { REGISTRY_FILE } from "./migration_files.ts";

/** A folder's modules, by their paths from the root of the checkout; imports of each. */
export type Modules = ReadonlyMap<string, readonly Dependency[]>;

interface Dependency {
  /** As the code has it. */
  readonly specifier: string;
  /** Counted from 1. */
  readonly line: number;
  /** The URL that it leads to, or why it leads nowhere. */
  readonly target: string | undefined;
  readonly error: string | undefined;
}

type GraphModule = ModuleGraph["modules"][number];

/** The modules that `migrations/mod.ts` leads to. `root` is a checkout. */
export async function readModules(root: URL): Promise<Modules> {
  const { stdout } = await denoOutput(
    ["info", "--json", `migrations/${REGISTRY_FILE}`],
    root,
  );
  const { modules } = JSON.parse(stdout) as ModuleGraph;
  const errors = new Map(
    modules.map(({ specifier, error }) => [specifier, error]),
  );
  const folder = new URL("migrations/", root).href;
  return new Map(
    modules.filter(({ specifier, error }) =>
      specifier.startsWith(folder) && error === undefined
    ).map((module) => [
      fileURLToPath(module.specifier).slice(fileURLToPath(root).length),
      dependenciesOf(module, errors),
    ]),
  );
}

function dependenciesOf(
  { dependencies = [] }: GraphModule,
  errors: ReadonlyMap<string, string | undefined>,
): Dependency[] {
  return dependencies.map(({ specifier, code, type }) => {
    const { specifier: target, error, span } = code ?? type ?? {};
    return {
      specifier,
      line: (span?.start.line ?? 0) + 1,
      target,
      error: error ?? (target === undefined ? undefined : errors.get(target)),
    };
  });
}

/** One line for each import that does not resolve, or that leaves the folder. */
export async function importFaults(
  root: URL,
  modules: Modules,
): Promise<string[]> {
  const folder = new URL("migrations/", root).href;
  const faults: string[] = [];
  for (const [path, dependencies] of modules) {
    if (path === `migrations/${REGISTRY_FILE}`) continue;
    const importer = pathToFileURL(join(fileURLToPath(root), path));
    for (const { specifier, line, target, error } of dependencies) {
      const why = target?.startsWith("file:")
        ? target.startsWith(folder)
          ? error === undefined
            ? undefined
            : await missingText(importer, specifier)
          : "it is outside of migrations/, which alone goes into the program; move it into a folder in there, such as migrations/lib/"
        : error === undefined
        ? undefined
        : unresolvedText(specifier, error);
      if (why !== undefined) {
        faults.push(
          `Cannot import ${
            JSON.stringify(specifier)
          } in ${path}:${line}: ${why}`,
        );
      }
    }
  }
  return faults;
}

/** Endings that Node finds by itself, and Deno does not. */
const ENDINGS = [".ts", ".js", ".mts", ".mjs"];

async function missingText(importer: URL, specifier: string): Promise<string> {
  const folder = specifier.replace(/\/$/, "");
  const candidates = [
    // As TypeScript writes what it compiles for Node.
    specifier.replace(/\.([cm]?)js$/, ".$1ts"),
    ...ENDINGS.map((ending) => `${specifier}${ending}`),
    ...ENDINGS.map((ending) => `${folder}/index${ending}`),
  ];
  for (const candidate of candidates) {
    if (candidate === specifier) continue;
    if (await exists(fileURLToPath(new URL(candidate, importer)))) {
      return `there is no such file; write ${JSON.stringify(candidate)}`;
    }
  }
  return "there is no such file; add it, in a folder of migrations/";
}

function unresolvedText(specifier: string, error: string): string {
  if (/^(?:@\/|[~#])/.test(specifier)) {
    return 'it is an alias, which leads nowhere here; write the path, such as "./lib/db.ts"';
  }
  const [name] = /^(?:@[\w.-]+\/)?[\w.-]+(?=\/|$)/.exec(specifier) ?? [];
  return name === undefined
    ? error.split("\n")[0]!
    : `deno.json does not have it; add ${
      JSON.stringify(name)
    }: "npm:${name}@VERSION" to its imports, or write the path if it is a file`;
}
