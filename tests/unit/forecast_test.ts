import { assertEquals } from "@std/assert";
import rulesPage from "../../docs/rules.md" with { type: "text" };
import type { DatabaseFacts, TableFacts } from "../../src/insight/facts.ts";
import { RULES } from "../../src/insight/findings.ts";
import type { StatementFootprint } from "../../src/insight/footprint.ts";
import { forecast } from "../../src/insight/forecast.ts";
import {
  isClear,
  type RecordedStep,
} from "../../src/insight/forecast_values.ts";
import { conflicts, LOCK_MODES } from "../../src/insight/locks.ts";
import { namesToAsk, Tables } from "../../src/insight/tables.ts";
import { rangeText } from "../../src/report/amounts.ts";

const MB = 1_000_000;

const TABLE: TableFacts = {
  bytes: 1_200 * MB,
  indexBytes: 0,
  indexes: 1,
  rows: 1_000,
  empty: false,
  estimated: false,
  owned: true,
  columns: new Set(),
  holders: [],
};

const FACTS: DatabaseFacts = {
  schema: "public",
  mayCreate: true,
  superuser: false,
  seesOthers: true,
  timeZone: "UTC",
  tables: new Map([["big", TABLE], ["small", { ...TABLE, bytes: 8_192 }]]),
  taken: new Set(),
  standbys: 0,
  prepared: 0,
  oldTransactions: [],
};

const ADDS: StatementFootprint = {
  sql: "alter table small add column a text",
  verb: "alter",
  locks: { small: "AccessExclusive" },
  alters: [{ type: "table", object: "small" }],
};

const REWRITES: StatementFootprint = {
  sql: "alter table big alter column n type bigint",
  verb: "alter",
  locks: { big: "AccessExclusive" },
  rewrites: ["big"],
};

function step(
  name: string,
  statements: readonly StatementFootprint[],
  more: Partial<RecordedStep> = {},
): RecordedStep {
  return {
    name,
    direction: "up",
    transaction: true,
    phase: "pre",
    accept: {},
    footprint: { statements },
    ...more,
  };
}

Deno.test("forecast() holds a lock from its statement to the end of the transaction", () => {
  const steps = [step("1", [ADDS]), step("2", [REWRITES])];
  const holds = (transaction: "all" | "each") =>
    forecast(steps, FACTS, transaction).segments.flatMap(({ holds }) =>
      holds.map((
        { table, since, fromMs, toMs },
      ) => [table, since, fromMs, toMs])
    );
  assertEquals(holds("all"), [
    ["small", "1", 6_000, 100_100],
    ["big", "2", 6_000, 100_050],
  ]);
  assertEquals(holds("each"), [
    ["small", "1", 0, 50],
    ["big", "2", 6_000, 100_050],
  ]);
});

Deno.test("forecast() splits a run around what is outside a transaction, and around backfills", () => {
  const steps = [
    step("1", [ADDS]),
    step("2", [ADDS], { transaction: false }),
    step("3", [ADDS]),
    step("4", [ADDS]),
    step("5", [ADDS], { backfill: "big" }),
    step("6", [ADDS]),
  ];
  assertEquals(
    forecast(steps, FACTS, "all").segments.map((
      { transaction, migrations },
    ) => [
      transaction,
      migrations.map(({ name }) => name).join(),
    ]),
    [[true, "1"], [false, "2"], [true, "3,4"], [false, "5"], [true, "6"]],
  );
});

Deno.test("forecast() counts what is accepted apart, and what is not recorded as not clear", () => {
  const accept = { "rewrites-table": "at night" };
  const accepted = forecast([step("1", [REWRITES], { accept })], FACTS, "all");
  assertEquals(accepted.summary, {
    migrations: 1,
    errors: 0,
    warnings: 0,
    accepted: 1,
    unknown: 0,
    uncertain: 0,
  });
  assertEquals(isClear(accepted), true);
  assertEquals(isClear(forecast([step("1", [REWRITES])], FACTS, "all")), false);
  const unknown = forecast(
    [step("1", [], { footprint: "it needs postgis" })],
    FACTS,
    "all",
  );
  assertEquals([unknown.summary.unknown, isClear(unknown)], [1, false]);
});

