/**
 * Values of every kind and columns of many types: what node-postgres 8.23 makes of each, recorded, and migrations that
 * write them.
 *
 * @module
 */
import type { Migrations } from "./scenario.ts";

/** A value as it stands in a source, and the text that the server then has of it. */
type Value = readonly [source: string, text: string | null];

/** An instant that is another day where the zone is another. */
const LATE = "new Date(Date.UTC(2026, 0, 2, 22, 4, 5, 678))";

/** Column → its type, and what is written to it. The process and the session are in UTC. */
const COLUMNS: Readonly<Record<string, readonly [string, readonly Value[]]>> = {
  words: ["text", [
    [`"it's \\"one\\" \\\\ x"`, `it's "one" \\ x`],
    [`""`, ""],
    [`'{"a":1}'`, '{"a":1}'],
    [`"null"`, "null"],
    [`"ß – 日本 🚀"`, "ß – 日本 🚀"],
    [`"line\\nbreak\\ttab"`, "line\nbreak\ttab"],
    [`"$1 and $2"`, "$1 and $2"],
    ["12", "12"],
    ["1e21", "1e+21"],
    ["true", "true"],
    ["null", null],
    ["[1, null]", '{"1",NULL}'],
    ["{ a: 1 }", '{"a":1}'],
    ["new Uint8Array([195, 159])", "ß"],
    [LATE, "2026-01-02T22:04:05.678+00:00"],
  ]],
  letters: ["varchar(20)", [[`"short"`, "short"], ["7", "7"]]],
  whole: ["integer", [["-0", "0"], ["2147483647", "2147483647"], [
    `"42"`,
    "42",
  ]]],
  big: ["bigint", [["9007199254740993n", "9007199254740993"], [
    `" 12 "`,
    "12",
  ]]],
  exact: ["numeric", [
    ["0.1", "0.1"],
    ["1e21", "1000000000000000000000"],
    [`"123456789012345678901234567890.5"`, "123456789012345678901234567890.5"],
  ]],
  double: ["double precision", [
    ["0.1", "0.1"],
    ["1e300", "1e+300"],
    ["NaN", "NaN"],
    ["-Infinity", "-Infinity"],
  ]],
  yes: ["boolean", [
    ["true", "true"],
    [`"true"`, "true"],
    [`"f"`, "false"],
    ["0", "false"],
  ]],
  day: ["date", [
    [`"2026-01-02"`, "2026-01-02"],
    [`"infinity"`, "infinity"],
    [LATE, "2026-01-02"],
    ["-Infinity", "-infinity"],
  ]],
  moment: ["timestamptz", [
    [LATE, "2026-01-02 22:04:05.678+00"],
    ["new Date(Date.UTC(-43, 2, 15, 12))", "0044-03-15 12:00:00+00 BC"],
    ["new Date(Date.UTC(12345, 0, 2))", "12345-01-02 00:00:00+00"],
    [`"2026-01-02 03:04:05+02"`, "2026-01-02 01:04:05+00"],
    [`"-infinity"`, "-infinity"],
    [`"0044-03-15 BC"`, "0044-03-15 00:00:00+00 BC"],
  ]],
  local: ["timestamp", [
    [LATE, "2026-01-02 22:04:05.678"],
    [`"2026-01-02 03:04:05"`, "2026-01-02 03:04:05"],
  ]],
  clock: ["time", [[`"03:04:05.123456"`, "03:04:05.123456"]]],
  span: ["interval", [[`"1 day 02:03"`, "1 day 02:03:00"], ["12", "00:00:12"]]],
  bytes: ["bytea", [
    ["new Uint8Array([0, 1, 39, 92, 255])", "\\x0001275cff"],
    ["new Uint8Array([9, 97, 98]).subarray(1)", "\\x6162"],
    ["new Uint8Array(0)", "\\x"],
    [`"abc"`, "\\x616263"],
  ]],
  id: ["uuid", [
    [
      `"0b4cfa3e-4c1f-4b0b-8c7e-2f5d0d6a8b11"`,
      "0b4cfa3e-4c1f-4b0b-8c7e-2f5d0d6a8b11",
    ],
    [
      "new Uint8Array(16).fill(17)",
      "11111111-1111-1111-1111-111111111111",
    ],
  ]],
  address: ["inet", [[`"10.0.0.1/8"`, "10.0.0.1/8"]]],
  place: ["point", [[`"(1,2)"`, "(1,2)"]]],
  document: ["jsonb", [
    [
      `{ a: 1, b: [true, null], c: "it's" }`,
      `{"a": 1, "b": [true, null], "c": "it's"}`,
    ],
    [`'{"a":1}'`, '{"a": 1}'],
    ["12", "12"],
    ["true", "true"],
    ["9007199254740993n", "9007199254740993"],
    // Where node-postgres fails, or writes another value.
    ["[1, [2], null]", "[1, [2], null]"],
    ["[]", "[]"],
    ["{ big: 9007199254740993n }", '{"big": 9007199254740993}'],
  ]],
  paper: ["json", [[`["a", { b: 1 }]`, '["a",{"b":1}]']]],
  form: ["document", [[`[{ a: 1 }]`, '[{"a": 1}]'], [
    "{ a: [] }",
    '{"a": []}',
  ]]],
  numbers: ["integer[]", [
    ["[1, 2, null]", "{1,2,NULL}"],
    ["[]", "{}"],
    ["[[1, 2], [3, 4]]", "{{1,2},{3,4}}"],
    [`"{4,5}"`, "{4,5}"],
  ]],
  bounded: ["integer[]", [[`"[2:3]={4,5}"`, "[2:3]={4,5}"]]],
  texts: ["text[]", [
    [
      `["a", "b,c", 'd"e', "f\\\\g", "", "null", "{h}"]`,
      `{a,"b,c","d\\"e","f\\\\g","","null","{h}"}`,
    ],
    ["[null, undefined]", "{NULL,NULL}"],
  ]],
  pieces: ["bytea[]", [[
    "[new Uint8Array([0, 92]), null]",
    `{"\\\\x005c",NULL}`,
  ]]],
  documents: ["jsonb[]", [["[{ a: 1 }, null]", `{"{\\"a\\": 1}",NULL}`]]],
  moments: ["timestamptz[]", [[
    `[${LATE}, null]`,
    `{"2026-01-02 22:04:05.678+00",NULL}`,
  ]]],
  locals: ["timestamp[]", [[`[${LATE}]`, `{"2026-01-02 22:04:05.678"}`]]],
  boxes: ["box[]", [[
    `["(2,2),(1,1)", "(4,4),(3,3)"]`,
    "{(2,2),(1,1);(4,4),(3,3)}",
  ]]],
  mood: ["mood", [[`"happy"`, "happy"]]],
  moods: ["mood[]", [[`["happy", "sad"]`, "{happy,sad}"], ["[]", "{}"]]],
  count: ["positive", [["3", "3"]]],
  counts: ["positive[]", [["[3, 4]", "{3,4}"]]],
  tags: ["tags", [[`["a", "b"]`, "{a,b}"]]],
  forms: ["document[]", [["[{ a: [1] }]", `{"{\\"a\\": [1]}"}`]]],
  pair: ["pair", [[`"(1,\\"a b\\")"`, `(1,"a b")`]]],
  pairs: ["pair[]", [[`['(1,"a,b")']`, `{"(1,\\"a,b\\")"}`]]],
  range: ["int4range", [[`"[1,3)"`, "[1,3)"]]],
  spans: ["span[]", [[`["[1,3)"]`, `{"[1,3)"}`]]],
};

