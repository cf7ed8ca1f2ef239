import { assertEquals } from "@std/assert";
import type { HistoryRow } from "../../src/plan/history.ts";
import type { Migration } from "../../src/plan/migration.ts";
import {
  type DownRequest,
  type Plan,
  planDown,
  type Planned,
  planRedo,
  planUp,
  type UpRequest,
} from "../../src/plan/plan.ts";
import { migration, row } from "../support/program/planning.ts";

const ABC = ["a", "b", "c"].map((name) => migration(name));

const up = (
  history: readonly HistoryRow[],
  request?: UpRequest,
  migrations: readonly Migration[] = ABC,
) => steps(planUp(migrations, history, request));
const down = (
  history: readonly HistoryRow[],
  request?: DownRequest,
  migrations: readonly Migration[] = ABC,
) => steps(planDown(migrations, history, request));

/** The steps in short, or the faults. */
function steps(planned: Planned<Plan>): readonly string[] {
  return planned.ok
    ? planned.plan.steps.map(({ direction, migration }) =>
      `${direction} ${migration.name}`
    )
    : planned.faults;
}

function warnings(planned: Planned<Plan>): readonly string[] | undefined {
  return planned.ok ? planned.plan.warnings : undefined;
}

Deno.test("planUp() applies what is pending, oldest first", () => {
  assertEquals(up([]), ["up a", "up b", "up c"]);
  assertEquals(up([row(1, "a")]), ["up b", "up c"]);
  assertEquals(up([row(1, "a", { status: "baseline" })]), ["up b", "up c"]);
  assertEquals(up([row(1, "a"), row(2, "b"), row(3, "c")]), []);
  assertEquals(up([], {}, []), []);
});

Deno.test("planUp() applies a rolled back migration again", () => {
  assertEquals(up([row(1, "a"), row(2, "b", { status: "rolled_back" })]), [
    "up b",
    "up c",
  ]);
});

Deno.test("planUp() applies a transactional migration that failed again", () => {
  assertEquals(up([row(1, "a", { status: "failed" })]), [
    "up a",
    "up b",
    "up c",
  ]);
});

Deno.test("planUp() hands on the current row of a step", () => {
  const failed = row(7, "a", { status: "failed" });
  const planned = planUp(ABC, [failed], { steps: 2 });

  assertEquals(planned, {
    ok: true,
    plan: {
      steps: [
        { direction: "up", migration: ABC[0]!, row: failed },
        { direction: "up", migration: ABC[1]! },
      ],
      warnings: [],
    },
  });
});

Deno.test("planUp() stops at --to and after --steps, whichever comes first", () => {
  assertEquals(up([], { to: "b" }), ["up a", "up b"]);
  assertEquals(up([], { steps: 1 }), ["up a"]);
  assertEquals(up([], { steps: 9 }), ["up a", "up b", "up c"]);
  assertEquals(up([], { to: "b", steps: 1 }), ["up a"]);
  assertEquals(up([], { to: "b", steps: 3 }), ["up a", "up b"]);
  assertEquals(up([], { steps: 0 }), []);
  assertEquals(up([row(1, "a"), row(2, "b")], { to: "a" }), []);
});

Deno.test("planUp() refuses a migration whose checksum changed, also when nothing is pending", () => {
  const history = [
    row(1, "a", { checksum: "edited-0123456789" }),
    row(2, "b"),
    row(3, "c"),
  ];

  assertEquals(up(history), [
    'Cannot go on with "a": it is applied, but its checksum is a-checksum-o… and the history has edited-01234…; ' +
    "restore the file, or accept the edit with repair --accept-checksum a",
  ]);
});

Deno.test("planUp() refuses a pending migration that sorts before an applied one", () => {
  assertEquals(up([row(1, "b")]), [
    'Cannot apply "a": it sorts before "b", which is already applied; give it a later name, or pass --allow-out-of-order',
  ]);
  assertEquals(up([row(1, "b")], { allowOutOfOrder: true }), ["up a", "up c"]);
});

Deno.test("planUp() refuses a failed or interrupted migration without a transaction", () => {
  const migrations = [migration("a", { transaction: false }), migration("b")];

  assertEquals(up([row(1, "a", { status: "failed" })], {}, migrations), [
    'Cannot apply "a": it failed half-way outside a transaction; look at the database, then run ' +
    "repair --retry a or repair --mark-applied a",
  ]);
  assertEquals(up([row(1, "a", { status: "running" })], {}, migrations), [
    'Cannot apply "a": it began and did not end outside a transaction; look at the database, then run ' +
    "repair --retry a or repair --mark-applied a",
  ]);
  assertEquals(
    up([row(1, "a", { status: "failed", rollingBack: true })], {}, migrations),
    [
      'Cannot apply "a": its rollback failed half-way outside a transaction; look at the database, then run ' +
      "repair --retry a or repair --mark-applied a",
    ],
  );
});

