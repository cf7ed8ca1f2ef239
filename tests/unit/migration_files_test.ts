import { assertEquals } from "@std/assert";
import {
  orderWarnings,
  passedOver,
} from "../../scripts/build/migration_files.ts";

Deno.test("passedOver() names what looks like a migration and is none", () => {
  const files = [
    ...["0001.ts", "0001.d.ts", "0001.js.map", "0002.d.ts", "0003.sql"],
    ...["0004.TS", "0005.tsx", "0006.JS", "README.md", "x.json", ".gitkeep"],
  ];
  assertEquals(
    passedOver(files, files),
    ["0002.d.ts", "0003.sql", "0004.TS", "0005.tsx", "0006.JS"].map((file) =>
      `Passing over "${file}": a migration is a file in .ts, .mts, .js or .mjs`
    ),
  );
});

Deno.test("orderWarnings() names what localeCompare sorts differently", () => {
  assertEquals(orderWarnings(["20240105_orders", "2024_init", "2025"]), [
    `Migrations run by code unit, "20240105_orders" before "2024_init", and not in the order of localeCompare, which Kysely's own migrator expects of what was applied at the same time: where the order matters, rename the files of those that no database has yet, so that both sort them alike`,
  ]);
  assertEquals(orderWarnings(["a", "B", "c"]).length, 1);
});

Deno.test("orderWarnings() has nothing to say of the names that this program and Kysely's tools make", () => {
  assertEquals(
    orderWarnings([
      ...["20260105090000_set_updated_at", "20260105091000_security_type"],
      ...["20260105092000_a", "20260105092000_ab"],
    ]),
    [],
  );
  assertEquals(orderWarnings(["1716912345678_b", "1716912345679_a"]), []);
  assertEquals(orderWarnings([]), []);
});
