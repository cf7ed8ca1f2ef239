/**
 * What a migration is: its name, its place in the order, its checksum, its options.
 *
 * @module
 */
import { type Backfill, backfillFaults } from "./backfill.ts";
import type { Kysely } from "kysely";
import { type Hide, quote } from "../text.ts";
import { type Setup, setupFaults, withPlugins } from "./setup.ts";
import type { Locate } from "../stack.ts";

/** Options that a migration file may export as `options`. */
export interface MigrationOptions {
  /** `false` runs the migration outside a transaction, for `create index concurrently` and the like. */
  readonly transaction?: boolean;
  /** `true` lets the next `up` run a failed or interrupted non-transactional migration again. */
  readonly idempotent?: boolean;
  /** `"post"`: only once the release is rolled out, as what takes away what older pods need. */
  readonly phase?: Phase;
  /** Rules of `docs/rules.md` whose findings are meant, and why: `plan` shows them and does not count them. */
  readonly accept?: Readonly<Record<string, string>>;
}

/** When a migration runs: before the release is rolled out, or after. */
export type Phase = "pre" | "post";

/** One direction of a migration, as its file exports it. */
// deno-lint-ignore no-explicit-any -- migrations are frozen in time: they must not depend on today's table types
export type MigrationFunction = (db: Kysely<any>) => Promise<void>;

/** What `migrations/mod.ts` lists: a name, the checksum of the source and the imported module. */
export interface RegistryEntry {
  readonly name: string;
  readonly checksum: string;
  readonly module: object;
}

/** Loads the code of migrations, which may do what it likes, and keeps it apart from the program. */
export interface MigrationLoader {
  /** Runs what loads code. @throws what that throws, or an error that says what the code did instead */
  load<T>(load: () => Promise<T>): Promise<T>;
  /** Keeps secrets out of what the code has said. */
  readonly hide: Hide;
  /** The migration with functions that fail when their code does what it must not. */
  watch(migration: Migration): Migration;
}

/** Makes ready for code; `locate` finds the source that it was made from. */
export type OpenLoader = (locate: Locate) => Promise<MigrationLoader>;

/** The migrations of a program, and their code. */
export interface Registry {
  /**
   * Lists the migrations. From source that loads their code.
   *
   * @throws {RefusedError} naming every file that cannot be loaded, or that is no migration
   */
  list(open: OpenLoader): Promise<readonly Migration[]>;

  /** Loads the code of the migrations, unless `list` has. @throws {RefusedError} as `list` */
  prepare(open: OpenLoader): Promise<void>;

  /** What `deno task insight` has recorded of them, in UTF-8; missing, or `undefined`, when nothing was. */
  readonly recording?: () => Promise<Uint8Array | undefined>;
}

/** A migration that this program carries. */
export interface Migration {
  readonly name: string;
  /** SHA-256 of the normalised source, as 64 hexadecimal digits. */
  readonly checksum: string;
  readonly transaction: boolean;
  readonly idempotent: boolean;
  readonly phase: Phase;
  /** @default {none} */
  readonly accept?: Readonly<Record<string, string>>;
  /** It fills a table; then {@link up} is not what runs. */
  readonly backfill?: Backfill;
  readonly up: MigrationFunction;
  readonly down?: MigrationFunction;
}

/** What the name of a file can be without its extension, on one line, and as long as the column of Kysely's own table. */
export const NAME_PATTERN = /^[^/\p{Cc}\p{Cs}\u2028\u2029]{1,255}$/u;

export const NAME_RULE =
  "its name must have 1 to 255 characters, and no / or control character";

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
 * @throws {TypeError} naming every entry that is not a migration: a bad or repeated name, no `up` function, unknown options;
 * and what is wrong with the setup
 */