Deno.test("forecast() tells what is missing, what is taken and what may not be altered", () => {
  const rules = (one: StatementFootprint, facts: DatabaseFacts) =>
    forecast([step("1", [one])], facts, "all").segments[0]!.migrations[0]!
      .statements[0]!.findings.map(({ rule, object }) => `${rule} ${object}`);
  const creates: StatementFootprint = {
    sql: "create table fresh ()",
    verb: "create",
    creates: [{ type: "table", object: "fresh" }],
  };
  const taken = { ...FACTS, taken: new Set(["fresh"]) };
  assertEquals(rules(creates, FACTS), []);
  assertEquals(rules(creates, taken), ["object-exists fresh"]);
  assertEquals(rules(creates, { ...FACTS, mayCreate: false }), [
    "missing-privilege fresh",
  ]);
  const guarded = { ...creates, sql: "create table if not exists fresh ()" };
  assertEquals(rules(guarded, taken), []);
  assertEquals(
    rules({ ...ADDS, locks: { gone: "AccessExclusive" }, alters: [] }, FACTS),
    ["object-missing gone"],
  );
  const foreign = new Map([["small", { ...TABLE, bytes: 0, owned: false }]]);
  assertEquals(rules(ADDS, { ...FACTS, tables: foreign }), [
    "missing-privilege small",
  ]);
});

Deno.test("forecast() finds a superuser missing, and a down that is not exact", () => {
  const found = (more: Partial<RecordedStep>, facts = FACTS) =>
    forecast([step("1", [], more)], facts, "all").segments[0]!.migrations[0]!
      .findings.map(({ rule }) => rule);
  assertEquals(found({ superuser: true }), ["needs-superuser"]);
  assertEquals(found({ superuser: true }, { ...FACTS, superuser: true }), []);
  assertEquals(found({ exact: false }), ["down-not-exact"]);
  assertEquals(found({ exact: false, direction: "down" }), []);
});

Deno.test("forecast() names who is in the way with a lock that conflicts", () => {
  const holder = { pid: 7, application: "report", user: "r" };
  const holders = [
    { ...holder, mode: "AccessShare" as const },
    { ...holder, pid: 8, mode: "RowExclusive" as const },
  ];
  const tables = new Map([["small", { ...TABLE, holders }]]);
  const pids = (mode: "AccessExclusive" | "Share") =>
    forecast(
      [step("1", [{ ...ADDS, locks: { small: mode } }])],
      { ...FACTS, tables },
      "all",
    ).blockers.map(({ pid }) => pid);
  assertEquals(pids("AccessExclusive"), [7, 8]);
  assertEquals(pids("Share"), [8]);
});

Deno.test("conflicts() is the table of the manual", () => {
  // https://www.postgresql.org/docs/current/explicit-locking.html, a row for each mode from the weakest.
  const table = [
    ".......X",
    "......XX",
    "....XXXX",
    "...XXXXX",
    "..XX.XXX",
    "..XXXXXX",
    ".XXXXXXX",
    "XXXXXXXX",
  ];
  assertEquals(
    LOCK_MODES.map((one) =>
      LOCK_MODES.map((other) => conflicts(one, other) ? "X" : ".").join("")
    ),
    table,
  );
});

Deno.test("Tables follows a table through the names that a run gives it", () => {
  const tables = new Tables(FACTS);
  tables.pass({
    statements: [
      { sql: "", verb: "alter", renames: { big: "huge" } },
      {
        sql: "",
        verb: "create",
        creates: [{ type: "table", object: "fresh" }],
      },
    ],
  });
  tables.pass({
    statements: [
      { sql: "", verb: "alter", renames: { huge: "vast", fresh: "new" } },
    ],
  });
  assertEquals(tables.nameOf("vast"), "big");
  assertEquals(tables.find("vast"), TABLE);
  assertEquals(tables.find("new"), undefined);
  assertEquals([tables.isFresh("new"), tables.isFresh("fresh")], [true, false]);
});

Deno.test("namesToAsk() has the tables that a run works on, and the names that it gives", () => {
  assertEquals(
    namesToAsk([
      step("1", [ADDS, {
        sql: "",
        verb: "create",
        creates: [{ type: "index", object: "i" }],
        builds: [{ index: "i", table: "b" }],
      }]),
      step("2", [], { backfill: "f" }),
      step("3", [], { footprint: "unknown" }),
    ]),
    { tables: ["b", "f", "small"], columns: [], objects: ["i"] },
  );
});

Deno.test("rangeText() rounds as a person would", () => {
  const text = (fromMs: number, toMs: number) => rangeText({ fromMs, toMs });
  assertEquals(text(0, 999), "under 1 s");
  assertEquals(text(200, 9_000), "up to 9 s");
  assertEquals(text(4_000, 43_000), "4 to 43 s");
  assertEquals(text(240_000, 2_580_000), "4 to 43 min");
  assertEquals(text(50_000, 480_000), "50 s to 8 min");
  assertEquals(text(3_600_000, 36_000_000), "1 to 10 h");
  assertEquals(text(2_000, 2_400), "about 2 s");
});

Deno.test("docs/rules.md has a page on each rule, in their order", () => {
  const titles = [...rulesPage.matchAll(/^## (.*)$/gm)].map(([, one]) => one!);
  assertEquals(titles.filter((title) => title.includes("-")), [...RULES]);
});
