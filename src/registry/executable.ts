/**
 * The migrations of an executable: their names and checksums are at hand, their code is loaded when one of them is to run.
 *
 * Whether anything is to be done can be told from names and checksums. Most runs find that nothing is: they need not parse
 * the migrations, nor Kysely, which is more than half of the program.
 *
 * @module
 */
import type { Backfill } from "../plan/backfill.ts";
import type {
  Migration,
  MigrationFunction,
  MigrationOptions,
  Registry,
} from "../plan/migration.ts";
import type { ImportRegistry } from "./load.ts";

/** What is known of a migration without its code. */
export type Listed = readonly [
  name: string,
  checksum: string,
  options: Required<Omit<MigrationOptions, "accept">>,
  reversible: boolean,
  isBackfill: boolean,
];

/**
 * @param load imports the code
 * @param map where its source map is, see {@link loadBundled}
 * @param recording where the recording of the migrations is, compressed; `undefined` when there is none
 */
export function executableRegistry(
  list: readonly Listed[],
  load: ImportRegistry,
  map: URL,
  recording?: URL,
): Registry {
  let loaded: ReadonlyMap<string, Migration> | undefined;
  const run =
    (name: string, direction: "up" | "down"): MigrationFunction => (db) =>
      loaded!.get(name)![direction]!(db);
  const backfillOf = (name: string): Backfill => loaded!.get(name)!.backfill!;
  const migrations = list.map((
    [name, checksum, options, reversible, isBackfill],
  ) => ({
    name,
    checksum,
    ...options,
    ...(isBackfill && { backfill: lazyBackfill(() => backfillOf(name)) }),
    up: run(name, "up"),
    ...(reversible && { down: run(name, "down") }),
  }));
  return {
    list: () => Promise.resolve(migrations),
    recording: async () => {
      if (recording === undefined) return undefined;
      const { readCompressed } = await import("./compressed.ts");
      return readCompressed(recording);
    },
    prepare: async (open) => {
      const { loadBundled } = await import("./bundled.ts");
      loaded = await loadBundled(open, load, map);
    },
  };
}

/** A backfill that can be told from another migration before its code is loaded. */
function lazyBackfill(loaded: () => Backfill): Backfill {
  return {
    get table() {
      return loaded().table;
    },
    get key() {
      return loaded().key!;
    },
    get where() {
      return loaded().where!;
    },
    batch: (db, rows) => loaded().batch(db, rows),
  };
}
