/**
 * What is different in the places that a run has touched: those that its migrations were recorded to change, and those that
 * have changed while it ran.
 *
 * @module
 */
import {
  belongsTo,
  compareSchemas,
  type Comparison,
  type Side,
} from "./differences.ts";
import type { Difference } from "./snapshot.ts";

/** A schema before a run and after it. */
export interface Sides {
  readonly before: Side;
  readonly after: Side;
}

const NO_BODIES: Side["bodies"] = new Map();
const NO_GRANTS = { grants: false };

/**
 * Compares what a run has made with what it should have made. What was different before, in a place that the run leaves alone,
 * is none of its business.
 *
 * @param touched.planned objects that the run was recorded to change, by identity
 * @param touched.suspects those of them that are not as expected after it: their bodies are known on all sides
 */
export function compareTouched(
  { planned, suspects }: {
    readonly planned: ReadonlySet<string>;
    readonly suspects: ReadonlySet<string>;
  },
  expected: Sides,
  found: Sides,
): Comparison {
  const suspect = ({ objects, bodies }: Side): Side => ({
    objects: new Map([...objects].filter(([name]) => suspects.has(name))),
    bodies,
  });
  const compare = (was: Side, is: Side) =>
    compareSchemas(suspect(was), suspect(is), NO_GRANTS).differences;
  const changes = [expected, found].flatMap(({ before, after }) =>
    compare(before, after)
  );
  const wrong = compare(expected.after, found.after).filter((one) =>
    changes.some((change) => isSamePlace(one, change))
  );
  // All that was there, so that a partition of a table that is planned is known as one.
  const others = compareSchemas(
    { objects: found.before.objects, bodies: NO_BODIES },
    {
      objects: new Map(
        [...found.after.objects].filter(([name]) => !planned.has(name)),
      ),
      bodies: NO_BODIES,
    },
    NO_GRANTS,
  );
  return {
    differences: [
      ...wrong,
      ...others.differences.filter(({ type, object }) =>
        !planned.has(`${type} ${object}`)
      ),
    ],
    notCompared: others.notCompared,
    reordered: [],
  };
}

/** Whether one of the two is in what the other is about. */
function isSamePlace(a: Difference, b: Difference): boolean {
  return isWithin(a, b) || isWithin(b, a);
}

function isWithin(inner: Difference, outer: Difference): boolean {
  const isPart = outer.type === "table" && outer.part !== null;
  return isPart
    ? inner.type === "table" && inner.object === outer.object &&
      inner.part === outer.part
    : belongsTo(inner, outer);
}
