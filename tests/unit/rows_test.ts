import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { RefusedError } from "../../src/errors.ts";
import { currentRows, type HistoryRow } from "../../src/plan/history.ts";
import {
  type HistoryState,
  readChanges,
} from "../../src/postgres/history/rows.ts";
import { CopiedHistory } from "../../src/postgres/history/copied.ts";
import { row } from "../support/program/planning.ts";

/** The answer to `changesQuery`: `count` rows, of which these were written lately. */
function changes(count: number, ...changed: readonly (readonly unknown[])[]) {
  const text = changed.length === 0 ? null : JSON.stringify(changed);
  return [{ count, changed: text }];
}

const stateOf = (...rows: readonly HistoryRow[]): HistoryState => ({
  rows,
  past: [],
  horizon: "7",
});

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
  assertEquals(readChanges(changes(2), stateOf(...before)), {
    rows: before,
    past: [],
    same: true,
  });
  assertEquals(
    readChanges(changes(2, asJson(before[1]!)), stateOf(...before))?.same,
    true,
  );
});

Deno.test("readChanges() asks to read all rows again when one is gone", () => {
  assertEquals(
    readChanges(changes(1), stateOf(row(1, "a"), row(2, "b"))),
    undefined,
  );
  // One gone and one new leave as many.
  assertEquals(
    readChanges(
      changes(2, asJson(row(3, "c"))),
      stateOf(row(1, "a"), row(2, "b")),
    ),
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
      stateOf(...before),
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

Deno.test("readChanges() counts the rows of the past", () => {
  const before = { ...stateOf(row(3, "a"), row(4, "b")), past: [1, 2] };
  assertEquals(readChanges(changes(4), before)?.past, [1, 2]);
  assertEquals(readChanges(changes(3), before), undefined);
  // One that was rolled back, and one that is new.
  const read = readChanges(
    changes(
      5,
      asJson(row(3, "a", { status: "rolled_back" })),
      asJson(row(5, "a")),
    ),
    before,
  );
  assertEquals(read?.past, [1, 2]);
  assertEquals(read?.rows.map(({ id }) => id), [3, 4, 5]);
  // Somebody has changed one of the past: it is news.
  const changed = readChanges(changes(4, asJson(row(1, "a"))), before);
  assertEquals(changed?.past, [2]);
  assertEquals(changed?.same, false);
});

/** What is made of rows that are copied. */
function copied(
  ...rows: readonly (readonly (string | null)[])[]
): HistoryState {
  const history = new CopiedHistory("own", (name) => name !== "gone");
  for (const fields of rows) {
    const line = fields.map((field) => field ?? "\\N").join("\t");
    const data = new TextEncoder().encode(`before${line}\nafter`);
    history.take(data, 6, data.length - 5);
  }
  return history.state("7");
}

Deno.test("CopiedHistory reads rows in this program's form, times in UTC", () => {
  const fields = (finished: string | null) => [
    ...["7", "a", "c", "failed"],
    finished,
    ...["5", "me", "x", "0b5e"],
  ];
  assertEquals(copied(fields("2024-05-06 07:08:09.123456+00")).rows, [{
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
      copied(fields(time)).rows[0]?.finishedAt
    ),
    ["infinity", "0044-03-15 07:08:09+00 BC", null],
  );
});

Deno.test("CopiedHistory keeps the rows that decide, and the ids of the others, in whatever order they come", () => {
  const status = fc.constantFrom("rolled_back", "failed", "running");
  const rows = fc.uniqueArray(
    fc.record({
      id: fc.integer({ min: 1, max: 99 }),
      name: fc.constantFrom("a", "b", "c"),
      status,
    }),
    { selector: ({ id }) => id },
  );
  fc.assert(fc.property(rows, fc.constantFrom("a", "b"), (rows, applied) => {
    const all = [...rows, { id: 100, name: applied, status: "applied" }]
      .map(({ id, name, status }) =>
        row(id, name, { status: status as HistoryRow["status"] })
      );
    const { rows: kept, past } = copied(
      ...all.map(({ id, name, status }) => [
        ...[`${id}`, name, "", status],
        ...[null, null, null, null, null],
      ]),
    );
    const ids = (list: Iterable<{ readonly id: number }>) =>
      [...list].map(({ id }) => id).toSorted((a, b) => a - b);
    const deciding = ids(currentRows(all).values());
    assertEquals(ids(kept), deciding);
    assertEquals(
      past.toSorted((a, b) => a - b),
      ids(all).filter((id) => !deciding.includes(id)),
    );
  }));
});

Deno.test("CopiedHistory forgets what was rolled back and is not carried any more", () => {
  const rest = [null, null, null, null, null];
  const { rows, past } = copied(
    ["1", "gone", "", "rolled_back", ...rest],
    ["2", "gone", "", "running", ...rest],
    ["3", "a", "", "rolled_back", ...rest],
    ["4", "gone", "", "rolled_back", ...rest],
  );
  assertEquals(rows.map(({ id, status }) => [id, status]), [
    [4, "rolled_back"],
    [3, "rolled_back"],
  ]);
  assertEquals(past, [1, 2]);
});

Deno.test("CopiedHistory refuses rows that no history has", () => {
  const rest = [null, null, null, null, null];
  const faults: [(string | null)[], string][] = [
    [
      [null, "a", "", "applied"],
      "a row of it has no id; somebody has changed the table",
    ],
    [
      ["7", null, "", "applied"],
      "a row of it has no name; somebody has changed the table",
    ],
    [
      ["7", "a", "", null],
      'its row 7, of "a", has no status, which this program does not know; use the newest one that has worked here',
    ],
    [
      ["7", "a", "", "paused"],
      'its row 7, of "a", says "paused", which this program does not know; use the newest one that has worked here',
    ],
  ];
  for (const [fields, fault] of faults) {
    assertThrows(
      () => copied([...fields, ...rest]),
      RefusedError,
      `Cannot read the history: ${fault}`,
    );
  }
});
