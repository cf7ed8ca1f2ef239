import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  currentRows,
  type HistoryRow,
  type HistoryStatus,
  isApplied,
} from "../../src/plan/history.ts";
import { compareNames, type Migration } from "../../src/plan/migration.ts";
import {
  type DownRequest,
  planDown,
  planRedo,
  planUp,
  type UpRequest,
} from "../../src/plan/plan.ts";
import {
  planBaseline,
  planBaselineFromKysely,
  planRepair,
} from "../../src/plan/repair.ts";
import { migrationStates } from "../../src/plan/states.ts";
import { migration, play, row } from "../support/program/planning.ts";

const RUNS = { numRuns: 1_000 };

/** Names whose order by code unit is not the one of a dictionary. */
const NAMES = ["0002", "10", "9", "B", "a", "a-b", "a_b", "b"];

const name = fc.constantFrom(...NAMES);

const migrations: fc.Arbitrary<Migration[]> = fc.uniqueArray(
  fc.record({
    name,
    transaction: fc.boolean(),
    idempotent: fc.boolean(),
    irreversible: fc.boolean(),
  }),
  { selector: ({ name }) => name },
).map((list) => list.map(({ name, ...options }) => migration(name, options)));

const STATUSES: readonly HistoryStatus[] = [
  "applied",
  "baseline",
  "rolled_back",
  "failed",
  "running",
];

/** Any history that the table can hold: of one name at most one row is applied. */
const history: fc.Arbitrary<HistoryRow[]> = fc.uniqueArray(
  fc.record({
    name,
    status: fc.constantFrom(...STATUSES),
    edited: fc.constantFrom(undefined, undefined, undefined, null, "edited"),
    rollingBack: fc.boolean(),
  }),
  {
    maxLength: 10,
    selector: ({ name, status }) =>
      status === "applied" || status === "baseline" ? name : Symbol(),
  },
).map((list) =>
  list.map(({ name, status, edited, rollingBack }, i) =>
    row(i + 1, name, {
      status,
      rollingBack: rollingBack && (status === "failed" || status === "running"),
      ...(edited !== undefined && { checksum: edited }),
    })
  )
);

const upRequest: fc.Arbitrary<UpRequest> = fc.record({
  to: name,
  steps: fc.integer({ min: 0, max: 4 }),
  allowOutOfOrder: fc.boolean(),
}, { requiredKeys: [] });

const downRequest: fc.Arbitrary<DownRequest> = fc.oneof(
  fc.constant({}),
  fc.record({ to: name }),
  fc.record({ steps: fc.integer({ min: 0, max: 4 }) }),
  fc.constant({ all: true }),
);

/** Migrations that can all be rolled back, and a history in which the first of them are applied. */
const inStep: fc.Arbitrary<[Migration[], HistoryRow[]]> = fc.tuple(
  migrations.map((list) =>
    list.map(({ name, transaction }) => migration(name, { transaction }))
      .sort((a, b) => compareNames(a.name, b.name))
  ),
  fc.nat(NAMES.length),
).map(([list, n]) => [
  list,
  list.slice(0, n).map(({ name }, i) => row(i + 1, name)),
]);

/** A value and a shuffled copy of it. */
function shuffled<T>(list: fc.Arbitrary<T[]>): fc.Arbitrary<[T[], T[]]> {
  return list.chain((items) =>
    fc.tuple(
      fc.constant(items),
      fc.shuffledSubarray(items, { minLength: items.length }),
    )
  );
}

function appliedNames(rows: readonly HistoryRow[]): string[] {
  return rows.filter(isApplied).map(({ name }) => name).sort(compareNames);
}

/** The steps of a plan that must not be refused. */
function stepsOf(planned: ReturnType<typeof planUp>) {
  assertEquals(planned.ok ? [] : planned.faults, []);
  return planned.ok ? planned.plan.steps : [];
}

Deno.test("planUp() after up is empty", () => {
  fc.assert(
    fc.property(
      migrations,
      history,
      upRequest,
      (migrations, history, request) => {
        const first = planUp(migrations, history, request);
        if (!first.ok || request.steps !== undefined) return;
        const after = play(history, first.plan.steps);
        assertEquals(stepsOf(planUp(migrations, after, request)), []);
      },
    ),
    RUNS,
  );
});

Deno.test("planUp() in portions comes to the same as at once", () => {
  fc.assert(
    fc.property(
      inStep,
      fc.integer({ min: 1, max: 3 }),
      ([migrations, history], steps) => {
        const whole = play(history, stepsOf(planUp(migrations, history)));
        let rows: readonly HistoryRow[] = history;
        for (let i = 0; i < NAMES.length; i++) {
          rows = play(rows, stepsOf(planUp(migrations, rows, { steps })));
        }
        assertEquals(appliedNames(rows), appliedNames(whole));
      },
    ),
  );
});

Deno.test("planUp() then down --all leaves nothing applied", () => {
  fc.assert(
    fc.property(inStep, ([migrations, history]) => {
      const up = play(history, stepsOf(planUp(migrations, history)));
      const down = play(up, stepsOf(planDown(migrations, up, { all: true })));
      assertEquals(appliedNames(down), []);
    }),
  );
});

