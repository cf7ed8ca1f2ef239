import { assertEquals } from "@std/assert";
import { kyselyFindings, kyselyNames } from "../../src/plan/kysely.ts";
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

Deno.test("kyselyFindings() says nothing when nothing that is pending was applied", () => {
  const none = { faults: [], warnings: [] };
  const table = (
    ...names: string[]
  ) => [{ table: "public.x", owner: "o", names }];

  assertEquals(kyselyFindings([], migrations, migrations), none);
  assertEquals(kyselyFindings(table(), migrations, migrations), none);
  assertEquals(kyselyFindings(table("a"), migrations, []), none);
  assertEquals(
    kyselyFindings(table("a"), migrations, migrations.slice(2)),
    none,
  );
});
