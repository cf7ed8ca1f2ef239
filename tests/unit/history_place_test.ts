import { assertEquals, assertThrows } from "@std/assert";
import { RefusedError } from "../../src/errors.ts";
import { OWN_COLUMNS, placeOf } from "../../src/postgres/history/place.ts";

const OWN = ["r", "me", "own", null, null] as const;
const KYSELY = ["r", "me", "kysely", null, null] as const;
const VIEW = ["v", "other", null, "kind", []] as const;
const HIDDEN = ["r", "me", "own", "row_security", null] as const;
const LOCKED = ["r", "other", "own", "privilege", null] as const;

type Table = typeof OWN | typeof KYSELY | typeof VIEW | typeof HIDDEN;

/** What the server says of a search path. */
function facts(
  ...path: readonly (readonly [string, (Table | typeof LOCKED)?])[]
) {
  return JSON.stringify(
    path.map(([schema, table = [null, null, null, null, null]]) => [
      schema,
      true,
      ...table,
    ]),
  );
}

function placed(text: string) {
  const { schema, form, passedOver, isFirst } = placeOf(text, "me");
  return { schema, form, isFirst, passed: passedOver.length };
}

Deno.test("placeOf() takes the first table along the path that is a history", () => {
  assertEquals(placed(facts(["a"], ["b", OWN], ["c", KYSELY])), {
    schema: "b",
    form: "own",
    isFirst: true,
    passed: 0,
  });
  assertEquals(placed(facts(["a"], ["b", VIEW], ["c", KYSELY])), {
    schema: "c",
    form: "kysely",
    isFirst: false,
    passed: 1,
  });
});

Deno.test("placeOf() has the history made in the first schema when there is none", () => {
  assertEquals(placed(facts(["a"], ["b", LOCKED])), {
    schema: "a",
    form: "missing",
    isFirst: false,
    passed: 1,
  });
  assertEquals(placed("null").schema, null);
});

Deno.test("placeOf() leaves out the schemas of the system and of temporary tables", () => {
  assertEquals(placed(facts(["pg_temp_3", OWN], ["pg_catalog"], ["a", OWN])), {
    schema: "a",
    form: "own",
    isFirst: false,
    passed: 0,
  });
  assertEquals(placed(facts(["pg_temp_3", OWN])).schema, null);
});

Deno.test("placeOf() passes over nothing in the first schema, and no history that may be cut short", () => {
  for (
    const text of [
      facts(["a", VIEW], ["b", OWN]),
      facts(["pg_catalog"], ["a", LOCKED], ["b", OWN]),
      facts(["a"], ["b", HIDDEN], ["c", OWN]),
    ]
  ) {
    assertThrows(
      () => placeOf(text, "me"),
      RefusedError,
      "Cannot use the table",
    );
  }
  // What is found before it decides.
  assertEquals(placed(facts(["a", OWN], ["b", HIDDEN])).schema, "a");
});

Deno.test("placeOf() says what a table lacks that was meant to be a history", () => {
  const of = (columns: readonly string[]) =>
    assertThrows(
      () =>
        placeOf(
          JSON.stringify([["a", true, "r", "me", null, "columns", columns]]),
          "me",
        ),
      RefusedError,
    ).message;

  assertEquals(
    of(["name:1043", ...OWN_COLUMNS.slice(2)]),
    'Cannot use the table "a.migration_history": it is no history of this program, which has these columns too, or with ' +
      "another type: id, name; rename it, or choose another schema with --schema",
  );
  assertEquals(
    of(["id:23"]),
    'Cannot use the table "a.migration_history": it is neither this program\'s history nor a migration table of Kysely; ' +
      "rename it, or choose another schema with --schema",
  );
});

Deno.test("placeOf() refuses a schema that may not be used", () => {
  assertThrows(
    () => placeOf('[["a \\"b\\"", false, null, null, null, null, null]]', "me"),
    RefusedError,
    'Cannot use the schema "a "b"": "me" may not; as its owner: grant usage, create on schema "a ""b""" to "me"',
  );
});
