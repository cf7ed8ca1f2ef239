/**
 * All that is different between the schema that is expected and one that was found, whose bodies are read as far as needed.
 *
 * @module
 */
import type { Json, SchemaObject } from "./recording.ts";
import {
  bodyDifferences,
  type Difference,
  extra,
  grantDifferences,
  MEMBER_TYPES,
  missing,
  orderDiffers,
  type Snapshot,
  splitIdentity,
} from "./snapshot.ts";

/** Something that is not compared, and why. */
export interface NotCompared {
  readonly type: string;
  readonly object: string;
  readonly reason: string;
}

export interface Comparison {
  readonly differences: readonly Difference[];
  readonly notCompared: readonly NotCompared[];
  /** Tables whose columns stand in another order, which is no difference. */
  readonly reordered: readonly string[];
}

/** An object without its body. */
export type FoundObject = Omit<SchemaObject, "body">;

/** A schema, and as much of its bodies as was read. */
export interface Side {
  readonly objects: ReadonlyMap<string, FoundObject>;
  readonly bodies: ReadonlyMap<string, Json>;
}

/** Both sides of a schema that is known in full. */
export function sideOf(snapshot: Snapshot): Side {
  return {
    objects: snapshot,
    bodies: new Map(
      [...snapshot].map(([identity, { body }]) => [identity, body]),
    ),
  };
}

/** The objects that both have, with different hashes: their bodies have to be read. */
export function unlike(
  expected: Side["objects"],
  found: Side["objects"],
): readonly string[] {
  return [...found].filter(([identity, { hash }]) => {
    const known = expected.get(identity);
    return known !== undefined && known.hash !== hash;
  }).map(([identity]) => identity);
}

/**
 * Compares a schema with what is expected. An object of {@link unlike} whose bodies are missing is told as different without
 * saying in what.
 *
 * @param options.grants whether it is compared who may do what
 */
export function compareSchemas(
  expected: Side,
  found: Side,
  options: { readonly grants: boolean },
): Comparison {
  const differences: Difference[] = [];
  const notCompared: NotCompared[] = [];
  const reordered: string[] = [];
  for (const identity of expected.objects.keys()) {
    if (!found.objects.has(identity)) {
      const body = expected.bodies.get(identity) ?? null;
      differences.push(missing(...splitIdentity(identity), body));
    }
  }
  for (const [identity, object] of found.objects) {
    const [type, name] = splitIdentity(identity);
    const known = expected.objects.get(identity);
    if (known === undefined) {
      if (isMadeAtRunTime(object, expected.objects, found.objects)) {
        notCompared.push({
          type,
          object: name,
          reason: `a partition of ${object.parent} that was made at run time`,
        });
      } else {
        const body = found.bodies.get(identity) ?? null;
        differences.push(extra(type, name, body));
      }
      continue;
    }
    if (options.grants) {
      differences.push(...grantDifferences(identity, known, object));
    }
    if (known.hash === object.hash) continue;
    const [was, is] = [expected, found].map(({ bodies }) =>
      bodies.get(identity)
    );
    if (was === undefined || is === undefined) {
      differences.push({
        kind: "different",
        type,
        object: name,
        part: null,
        expected: null,
        found: null,
      });
      continue;
    }
    differences.push(...bodyDifferences(identity, was, is));
    if (orderDiffers(was, is)) reordered.push(name);
  }
  const rank = ({ type, object }: Difference) => `${object}\0${type}`;
  return {
    differences: differences.sort((a, b) => rank(a) < rank(b) ? -1 : 1),
    notCompared,
    reordered,
  };
}

/** Whether the table is a partition of one that is expected, or of such a partition. */
function isMadeAtRunTime(
  { parent }: FoundObject,
  expected: Side["objects"],
  found: Side["objects"],
): boolean {
  if (parent === undefined) return false;
  const identity = `table ${parent}`;
  if (expected.has(identity)) return true;
  const above = found.get(identity);
  return above !== undefined && isMadeAtRunTime(above, expected, found);
}

/** What is left out of a comparison, and why: an object with all that belongs to it, or a part of all objects of some types. */
export type Exclusion =
  & { readonly reason: string }
  & (
    | { readonly type: string; readonly object: string }
    | { readonly part: string; readonly types: readonly string[] }
  );

/** A comparison without what is left out of it: that is told as not compared. */
export function without(
  { differences, notCompared, reordered }: Comparison,
  exclusions: readonly Exclusion[],
): Comparison {
  const kept: Difference[] = [];
  const left = [...notCompared];
  for (const difference of differences) {
    const exclusion = exclusions.find((one) => isLeftOut(difference, one));
    if (exclusion === undefined) kept.push(difference);
    else {
      const { type, object } = difference;
      left.push({ type, object, reason: exclusion.reason });
    }
  }
  return { differences: kept, notCompared: left, reordered };
}

function isLeftOut(difference: Difference, exclusion: Exclusion): boolean {
  if ("part" in exclusion) {
    return difference.part === exclusion.part &&
      exclusion.types.includes(difference.type);
  }
  return belongsTo(difference, exclusion);
}

/** Whether a difference is in an object, or in what belongs to that. */
export function belongsTo(
  difference: Difference,
  { type, object }: { readonly type: string; readonly object: string },
): boolean {
  if (difference.object === object) return difference.type === type;
  return OWNERS.includes(type) && difference.object.startsWith(`${object}.`) &&
    MEMBER_TYPES.includes(difference.type);
}

/** What has members with names of their own. */
const OWNERS = ["table", "view", "materialized view", "domain"];
