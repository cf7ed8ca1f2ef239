/**
 * What the program is and what it is built from.
 *
 * @module
 */
import { COMMIT } from "./build.ts";
import type { Migration } from "../plan/migration.ts";

export const PROGRAM = "battlescope-migrate";

/** The same as in `deno.json`; a test compares the two. */
export const VERSION = "0.1.0";

/** The version of the package in `deno.json`; a test compares the two. */
export const KYSELY_VERSION = "0.29.9";

export interface ProgramInfo {
  readonly name: typeof PROGRAM;
  readonly version: string;
  /** The git commit of an executable, with "-dirty" when files were changed; `null` when running from source. */
  readonly commit: string | null;
  readonly deno: string;
  readonly kysely: string;
  /** `null` when they cannot be loaded. */
  readonly migrations: {
    readonly count: number;
    /** The newest one's name; `null` when there is none. */
    readonly last: string | null;
  } | null;
}

/**
 * @param migrations `undefined` when they cannot be loaded
 * @param deno the version of the Deno that runs the program
 */
export function programInfo(
  migrations: readonly Migration[] | undefined,
  deno: string,
): ProgramInfo {
  return {
    name: PROGRAM,
    version: VERSION,
    commit: COMMIT,
    deno,
    kysely: KYSELY_VERSION,
    migrations: migrations === undefined ? null : {
      count: migrations.length,
      last: migrations.at(-1)?.name ?? null,
    },
  };
}

export function versionLines(info: ProgramInfo): string[] {
  return [
    `${info.name} ${info.version}`,
    `commit ${info.commit ?? "none: running from source"}`,
    `deno ${info.deno}`,
    `kysely ${info.kysely}`,
    `migrations ${migrationsText(info)}`,
  ];
}

function migrationsText({ migrations }: ProgramInfo): string {
  if (migrations === null) return "cannot be loaded";
  const { count, last } = migrations;
  return `${count}${last === null ? "" : `, the last is ${last}`}`;
}
