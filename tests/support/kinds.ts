/**
 * A migration that writes values of every kind into columns of many types.
 *
 * @module
 */

/** Column → its type, and the values that are written, as they stand in the source. Rows of one value each. */
const COLUMNS: Readonly<Record<string, readonly [string, readonly string[]]>> =
  {
    words: ["text", [
      `"plain"`,
      `"it's"`,
      `"back\\\\slash"`,
      `""`,
      `'{"a":1}'`,
      `"[1,2]"`,
      `"12"`,
      `"true"`,
      `"null"`,
      `"2026-01-02"`,
      `"2026-01-02T03:04:05Z"`,
      `"ß – 日本 🚀"`,
      `"line\\nbreak\\ttab"`,
      `"$1 and $2"`,
      "12",
      "true",
      "null",
    ]],
    letters: ["varchar(20)", [`"short"`, `"7"`, "7"]],
    whole: ["integer", ["0", "-1", "2147483647", `"42"`]],
    big: ["bigint", ["9007199254740993n", "-1n", "1", `"12"`]],
    exact: ["numeric", ["0.1", "1e21", `"123456789012345678901234567890.5"`]],
    double: ["double precision", ["0.1", "1e300", "NaN", "Infinity", "-0"]],
    yes: ["boolean", ["true", "false", `"t"`]],
    day: ["date", [`"2026-01-02"`, "new Date(Date.UTC(2026, 0, 2))"]],
    moment: ["timestamptz", [
      "new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 678))",
      `"2026-01-02T03:04:05.678Z"`,
      `"2026-01-02 03:04:05+02"`,
    ]],
    local: ["timestamp", [
      "new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 678))",
      `"2026-01-02 03:04:05"`,
    ]],
    clock: ["time", [`"03:04"`]],
    span: ["interval", [`"1 day 02:03"`]],
    bytes: ["bytea", [
      "new Uint8Array([0, 1, 39, 92, 255])",
      "new Uint8Array(0)",
    ]],
    id: ["uuid", [`"0b4cfa3e-4c1f-4b0b-8c7e-2f5d0d6a8b11"`]],
    address: ["inet", [`"10.0.0.1/8"`]],
    document: ["jsonb", [
      `{ a: 1, b: [true, null], c: "it's" }`,
      `{}`,
      `"plain"`,
      `'{"a":1}'`,
      `"12"`,
      "12",
      "null",
    ]],
    numbers: ["integer[]", ["[1, 2, 3]", "[]", "[[1, 2], [3, 4]]", `"{4,5}"`]],
    texts: ["text[]", [
      `["a", "b,c", 'd"e', "f\\\\g", "", "null", "{h}"]`,
      "[null]",
    ]],
    moments: ["timestamptz[]", [`["2026-01-02T03:04:05Z", null]`]],
    mood: ["mood", [`"happy"`]],
    moods: ["mood[]", [`["happy", "sad"]`, "[]"]],
  };

/** To be run before it: Kysely's driver can write arrays of those types only that were there when it connected. */
export const TYPES = "create type mood as enum ('happy', 'sad')";

/** The source: one insert for each value, and updates and queries that compare with one. */
export const EVERY_KIND = `import { type Kysely, sql } from "kysely";

// deno-lint-ignore no-explicit-any -- as in any migration
export async function up(db: Kysely<any>): Promise<void> {
  await sql\`create table kinds (row integer primary key, found integer, ${
  Object.entries(COLUMNS).map(([name, [type]]) => `${name} ${type}`).join(", ")
})\`.execute(db);
  const values: [number, string, unknown][] = [
${
  Object.entries(COLUMNS).flatMap(([name, [, values]]) =>
    values.map((value) => `"${name}", ${value}`)
  ).map((parts, i) => `    [${i}, ${parts}],\n`).join("")
}  ];
  for (const [row, column, value] of values) {
    await db.insertInto("kinds").values({ row, [column]: value }).execute();
  }
  const { numUpdatedRows } = await db.updateTable("kinds").set({ found: 1 })
    .where("words", "=", "plain").where("row", "<", 1_000).executeTakeFirstOrThrow();
  const rows = await db.selectFrom("kinds").select("row")
    .where("numbers", "=", sql.val([1, 2, 3])).execute();
  await db.insertInto("kinds")
    .values({ row: 1_000, words: \`\${numUpdatedRows} updated\`, whole: rows.length }).execute();
}
`;
