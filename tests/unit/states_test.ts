import { assertEquals } from "@std/assert";
import type { HistoryRow } from "../../src/plan/history.ts";
import type { Migration } from "../../src/plan/migration.ts";
import { migrationStates } from "../../src/plan/states.ts";
import { migration, row } from "../support/program/planning.ts";

function states(
  migrations: readonly Migration[],
  history: readonly HistoryRow[],
) {
  return migrationStates(migrations, history).map(({ name, state }) =>
    `${name} ${state}`
  );
}

Deno.test("migrationStates() names every state", () => {
  const migrations = ["a", "b", "c", "d", "e", "f", "g"].map((name) =>
    migration(name)
  );
  const history = [
    row(1, "a"),
    row(2, "b", { status: "baseline" }),
    row(3, "d", { checksum: "edited" }),
    row(4, "d1"),
    row(5, "e", { status: "failed" }),
    row(6, "f", { status: "running" }),
  ];

  assertEquals(states(migrations, history), [
    "a applied",
    "b baseline",
    "c out_of_order",
    "d changed",
    "d1 missing",
    "e failed",
    "f running",
    "g pending",
  ]);
});

Deno.test("migrationStates() of an empty history is pending", () => {
  assertEquals(states([migration("b"), migration("a")], []), [
    "a pending",
    "b pending",
  ]);
  assertEquals(states([], []), []);
});

Deno.test("migrationStates() counts a rolled back migration as if it had never run", () => {
  const history = [row(1, "a"), row(2, "b", { status: "rolled_back" })];

  assertEquals(states([migration("a"), migration("b")], history), [
    "a applied",
    "b pending",
  ]);
  assertEquals(states([migration("a")], history), ["a applied"]);
});

Deno.test("migrationStates() takes a row without a checksum for unchanged", () => {
  assertEquals(states([migration("a")], [row(1, "a", { checksum: null })]), [
    "a applied",
  ]);
});

Deno.test("migrationStates() shows a failed and a running migration that the program does not carry", () => {
  const history = [
    row(1, "a", { status: "failed" }),
    row(2, "b", { status: "running" }),
  ];

  assertEquals(states([], history), ["a failed", "b running"]);
});

Deno.test("migrationStates() orders by code unit", () => {
  const names = ["a_b", "B", "a-b", "10", "9"];

  assertEquals(
    migrationStates(names.map((name) => migration(name)), []).map(({ name }) =>
      name
    ),
    ["10", "9", "B", "a-b", "a_b"],
  );
});
