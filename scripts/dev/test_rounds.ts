/**
 * Which tests run on which PostgreSQL: as values, so that what is left out can be told.
 *
 * @module
 */
import {
  POSTGRES_VERSIONS,
  type PostgresVersion,
} from "./postgres_binaries.ts";

/** Tests on servers, in one run of `deno test`. */
export interface Round {
  /** Files and folders, from the root of the checkout. */
  readonly paths: readonly string[];
  /** Oldest first. */
  readonly versions: readonly PostgresVersion[];
  /** Options that every run of the program gets besides its own. */
  readonly more?: string;
}

export interface RoundOptions {
  /** Whether everything is to run. */
  readonly all: boolean;
  /** The versions that were asked for, oldest first. */
  readonly versions?: readonly PostgresVersion[];
}

/** What PostgreSQL makes of what the program says to it, which depends on its version. */
const ON_EVERY_VERSION = "tests/integration";

/** They wait for most of their time, or look at what is said and not at what PostgreSQL makes of it. */
const ON_THE_NEWEST = ["tests/cli", "tests/outage"];

/** Faults and losses, again and again: they take longer than all others together. */
const LONG = ["tests/fire", "tests/hostile", "tests/outage"];

/** It has a server of its own, always of the same version. */
const ON_NO_VERSION = "tests/local";

/** Faults are survived whether statements are sent ahead or not. */
const TWICE = "tests/fire";
const NOT_AHEAD = "--no-pipeline";

/**
 * On which versions a run has its tests: on the newest, when not everything is to run. What happens around the
 * conversation with PostgreSQL (networks, processes, containers) takes long and depends little on the version: of several
 * the oldest and the newest must do, and the newest for a second round.
 */
export function planRounds(
  paths: readonly string[],
  { all, versions }: RoundOptions,
): Round[] {
  const every = versions ??
    (all ? POSTGRES_VERSIONS : POSTGRES_VERSIONS.slice(-1));
  const some = ends(every);
  const newest = every.slice(-1);
  const once = every.length === 1
    ? []
    : paths.filter((path) => ON_THE_NEWEST.some((one) => isIn(path, one)));
  const depends = paths.filter((path) => isIn(path, ON_EVERY_VERSION));
  const others = paths.filter((path) =>
    !depends.includes(path) && !once.includes(path)
  );
  const rounds: Round[] = every.length === some.length
    ? [{
      paths: paths.filter((path) => !once.includes(path)),
      versions: every,
    }]
    : [
      { paths: depends, versions: every },
      { paths: others, versions: some },
    ];
  rounds.push({ paths: once, versions: newest });
  if (all) {
    rounds.push({
      paths: paths.filter((path) => isIn(path, TWICE)),
      versions: newest,
      more: NOT_AHEAD,
    });
  }
  return rounds.filter(({ paths }) => paths.length > 0);
}

/** Of all folders of tests those of a run that was asked for nothing in particular. */
export function shortFolders(folders: readonly string[]): string[] {
  return folders.filter((folder) => !LONG.includes(folder));
}

/** What a run of everything has besides these rounds. */
export function missingRounds(
  paths: readonly string[],
  rounds: readonly Round[],
): Round[] {
  const missing = new Map<string, Round>();
  for (
    const { paths: wanted, versions, more } of planRounds(paths, { all: true })
  ) {
    for (const path of wanted) {
      if (isIn(path, ON_NO_VERSION)) continue;
      const run = rounds
        .filter((round) => round.more === more && round.paths.includes(path))
        .flatMap(({ versions }) => versions);
      const left = versions.filter((version) => !run.includes(version));
      if (left.length === 0) continue;
      const key = JSON.stringify([left, more]);
      missing.set(key, {
        paths: [...missing.get(key)?.paths ?? [], path],
        versions: left,
        ...(more !== undefined && { more }),
      });
    }
  }
  return [...missing.values()];
}

/** Whether a path is a folder of the checkout or lies in it. */
export function isIn(path: string, folder: string): boolean {
  return `${path}/`.startsWith(`${folder}/`);
}

function ends<T>(list: readonly T[]): T[] {
  return [...new Set([...list.slice(0, 1), ...list.slice(-1)])];
}
