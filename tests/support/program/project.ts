/**
 * A folder of migrations made by a test, with a registry and an entry that runs the program on it.
 *
 * @module
 */
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { isScript } from "../../../scripts/build/migration_files.ts";
import { registrySource } from "../../../scripts/build/registry.ts";

export interface Project {
  readonly folder: string;
  /** The main module of the program that carries these migrations. */
  readonly entry: URL;
}

/** Makes a project of migrations, as {@link makeProject} does, and removes it afterwards. */
export async function withProject<T>(
  migrations: Readonly<Record<string, string>>,
  use: (project: Project) => Promise<T>,
): Promise<T> {
  await using project = await makeProject(migrations);
  return await use(project);
}

/**
 * Makes a project of migrations (`name → source`, the name with or without its ending; others may lie in folders); its
 * disposal removes it. The registry is generated, unless there is a `mod.ts` among them.
 */
export async function makeProject(
  migrations: Readonly<Record<string, string>>,
): Promise<Project & AsyncDisposable> {
  const folder = await Deno.makeTempDir({ prefix: "project-" });
  const remove = () => Deno.remove(folder, { recursive: true });
  try {
    const project = await writeProject(folder, migrations);
    return { ...project, [Symbol.asyncDispose]: remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

/**
 * Writes migrations (`name → source`) into a folder: the name with or without its ending, or the path of a file in a folder.
 *
 * @returns the files in the folder itself
 */
export async function writeMigrations(
  folder: string,
  migrations: Readonly<Record<string, string>>,
): Promise<ReadonlyMap<string, string>> {
  const files = new Map<string, string>();
  for (const [name, source] of Object.entries(migrations)) {
    const isWhole = isScript(name) || /[/]|\.(?:sql|json|TS|d\.ts)$/.test(name);
    const file = isWhole ? name : `${name}.ts`;
    await Deno.mkdir(dirname(join(folder, file)), { recursive: true });
    await Deno.writeTextFile(join(folder, file), source);
    if (!file.includes("/")) files.set(file, source);
  }
  return files;
}

async function writeProject(
  folder: string,
  migrations: Readonly<Record<string, string>>,
): Promise<Project> {
  await Deno.mkdir(`${folder}/migrations`);
  const write = (name: string, text: string) =>
    Deno.writeTextFile(`${folder}/${name}`, text);
  const files = await writeMigrations(`${folder}/migrations`, migrations);
  if (!files.has("mod.ts")) {
    await write("migrations/mod.ts", await registrySource(files));
  }
  const source = new URL("../../../src/", import.meta.url);
  await write(
    "main.ts",
    `import { main } from "${source}main.ts";
import { sourceRegistry } from "${source}registry/source.ts";

const registry = sourceRegistry(
  import.meta.resolve("./migrations/mod.ts"),
  () => import("./migrations/mod.ts"),
);
Deno.exit(await main(Deno.args, Deno.env.toObject(), registry));
`,
  );
  return { folder, entry: pathToFileURL(`${folder}/main.ts`) };
}
