/**
 * Loads the code of migrations, and says why it cannot.
 *
 * @module
 */
import { causeOf, LocatedError, RefusedError } from "../errors.ts";
import { failureLines } from "../report/failure.ts";
import {
  type Migration,
  type MigrationLoader,
  readRegistry,
  type RegistryEntry,
} from "../plan/migration.ts";
import type { Setup } from "../plan/setup.ts";
import { type Locate, located } from "../stack.ts";
import { quote } from "../text.ts";

/** Imports a registry. */
export type ImportRegistry = () => Promise<{
  readonly migrations: readonly RegistryEntry[];
  readonly setup?: Setup;
}>;

/**
 * The migrations of a registry, in their order, watched.
 *
 * @throws {RefusedError} naming everything that is no migration
 */
export async function loadMigrations(
  loader: MigrationLoader,
  load: ImportRegistry,
): Promise<readonly Migration[]> {
  const { migrations, setup } = await loader.load(load);
  return checked(migrations, setup).map((one) => loader.watch(one));
}

/** @throws {RefusedError} naming everything that is no migration */
export function checked(
  entries: readonly RegistryEntry[],
  setup?: Setup,
): readonly Migration[] {
  try {
    return readRegistry(entries, setup);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new RefusedError(error.message.split("\n"));
  }
}

/**
 * What is said of code that cannot be loaded.
 *
 * @param file of the folder, if it is known; else the place of the error says it, if that is known
 */
export function loadFault(
  error: unknown,
  { hide }: MigrationLoader,
  locate: Locate,
  file?: string,
): string {
  const [text = ""] = failureLines(error, hide);
  const place = causeOf(located(error, locate), LocatedError)?.location ?? "";
  const known = file ?? /^migrations\/([^/]+\.[cm]?[jt]s):/.exec(place)?.[1];
  const what = known === undefined
    ? "the migrations"
    : known === "setup.ts"
    ? "migrations/setup.ts"
    : `the migration ${quote(known.slice(0, known.lastIndexOf(".")))}`;
  const at = place === "" ? "" : ` (at ${place})`;
  // Deno's own messages name the place, too.
  const said = text.replace(/ at file:\/\/\S+$/, "");
  return hide(`Cannot load ${what}: ${said}${at}`);
}
