/**
 * The migrations of a source checkout: files beside a generated `mod.ts`, which imports them all.
 *
 * @module
 */
import { RefusedError } from "../errors.ts";
import { RECORDING_FILE } from "../insight/recording.ts";
import type { MigrationLoader, Registry } from "../plan/migration.ts";
import { framesOf, type Locate } from "../stack.ts";
import { type ImportRegistry, loadFault, loadMigrations } from "./load.ts";

/**
 * @param url where `mod.ts` is
 * @param load imports it
 */
export function sourceRegistry(url: string, load: ImportRegistry): Registry {
  const locate = sourceLocator(new URL(".", url).href);
  return {
    prepare: () => Promise.resolve(),
    recording: () => readIfThere(new URL(RECORDING_FILE, url)),
    list: async (open) => {
      const loader = await open(locate);
      try {
        return await loadMigrations(loader, load);
      } catch (error) {
        if (error instanceof RefusedError) throw error;
        const faults = await loadFaults(url, loader, locate);
        throw new RefusedError(
          faults.length > 0 ? faults : [loadFault(error, loader, locate)],
        );
      }
    },
  };
}

async function readIfThere(file: URL): Promise<Uint8Array | undefined> {
  try {
    return await Deno.readFile(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Finds errors of code in a folder. */
function sourceLocator(folder: string): Locate {
  return (error) => {
    const frame = framesOf(error).find(({ url }) => url.startsWith(folder));
    if (frame === undefined) return undefined;
    const file = decodeURIComponent(frame.url.slice(folder.length));
    return `migrations/${file}:${frame.line}:${frame.column}`;
  };
}

/** Every migration that cannot be loaded. They are loaded one by one: `mod.ts` fails with the first. */
async function loadFaults(
  url: string,
  loader: MigrationLoader,
  locate: Locate,
): Promise<string[]> {
  const source = await Deno.readTextFile(new URL(url)).catch(() => "");
  const specifiers = Array.from(
    source.matchAll(/^import \* as .* from "(\.\/.+)";$/gm),
    ([, specifier = ""]) => specifier,
  );
  const faults: string[] = [];
  for (const specifier of specifiers) {
    try {
      await import(new URL(specifier, url).href);
    } catch (error) {
      const file = decodeURIComponent(specifier.slice("./".length));
      faults.push(loadFault(error, loader, locate, file));
    }
  }
  return faults;
}
