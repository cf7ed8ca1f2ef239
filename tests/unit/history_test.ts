import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  currentRows,
  type HistoryChange,
  type HistoryRow,
  type HistoryStatus,
  isApplied,
  rowsAfter,
} from "../../src/plan/history.ts";
import { row } from "../support/program/planning.ts";

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

const APPLIED: HistoryChange = {
  kind: "insert",
  name: "b",
  checksum: "c",
  status: "applied",
  startedAgoMs: 5,
  durationMs: 3,
  error: null,
};

Deno.test("rowsAfter() adds what was applied and marks what was rolled back", () => {
  const before = [row(1, "a"), row(2, "b")];

  const after = rowsAfter(before, [{ kind: "roll_back", id: 2 }, APPLIED], [
    2,
    3,
  ]);

  assertEquals(
    after?.map(({ id, name, status }) => [id, name, status]),
    [[1, "a", "applied"], [2, "b", "rolled_back"], [3, "b", "applied"]],
  );
  assertEquals(before.map(({ status }) => status), ["applied", "applied"]);
});

Deno.test("rowsAfter() asks to read the rows again after any other change", () => {
  const others: HistoryChange[] = [
    { ...APPLIED, status: "failed" } as HistoryChange,
    { ...APPLIED, status: "running" } as HistoryChange,
    { kind: "start_rollback", id: 1 },
    { kind: "finish", id: 1, durationMs: 1 },
    { kind: "fail", id: 1, durationMs: 1, error: "x" },
    { kind: "note_error", id: 1, error: "x" },
    { kind: "accept_checksum", id: 1, checksum: "c" },
    { kind: "mark_applied", id: 1, checksum: "c" },
  ];

  assertEquals(
    others.map((change) => rowsAfter([row(1, "a")], [change], [1])),
    others.map(() => undefined),
  );
});
