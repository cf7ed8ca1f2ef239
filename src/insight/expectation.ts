/**
 * What the schema of a database should be: what the migrations that are applied there were recorded to make.
 *
 * @module
 */
import type { RecordedMigration, Recording } from "./recording.ts";
import { foldSnapshot, type Snapshot } from "./snapshot.ts";

/** A migration of the program, and whether it is applied. */
export interface KnownMigration {
  readonly name: string;
  readonly checksum: string;
  readonly isApplied: boolean;
}

export interface Expectation {
  /** The newest migration that counts; `null` when none does. */
  readonly migration: string | null;
  /** The server that it was recorded on, `18.4`. */
  readonly recordedOn: string;
  readonly snapshot: Snapshot;
  /** Migrations before that one that are not applied. */
  readonly gaps: readonly string[];
  /** What those would have changed, by identity. */
  readonly uncertain: ReadonlySet<string>;
  /** Whether the server is newer than all that was recorded: it may print definitions in another way. */
  readonly isNewer: boolean;
}

/**
 * What is expected of a database, or why nothing can be.
 *
 * @param migrations of the program, in their order
 * @param to the migration up to which the schema is expected, whatever is applied; the newest applied one when missing
 * @param major the version of the server, 18
 */
export function expectationOf(
  recording: Recording,
  migrations: readonly KnownMigration[],
  to: string | undefined,
  major: number,
): Expectation | { readonly faults: readonly string[] } {
  const last = to === undefined
    ? migrations.findLastIndex(({ isApplied }) => isApplied)
    : migrations.findIndex(({ name }) => name === to);
  const wanted = migrations.slice(0, last + 1);
  const recorded = new Map(recording.migrations.map((one) => [one.name, one]));
  const known: RecordedMigration[] = [];
  const stale: string[] = [];
  const faults: string[] = [];
  for (const { name, checksum } of wanted) {
    const one = recorded.get(name);
    if (one?.checksum !== checksum) stale.push(`"${name}"`);
    else if (one.status === "unknown") {
      faults.push(
        `Cannot tell what "${name}" makes: it could not be recorded: ${
          one.reason ?? "nobody knows why"
        }`,
      );
    } else known.push(one);
  }
  if (stale.length > 0) {
    faults.push(
      `Cannot tell what ${nameSome(stale)} ${
        stale.length === 1 ? "makes" : "make"
      }: not recorded; run "deno task insight" and build the program anew`,
    );
  }
  const versions = Object.keys(recording.recordedOn).map(Number);
  const newest = Math.max(...versions);
  const version = Math.min(major, newest);
  if (!versions.includes(version)) {
    faults.push(
      `Cannot tell what the migrations make on PostgreSQL ${major}: they were recorded on ${
        versions.join(", ")
      }`,
    );
  }
  if (faults.length > 0) return { faults };
  const gaps = to === undefined
    ? wanted.filter(({ isApplied }) => !isApplied).map(({ name }) => name)
    : [];
  return {
    migration: wanted.at(-1)?.name ?? null,
    recordedOn: recording.recordedOn[version]!,
    snapshot: foldSnapshot(known, version),
    gaps,
    uncertain: new Set(
      known.filter(({ name }) => gaps.includes(name)).flatMap((
        { delta, versions = {} },
      ) => [...Object.keys(delta), ...Object.keys(versions[version] ?? {})]),
    ),
    isNewer: major > newest,
  };
}

function nameSome(names: readonly string[]): string {
  const [shown, rest] = [names.slice(0, 5).join(", "), names.length - 5];
  return rest > 0 ? `${shown} and ${rest} more` : shown;
}
