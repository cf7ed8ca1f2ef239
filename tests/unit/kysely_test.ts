import { assertEquals } from "@std/assert";
import {
  kyselyFindings,
  kyselyNames,
  type KyselyQuestion,
} from "../../src/plan/kysely.ts";
import type { Migration } from "../../src/plan/migration.ts";

const migrations = ["a.js", "a", "b", "caf\u00e9"].map((name) => ({
  name,
})) as unknown as Migration[];

Deno.test("kyselyNames() prefers the very name, and takes a similar one when there is no doubt", () => {
  const find = kyselyNames(migrations);
  const cases = {
    "a": "a",
    "a.js": "a.js",
    // Both would do.
    "a.ts": undefined,
    "b.ts": "b",
    "b.mjs": "b",
    "b.sql": undefined,
    "src\\migrations\\b.cts": "b",
    "./migrations/b": "b",
    "cafe\u0301": "caf\u00e9",
    "B": undefined,
    "": undefined,
  };

  assertEquals(
    Object.fromEntries(
      Object.keys(cases).map((name) => [name, find(name)?.name]),
    ),
    cases,
  );
});

/** What is found of one table, in the schema `app`. */
function findings(
  names: readonly string[],
  more: Partial<KyselyQuestion> = {},
) {
  return kyselyFindings(
    [{ table: "app.x", schema: "app", owner: "o", names }],
    {
      ...{ migrations, pending: migrations, schema: "app", isChosen: false },
      ...more,
    },
  );
}

Deno.test("kyselyFindings() says nothing when nothing that is pending was applied", () => {
  const none = { faults: [], warnings: [] };

  assertEquals(findings([]), none);
  assertEquals(findings(["a"], { pending: [] }), none);
  assertEquals(findings(["a"], { pending: migrations.slice(2) }), none);
});

Deno.test("kyselyFindings() refuses what was applied in this schema, or in nobody knows which", () => {
  const text =
    'Cannot apply 4 migrations: "app.x" says that Kysely\'s own migrator has applied 1 of them already; ' +
    "record what it has applied: baseline --from-kysely app.x";

  assertEquals(findings(["a"]).faults, [text]);
  assertEquals(findings(["a"], { isChosen: true }).faults, [text]);
  assertEquals(findings(["a"], { schema: "it's" }).faults, [
    `${text}; if that was in another schema than "it's", pass --schema 'it'\\''s'`,
  ]);
  assertEquals(findings(["a"], { schema: "public", isChosen: true }), {
    faults: [],
    warnings: [
      '"app.x" says that Kysely\'s own migrator has applied 1 of 4 pending migrations; if that was in the schema "public", ' +
      "record what it has applied: baseline --from-kysely app.x",
    ],
  });
});
