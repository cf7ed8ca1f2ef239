import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  nextMigrationName,
  reasonOf,
  snakeCase,
} from "../../scripts/build/new.ts";
import { compareNames, NAME_PATTERN } from "../../src/plan/migration.ts";
import { anyText } from "../support/net/hostile.ts";

const NOW = new Date("2026-03-04T05:06:07.999Z");

Deno.test("snakeCase() turns what people type into one form", () => {
  const cases = {
    "Add battle tags": "add_battle_tags",
    add_battle_tags: "add_battle_tags",
    "add-battle-tags.ts": "add_battle_tags",
    addBattleTags: "add_battle_tags",
    AddESITokens: "add_esi_tokens",
    "  drop  v2's   index!  ": "drop_v2_s_index",
    "Größe évaluée": "gro_e_evaluee",
    "../../etc/passwd": "etc_passwd",
    "日本": "",
    "": "",
  };

  assertEquals(
    Object.fromEntries(
      Object.keys(cases).map((words) => [words, snakeCase(words)]),
    ),
    cases,
  );
});

Deno.test("snakeCase() leaves lower case letters, digits and single underscores only", () => {
  fc.assert(fc.property(anyText, (words) => {
    const slug = snakeCase(words);
    assertEquals(/^(?:[a-z0-9]+(?:_[a-z0-9]+)*)?$/.test(slug), true);
    assertEquals(snakeCase(slug), slug);
  }));
});

Deno.test("nextMigrationName() starts with the time in UTC", () => {
  assertEquals(
    nextMigrationName("Add battle tags", [], NOW),
    "20260304050607_add_battle_tags",
  );
});

Deno.test("nextMigrationName() is later than the newest migration, also within one second and behind a fast clock", () => {
  const next = (existing: string) => nextMigrationName("b", [existing], NOW);

  assertEquals(next("20260304050606_a"), "20260304050607_b");
  assertEquals(next("20260304050607_a"), "20260304050608_b");
  assertEquals(next("20260304235959_a"), "20260305000000_b");
  assertEquals(next("20281231235959-a"), "20290101000000_b");
});

Deno.test("nextMigrationName() never repeats a timestamp and never goes back", () => {
  const seconds = fc.array(fc.integer({ min: -3, max: 3 }), { maxLength: 20 });
  fc.assert(fc.property(seconds, (offsets) => {
    const names: string[] = [];
    for (const offset of offsets) {
      const now = new Date(NOW.getTime() + offset * 1_000);
      names.push(nextMigrationName("same words", names, now));
    }
    assertEquals(names.toSorted(compareNames), names);
    assertEquals(
      new Set(names.map((name) => name.slice(0, 14))).size,
      names.length,
    );
    assertEquals(names.every((name) => NAME_PATTERN.test(name)), true);
  }));
});

Deno.test("nextMigrationName() goes on from names of other forms", () => {
  const existing = ["0001_init", "20230309T045948368Z-init"];

  assertEquals(nextMigrationName("b", existing, NOW), "20260304050607_b");
});

Deno.test("nextMigrationName() refuses a name that would be out of order at once", () => {
  assertThrows(
    () => nextMigrationName("b", ["0001_init", "v2_tables"], NOW),
    RangeError,
    'Cannot name a migration "20260304050607_b": "v2_tables" sorts after it, so it would be out of order; create the file by hand, under a name that sorts last',
  );
});

Deno.test("nextMigrationName() refuses words that leave nothing legal", () => {
  assertThrows(
    () => nextMigrationName(" 日本 ", [], NOW),
    TypeError,
    'Cannot name a migration " 日本 ": it has no letter or digit of the ASCII alphabet',
  );
});

Deno.test("nextMigrationName() refuses a name that is too long and accepts the longest", () => {
  assertEquals(nextMigrationName("x".repeat(185), [], NOW).length, 200);
  assertThrows(
    () => nextMigrationName("x".repeat(186), [], NOW),
    RangeError,
    `Cannot name a migration "20260304050607_${
      "x".repeat(186)
    }": it is longer than 200 characters`,
  );
});

Deno.test("reasonOf() explains a read-only and a missing folder, and repeats what else went wrong", () => {
  const readOnly = "this user may not write to it, or it is read-only";

  assertEquals(reasonOf(new Deno.errors.PermissionDenied("os 13")), readOnly);
  assertEquals(
    reasonOf(Object.assign(new Error("os error 30"), { code: "EROFS" })),
    readOnly,
  );
  assertEquals(reasonOf(new Deno.errors.NotFound("os 2")), "it does not exist");
  assertEquals(reasonOf(new Error("No space left")), "No space left");
});