Deno.test("planUp() runs what failed for being in a transaction, once it is told to run outside", () => {
  const migrations = [migration("a", { transaction: false })];
  const failed = { status: "failed", error: "25001: cannot run" } as const;

  assertEquals(
    up([row(1, "a", { ...failed, checksum: "before" })], {}, migrations),
    ["up a"],
  );
  assertEquals(up([row(1, "a", failed)], {}, migrations), [
    'Cannot apply "a": it failed half-way outside a transaction; look at the database, then run ' +
    "repair --retry a or repair --mark-applied a",
  ]);
});

Deno.test("planUp() retries a failed or interrupted migration that is idempotent", () => {
  const migrations = [migration("a", { transaction: false, idempotent: true })];

  assertEquals(up([row(1, "a", { status: "failed" })], {}, migrations), [
    "up a",
  ]);
  assertEquals(up([row(1, "a", { status: "running" })], {}, migrations), [
    "up a",
  ]);
});

Deno.test("planUp() warns of a newer database when nothing is pending", () => {
  const history = [
    row(1, "a"),
    row(2, "b"),
    row(3, "c"),
    row(4, "d"),
    row(5, "e"),
  ];

  assertEquals(up(history), []);
  assertEquals(warnings(planUp(ABC, history)), [
    'The database is newer than this program: its history has "d", "e"',
  ]);
});

Deno.test("planUp() refuses a newer database when something is pending", () => {
  assertEquals(
    up([row(1, "a"), row(2, "b"), row(3, "d")], { allowOutOfOrder: true }),
    [
      'Cannot apply 1 pending migration: the database is newer than this program, its history has "d"; ' +
      "run a version of the program that carries it",
    ],
  );
  assertEquals(
    up(["d", "e", "f", "g", "h", "i", "j"].map((name, i) => row(i, name)), {
      allowOutOfOrder: true,
    }),
    [
      'Cannot apply 3 pending migrations: the database is newer than this program, its history has "d", "e", "f", "g", "h" ' +
      "and 2 more; run a version of the program that carries them",
    ],
  );
});

Deno.test("planUp() takes a failed migration that it does not carry for past, a running one for news", () => {
  assertEquals(up([row(1, "d", { status: "failed" })]), [
    "up a",
    "up b",
    "up c",
  ]);
  assertEquals(up([row(1, "d", { status: "running" })]), [
    'Cannot apply 3 pending migrations: the database is newer than this program, its history has "d"; ' +
    "run a version of the program that carries it",
  ]);
});

Deno.test("planUp() names every fault at once", () => {
  const migrations = [
    migration("a"),
    migration("b", { transaction: false }),
    migration("c"),
    migration("d"),
  ];
  const history = [
    row(1, "c", { checksum: "edited" }),
    row(2, "b", { status: "running" }),
    row(3, "e"),
  ];

  assertEquals(up(history, {}, migrations), [
    'Cannot go on with "c": it is applied, but its checksum is c-checksum-o… and the history has edited…; ' +
    "restore the file, or accept the edit with repair --accept-checksum c",
    'Cannot apply "a": it sorts before "e", which is already applied; give it a later name, or pass --allow-out-of-order',
    'Cannot apply "b": it sorts before "e", which is already applied; give it a later name, or pass --allow-out-of-order',
    'Cannot apply "b": it began and did not end outside a transaction; look at the database, then run ' +
    "repair --retry b or repair --mark-applied b",
    'Cannot apply "d": it sorts before "e", which is already applied; give it a later name, or pass --allow-out-of-order',
    'Cannot apply 3 pending migrations: the database is newer than this program, its history has "e"; ' +
    "run a version of the program that carries it",
  ]);
});

const APPLIED = [row(1, "a"), row(2, "b"), row(3, "c")];

Deno.test("planDown() rolls back one step, newest first, unless told otherwise", () => {
  assertEquals(down(APPLIED), ["down c"]);
  assertEquals(down(APPLIED, { steps: 2 }), ["down c", "down b"]);
  assertEquals(down(APPLIED, { steps: 9 }), ["down c", "down b", "down a"]);
  assertEquals(down(APPLIED, { steps: 0 }), []);
  assertEquals(down(APPLIED, { all: true }), ["down c", "down b", "down a"]);
  assertEquals(down(APPLIED, { to: "a" }), ["down c", "down b"]);
  assertEquals(down(APPLIED, { to: "c" }), []);
  assertEquals(down([]), []);
  assertEquals(down([], { all: true }), []);
});

Deno.test("planDown() rolls back in the order of the names, not of the history", () => {
  assertEquals(down([row(1, "c"), row(2, "a"), row(3, "b")], { all: true }), [
    "down c",
    "down b",
    "down a",
  ]);
});

