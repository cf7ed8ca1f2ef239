import { assertEquals } from "@std/assert";
import { fillTable, type TableFacts } from "../../src/plan/backfill.ts";
import {
  BatchSize,
  fewerRows,
  nextRows,
} from "../../src/plan/backfill_size.ts";
import { natureOf } from "../../src/engine/backfill_failure.ts";
import { DatabaseError, MigrationError } from "../../src/errors.ts";
import { Progress, shareOf } from "../../src/plan/backfill_progress.ts";
import { migration, row } from "../support/program/planning.ts";
import { planDown, planUp, type UpRequest } from "../../src/plan/plan.ts";
import { planRepair } from "../../src/plan/repair.ts";
import type { HistoryRow } from "../../src/plan/history.ts";
import type { Migration } from "../../src/plan/migration.ts";
import { migrationStates } from "../../src/plan/states.ts";

Deno.test("nextRows() follows the aim, no faster than by half, between 100 and 100,000", () => {
  assertEquals(nextRows(1_000, 500, 500), 1_000);
  assertEquals(nextRows(1_000, 1_000, 500), 500);
  assertEquals(nextRows(1_000, 1, 500), 1_500);
  assertEquals(nextRows(1_000, 0, 500), 1_500);
  assertEquals(nextRows(120, 60_000, 500), 100);
  assertEquals(nextRows(90_000, 10, 500), 100_000);
});

Deno.test("fewerRows() halves, down to 100", () => {
  assertEquals(fewerRows(1_001), 500);
  assertEquals(fewerRows(150), 100);
});

const FACTS: TableFacts = {
  schema: "public",
  name: "t",
  kind: "r",
  bytes: 10,
  indexes: [
    {
      primary: false,
      columns: ["a", "b"],
      notNull: true,
      operators: ["pg_catalog"],
    },
    {
      primary: true,
      columns: ["id"],
      notNull: true,
      operators: ["pg_catalog"],
    },
    {
      primary: false,
      columns: ["n"],
      notNull: false,
      operators: ["pg_catalog"],
    },
    {
      primary: false,
      columns: ["c", "id"],
      notNull: true,
      operators: ["pg_catalog", "public"],
    },
  ],
};

Deno.test("fillTable() takes the primary key, or the unique index that is named", () => {
  const table = { schema: "public", name: "t", bytes: 10 };
  assertEquals(fillTable({ table: "t" }, FACTS), {
    ...table,
    keys: ["id"],
    operators: "pg_catalog",
  });
  assertEquals(fillTable({ table: "t", key: ["a", "b"] }, FACTS), {
    ...table,
    keys: ["a", "b"],
    operators: "pg_catalog",
  });
});

Deno.test("fillTable() says why a table cannot be walked", () => {
  const wrong: [Parameters<typeof fillTable>[0], TableFacts, string][] = [
    [{ table: "t" }, { ...FACTS, kind: "v" }, '"t" is not a table'],
    [
      { table: "t" },
      { ...FACTS, indexes: FACTS.indexes.slice(2) },
      '"t" has no primary key: add one first, or name the columns of a unique index as key',
    ],
    [
      { table: "t", key: ["b", "a"] },
      FACTS,
      '"t" has no unique index on (b, a), in this order: add one first',
    ],
    [
      { table: "t", key: ["n"] },
      FACTS,
      'the key (n) of "t" may be null: set its columns not null first',
    ],
    [
      { table: "t", key: ["c", "id"] },
      FACTS,
      'the columns of the key (c, id) of "t" cannot be compared as a row: their types come from several schemas',
    ],
  ];
  for (const [backfill, facts, fault] of wrong) {
    assertEquals(fillTable(backfill, facts), fault);
  }
});

Deno.test("shareOf() stays between nothing and all", () => {
  assertEquals(shareOf(25, 100), 0.75);
  assertEquals(shareOf(200, 100), 0);
  assertEquals(shareOf(0, 100), 1);
  assertEquals(shareOf(5, 0), 0);
});

Deno.test("Progress tells the pace of the last five minutes, and no time that is left below 1 %", () => {
  const progress = new Progress();
  assertEquals(progress.pace(), { rowsPerSecond: null, etaSeconds: null });
  progress.add({ at: 0, share: 0, rows: 0 });
  progress.add({ at: 10_000, share: 0.005, rows: 500 });
  assertEquals(progress.pace(), { rowsPerSecond: 50, etaSeconds: null });
  progress.add({ at: 100_000, share: 0.5, rows: 5_000 });
  assertEquals(progress.pace(), { rowsPerSecond: 50, etaSeconds: 100 });
  progress.add({ at: 400_000, share: 0.8, rows: 8_000 });
  assertEquals(progress.pace(), { rowsPerSecond: 10, etaSeconds: 200 });
});

