/**
 * What a migration is: its name, its place in the order, its checksum, its options.
 *
 * @module
 */
import type { Kysely } from "kysely";

/** Options that a migration file may export as `options`. */
export interface MigrationOptions {
  /** `false` runs the migration outside a transaction, for `create index concurrently` and the like. */
  readonly transaction?: boolean;
  /** `true` lets the next `up` run a failed or interrupted non-transactional migration again. */
  readonly idempotent?: boolean;
}

/** One direction of a migration, as its file exports it. */
// deno-lint-ignore no-explicit-any -- migrations are frozen in time: they must not depend on today's table types
export type MigrationFunction = (db: Kysely<any>) => Promise<void>;

/** What `migrations/mod.ts` lists: a name, the checksum of the source and the imported module. */
export interface RegistryEntry {
  readonly name: string;
  readonly checksum: string;
  readonly module: object;
}

/** A migration that this program carries. */
export interface Migration {
  readonly name: string;
  /** SHA-256 of the normalised source, as 64 hexadecimal digits. */
  readonly checksum: string;
  readonly transaction: boolean;
  readonly idempotent: boolean;
  readonly up: MigrationFunction;
  readonly down?: MigrationFunction;
}

/** Letters, digits, `_` and `-`; the length keeps names readable in a table and below every file system's limit. */
export const NAME_PATTERN = /^[A-Za-z0-9][A-Za-z0-9_-]{0,199}$/;

/** The one order of migrations: by code unit, the same on every machine and in every locale. */
export function compareNames(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The source as the checksum sees it: without a byte order mark, with `\n` as the only line ending. */
export function normaliseSource(source: string): string {
  return source.replace(/^\uFEFF/, "").replace(/\r\n?/g, "\n");
}

/** SHA-256 of the normalised source of a migration file, as 64 hexadecimal digits. */
export async function checksumOf(source: string): Promise<string> {
  const bytes = new TextEncoder().encode(normaliseSource(source));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join(
    "",
  );
}

/**
 * Turns the registry into migrations in their order.
 *
 * @throws {TypeError} naming every entry that is not a migration: a bad or repeated name, no `up` function, unknown options.
 */
export function readRegistry(
  registry: readonly RegistryEntry[],
): readonly Migration[] {
  const faults: string[] = [];
  const seen = new Set<string>();
  const migrations = registry.map((entry) => {
    const fault = (text: string) =>
      void faults.push(`Cannot use the migration "${entry.name}": ${text}`);
    if (!NAME_PATTERN.test(entry.name)) {
      fault("its name may hold letters, digits, _ and - only");
    }
    if (seen.has(entry.name)) fault("its name is used twice");
    seen.add(entry.name);
    const { up, down, options = {} } = exportsOf(entry.module);
    if (typeof up !== "function") fault("it exports no up function");
    if (down !== undefined && typeof down !== "function") {
      fault("its down is not a function");
    }
    for (const text of optionFaults(options)) fault(text);
    const { transaction = true, idempotent = false } =
      (options ?? {}) as MigrationOptions;
    return Object.freeze({
      name: entry.name,
      checksum: entry.checksum,
      transaction,
      idempotent,
      up: up as MigrationFunction,
      ...(typeof down === "function"
        ? { down: down as MigrationFunction }
        : {}),
    });
  });
  if (faults.length > 0) throw new TypeError(faults.join("\n"));
  return migrations.sort((a, b) => compareNames(a.name, b.name));
}

/** A migration exports its functions by name or, as Kysely allows too, as one object by default. */
function exportsOf(module: object): Record<string, unknown> {
  const exported = module as Record<string, unknown>;
  const fallback = exported.default;
  return exported.up === undefined && typeof fallback === "object" &&
      fallback !== null
    ? fallback as Record<string, unknown>
    : exported;
}

function optionFaults(options: unknown): string[] {
  if (typeof options !== "object" || options === null) {
    return ["its options are not an object"];
  }
  return Object.entries(options).flatMap(([key, value]) => {
    if (key !== "transaction" && key !== "idempotent") {
      return [
        `its options have an unknown key "${key}" (known: transaction, idempotent)`,
      ];
    }
    return typeof value === "boolean"
      ? []
      : [`its option "${key}" is not true or false`];
  });
}
