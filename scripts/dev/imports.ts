/**
 * Who imports whom in this checkout, as Deno tells it.
 *
 * @module
 */

/** One import. Files are paths from the root of the checkout, packages and built-ins are `npm:…` and `node:…`. */
export interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
  /** Loaded by `import()`, and not with the file itself. */
  readonly late?: boolean;
}

/** The imports that the module graph of `deno info --json` shows, with paths from `root`. */
export function importsOf(info: ModuleGraph, root: URL): Import[] {
  const shorten = (specifier: string) =>
    specifier.startsWith(root.href)
      ? decodeURIComponent(specifier.slice(root.href.length))
      : specifier;
  return info.modules.flatMap((module) =>
    (module.dependencies ?? []).map(({ specifier, code, type, isDynamic }) => ({
      from: shorten(module.specifier),
      to: shorten(code?.specifier ?? type?.specifier ?? specifier),
      typeOnly: code === undefined,
      ...(isDynamic && { late: true }),
    }))
  );
}

/** The part of the output of `deno info --json` that is read here. */
export interface ModuleGraph {
  readonly modules: readonly {
    readonly specifier: string;
    readonly error?: string;
    readonly dependencies?: readonly {
      readonly specifier: string;
      readonly code?: Resolution;
      readonly type?: Resolution;
      readonly isDynamic?: boolean;
    }[];
  }[];
}

/** Where an import leads, or why it leads nowhere; lines are counted from 0. */
interface Resolution {
  readonly specifier?: string;
  readonly error?: string;
  readonly span?: { readonly start: { readonly line: number } };
}

/** Asks Deno for the imports of every file, first of the two that lead to most of the others. */
export async function readImports(root: URL): Promise<Import[]> {
  const files = [
    ...await listFiles(root, "src"),
    ...await listFiles(root, "migrations"),
    ...await listFiles(root, "scripts"),
  ];
  const roots = ["src/main.ts", "migrations/mod.ts"];
  const modules = new Map<string, ModuleGraph["modules"][number]>();
  for (const file of [...roots, ...files]) {
    if (modules.has(new URL(file, root).href)) continue;
    for (const module of (await moduleGraph(root, file)).modules) {
      modules.set(module.specifier, module);
    }
  }
  return importsOf({ modules: [...modules.values()] }, root);
}

export async function listFiles(root: URL, folder: string): Promise<string[]> {
  const files: string[] = [];
  for await (const entry of Deno.readDir(new URL(folder, root))) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) files.push(...await listFiles(root, path));
    else if (entry.name.endsWith(".ts")) files.push(path);
  }
  return files.sort();
}

async function moduleGraph(root: URL, file: string): Promise<ModuleGraph> {
  const { success, stdout, stderr } = await new Deno.Command("deno", {
    args: ["info", "--json", file],
    cwd: root,
  }).output();
  if (!success) {
    throw new Error(
      `Cannot read the imports of "${file}": ${
        new TextDecoder().decode(stderr).trim()
      }`,
    );
  }
  const graph: ModuleGraph = JSON.parse(new TextDecoder().decode(stdout));
  const broken = graph.modules.find(({ error }) => error !== undefined);
  if (broken !== undefined) {
    throw new Error(`Cannot read the imports of "${file}": ${broken.error}`);
  }
  return graph;
}