export function readRegistry(
  registry: readonly RegistryEntry[],
  setup: Setup = {},
): readonly Migration[] {
  const faults = setupFaults(setup);
  const seen = new Set<string>();
  const migrations = registry.map((entry) => {
    const fault = (text: string) =>
      void faults.push(`Cannot use the migration "${entry.name}": ${text}`);
    if (!NAME_PATTERN.test(entry.name)) {
      fault(NAME_RULE);
    }
    if (seen.has(entry.name)) fault("its name is used twice");
    seen.add(entry.name);
    const owner = ownerOf(entry.module);
    const beside = (entry.module as Record<string, unknown>).options;
    const { up, down, backfill, options = beside === undefined ? {} : beside } =
      owner;
    const wrong = backfill === undefined ? [] : backfillFaults(backfill);
    if (backfill !== undefined) {
      wrong.forEach(fault);
      if (up !== undefined) fault("it exports up and backfill: one of them");
    } else if (typeof up !== "function") fault(noUpText(entry.module));
    if (down !== undefined && typeof down !== "function") {
      fault("its down is not a function");
    }
    for (const text of optionFaults(options, backfill !== undefined)) {
      fault(text);
    }
    const { transaction = true, idempotent = false, phase = "pre", accept } =
      (options ?? {}) as MigrationOptions;
    // As Kysely calls them: methods of what exports them.
    const method = (name: "up" | "down"): MigrationFunction => async (db) =>
      await (owner[name] as MigrationFunction)(withPlugins(db, setup));
    return Object.freeze({
      name: entry.name,
      checksum: entry.checksum,
      transaction,
      idempotent,
      ...(accept && { accept }),
      ...(backfill === undefined || wrong.length > 0
        ? { phase, up: method("up") }
        : fillingParts(backfill as Backfill, setup)),
      ...(down !== undefined && { down: method("down") }),
    });
  });
  if (faults.length > 0) throw new TypeError(faults.join("\n"));
  return migrations.sort((a, b) => compareNames(a.name, b.name));
}

/** Of a backfill: it can always be rolled back, since what it has written may stay. */
function fillingParts(
  backfill: Backfill,
  setup: Setup,
): Pick<Migration, "phase" | "backfill" | "up" | "down"> {
  const { table, key, where } = backfill;
  return {
    phase: "post",
    backfill: {
      table,
      ...(key && { key }),
      ...(where && { where }),
      // As a method of what exports it.
      batch: async (db, rows) =>
        await backfill.batch(withPlugins(db, setup), rows),
    },
    up: () => Promise.reject(new Error("A backfill runs by its batches")),
    down: () => Promise.resolve(),
  };
}

/** What exports the functions: the default export, if it has an `up`, else the module. So does Kysely's FileMigrationProvider. */
function ownerOf(module: object): Record<string, unknown> {
  const exported = module as Record<string, unknown>;
  const { default: preferred } = exported as { default?: unknown };
  const isMigration = typeof preferred === "object" && preferred !== null &&
    (typeof (preferred as Record<string, unknown>).up === "function" ||
      (preferred as Record<string, unknown>).backfill !== undefined);
  return isMigration ? preferred as Record<string, unknown> : exported;
}

/** Why there is no `up`, and what to do. */
function noUpText(module: object): string {
  // Moved into a folder, its plugins would be lost unnoticed.
  if ("plugins" in module || "environment" in module) {
    return "it exports no up function; what all migrations need is exported by migrations/setup.ts: move that there, or rename the file to it";
  }
  const [name] =
    Object.entries(module).find(([, one]) =>
      typeof one === "object" && one !== null && typeof one.up === "function"
    ) ?? [];
  return name === undefined
    ? "it exports no up function; if it is no migration, move it into a folder in migrations/, such as migrations/lib/"
    : `it exports no up function; its ${
      quote(name)
    } has one: export that as the default (export default ${name})`;
}

function optionFaults(options: unknown, isBackfill: boolean): string[] {
  if (typeof options !== "object" || options === null) {
    return ["its options are not an object"];
  }
  return Object.entries(options).flatMap(([key, value]) => {
    if (key === "phase") {
      if (isBackfill && value !== "post") {
        return ['its phase can only be "post": it is a backfill'];
      }
      return value === "pre" || value === "post"
        ? []
        : ['its option "phase" is not "pre" or "post"'];
    }
    if (key === "accept") {
      return isReasons(value) ? [] : [
        'its option "accept" is no object of reasons, such as { "loses-data": "unused since 2.3" }',
      ];
    }
    if (key !== "transaction" && key !== "idempotent") {
      return [
        `its options have an unknown key "${key}" (known: transaction, idempotent, phase, accept)`,
      ];
    }
    if (isBackfill) {
      return [`its option "${key}" means nothing for a backfill: leave it out`];
    }
    return typeof value === "boolean"
      ? []
      : [`its option "${key}" is not true or false`];
  });
}

function isReasons(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value) &&
    Object.values(value).every((one) =>
      typeof one === "string" && one.trim() !== ""
    );
}
