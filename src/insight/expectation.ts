/**
 * What the schema of a database should be: what the migrations that are applied there were recorded to make.
 *
 * @module
 */
import type { Exclusion, FoundObject } from "./differences.ts";
import type { Json } from "./recording.ts";
import { readLines, versionFor } from "./recording_lines.ts";
import { splitIdentity } from "./snapshot.ts";

/** A migration of the program, and whether it is applied. */
export interface KnownMigration {
  readonly name: string;
  readonly checksum: string;
  readonly isApplied: boolean;
}

export interface ExpectationOptions {
  /** The migrations of the program, in their order. */
  readonly migrations: readonly KnownMigration[];
  /** The migration up to which the schema is expected, whatever is applied; the newest applied one when missing. */
  readonly to: string | undefined;
  /** The version of the server, 18; one that is newer than all that were recorded means the newest of them. */
  readonly major: number;
  /** Whether it is wanted who may do what. */
  readonly grants: boolean;
}

export interface Expectation {
  /** The newest migration that counts; `null` when none does. */
  readonly migration: string | null;
  /** The server that it was recorded on, `18.4`. */
  readonly recordedOn: string;
  readonly objects: ReadonlyMap<string, FoundObject>;
  /** Migrations before that one that are not applied. */
  readonly gaps: readonly string[];
  /** What those would have changed, by identity. */
  readonly uncertain: ReadonlySet<string>;
  /** Whether the server is newer than all that was recorded: it may print definitions in another way. */
  readonly isNewer: boolean;
  /** The version that counts, 18. */
  readonly version: number;
  /** Reads the bodies of objects, by identity. */
  bodies(identities: readonly string[]): ReadonlyMap<string, Json>;
}

/**
 * What is expected of a database, or why nothing can be.
 *
 * @param recording as `recordingText` writes it, in UTF-8
 * @throws {TypeError} when the recording cannot be read
 */
export function readExpectation(
  recording: Uint8Array,
  { migrations, to, major, grants }: ExpectationOptions,
): Expectation | { readonly faults: readonly string[] } {
  const last = to === undefined
    ? migrations.findLastIndex(({ isApplied }) => isApplied)
    : migrations.findIndex(({ name }) => name === to);
  const wanted = migrations.slice(0, last + 1);
  const checksums = new Map(wanted.map((one) => [one.name, one.checksum]));
  const gaps = to === undefined
    ? wanted.filter(({ isApplied }) => !isApplied).map(({ name }) => name)
    : [];
  const isGap = new Set(gaps);
  const fresh = new Set<string>();
  const unknown: string[] = [];
  const objects = new Map<string, FoundObject>();
  const uncertain = new Set<string>();
  let recordedOn: Readonly<Record<string, string>> = {};
  let version = major;
  readLines(recording, {
    head: (head) => {
      recordedOn = head.recordedOn;
      version = versionFor(head, major);
    },
    migration: ({ name, checksum, status, reason }) => {
      if (checksums.get(name) !== checksum) return;
      fresh.add(name);
      if (status === "recorded") return;
      unknown.push(
        `Cannot tell what "${name}" makes: it could not be recorded: ${reason}`,
      );
    },
    entry: (entry) => {
      const { migration, identity, change } = entry;
      if (isGap.has(migration)) uncertain.add(identity);
      if (!counts(entry)) return;
      const object = change.object(grants);
      if (object === undefined) objects.delete(identity);
      else objects.set(identity, object);
    },
  });
  const stale = wanted.filter(({ name }) => !fresh.has(name));
  const faults = [
    ...unknown,
    ...stale.length === 0 ? [] : [staleText(stale)],
    ...recordedOn[version] === undefined ? [versionText()] : [],
  ];
  if (faults.length > 0) return { faults };
  return {
    migration: wanted.at(-1)?.name ?? null,
    recordedOn: recordedOn[version]!,
    objects,
    gaps,
    uncertain,
    isNewer: major > version,
    version,
    bodies: (identities) => {
      const bodies = new Map<string, Json>();
      const asked = new Set(identities);
      readLines(recording, {
        entry: (entry) => {
          const { identity, change } = entry;
          if (!asked.has(identity) || !counts(entry)) return;
          const body = change.body();
          if (body === undefined) bodies.delete(identity);
          else bodies.set(identity, body);
        },
      });
      return bodies;
    },
  };

  function counts(
    entry: { readonly migration: string; readonly version: number | undefined },
  ): boolean {
    return checksums.has(entry.migration) && !isGap.has(entry.migration) &&
      (entry.version === undefined || entry.version === version);
  }

  function versionText(): string {
    return `Cannot tell what the migrations make on PostgreSQL ${major}: they were recorded on ${
      Object.keys(recordedOn).join(", ")
    }`;
  }
}

/** What of a schema these migrations change, by identity, on whatever server. */
export function changedBy(
  recording: Uint8Array,
  migrations: ReadonlySet<string>,
): ReadonlySet<string> {
  const changed = new Set<string>();
  readLines(recording, {
    entry: ({ migration, identity }) => {
      if (migrations.has(migration)) changed.add(identity);
    },
  });
  return changed;
}

/** What cannot be compared with it: what a migration would change that is not applied, and how a newer server prints views. */
export function exclusionsOf(
  { uncertain, gaps, isNewer }: Expectation,
): Exclusion[] {
  const verb = gaps.length === 1 ? "is" : "are";
  const reason = `${namesOf(gaps)} would change it, and ${verb} not applied`;
  const left: Exclusion[] = [...uncertain].map((identity) => {
    const [type, object] = splitIdentity(identity);
    return { type, object, reason };
  });
  return isNewer
    ? [...left, {
      part: "definition",
      types: ["view", "materialized view"],
      reason: "this PostgreSQL is newer than those that were recorded",
    }]
    : left;
}

function staleText(stale: readonly { readonly name: string }[]): string {
  return `Cannot tell what ${namesOf(stale.map(({ name }) => name))} ${
    stale.length === 1 ? "makes" : "make"
  }: not recorded; run "deno task insight" and build the program anew`;
}

/** At most five, quoted, and how many more there are. */
function namesOf(names: readonly string[]): string {
  const shown = names.slice(0, 5).map((name) => `"${name}"`).join(", ");
  return names.length > 5 ? `${shown} and ${names.length - 5} more` : shown;
}
