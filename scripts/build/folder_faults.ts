/**
 * What stops a folder of migrations, and what is to be known of it.
 *
 * @module
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { compareNames } from "../../src/plan/migration.ts";
import { importFaults, type Modules, readModules } from "./folder_imports.ts";
import { readFaults } from "./folder_reads.ts";
import { environmentOf, listMigrations } from "./lazy_registry.ts";
import {
  isScript,
  migrationFiles,
  orderWarnings,
  passedOver,
} from "./migration_files.ts";

/** The faults, and the warnings, of the folder `migrations/` of a checkout whose registry is fresh. */
export async function judgeFolder(
  root: URL,
): Promise<{ readonly faults: string[]; readonly warnings: string[] }> {
  const modules = await readModules(root);
  const faults = await importFaults(root, modules);
  // What it imports decides whether anything else can be told.
  if (faults.length > 0) return { faults, warnings: [] };
  const warnings = await folderWarnings(root, modules);
  try {
    const environment = await environmentOf(root);
    faults.push(...await readFaults(root, modules, environment));
    if (faults.length === 0) await listMigrations(root, environment);
  } catch (error) {
    faults.push(error instanceof Error ? error.message : String(error));
  }
  return { faults, warnings };
}

/** One line for each file that is left out although it looks like a migration, and for an order that may surprise. */
async function folderWarnings(
  root: URL,
  modules: Modules,
): Promise<string[]> {
  const folder = join(fileURLToPath(root), "migrations");
  const all = await listFolder(folder);
  const top: string[] = [];
  const below: string[] = [];
  for (const path of all) {
    if (modules.has(`migrations/${path}`)) continue;
    (path.includes("/") ? below : top).push(path);
  }
  const names = migrationFiles(all.filter((path) => !path.includes("/"))).map((
    { name },
  ) => name);
  return [
    ...passedOver(top, all),
    ...below.filter(isScript).map((path) =>
      `Passing over ${
        JSON.stringify(path)
      }: migrations are not looked for in folders, and none imports it`
    ),
    ...orderWarnings(names),
  ];
}

/** The paths of all files, from the folder. Links to folders lead nowhere: they may lead in a circle. */
async function listFolder(folder: string, within = ""): Promise<string[]> {
  const paths: string[] = [];
  for await (
    const { name, isDirectory } of Deno.readDir(join(folder, within))
  ) {
    if (name.startsWith(".") || name === "node_modules") continue;
    const path = `${within}${name}`;
    if (isDirectory) paths.push(...await listFolder(folder, `${path}/`));
    else if ((await Deno.stat(join(folder, path))).isFile) paths.push(path);
  }
  return paths.sort(compareNames);
}
