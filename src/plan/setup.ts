/**
 * What all migrations of a folder need, as its `setup.ts` exports it.
 *
 * @module
 */
import type { Kysely, KyselyPlugin } from "kysely";
import { quote } from "../text.ts";

/** The exports of `migrations/setup.ts`. */
export interface Setup {
  /** Go into the Kysely that every migration gets, in this order. */
  readonly plugins?: readonly KyselyPlugin[];
  /** The names of the variables that migrations may read; needed when the executable is built. */
  readonly environment?: readonly string[];
}

const NAMES = ["plugins", "environment"];

const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Why these exports are no {@link Setup}: a name misspelt would go unnoticed, and give other columns. */
export function setupFaults(setup: object): string[] {
  const { plugins = [], environment = [] } = setup as Record<string, unknown>;
  const faults = Object.keys(setup).filter((name) => !NAMES.includes(name))
    .map((name) =>
      `it exports ${quote(name)}, and may export plugins and environment only`
    );
  if (!Array.isArray(plugins) || !plugins.every(isPlugin)) {
    faults.push("its plugins are no array of Kysely's plugins");
  }
  const isName = (one: unknown) =>
    typeof one === "string" && VARIABLE.test(one);
  if (!Array.isArray(environment) || !environment.every(isName)) {
    faults.push("its environment is no array of names of variables");
  }
  return faults.map((fault) => `Cannot use migrations/setup.ts: ${fault}`);
}

/** The Kysely that a migration gets. */
export function withPlugins<T>(
  db: Kysely<T>,
  { plugins = [] }: Setup,
): Kysely<T> {
  return plugins.reduce((on, plugin) => on.withPlugin(plugin), db);
}

function isPlugin(one: unknown): boolean {
  const { transformQuery, transformResult } = (one ?? {}) as Record<
    string,
    unknown
  >;
  return typeof transformQuery === "function" &&
    typeof transformResult === "function";
}
