/**
 * The migrations that this program carries. `scripts/build/lazy_registry.ts` puts a file of its own in the place of this one.
 *
 * @module
 */
import type { Registry } from "./plan/migration.ts";
import { sourceRegistry } from "./registry/source.ts";

export const EMBEDDED: Registry = sourceRegistry(
  import.meta.resolve("../migrations/mod.ts"),
  () => import("../migrations/mod.ts"),
);
