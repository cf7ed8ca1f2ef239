/**
 * Differences between schemas in the words of a message.
 *
 * @module
 */
import type { Difference } from "../insight/snapshot.ts";
import type { Json } from "../insight/recording.ts";

/** How much of a value is shown. */
const LONGEST = 120;

/** A difference on one line: `different  column killmails.isk_value: type: expected numeric, found numeric(30,2)`. */
export function differenceText(difference: Difference): string {
  const { kind, type, object, part, expected, found } = difference;
  const what = `${kind.padEnd("different".length)}  ${type} ${object}`;
  if (kind === "different") {
    const of = part === null ? "" : `${part}: `;
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
    ? ` (${columns.join(", ")})`
    : "";
  return `${type}${of}`;
}

function shown(value: Json): string {
  if (value === null) return "none";
  const text = typeof value === "string" ? value : JSON.stringify(value);
  const line = text.replaceAll(/\s+/g, " ").trim();
  return line.length > LONGEST ? `${line.slice(0, LONGEST)}…` : line;
}
