import { assertEquals, assertThrows } from "@std/assert";
import { writeParameters } from "../../src/postgres/values/parameters.ts";
import { builtInType } from "../../src/postgres/values/value_type.ts";

const STATEMENT = "insert into t values ($1)";

Deno.test("writeParameters() writes values as node-postgres does", () => {
  const own = { toPostgres: () => 17 };
  const values: [unknown, string | null][] = [
    ['it\'s "one" \\ x', 'it\'s "one" \\ x'],
    ["", ""],
    [12, "12"],
    [-0, "0"],
    [1e21, "1e+21"],
    [NaN, "NaN"],
    [-Infinity, "-Infinity"],
    [9_007_199_254_740_993n, "9007199254740993"],
    [true, "true"],
    [false, "false"],
    [null, null],
    [{ a: 1, b: undefined, c: [null] }, '{"a":1,"c":[null]}'],
    [new String("boxed"), '"boxed"'],
    [own, "17"],
    [
      { toPostgres: (write: (value: unknown) => unknown) => write([1, "b"]) },
      '{"1","b"}',
    ],
  ];

  for (const [value, text] of values) {
    assertEquals(writeParameters(STATEMENT, [value]), [text]);
  }
});

Deno.test("writeParameters() writes a bigint in an object as a number with all its digits", () => {
  const value = { big: 12_345_678_901_234_567_890n, list: [1n] };

  assertEquals(writeParameters(STATEMENT, [value]), [
    '{"big":12345678901234567890,"list":[1]}',
  ]);
});

Deno.test("writeParameters() writes an array as JSON where JSON is wanted, else as an array", () => {
  const values = [
    "a",
    'b"c\\',
    "",
    "NULL",
    null,
    undefined,
    1n,
    true,
    { a: 1 },
    [2],
  ];

  assertEquals(
    written(values, JSON_OID),
    '["a","b\\"c\\\\","","NULL",null,null,1,true,{"a":1},[2]]',
  );
  assertEquals(
    written(values, TEXTS),
    '{"a","b\\"c\\\\","","NULL",NULL,NULL,"1","true","{\\"a\\":1}",{"2"}}',
  );
  assertEquals(written([], TEXTS), "{}");
  assertEquals(written([], JSON_OID), "[]");
  assertEquals(
    written(["(1,1),(0,0)", "(2,2),(1,1)"], BOXES),
    '{"(1,1),(0,0)";"(2,2),(1,1)"}',
  );
  assertEquals(
    written([{ toPostgres: () => [1] }, new Uint8Array([1, 255])], TEXTS),
    '{"{\\"1\\"}","\\\\x01ff"}',
  );
});

Deno.test("writeParameters() writes bytes as the type has it that is wanted", () => {
  const bytes = new Uint8Array([0, 97, 98, 99, 0]).subarray(1, 4);

  assertEquals(written(bytes, BYTEA), "\\x616263");
  assertEquals(written(bytes.slice().buffer, BYTEA), "\\x616263");
  assertEquals(written(new DataView(bytes.slice().buffer), BYTEA), "\\x616263");
  assertEquals(written(bytes, TEXT), "abc");
  assertEquals(written(new Uint8Array(16).fill(17), UUID), "11".repeat(16));
  assertEquals(written(bytes, INTEGER), "\\x616263");
});

Deno.test("writeParameters() leaves an invalid date to the server where that does not take any text", () => {
  assertEquals(written(new Date(NaN), TIMESTAMPTZ), "Invalid Date");
});

Deno.test("writeParameters() refuses what cannot be sent, by its statement and its place", () => {
  const circle: Record<string, unknown> = {};
  circle.self = circle;
  const loop = { toPostgres: (): unknown => loop };
  const refusals: [unknown, string][] = [
    [undefined, "is undefined; to write NULL pass null"],
    [{ toPostgres: () => undefined }, "is undefined; to write NULL pass null"],
    [
      { toJSON: () => undefined },
      "is undefined as JSON; to write NULL pass null",
    ],
    [() => 1, "is a function, which is no value for a column"],
    [Symbol("s"), "is a symbol, which is no value for a column"],
    [
      "a\ud800b",
      "holds half of a surrogate pair, which is no character and has no form in UTF-8",
    ],
    [circle, "cannot be written as JSON"],
    [loop, "has a toPostgres that leads back to itself"],
  ];

  for (const [value, why] of refusals) {
    assertRefused(
      () => writeParameters("select\n  $1, $2", [1, value]),
      `Cannot run "select $1, $2": parameter $2 ${why}`,
    );
  }
  assertRefused(
    () => written([Symbol("s")], TEXTS),
    `Cannot run "${STATEMENT}": parameter $1 is a symbol, which is no value for a column`,
  );
  assertRefused(
    () => written(new Date(NaN), TEXT),
    `Cannot run "${STATEMENT}": parameter $1 is an invalid Date`,
  );
  assertRefused(
    () => written(new Uint8Array([255]), TEXT),
    `Cannot run "${STATEMENT}": parameter $1 is to be a text, and its bytes are no UTF-8`,
  );
});

Deno.test("writeParameters() refuses more parameters than the protocol can count", () => {
  const text = `insert into t values (${"$1, ".repeat(40)}$1)`;

  assertEquals(writeParameters(text, Array(65_535).fill(1)).length, 65_535);
  assertRefused(
    () => writeParameters(text, Array(65_536).fill(1)),
    `Cannot run "${
      text.slice(0, 100)
    }…": it has 65536 parameters, and PostgreSQL takes at most 65535; make several statements of it`,
  );
});

/** OIDs of `pg_type`. */
const [TIMESTAMPTZ, BYTEA, TEXT, INTEGER, UUID, JSON_OID, TEXTS, BOXES] = [
  1184,
  17,
  25,
  23,
  2950,
  3802,
  1009,
  1020,
];

function written(value: unknown, oid: number): unknown {
  const [parameter] = writeParameters(STATEMENT, [value]);
  return typeof parameter === "function"
    ? parameter(builtInType(oid)!)
    : parameter;
}

function assertRefused(act: () => unknown, message: string): void {
  assertEquals(assertThrows(act, Error).message, message);
}
