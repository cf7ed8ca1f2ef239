import { assertEquals } from "@std/assert";
import fc from "fast-check";
import type { HistoryRow } from "../../src/plan/history.ts";
import { readChanges, readCopy } from "../../src/postgres/history/rows.ts";
import { row } from "../support/program/planning.ts";

/** The answer to `changesQuery`: `count` rows, of which these were written lately. */
function changes(count: number, ...changed: readonly (readonly unknown[])[]) {
  const text = changed.length === 0 ? null : JSON.stringify(changed);
  return [{ count, changed: text }];
}

const asJson = ({ id, name, checksum, status, rollingBack }: HistoryRow) => [
  id,
  name,
  checksum ?? "",
  status,
  null,
  null,
  null,
  null,
  rollingBack ? "0b5e" : null,
];

Deno.test("readChanges() finds what it knows to be the same", () => {
  const before = [row(1, "a"), row(2, "b")];
  assertEquals(readChanges(changes(2), before), { rows: before, same: true });
  assertEquals(
    readChanges(changes(2, asJson(before[1]!)), before)?.same,
    true,
  );
});

Deno.test("readChanges() asks to read all rows again when one is gone", () => {
  assertEquals(readChanges(changes(1), [row(1, "a"), row(2, "b")]), undefined);
  // One gone and one new leave as many.
  assertEquals(
    readChanges(changes(2, asJson(row(3, "c"))), [row(1, "a"), row(2, "b")]),
    undefined,
  );
});

Deno.test("readChanges() comes to what reading all rows would come to", () => {
  const status = fc.constantFrom("applied", "rolled_back", "failed", "running");
  const rows = fc.uniqueArray(fc.integer({ min: 1, max: 9 })).chain((ids) =>
    fc.tuple(
      ...ids.map((id) =>
        fc.tuple(status, fc.boolean()).map(([status, rollingBack]) =>
          row(id, `m${id}`, {
            status: status as HistoryRow["status"],
            rollingBack: rollingBack && status !== "applied" &&
              status !== "rolled_back",
          })
        )
      ),
    )
  );
  fc.assert(fc.property(rows, rows, (before, now) => {
    // Every row that is new or another one was written since; others may have been, too.
    const written = now.filter((one) =>
      !before.some((old) => JSON.stringify(old) === JSON.stringify(one))
    );
    const read = readChanges(
      changes(now.length, ...written.map(asJson)),
      before,
    );
    const kept = before.every(({ id }) => now.some((one) => one.id === id));
    assertEquals(read !== undefined, kept);
    if (read === undefined) return;
    const told = (rows: readonly HistoryRow[]) =>
      rows.map(({ id, status, rollingBack }) => [id, status, rollingBack])
        .toSorted();
    assertEquals(told(read.rows), told(now));
    assertEquals(read.same, written.length === 0);
  }));
});

Deno.test("readCopy() reads rows in this program's form, times in UTC", () => {
  const fields = (finished: string | null) => [
    { fields: ["7", "a", "c", "failed", finished, "5", "me", "x", "0b5e"] },
  ];
  assertEquals(readCopy("own", fields("2024-05-06 07:08:09.123456+00")), [{
    id: 7,
    name: "a",
    checksum: "c",
    status: "failed",
    finishedAt: "2024-05-06T07:08:09.123456+00:00",
    durationMs: 5,
    appliedBy: "me",
    error: "x",
    rollingBack: true,
  }]);
  assertEquals(
    ["infinity", "0044-03-15 07:08:09+00 BC", null].map((time) =>
      readCopy("own", fields(time))[0]?.finishedAt
    ),
    ["infinity", "0044-03-15 07:08:09+00 BC", null],
  );
});