const ENTRIES = Object.entries(COLUMNS);

/** What JavaScript has no values for: bounds other than 1, a number of JSON with so many digits, a text that is JSON. */
const LOSSY = ["bounded", "document"];

/** The rows that {@link EVERY_KIND} leaves: kind, and the text that the server has of it. */
export const EXPECTED: readonly (readonly [string, string | null])[] = ENTRIES
  .flatMap(([kind, [, values]]) =>
    values.map(([, text]) => [kind, text] as const)
  );

/** The same of the table `copies`. */
export const EXPECTED_COPIES: typeof EXPECTED = EXPECTED.filter(([kind]) =>
  !LOSSY.includes(kind)
);

/** Asks for the rows of a table as {@link EXPECTED} has them: `kind` and `text`. */
export function kindsQuery(table: "kinds" | "copies"): string {
  const texts = ENTRIES.map(([kind]) => `when '${kind}' then ${kind}::text`);
  return `select kind, case kind ${
    texts.join(" ")
  } end as text from ${table} order by row`;
}

const CREATE = (table: string) =>
  `create table ${table} (row integer primary key, kind text, ${
    ENTRIES.map(([name, [type]]) => `${name} ${type}`).join(", ")
  })`;

/** Writes a value of every kind, one to a row, in types that are made in the same run, and copies what it reads of them. */
export const EVERY_KIND: Migrations = {
  "0001_types": source([
    "create type mood as enum ('happy', 'sad')",
    "create domain positive as integer check (value > 0)",
    "create domain document as jsonb",
    "create domain tags as text[]",
    "create type pair as (a integer, b text)",
    "create type span as range (subtype = integer)",
    CREATE("kinds"),
    CREATE("copies"),
  ].map((text) => `  await sql.raw(${JSON.stringify(text)}).execute(db);`)),
  "0002_values": source([
    "  const values: [number, string, unknown][] = [",
    ...ENTRIES.flatMap(([name, [, values]]) =>
      values.map(([value]) => [name, value])
    ).map(([name, value], i) => `    [${i}, "${name}", ${value}],`),
    "  ];",
    "  for (const [row, kind, value] of values) {",
    `    await db.insertInto("kinds").values({ row, kind, [kind]: value }).execute();`,
    "  }",
  ]),
  "0003_copies": source([
    `  const rows = await db.selectFrom("kinds").selectAll().where("kind", "not in", ${
      JSON.stringify(LOSSY)
    }).execute();`,
    "  for (const row of rows) {",
    `    await db.insertInto("copies").values(row).execute();`,
    "  }",
  ]),
};

function source(lines: readonly string[]): string {
  return `import { type Kysely, sql } from "kysely";

// deno-lint-ignore no-explicit-any -- as in any migration
export async function up(db: Kysely<any>): Promise<void> {
${lines.join("\n")}
}
`;
}

/** Time zone of a process → what a column of each type has when a `Date` of {@link LATE_DATE} is written to it. */
export const LATE_DATE = LATE;

export const DATE_BY_ZONE: Readonly<
  Record<string, Readonly<Record<string, string>>>
> = {
  "UTC": {
    timestamptz: "2026-01-02 22:04:05.678+00",
    timestamp: "2026-01-02 22:04:05.678",
    date: "2026-01-02",
    text: "2026-01-02T22:04:05.678+00:00",
  },
  "America/New_York": {
    timestamptz: "2026-01-02 22:04:05.678+00",
    timestamp: "2026-01-02 17:04:05.678",
    date: "2026-01-02",
    text: "2026-01-02T17:04:05.678-05:00",
  },
  "Asia/Kolkata": {
    timestamptz: "2026-01-02 22:04:05.678+00",
    timestamp: "2026-01-03 03:34:05.678",
    date: "2026-01-03",
    text: "2026-01-03T03:34:05.678+05:30",
  },
};
