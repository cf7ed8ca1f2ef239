import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  originalPosition,
  type Position,
  type SourceMap,
} from "../../src/registry/source_map.ts";

/** Where a piece of code begins, and what it comes from; nothing of the sources when that is missing. */
interface Segment {
  readonly line: number;
  readonly column: number;
  readonly from?: Position;
}

const SOURCES = ["migrations/0001_a.ts", "migrations/0002_b.ts"];

const DIGITS =
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** Writes a source map, as bundlers do. `segments` are in the order of the code. */
function write(segments: readonly Segment[]): SourceMap {
  const lines: string[][] = [[]];
  let [column, source, fromLine, fromColumn] = [0, 0, 0, 0];
  for (const segment of segments) {
    while (lines.length < segment.line) {
      lines.push([]);
      column = 0;
    }
    const numbers = [segment.column - 1 - column];
    column = segment.column - 1;
    if (segment.from !== undefined) {
      const place = SOURCES.indexOf(segment.from.source);
      numbers.push(
        place - source,
        segment.from.line - 1 - fromLine,
        segment.from.column - 1 - fromColumn,
      );
      source = place;
      fromLine = segment.from.line - 1;
      fromColumn = segment.from.column - 1;
    }
    lines.at(-1)!.push(numbers.map(digits).join(""));
  }
  return {
    file: "mod.js",
    sources: SOURCES,
    mappings: lines.map((line) => line.join(",")).join(";"),
  };
}

function digits(number: number): string {
  let [value, text] = [Math.abs(number) * 2 + (number < 0 ? 1 : 0), ""];
  do {
    const more = value >= 32;
    text += DIGITS[value % 32 + (more ? 32 : 0)];
    value = Math.floor(value / 32);
  } while (value > 0);
  return text;
}

const place = fc.integer({ min: 1, max: 100_000 });
const segments: fc.Arbitrary<Segment[]> = fc.uniqueArray(
  fc.record({
    line: fc.integer({ min: 1, max: 4 }),
    column: place,
    from: fc.record({
      source: fc.constantFrom(...SOURCES),
      line: place,
      column: place,
    }),
  }, { requiredKeys: ["line", "column"] }),
  { selector: ({ line, column }) => `${line}:${column}` },
).map((all) => all.sort((a, b) => a.line - b.line || a.column - b.column));

Deno.test("originalPosition() is that of the last piece that begins at or before the place", () => {
  fc.assert(
    fc.property(
      segments,
      fc.integer({ min: 1, max: 5 }),
      place,
      (segments, line, column) => {
        const last = segments.findLast((one) =>
          one.line === line && one.column <= column
        );
        assertEquals(
          originalPosition(write(segments), line, column),
          last?.from,
        );
      },
    ),
  );
});

Deno.test("originalPosition() knows none of what is not in the map", () => {
  const map = { file: "mod.js", sources: SOURCES, mappings: "" };
  assertEquals(originalPosition(map, 1, 1), undefined);
});
