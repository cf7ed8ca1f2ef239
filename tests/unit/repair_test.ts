import { assertEquals } from "@std/assert";
import type { HistoryChange } from "../../src/plan/history.ts";
import type { Planned } from "../../src/plan/plan.ts";
import {
  type HistoryPlan,
  planBaseline,
  planBaselineFromKysely,
  planRepair,
} from "../../src/plan/repair.ts";
import { migration, row } from "../support/program/planning.ts";

const ABC = ["a", "b", "c"].map((name) => migration(name));

function changes(planned: Planned<HistoryPlan>): readonly unknown[] {
  return planned.ok ? planned.plan.changes : planned.faults;
}

function recorded(name: string, appliedAt?: string): HistoryChange {
  return {
    kind: "insert",
    name,
    checksum: migration(name).checksum,
    status: "baseline",
    startedAgoMs: 0,
    durationMs: null,
    error: null,
    ...(appliedAt !== undefined && { appliedAt }),
  };
}

Deno.test("planBaseline() records everything up to and including a name, in its order", () => {
  assertEquals(changes(planBaseline(ABC.toReversed(), [], "b")), [
    recorded("a"),
    recorded("b"),
  ]);
});

Deno.test("planBaseline() records what is not applied only", () => {
  const history = [
    row(1, "a"),
    row(2, "b", { status: "rolled_back" }),
    row(3, "c", { status: "failed" }),
  ];

  assertEquals(changes(planBaseline(ABC, history, "c")), [
    recorded("b"),
    recorded("c"),
  ]);
  assertEquals(changes(planBaseline(ABC, history, "a")), []);
});

Deno.test("planBaseline() refuses what is half done", () => {
  const migrations = [
    migration("a", { transaction: false }),
    migration("b", { transaction: false }),
  ];
  const history = [
    row(1, "a", { status: "running" }),
    row(2, "b", { status: "failed" }),
  ];

  assertEquals(changes(planBaseline(migrations, history, "b")), [
    'Cannot record "a": it began and did not end outside a transaction; look at the database, then run ' +
    "repair --retry a or repair --mark-applied a",
    'Cannot record "b": it failed half-way outside a transaction; look at the database, then run ' +
    "repair --retry b or repair --mark-applied b",
  ]);
});

Deno.test("planBaselineFromKysely() records names and times, in the order of the names", () => {
  const kysely = [
    { name: "c", timestamp: "2026-01-01T00:00:00.000Z" },
    { name: "a", timestamp: "2026-01-02T00:00:00.000Z" },
    { name: "b", timestamp: "2026-01-03T00:00:00.000Z" },
  ];

  assertEquals(changes(planBaselineFromKysely(ABC, [row(1, "b")], kysely)), [
    recorded("a", "2026-01-02T00:00:00.000Z"),
    recorded("c", "2026-01-01T00:00:00.000Z"),
  ]);
  assertEquals(changes(planBaselineFromKysely(ABC, [], [])), []);
});

Deno.test("planBaselineFromKysely() refuses names that the program does not carry", () => {
  const at = "2026-01-01T00:00:00.000Z";

  assertEquals(
    changes(planBaselineFromKysely(ABC, [], [{ name: "x", timestamp: at }])),
    [
      'Cannot record "x" as applied: this program does not carry it; add the file to migrations/ or run the version of the ' +
      'program that does; if it carries it under other names, record what this database has: baseline --to NAME (the table lists 1, and number 1 here is "a")',
    ],
  );
  assertEquals(
    changes(
      planBaselineFromKysely(
        ABC,
        [],
        ["y", "a", "x"].map((name) => ({ name, timestamp: at })),
      ),
    ),
    [
      'Cannot record "x", "y" as applied: this program does not carry them; add the files to migrations/ or run the version ' +
      'of the program that does; if it carries them under other names, record what this database has: baseline --to NAME (the table lists 3, and number 3 here is "c")',
    ],
  );
});

const EDITED = row(1, "a", { checksum: "edited" });

Deno.test("planRepair() accepts the checksum of an edited migration", () => {
  const repair = (name: string) =>
    changes(
      planRepair(ABC, [EDITED, row(2, "b"), row(3, "x")], {
        action: "accept_checksum",
        name,
      }),
    );

  assertEquals(repair("a"), [{
    kind: "accept_checksum",
    id: 1,
    checksum: migration("a").checksum,
  }]);
  assertEquals(repair("b"), []);
  assertEquals(repair("c"), [
    'Cannot repair "c": the history has no row of it',
  ]);
  assertEquals(repair("x"), [
    'Cannot repair "x": this program does not carry it',
  ]);
});

Deno.test("planRepair() accepts no checksum of what is not applied", () => {
  const history = [row(1, "a", { status: "failed", checksum: "edited" })];

  assertEquals(
    changes(planRepair(ABC, history, { action: "accept_checksum", name: "a" })),
    [
      'Cannot repair "a": it is not applied, so it has no checksum to accept',
    ],
  );
});

Deno.test("planRepair() lets a failed or interrupted migration run again", () => {
  const history = [
    row(1, "a", { status: "failed" }),
    row(2, "b", { status: "running" }),
    row(3, "c"),
    row(4, "d", { status: "rolled_back" }),
    row(5, "x", { status: "failed" }),
  ];
  const repair = (name: string) =>
    changes(planRepair(ABC, history, { action: "retry", name }));

  assertEquals(repair("a"), [{ kind: "roll_back", id: 1 }]);
  assertEquals(repair("b"), [{ kind: "roll_back", id: 2 }]);
  assertEquals(repair("c"), [
    'Cannot repair "c": it is applied; use down or redo to run it again',
  ]);
  assertEquals(repair("d"), []);
  assertEquals(repair("x"), [{ kind: "roll_back", id: 5 }]);
  assertEquals(repair("y"), [
    'Cannot repair "y": this program does not carry it',
  ]);
});

Deno.test("planRepair() counts a failed or interrupted migration as applied", () => {
  const history = [
    row(1, "a", { status: "failed", checksum: "edited" }),
    row(2, "b"),
    row(3, "c", { status: "rolled_back" }),
    row(4, "x", { status: "failed" }),
  ];
  const repair = (name: string) =>
    changes(planRepair(ABC, history, { action: "mark_applied", name }));

  assertEquals(repair("a"), [{
    kind: "mark_applied",
    id: 1,
    checksum: migration("a").checksum,
  }]);
  assertEquals(repair("b"), []);
  assertEquals(repair("c"), [
    'Cannot repair "c": it was rolled back; use up to apply it, or baseline to record it without running it',
  ]);
  assertEquals(repair("x"), [
    'Cannot repair "x": this program does not carry it',
  ]);
});

Deno.test("planRepair() settles the newest attempt", () => {
  const history = [
    row(2, "a", { status: "running" }),
    row(1, "a", { status: "failed" }),
  ];

  assertEquals(
    changes(planRepair(ABC, history, { action: "retry", name: "a" })),
    [{ kind: "roll_back", id: 2 }],
  );
});
