import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  currentRows,
  type HistoryRow,
  type HistoryStatus,
  isApplied,
} from "../../src/history.ts";
import { row } from "../support/planning.ts";

const STATUSES: readonly HistoryStatus[] = [
  "applied",
  "baseline",
  "rolled_back",
  "failed",
  "running",
];

Deno.test("isApplied() counts applied and baseline", () => {
  assertEquals(
    STATUSES.filter((status) => isApplied(row(1, "a", { status }))),
    ["applied", "baseline"],
  );
  assertEquals(isApplied(undefined), false);
});

Deno.test("currentRows() takes the applied row, else the newest", () => {
  const history = [
    row(1, "a", { status: "rolled_back" }),
    row(2, "a"),
    row(3, "b", { status: "failed" }),
    row(4, "b", { status: "rolled_back" }),
    row(5, "c", { status: "failed" }),
    row(6, "c", { status: "running" }),
    row(7, "d", { status: "baseline" }),
  ];

  assertEquals(
    [...currentRows(history).values()].map(({ id }) => id),
    [2, 4, 6, 7],
  );
});

Deno.test("currentRows() does not depend on the order of the rows", () => {
  // As the unique index has it: at most one row of a name is applied.
  const histories = fc.uniqueArray(
    fc.tuple(fc.constantFrom("a", "b", "c"), fc.constantFrom(...STATUSES)),
    {
      selector: ([name, status]) =>
        isApplied(row(0, name, { status })) ? name : Symbol(),
    },
  ).map((pairs) => pairs.map(([name, status], i) => row(i, name, { status })));
  const byName = (rows: readonly HistoryRow[]) =>
    Object.fromEntries(currentRows(rows));

  fc.assert(
    fc.property(
      histories.chain((rows) =>
        fc.tuple(
          fc.constant(rows),
          fc.shuffledSubarray(rows, { minLength: rows.length }),
        )
      ),
      ([rows, shuffled]) => assertEquals(byName(shuffled), byName(rows)),
    ),
  );
});
