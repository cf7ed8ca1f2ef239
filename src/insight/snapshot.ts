/**
 * Schemas as values: what the migrations make, folded from what each has changed, and what is different in another one.
 *
 * @module
 */
import type {
  Delta,
  Json,
  RecordedMigration,
  SchemaObject,
} from "./recording.ts";
import { canonical } from "./recording.ts";

/** The objects of a schema by identity: `table killmails`. */
export type Snapshot = ReadonlyMap<string, SchemaObject>;

/** One place in which a schema is not as expected. */
export interface Difference {
  readonly kind: "missing" | "extra" | "different";
  /** `table`, `column`, `index`, `enum`, … */
  readonly type: string;
  /** Its name; of what belongs to a table after the name of that and a dot. */
  readonly object: string;
  /** What of it is different; `null` when all of it is missing or extra. */
  readonly part: string | null;
  readonly expected: Json;
  readonly found: Json;
}

/** What belongs to a table, or to a type, and has a name of its own. */
const MEMBERS: Readonly<Record<string, string>> = {
  columns: "column",
  constraints: "constraint",
  indexes: "index",
  triggers: "trigger",
  rules: "rule",
  policies: "policy",
};

/** The types of what belongs to a table. */
export const MEMBER_TYPES: readonly string[] = Object.values(MEMBERS);

/**
 * The schema that these migrations make on a server of that version.
 *
 * @param major the version, 18; of a newer one than was recorded the newest that was
 */
export function foldSnapshot(
  migrations: readonly RecordedMigration[],
  major: number,
): Snapshot {
  const snapshot = new Map<string, SchemaObject>();
  for (const { delta, versions = {} } of migrations) {
    applyDelta(snapshot, delta);
    applyDelta(snapshot, versions[major] ?? {});
  }
  return snapshot;
}

/** Changes a schema as a migration has changed it. */
export function applyDelta(
  snapshot: Map<string, SchemaObject>,
  delta: Delta,
): void {
  for (const [identity, object] of Object.entries(delta)) {
    if (object === null) snapshot.delete(identity);
    else snapshot.set(identity, object);
  }
}

/** What makes the one schema of the other. */
export function deltaOf(before: Snapshot, after: Snapshot): Delta {
  const delta: Record<string, SchemaObject | null> = {};
  for (const identity of before.keys()) {
    if (!after.has(identity)) delta[identity] = null;
  }
  for (const [identity, object] of after) {
    const known = before.get(identity);
    if (known === undefined || !isSame(known, object)) {
      delta[identity] = object;
    }
  }
  return delta;
}

function isSame(a: SchemaObject, b: SchemaObject): boolean {
  return a.hash === b.hash &&
    canonical(a.grants ?? {}) === canonical(b.grants ?? {});
}

/** What is different between two bodies of one object; the order of columns is none: see {@link orderDiffers}. */
export function bodyDifferences(
  identity: string,
  expected: Json,
  found: Json,
): readonly Difference[] {
  const [type, name] = splitIdentity(identity);
  const differences: Difference[] = [];
  const before = membersOf(expected);
  const after = membersOf(found);
  for (const key of keysOf(before, after)) {
    if (key === "order") continue;
    const member = MEMBERS[key];
    if (member === undefined) {
      differences.push(
        ...partDifferences(type, name, key, before[key], after[key]),
      );
      continue;
    }
    const [was, is] = [membersOf(before[key]), membersOf(after[key])];
    for (const one of keysOf(was, is)) {
      const object = `${name}.${one}`;
      if (is[one] === undefined) {
        differences.push(missing(member, object, was[one]!));
      } else if (was[one] === undefined) {
        differences.push(extra(member, object, is[one]!));
      } else {
        differences.push(
          ...partDifferences(member, object, null, was[one], is[one]),
        );
      }
    }
  }
  return differences;
}

/** Whether the columns that both have are in another order. */
export function orderDiffers(expected: Json, found: Json): boolean {
  const [was, is] = [expected, found].map((body) => membersOf(body).order);
  if (!Array.isArray(was) || !Array.isArray(is)) return false;
  const both = (names: readonly Json[], others: readonly Json[]) =>
    names.filter((name) => others.includes(name));
  return canonical(both(was, is)) !== canonical(both(is, was));
}

/** Who may do what, as a difference. */
export function grantDifferences(
  identity: string,
  expected: Pick<SchemaObject, "grants">,
  found: Pick<SchemaObject, "grants">,
): readonly Difference[] {
  const [type, object] = splitIdentity(identity);
  const [was, is] = [expected.grants ?? {}, found.grants ?? {}];
  return keysOf(was, is).filter((role) =>
    canonical(was[role]) !== canonical(is[role])
  ).map((role) => ({
    kind: "different",
    type,
    object,
    part: `grants to ${role}`,
    expected: was[role] ?? null,
    found: is[role] ?? null,
  }));
}

/** An object that is not there. */
export function missing(
  type: string,
  object: string,
  expected: Json,
): Difference {
  return { kind: "missing", type, object, part: null, expected, found: null };
}

/** An object that is there and was not expected. */
export function extra(type: string, object: string, found: Json): Difference {
  return { kind: "extra", type, object, part: null, expected: null, found };
}

/** The types that have a space in their names. */
const LONG_TYPE = /^(materialized view|\S+) ([^]*)$/;

/** `table killmails` → its type and its name. */
export function splitIdentity(identity: string): [type: string, name: string] {
  const [, type = "", name = ""] = LONG_TYPE.exec(identity) ?? [];
  return [type, name];
}

function partDifferences(
  type: string,
  object: string,
  part: string | null,
  expected: Json | undefined,
  found: Json | undefined,
): Difference[] {
  if (isObject(expected) && isObject(found)) {
    return keysOf(expected, found).flatMap((key) =>
      partDifferences(
        type,
        object,
        part === null ? key : `${part}.${key}`,
        expected[key],
        found[key],
      )
    );
  }
  return canonical(expected) === canonical(found) ? [] : [{
    kind: "different",
    type,
    object,
    part,
    expected: expected ?? null,
    found: found ?? null,
  }];
}

function isObject(
  value: Json | undefined,
): value is Readonly<Record<string, Json>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function membersOf(value: Json | undefined): Readonly<Record<string, Json>> {
  return isObject(value) ? value : {};
}

function keysOf(a: object, b: object): readonly string[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].sort();
}