const FILL = { table: "t", batch: () => Promise.resolve() };

function filling(name: string): Migration {
  return migration(name, { phase: "post", backfill: FILL });
}

const LANES = [
  migration("1_pre"),
  filling("2_fill"),
  migration("3_post", { phase: "post" }),
  migration("4_pre"),
];

function stepsOf(history: readonly HistoryRow[], request: UpRequest): unknown {
  const planned = planUp(LANES, history, request);
  return planned.ok
    ? planned.plan.steps.map(({ migration }) => migration.name)
    : planned.faults;
}

Deno.test("planUp() keeps to its phase, and runs all of them where nothing is applied yet", () => {
  const all = LANES.map(({ name }) => name);
  assertEquals(stepsOf([], { phase: "pre" }), all);
  assertEquals(stepsOf([], { phase: "post" }), all);
  const first = [row(1, "1_pre")];
  assertEquals(stepsOf(first, { phase: "pre", done: ["1_pre"] }), [
    "2_fill",
    "3_post",
    "4_pre",
  ]);
  assertEquals(stepsOf(first, { phase: "pre" }), ["4_pre"]);
  assertEquals(stepsOf(first, { phase: "all" }), ["2_fill", "3_post", "4_pre"]);
  assertEquals(stepsOf(first, { phase: "post" }), ["2_fill", "3_post"]);
});

Deno.test("planUp() lets a pre step overtake post steps, which then follow without a word", () => {
  const overtaken = [row(1, "1_pre"), row(2, "4_pre")];
  assertEquals(stepsOf(overtaken, { phase: "post" }), ["2_fill", "3_post"]);
  assertEquals(stepsOf(overtaken, {}), ["2_fill", "3_post"]);
  assertEquals(
    migrationStates(LANES, overtaken).map(({ state }) => state),
    ["applied", "pending", "pending", "applied"],
  );
});

Deno.test("planUp() refuses a post step before an earlier pre step, and disorder within a lane", () => {
  assertEquals(stepsOf([row(1, "4_pre")], { phase: "post" }), [
    'Cannot apply "2_fill": "1_pre" sorts before it and is pending in the phase pre; run up --phase pre first',
  ]);
  assertEquals(
    stepsOf([row(1, "1_pre"), row(2, "3_post")], { phase: "post" }),
    [
      'Cannot apply "2_fill": it sorts before "3_post", which is already applied; ' +
      "give it a later name, or pass --allow-out-of-order",
    ],
  );
});

const BEGUN = { status: "running", durationMs: null } as const;
const STUCK = {
  status: "failed",
  durationMs: null,
  error: "22012: /",
} as const;

Deno.test("an open backfill is pending: the next up goes on with it, also beside new pre steps", () => {
  const history = [row(1, "1_pre"), row(2, "2_fill", BEGUN)];
  assertEquals(stepsOf(history, { phase: "pre" }), ["4_pre"]);
  assertEquals(stepsOf(history, { phase: "post" }), ["2_fill", "3_post"]);
  assertEquals(
    migrationStates(LANES, history).map(({ state }) => state),
    ["applied", "open", "pending", "pending"],
  );
});

Deno.test("planUp() refuses a backfill that was edited after it began, or has failed", () => {
  const edited = [
    row(1, "1_pre"),
    row(2, "2_fill", { ...BEGUN, checksum: "e" }),
  ];
  const [fault] = stepsOf(edited, { phase: "post" }) as string[];
  assertEquals(
    fault?.replace(/is \S+…/, "is …"),
    'Cannot go on with "2_fill": it has begun, but its checksum is … and the history has e…; ' +
      "restore the file, or go on with the edited one with repair --retry 2_fill",
  );
  assertEquals(stepsOf([row(1, "1_pre"), row(2, "2_fill", STUCK)], {}), [
    'Cannot go on with "2_fill": a batch of it has failed; put right what failed, then go on from there with ' +
    "repair --retry 2_fill, or count it as applied with repair --mark-applied 2_fill",
  ]);
  // In the transaction of a run nothing was left behind.
  const small = row(2, "2_fill", { ...STUCK, durationMs: 3 });
  assertEquals(stepsOf([row(1, "1_pre"), small], { phase: "post" }), [
    "2_fill",
    "3_post",
  ]);
});

