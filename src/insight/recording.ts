/**
 * What `deno task insight` has seen the migrations do, as `migrations/insight.json` keeps it.
 *
 * The same migrations on the same servers give the same bytes: keys are sorted, and there are no times and no OIDs in it. One
 * object stands on one line, so that a change can be read.
 *
 * @module
 */
import type { Footprint } from "./footprint.ts";

/** The name of the file, beside the migrations. */
export const RECORDING_FILE = "insight.json";

/** The form that this program reads. */
export const FORMAT = 1;

export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };

/** An object of a schema as it was recorded, or found. */
export interface SchemaObject {
  /** SHA-256 of the body's text, as the server made it. */
  readonly hash: string;
  readonly body: Json;
  /** The table that it is a partition of. */
  readonly parent?: string;
  /** Who else than its owner may do what. */
  readonly grants?: Grants;
}

/** Privileges by role. */
export type Grants = Readonly<Record<string, readonly string[]>>;

/** Objects that have come or changed, and `null` for those that are gone, by identity: `table killmails`. */
export type Delta = Readonly<Record<string, SchemaObject | null>>;

/** One migration as it was recorded. */
export interface RecordedMigration {
  readonly name: string;
  readonly checksum: string;
  readonly status: "recorded" | "unknown";
  /** Why it is unknown. */
  readonly reason?: string;
  /** What its `up` does, statement by statement; of a backfill what its batches do. */
  readonly up?: Footprint;
  /** What its `down` does. */
  readonly down?: Footprint;
  /** Rules whose findings are meant, and why. */
  readonly accept?: Readonly<Record<string, string>>;
  /** The table that it fills in batches. */
  readonly backfill?: string;
  /** Whether its `down` restores the schema that was before; missing when it has none. */
  readonly exact?: boolean;
  /** It failed for an ordinary owner of the database, and worked for a superuser. */
  readonly superuser?: boolean;
  /** What is wrong with it and was let pass. */
  readonly faults?: readonly string[];
  /** What it changed in the schema, on the newest version that it was recorded on. */
  readonly delta: Delta;
  /** What is otherwise on other versions, by the number of the version. */
  readonly versions?: Readonly<Record<string, Delta>>;
}

export interface Recording {
  readonly format: typeof FORMAT;
  /** The server of each version, as it says it itself: `{"18": "18.4"}`. */
  readonly recordedOn: Readonly<Record<string, string>>;
  readonly migrations: readonly RecordedMigration[];
}

/** Reads a recording. @throws {TypeError} when it is none that this program can read */
export function readRecording(text: string): Recording {
  const fault = (why: string) =>
    new TypeError(
      `Cannot read "${RECORDING_FILE}": ${why}; run "deno task insight"`,
    );
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw fault("it is no JSON");
  }
  const { format, migrations } = (value ?? {}) as Partial<Recording>;
  if (format !== FORMAT) {
    throw fault(`its format is ${JSON.stringify(format)}, not ${FORMAT}`);
  }
  if (!Array.isArray(migrations)) throw fault("it has no migrations");
  return value as Recording;
}

/** The text of a recording. */
export function recordingText(
  { format, recordedOn, migrations }: Recording,
): string {
  const list = migrations.map((one) => {
    const { delta, versions = {}, ...rest } = one;
    const others = Object.entries(versions).map(([version, delta]) =>
      `\n${JSON.stringify(version)}:${deltaText(delta)}`
    );
    return `${inner(rest)},\n"delta":${deltaText(delta)}${
      others.length === 0 ? "" : `,\n"versions":{${others.join(",")}}`
    }}`;
  });
  return `{"format":${format},"recordedOn":${canonical(recordedOn)},\n` +
    `"migrations":[${list.length === 0 ? "" : `\n${list.join(",\n")}\n`}]}\n`;
}

function deltaText(delta: Delta): string {
  const lines = Object.keys(delta).sort().map((identity) =>
    `\n${JSON.stringify(identity)}:${canonical(delta[identity]!)}`
  );
  return `{${lines.join(",")}${lines.length === 0 ? "" : "\n"}}`;
}

/** An object's members without the bracket at the end. */
function inner(value: object): string {
  return canonical(value).slice(0, -1);
}

/** JSON with its keys in one order. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const members = Object.entries(value).filter(([, one]) => one !== undefined)
    .sort(([a], [b]) => a < b ? -1 : 1).map(([key, one]) =>
      `${JSON.stringify(key)}:${canonical(one)}`
    );
  return `{${members.join(",")}}`;
}
