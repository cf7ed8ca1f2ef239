/**
 * Which files of a folder are migrations, and what is wrong with them as such. Those that Kysely's FileMigrationProvider takes.
 *
 * @module
 */
import {
  compareNames,
  NAME_PATTERN,
  NAME_RULE,
} from "../../src/plan/migration.ts";

/** What is generated from the others. */
export const REGISTRY_FILE = "mod.ts";

/** What all migrations of the folder need. */
export const SETUP_FILE = "setup.ts";

/** What a superuser runs before the migrations are recorded: roles and extensions that they need. */
export const RECORDING_SETUP_FILE = "insight.setup.sql";

const SCRIPT = /(?<!\.d)\.[cm]?[jt]s$/;

/** What somebody may take for a migration. */
const LOOKALIKE = /\.(?:sql|[cm]?[jt]sx?)$/i;

/** The name of the migration in a file; `undefined` when it is none. */
export function migrationName(file: string): string | undefined {
  return isScript(file) && file !== REGISTRY_FILE && file !== SETUP_FILE
    ? file.slice(0, file.lastIndexOf("."))
    : undefined;
}

/** Whether it holds code: declarations do not. */
export function isScript(file: string): boolean {
  return SCRIPT.test(file);
}

/** The files of migrations in the one order. @throws {TypeError} naming every file that cannot be one */
export function migrationFiles(
  files: Iterable<string>,
): { readonly name: string; readonly file: string }[] {
  const found = [...files].toSorted(compareNames).flatMap((file) => {
    const name = migrationName(file);
    return name === undefined ? [] : [{ name, file }];
  });
  const faults = found.filter(({ name }) => !NAME_PATTERN.test(name)).map(
    ({ file }) => `Cannot register ${JSON.stringify(file)}: ${NAME_RULE}`,
  );
  // What looks the same may be the same on the next file system.
  const same = Map.groupBy(found, ({ name }) => name.normalize());
  for (const group of same.values()) {
    if (group.length < 2) continue;
    const [first, ...others] = group.map(({ file }) => JSON.stringify(file));
    faults.push(
      `Cannot register ${
        others.join(", ")
      } beside ${first}: their names are the same; keep one of them`,
    );
  }
  if (faults.length > 0) throw new TypeError(faults.join("\n"));
  return found.sort((a, b) => compareNames(a.name, b.name));
}

/** How a module beside it imports a file, whatever its name. */
export function specifierOf(file: string): string {
  return `./${encodeURIComponent(file)}`;
}

/** One line for each of these files that looks like a migration and is none; declarations of one of `all` are that. */
export function passedOver(
  files: readonly string[],
  all: readonly string[],
): string[] {
  const others = files.filter((file) =>
    !isScript(file) && LOOKALIKE.test(file) && file !== RECORDING_SETUP_FILE
  );
  const stem = (file: string) => file.replace(/(?:\.d)?\.\w+$/, "");
  const scripts = new Set(all.filter(isScript).map(stem));
  return others
    .filter((file) => !/\.d\.[cm]?ts$/.test(file) || !scripts.has(stem(file)))
    .toSorted(compareNames)
    .map((file) =>
      `Passing over ${
        JSON.stringify(file)
      }: a migration is a file in .ts, .mts, .js or .mjs`
    );
}

/**
 * One line for the names whose order is another than that of `localeCompare`; none when there are none.
 *
 * Kysely's migrator applies them by code unit, too. It compares them by language where it checks what was applied at the
 * same time, and so do most listings of a folder.
 */
export function orderWarnings(names: readonly string[]): string[] {
  const ours = names.toSorted(compareNames);
  const place = new Map(ours.map((name, i) => [name, i]));
  const listed = ours.toSorted((a, b) => a.localeCompare(b, "en"));
  const pairs = listed.slice(1).flatMap((second, i) => {
    const first = listed[i]!;
    return place.get(first)! < place.get(second)!
      ? []
      : [`${JSON.stringify(second)} before ${JSON.stringify(first)}`];
  });
  if (pairs.length === 0) return [];
  const more = pairs.length > 5 ? ` and ${pairs.length - 5} more` : "";
  return [
    `Migrations run by code unit, ${
      pairs.slice(0, 5).join(", ")
    }${more}, and not in the order of localeCompare, which Kysely's own migrator expects of what was applied at the same time: ` +
    "where the order matters, rename the files of those that no database has yet, so that both sort them alike",
  ];
}