Deno.test("planRepair() lets a backfill that failed, or was edited, go on from its position", () => {
  const checksum = LANES[1]!.checksum;
  const reopened = {
    ok: true,
    plan: { changes: [{ kind: "reopen", id: 2, checksum }] },
  } as const;
  const retry = { action: "retry", name: "2_fill" } as const;
  assertEquals(planRepair(LANES, [row(2, "2_fill", STUCK)], retry), reopened);
  assertEquals(
    planRepair(LANES, [row(2, "2_fill", { ...BEGUN, checksum: "e" })], retry),
    reopened,
  );
  assertEquals(planRepair(LANES, [row(2, "2_fill", BEGUN)], retry), {
    ok: true,
    plan: { changes: [] },
  });
  assertEquals(
    planRepair(LANES, [row(2, "2_fill", BEGUN)], {
      action: "mark_applied",
      name: "2_fill",
    }),
    {
      ok: true,
      plan: { changes: [{ kind: "mark_applied", id: 2, checksum }] },
    },
  );
});

Deno.test("planDown() rolls back a backfill that has begun, whatever became of it", () => {
  for (const begun of [BEGUN, STUCK]) {
    const planned = planDown(LANES, [row(1, "1_pre"), row(2, "2_fill", begun)]);
    assertEquals(planned.ok && planned.plan.steps.map(({ row }) => row?.id), [
      2,
    ]);
    assertEquals(planned.ok && planned.plan.warnings, [
      'What "2_fill" has written stays, but for what its own down undoes',
    ]);
  }
});

Deno.test("BatchSize halves a batch that a row breaks until the row is alone, in no more than 17 halvings", () => {
  for (const bad of [1, 2, 777, 99_999, 100_000]) {
    const size = new BatchSize();
    let position = 0;
    let fails = 0;
    let rows = 100_000;
    for (;;) {
      const last = Number(size.through?.[0] ?? 200_000);
      const through = Math.min(position + rows, last);
      const taken = { rows: through - position, through: [`${through}`] };
      if (position < bad && bad <= through) {
        fails++;
        if (!size.halve(taken)) break;
      } else {
        position = through;
        size.done(taken, { tookMs: 500, aimMs: 500, waiting: 0 });
      }
      rows = size.rows(null);
    }
    assertEquals(position + 1, bad);
    assertEquals(fails <= 18, true, `${fails - 1} for ${bad}`);
  }
});

Deno.test("BatchSize goes on in the old size behind rows that turned out to be good", () => {
  const size = new BatchSize();
  size.done({ rows: 1_000, through: ["1000"] }, {
    tookMs: 500,
    aimMs: 500,
    waiting: 0,
  });
  size.halve({ rows: 4, through: ["1004"] });
  const passing = { tookMs: 1, aimMs: 500, waiting: 0 };
  assertEquals([size.rows(null), size.through], [2, ["1004"]]);
  size.done({ rows: 2, through: ["1002"] }, passing);
  assertEquals(size.rows(null), 1);
  size.done({ rows: 1, through: ["1003"] }, passing);
  size.done({ rows: 1, through: ["1004"] }, passing);
  assertEquals([size.rows(null), size.through, size.clear()], [
    1_000,
    undefined,
    false,
  ]);
});

Deno.test("BatchSize gives way to those who wait", () => {
  const size = new BatchSize();
  assertEquals(size.rows(4_000), 4_000);
  size.done({ rows: 4_000, through: ["1"] }, {
    tookMs: 10,
    aimMs: 500,
    waiting: 1,
  });
  assertEquals(size.rows(4_000), 2_000);
  assertEquals(size.giveWay(150), 100);
  assertEquals(size.rows(4_000), 100);
});

Deno.test("natureOf() tells rows from code, others, and what passes", () => {
  const failure = (code: string) =>
    new MigrationError("a", "up", {
      cause: new DatabaseError({ code, severity: "ERROR", message: "no" }),
    });
  const natures = [
    "55P03",
    "40P01",
    "57014",
    "23505",
    "P0001",
    "42703",
    "53100",
  ]
    .map((code) => natureOf(failure(code)));
  assertEquals(natures, [
    "in_the_way",
    "in_the_way",
    "in_the_way",
    "data",
    "data",
    "code",
    "passing",
  ]);
  const thrown = new MigrationError("a", "up", { cause: new TypeError("x") });
  assertEquals(natureOf(thrown), "code");
  assertEquals(natureOf(new TypeError("of the program")), "passing");
});
