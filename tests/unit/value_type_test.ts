import { assertEquals } from "@std/assert";
import {
  builtInParsers,
  builtInType,
  parserOf,
  readTypes,
} from "../../src/postgres/values/value_type.ts";

/** OIDs that a server would have given to types of its own. */
const [MOOD, MOODS, DOCUMENT, DOCUMENTS, PLACE, PLACES, TAGS] = [
  16_401,
  16_400,
  16_403,
  16_402,
  16_405,
  16_404,
  16_406,
];

const ROWS = [
  row({ oid: MOOD, category: "E" }),
  row({ oid: MOODS, element: MOOD }),
  row({ oid: DOCUMENT, base: 3802 }),
  row({ oid: DOCUMENTS, element: DOCUMENT }),
  row({ oid: PLACE, category: "U", delimiter: ":" }),
  row({ oid: PLACES, element: PLACE }),
  row({ oid: TAGS, base: 1009 }),
];

Deno.test("builtInType() knows PostgreSQL's own types", () => {
  const text = { oid: 25, isText: true };
  assertEquals(builtInType(25), text);
  assertEquals(builtInType(23), { oid: 23, isText: false });
  assertEquals(builtInType(1009), {
    oid: 1009,
    elements: { type: text, delimiter: "," },
    isText: false,
  });
  assertEquals(builtInType(1020)?.elements?.delimiter, ";");
  assertEquals(builtInType(MOOD), undefined);
});

Deno.test("builtInParsers() reads scalars and arrays of them", () => {
  const parsers = builtInParsers();
  const values: [number, string, unknown][] = [
    [16, "t", true],
    [16, "f", false],
    [23, "-7", -7],
    [701, "0.1", 0.1],
    [701, "NaN", NaN],
    [701, "-Infinity", -Infinity],
    [114, '{"a":[1]}', { a: [1] }],
    [1000, "{t,f,NULL}", [true, false, null]],
    [1007, "{{1,2},{3,4}}", [[1, 2], [3, 4]]],
    [1016, "{9007199254740993}", ["9007199254740993"]],
    [3807, '{"{\\"a\\": 1}"}', [{ a: 1 }]],
    [1020, "{(1,1),(0,0);(2,2),(1,1)}", ["(1,1),(0,0)", "(2,2),(1,1)"]],
  ];

  for (const [oid, text, value] of values) {
    assertEquals(parsers[oid]!(text), value);
  }
  for (const oid of [20, 25, 1700, 1186, 600]) {
    assertEquals(parsers[oid], undefined);
  }
});

Deno.test("builtInParsers() reads bytes in both of PostgreSQL's formats", () => {
  const bytes = builtInParsers()[17]!;
  const read = (text: string) => [...bytes(text) as Uint8Array];

  assertEquals(read("\\x00275cff"), [0, 39, 92, 255]);
  assertEquals(read("\\x"), []);
  assertEquals(read("\\000'\\\\\\377"), [0, 39, 92, 255]);
  assertEquals(read("\\\\x00"), [92, 120, 48, 48]);
});

Deno.test("readTypes() sees through domains, also within arrays", () => {
  const types = readTypes(ROWS);

  assertEquals(types.get(MOOD), { oid: MOOD, isText: true });
  assertEquals(types.get(DOCUMENT), { oid: 3802, isText: false });
  assertEquals(types.get(TAGS), builtInType(1009));
  assertEquals(types.get(PLACES)?.elements?.delimiter, ":");
  const read = (oid: number, text: string) => parserOf(types.get(oid)!)?.(text);
  assertEquals(read(MOODS, "{happy,sad}"), ["happy", "sad"]);
  assertEquals(read(DOCUMENTS, '{"{\\"a\\": 1}",NULL}'), [{ a: 1 }, null]);
  assertEquals(read(PLACES, "{1,2:3,4}"), ["1,2", "3,4"]);
  assertEquals(parserOf(types.get(MOOD)!), undefined);
});

function row(
  parts: {
    oid: number;
    base?: number;
    element?: number;
    delimiter?: string;
    category?: string;
  },
): Record<string, unknown> {
  return { base: 0, element: null, delimiter: ",", category: "U", ...parts };
}