Deno.test("planDown() inverts planUp()", () => {
  fc.assert(
    fc.property(inStep, fc.nat(4), ([migrations, history], n) => {
      const steps = stepsOf(planUp(migrations, history, { steps: n }));
      const up = play(history, steps);
      const back = stepsOf(planDown(migrations, up, { steps: steps.length }));
      assertEquals(
        back.map(({ migration }) => migration.name),
        steps.map(({ migration }) => migration.name).reverse(),
      );
      assertEquals(appliedNames(play(up, back)), appliedNames(history));
    }),
  );
});

Deno.test("planDown() --to a name and planUp() --to the same name meet", () => {
  fc.assert(
    fc.property(inStep, name, ([migrations, history], to) => {
      const up = play(history, stepsOf(planUp(migrations, history)));
      if (!appliedNames(up).includes(to)) return;
      const down = play(up, stepsOf(planDown(migrations, up, { to })));
      assertEquals(appliedNames(down).at(-1), to);
      assertEquals(stepsOf(planUp(migrations, down, { to })), []);
      assertEquals(stepsOf(planDown(migrations, down, { to })), []);
    }),
  );
});

Deno.test("planRedo() leaves applied what was applied", () => {
  fc.assert(
    fc.property(inStep, ([migrations, history]) => {
      const after = play(history, stepsOf(planRedo(migrations, history)));
      assertEquals(appliedNames(after), appliedNames(history));
    }),
  );
});

Deno.test("planning does not depend on the order of the migrations or of the rows", () => {
  fc.assert(
    fc.property(
      shuffled(migrations),
      shuffled(history),
      upRequest,
      downRequest,
      name,
      ([m, m2], [h, h2], up, down, name) => {
        assertEquals(planUp(m2, h2, up), planUp(m, h, up));
        assertEquals(planDown(m2, h2, down), planDown(m, h, down));
        assertEquals(planRedo(m2, h2), planRedo(m, h));
        assertEquals(planBaseline(m2, h2, name), planBaseline(m, h, name));
        assertEquals(migrationStates(m2, h2), migrationStates(m, h));
        for (
          const action of ["accept_checksum", "retry", "mark_applied"] as const
        ) {
          const request = { action, name };
          assertEquals(planRepair(m2, h2, request), planRepair(m, h, request));
        }
      },
    ),
    RUNS,
  );
});

Deno.test("planning changes nothing that it is given", () => {
  fc.assert(
    fc.property(
      migrations,
      history,
      upRequest,
      downRequest,
      (m, h, up, down) => {
        const migrations = Object.freeze(m.map((one) => Object.freeze(one)));
        const history = Object.freeze(h.map((one) => Object.freeze(one)));
        planUp(migrations, history, up);
        planDown(migrations, history, down);
        planRedo(migrations, history);
        planBaseline(migrations, history, "a");
        planBaselineFromKysely(
          migrations,
          history,
          Object.freeze([{ name: "b", timestamp: "" }, {
            name: "a",
            timestamp: "",
          }]),
        );
      },
    ),
  );
});

Deno.test("planUp() selects legal steps only, in order and within its bounds", () => {
  fc.assert(
    fc.property(
      migrations,
      history,
      upRequest,
      (migrations, history, request) => {
        const planned = planUp(migrations, history, request);
        if (!planned.ok) return;
        const { steps } = planned.plan;
        const rows = currentRows(history);
        const newest = appliedNames(history).at(-1);
        const names = steps.map(({ migration }) => migration.name);

        assertEquals(names, names.toSorted(compareNames));
        assertEquals(new Set(names).size, names.length);
        assertEquals(names.length <= (request.steps ?? Infinity), true);
        for (const { direction, migration, row } of steps) {
          const { name, idempotent, transaction } = migration;
          assertEquals(direction, "up");
          assertEquals(migrations.includes(migration), true);
          assertEquals(row, rows.get(name));
          assertEquals(isApplied(row), false);
          assertEquals(
            request.to === undefined || compareNames(name, request.to) <= 0,
            true,
          );
          if (!request.allowOutOfOrder && newest !== undefined) {
            assertEquals(compareNames(name, newest) > 0, true);
          }
          if (!idempotent) {
            assertEquals(
              row?.status === "running" || row?.rollingBack === true,
              false,
            );
            assertEquals(row?.status === "failed" && !transaction, false);
          }
        }
        for (const migration of migrations) {
          const row = rows.get(migration.name);
          if (!isApplied(row)) continue;
          assertEquals([null, migration.checksum].includes(row.checksum), true);
        }
      },
    ),
    RUNS,
  );
});

Deno.test("planUp() leaves out no pending migration within its bounds", () => {
  fc.assert(
    fc.property(
      migrations,
      history,
      upRequest,
      (migrations, history, request) => {
        const planned = planUp(migrations, history, request);
        if (!planned.ok) return;
        const applied = appliedNames(history);
        const pending = migrations.map(({ name }) => name).sort(compareNames)
          .filter((name) => !applied.includes(name))
          .filter((name) =>
            request.to === undefined || compareNames(name, request.to) <= 0
          )
          .slice(0, request.steps);
        assertEquals(
          planned.plan.steps.map(({ migration }) => migration.name),
          pending,
        );
      },
    ),
    RUNS,
  );
});

