/**
 * From a place in bundled code to the one in the source that it was made from.
 *
 * @module
 */

/** The part of a source map that is needed, as https://tc39.es/ecma426/ has it; of the sources those that are asked for. */
export interface SourceMap {
  /** The name of the file of code. */
  readonly file: string;
  readonly sources: readonly string[];
  readonly mappings: string;
}

export interface Position {
  readonly source: string;
  /** Counted from 1, as `column`. */
  readonly line: number;
  readonly column: number;
}

const DIGITS =
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** The place in a source that a place in the code comes from; both are counted from 1. */
export function originalPosition(
  { sources, mappings }: SourceMap,
  line: number,
  column: number,
): Position | undefined {
  let found: Position | undefined;
  // All but the column in the code are counted on from the segment before, also from that of another line.
  let [source, sourceLine, sourceColumn] = [0, 0, 0];
  for (const [i, text] of mappings.split(";", line).entries()) {
    let codeColumn = 0;
    for (const segment of text === "" ? [] : text.split(",")) {
      const [forward = 0, ...place] = numbersOf(segment);
      codeColumn += forward;
      if (place.length > 0) {
        source += place[0]!;
        sourceLine += place[1]!;
        sourceColumn += place[2]!;
      }
      if (i !== line - 1 || codeColumn >= column) continue;
      found = place.length === 0 ? undefined : {
        source: sources[source]!,
        line: sourceLine + 1,
        column: sourceColumn + 1,
      };
    }
  }
  return found;
}

/** Base 64 digits of five bits each, the least first; the sixth bit says that more follow, the first of all is the sign. */
function numbersOf(segment: string): number[] {
  const numbers: number[] = [];
  let [value, shift] = [0, 0];
  for (const character of segment) {
    const digit = DIGITS.indexOf(character);
    value += (digit & 31) << shift;
    shift += 5;
    if (digit & 32) continue;
    numbers.push(value & 1 ? -(value >> 1) : value >> 1);
    [value, shift] = [0, 0];
  }
  return numbers;
}
