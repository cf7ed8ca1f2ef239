/**
 * Differences between schemas in the words of a message.
 *
 * @module
 */
import type { Comparison, NotCompared } from "../insight/differences.ts";
import type { Difference } from "../insight/snapshot.ts";
import type { Json } from "../insight/recording.ts";
import { quote, visible } from "../text.ts";
import type { Blocker } from "./events.ts";
import { blockerText, count } from "./wording.ts";

/** A session that has locked a relation for itself alone. */
export interface SchemaLockHolder extends Blocker {
  readonly relation: string;
}

/** What the comparison of a schema comes to, for a person. */
export function verificationLines(
  { differences, notCompared, reordered }: Comparison,
  migration: string | null,
): string[] {
  const schema = migration === null
    ? "an empty schema"
    : `the schema of ${visible(migration)}`;
  return [
    ...differences.map(differenceText),
    ...reordered.map((table) =>
      `note       the columns of table ${visible(table)} are in another order`
    ),
    ...notComparedLines(notCompared),
    differences.length === 0
      ? `Matches ${schema}`
      : `Differs in ${count(differences.length, "place")} from ${schema}`,
  ];
}

/** One line for each reason: there may be hundreds of partitions. */
function notComparedLines(list: readonly NotCompared[]): string[] {
  return [...Map.groupBy(list, ({ reason }) => reason)].map(
    ([reason, [first, ...others]]) => {
      const { type, object } = first!;
      const more = others.length === 0 ? "" : ` and ${others.length} more`;
      return `not compared  ${type} ${visible(object)}${more}: ${
        visible(reason)
      }`;
    },
  );
}

/** Who has locked relations of the schema. */
export function schemaHoldersText(
  holders: readonly SchemaLockHolder[],
): string {
  if (holders.length === 0) {
    return "a lock of another session was in the way, which is gone by now, or belongs to the server itself";
  }
  return holders.map((holder) =>
    `${quote(holder.relation)} is ${
      blockerText(holder).replace("blocked", "locked")
    }`
  ).join("; ");
}

/** How much of a value is shown. */
const LONGEST = 120;

/** A difference on one line: `different  column killmails.isk_value: type: expected numeric, found numeric(30,2)`. */
export function differenceText(difference: Difference): string {
  const { kind, type, object, part, expected, found } = difference;
  const what = `${kind.padEnd("different".length)}  ${type} ${visible(object)}`;
  if (kind === "different") {
    if (part === null && expected === null && found === null) return what;
    const of = part === null ? "" : `${visible(part)}: `;
    return `${what}: ${of}expected ${shown(expected)}, found ${shown(found)}`;
  }
  const detail = gist(kind === "missing" ? expected : found);
  return detail === undefined ? what : `${what}: ${detail}`;
}

/** What says most of an object in a few words. */
function gist(value: Json): string | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return undefined;
  }
  const { definition, type, columns, expression } = value as Readonly<
    Record<string, Json>
  >;
  if (typeof definition === "string") return shown(definition);
  if (typeof type !== "string") return undefined;
  const of = typeof expression === "string"
    ? ` ${shown(expression)}`
    : Array.isArray(columns)
    ? ` (${shown(columns.join(", "))})`
    : "";
  return `${shown(type)}${of}`;
}

function shown(value: Json): string {
  if (value === null) return "none";
  const text = typeof value === "string" ? value : JSON.stringify(value);
  const line = visible(text.replaceAll(/\s+/g, " ").trim());
  return line.length > LONGEST ? `${line.slice(0, LONGEST)}…` : line;
}