Deno.test("planDown() selects legal steps only, newest first and within its bounds", () => {
  fc.assert(
    fc.property(
      migrations,
      history,
      downRequest,
      (migrations, history, request) => {
        const planned = planDown(migrations, history, request);
        if (!planned.ok) return;
        const { steps } = planned.plan;
        const applied = appliedNames(history).reverse();
        const names = steps.map(({ migration }) => migration.name);

        assertEquals(names, applied.slice(0, names.length));
        if (request.all) assertEquals(names, applied);
        else if (request.to === undefined) {
          assertEquals(
            names.length,
            Math.min(request.steps ?? 1, applied.length),
          );
        } else assertEquals(applied[names.length], request.to);
        for (const { direction, migration, row } of steps) {
          assertEquals(direction, "down");
          assertEquals(migrations.includes(migration), true);
          assertEquals(migration.down !== undefined, true);
          assertEquals(
            [null, migration.checksum].includes(row!.checksum),
            true,
          );
        }
        for (const { status, rollingBack } of currentRows(history).values()) {
          assertEquals(status === "running" || rollingBack, false);
        }
      },
    ),
    RUNS,
  );
});

Deno.test("planUp() names every changed, out of order and half done migration in one refusal", () => {
  fc.assert(
    fc.property(migrations, history, (migrations, history) => {
      const planned = planUp(migrations, history);
      const faults = planned.ok ? [] : planned.faults;
      const named = (start: string, name: string) =>
        faults.some((fault) => fault.startsWith(`${start} "${name}"`));
      const rows = currentRows(history);
      const newest = appliedNames(history).at(-1);
      const pending = migrations.filter(({ name }) =>
        !isApplied(rows.get(name))
      );

      for (const { name, checksum } of migrations) {
        const row = rows.get(name);
        const changed = isApplied(row) && row.checksum !== null &&
          row.checksum !== checksum;
        assertEquals(named("Cannot go on with", name), changed);
      }
      for (const { name, transaction, idempotent } of pending) {
        const row = rows.get(name);
        const late = newest !== undefined && compareNames(name, newest) < 0;
        const halfDone = row?.status === "running" ||
          row?.status === "failed" && (!transaction || row.rollingBack);
        assertEquals(
          named("Cannot apply", name),
          late || (halfDone && !idempotent),
        );
      }
      const unknown = [...rows.values()].some((row) =>
        !migrations.some(({ name }) => name === row.name) &&
        (isApplied(row) || row.status === "running" || row.rollingBack)
      );
      assertEquals(
        faults.some((fault) =>
          fault.includes("the database is newer than this program")
        ),
        unknown && pending.length > 0,
      );
    }),
    RUNS,
  );
});

Deno.test("planDown() names every step that cannot be rolled back in one refusal", () => {
  fc.assert(
    fc.property(migrations, history, (migrations, history) => {
      const planned = planDown(migrations, history, { all: true });
      const faults = planned.ok ? [] : planned.faults;
      for (const row of currentRows(history).values()) {
        const migration = migrations.find(({ name }) => name === row.name);
        const bad = isApplied(row)
          ? migration?.down === undefined ||
            (row.checksum !== null && row.checksum !== migration.checksum)
          : row.status === "running" || row.rollingBack ||
            (row.status === "failed" && migration?.transaction === false);
        assertEquals(
          faults.some((fault) => fault.includes(`"${row.name}"`)),
          bad,
        );
      }
    }),
    RUNS,
  );
});

Deno.test("planRepair() settles what planUp() refuses as half done", () => {
  fc.assert(
    fc.property(migrations, name, (migrations, name) => {
      const history = [row(1, name, { status: "running" })];
      if (!migrations.some((migration) => migration.name === name)) return;
      for (const action of ["retry", "mark_applied"] as const) {
        const planned = planRepair(migrations, history, { action, name });
        assertEquals(planned.ok && planned.plan.changes.length, 1);
        const status = action === "retry" ? "rolled_back" : "applied";
        const request = { allowOutOfOrder: true };
        const again = stepsOf(
          planUp(migrations, [row(1, name, { status })], request),
        );
        assertEquals(
          again.some(({ migration }) => migration.name === name),
          action === "retry",
        );
      }
    }),
  );
});

Deno.test("migrationStates() gives every known name exactly one state", () => {
  fc.assert(
    fc.property(migrations, history, (migrations, history) => {
      const states = migrationStates(migrations, history);
      const names = states.map(({ name }) => name);
      const known = new Set([
        ...migrations.map(({ name }) => name),
        ...[...currentRows(history).values()]
          .filter(({ status }) => status !== "rolled_back")
          .map(({ name }) => name),
      ]);

      assertEquals(names, [...known].sort(compareNames));
      assertEquals(
        states.filter(({ row }) => isApplied(row)).map(({ name }) => name),
        appliedNames(history),
      );
    }),
    RUNS,
  );
});