Deno.test("planDown() rolls back a baseline", () => {
  assertEquals(down([row(1, "a", { status: "baseline" })]), ["down a"]);
});

Deno.test("planDown() passes over what is rolled back, pending or failed in a transaction", () => {
  const history = [
    row(1, "a"),
    row(2, "b", { status: "rolled_back" }),
    row(3, "c", { status: "failed" }),
  ];

  assertEquals(down(history), ["down a"]);
});

Deno.test("planDown() refuses a step that has no down function", () => {
  const migrations = [
    migration("a", { irreversible: true }),
    migration("b"),
    migration("c", { irreversible: true }),
  ];

  assertEquals(down(APPLIED, { all: true }, migrations), [
    'Cannot roll back "c": it has no down function',
    'Cannot roll back "a": it has no down function',
  ]);
  assertEquals(down([row(1, "a"), row(2, "b")], { steps: 1 }, migrations), [
    "down b",
  ]);
});

Deno.test("planDown() refuses a migration that the program does not carry", () => {
  assertEquals(down([...APPLIED, row(4, "d")]), [
    'Cannot roll back "d": this program does not carry it; run the version of the program that does',
  ]);
});

Deno.test("planDown() refuses a migration that was edited", () => {
  assertEquals(down([row(1, "a", { checksum: "edited" })]), [
    'Cannot go on with "a": it is applied, but its checksum is a-checksum-o… and the history has edited…; ' +
    "restore the file, or accept the edit with repair --accept-checksum a",
  ]);
  assertEquals(down([row(1, "a", { checksum: "edited" }), row(2, "b")]), [
    "down b",
  ]);
});

Deno.test("planDown() refuses to roll back to a migration that is not applied", () => {
  assertEquals(down([row(1, "a")], { to: "b" }), [
    'Cannot roll back to "b": it is not applied',
  ]);
  assertEquals(down([row(1, "a", { status: "rolled_back" })], { to: "a" }), [
    'Cannot roll back to "a": it is not applied',
  ]);
});

Deno.test("planDown() refuses while a migration without a transaction is half done", () => {
  const migrations = [
    migration("a"),
    migration("b", { transaction: false, idempotent: true }),
  ];
  const past = (state: string) => [
    `Cannot roll back past "b": ${state} outside a transaction; look at the database, then run ` +
    "repair --retry b or repair --mark-applied b",
  ];

  assertEquals(
    down([row(1, "a"), row(2, "b", { status: "failed" })], {}, migrations),
    past("it failed half-way"),
  );
  assertEquals(
    down([row(2, "b", { status: "running" })], { all: true }, migrations),
    past("it began and did not end"),
  );
  assertEquals(
    down(
      [row(1, "a"), row(2, "b", { status: "failed", rollingBack: true })],
      {},
      migrations,
    ),
    past("its rollback failed half-way"),
  );
  assertEquals(
    down(
      [row(1, "a"), row(2, "b", { status: "running", rollingBack: true })],
      {},
      ABC,
    ),
    past("its rollback began and did not end"),
  );
});

Deno.test("planDown() names every fault at once", () => {
  const migrations = [
    migration("a", { irreversible: true }),
    migration("b"),
    migration("c", { transaction: false }),
  ];
  const history = [
    row(4, "d"),
    row(3, "c", { status: "failed" }),
    row(2, "b", { checksum: "edited" }),
    row(1, "a"),
  ];

  assertEquals(down(history, { all: true }, migrations), [
    'Cannot roll back past "c": it failed half-way outside a transaction; look at the database, then run ' +
    "repair --retry c or repair --mark-applied c",
    'Cannot roll back "d": this program does not carry it; run the version of the program that does',
    'Cannot go on with "b": it is applied, but its checksum is b-checksum-o… and the history has edited…; ' +
    "restore the file, or accept the edit with repair --accept-checksum b",
    'Cannot roll back "a": it has no down function',
  ]);
});

Deno.test("planRedo() rolls back the newest and applies it again", () => {
  assertEquals(steps(planRedo(ABC, APPLIED)), ["down c", "up c"]);
  assertEquals(steps(planRedo(ABC, [row(1, "a")])), ["down a", "up a"]);
  assertEquals(steps(planRedo(ABC, [])), []);
});

Deno.test("planRedo() applies a row that is not in the history yet", () => {
  const planned = planRedo(ABC, [row(1, "a")]);

  assertEquals(planned.ok && planned.plan.steps, [
    { direction: "down", migration: ABC[0]!, row: row(1, "a") },
    { direction: "up", migration: ABC[0]! },
  ]);
});

Deno.test("planRedo() refuses what planDown() refuses", () => {
  assertEquals(
    steps(planRedo([migration("a", { irreversible: true })], [row(1, "a")])),
    [
      'Cannot roll back "a": it has no down function',
    ],
  );
});
