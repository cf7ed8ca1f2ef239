import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  parseArray,
  writeArray,
} from "../../src/postgres/values/array_text.ts";
import { anyText } from "../support/net/hostile.ts";

Deno.test("parseArray() reads PostgreSQL's arrays", () => {
  const arrays: [string, unknown][] = [
    ["{}", []],
    ["{a,b}", ["a", "b"]],
    ['{"a,b","c\\"d","e\\\\f",""}', ["a,b", 'c"d', "e\\f", ""]],
    ['{NULL,null,"NULL"}', [null, null, "NULL"]],
    ["{{a,b},{c,d}}", [["a", "b"], ["c", "d"]]],
    ["[2:3]={a,b}", ["a", "b"]],
    ["[0:0][0:0]={{a}}", [["a"]]],
    ["{a b,é😀}", ["a b", "é😀"]],
  ];

  for (const [text, values] of arrays) {
    assertEquals(parseArray(text, ","), values);
  }
});

Deno.test("parseArray() converts elements and knows other delimiters", () => {
  assertEquals(parseArray("{1,NULL,{2}}", ",", Number), [1, null, [2]]);
  assertEquals(parseArray("{(1,2),(3,4);(5,6),(7,8)}", ";"), [
    "(1,2),(3,4)",
    "(5,6),(7,8)",
  ]);
});

Deno.test("parseArray() refuses an array that does not end", () => {
  for (const text of ["{", "{a", '{"a', "{{a}", "{a,"]) {
    assertThrows(
      () => parseArray(text, ","),
      SyntaxError,
      "Cannot read an array: it does not end",
    );
  }
});

Deno.test("writeArray() writes what parseArray() reads", () => {
  const element = fc.oneof(
    anyText,
    fc.constant(null),
    fc.constant("NULL"),
  );

  fc.assert(
    fc.property(
      fc.array(element),
      fc.array(fc.array(element, { minLength: 1, maxLength: 4 }), {
        minLength: 1,
        maxLength: 4,
      }),
      (flat, nested) => {
        for (const values of [flat, nested]) {
          for (const delimiter of [",", ";"]) {
            assertEquals(
              parseArray(
                writeArray(values, delimiter, (value) => value as string),
                delimiter,
              ),
              values,
            );
          }
        }
      },
    ),
  );
});

Deno.test("writeArray() writes the holes of a sparse array", () => {
  // deno-lint-ignore no-sparse-arrays -- they are the subject
  const values = ["a", , ["b", null]];

  assertEquals(
    writeArray(values, ",", (value) => (value ?? null) as string | null),
    '{"a",NULL,{"b",NULL}}',
  );
});
