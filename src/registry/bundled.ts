/**
 * Migrations that a bundler has made one file of, with a source map.
 *
 * @module
 */
import { RefusedError } from "../errors.ts";
import type { Migration, OpenLoader } from "../plan/migration.ts";
import { readCompressed } from "./compressed.ts";
import { originalPosition, type SourceMap } from "./source_map.ts";
import { framesOf, type Locate } from "../stack.ts";
import { type ImportRegistry, loadFault, loadMigrations } from "./load.ts";

/**
 * The migrations by their names.
 *
 * @param map where the source map is, a {@link SourceMap} as compressed JSON: it is read when something fails
 * @throws {RefusedError} naming what cannot be loaded
 */
export async function loadBundled(
  open: OpenLoader,
  load: ImportRegistry,
  map: URL,
): Promise<ReadonlyMap<string, Migration>> {
  const locate = mapLocator(map);
  const loader = await open(locate);
  try {
    const migrations = await loadMigrations(loader, load);
    return new Map(migrations.map((one) => [one.name, one]));
  } catch (error) {
    if (error instanceof RefusedError) throw error;
    throw new RefusedError([loadFault(error, loader, locate)]);
  }
}

function mapLocator(url: URL): Locate {
  let map: SourceMap | undefined;
  return (error) => {
    for (const frame of framesOf(error)) {
      map ??= JSON.parse(
        new TextDecoder().decode(readCompressed(url)),
      ) as SourceMap;
      if (!frame.url.endsWith(`/${map.file}`)) continue;
      const place = originalPosition(map, frame.line, frame.column);
      if (place?.source.startsWith("migrations/")) {
        return `${place.source}:${place.line}:${place.column}`;
      }
    }
  };
}
