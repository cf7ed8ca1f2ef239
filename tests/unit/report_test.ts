import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  DatabaseError,
  MigrationError,
  RefusedError,
} from "../../src/errors.ts";
import type { Event, ServerInfo, Summary } from "../../src/report/events.ts";
import { holderText } from "../../src/report/wording.ts";
import { hideNothing, redactor } from "../../src/text.ts";
import { render, type RenderOptions } from "../../src/report/report.ts";
import { migrationStates } from "../../src/plan/states.ts";
import { hostile, isClean } from "../support/net/hostile.ts";
import { migration, row } from "../support/program/planning.ts";

const AT = "2026-01-05T09:00:00.000Z";

const OPTIONS: RenderOptions = {
  format: "text",
  verbosity: "normal",
  color: false,
  at: new Date(AT),
  stream: true,
  hide: hideNothing,
};
const JSON_OPTIONS: RenderOptions = { ...OPTIONS, format: "json" };

const MIB = 1_048_576;

const SERVER: ServerInfo = {
  host: "db",
  port: 5432,
  database: "battlescope",
  version: "18.4",
  schema: "public",
  user: "migrator",
  readOnly: false,
  pooled: false,
};

const SUMMARY: Summary = {
  command: "up",
  applied: 0,
  rolledBack: 0,
  recorded: 0,
  notRun: 0,
  unfinished: 0,
  unknown: 0,
  outcome: "committed",
  durationMs: 1_500,
  dryRun: false,
  failed: false,
};

const FAILED: Event = {
  event: "failed",
  error: new MigrationError("a", "up", {
    cause: new DatabaseError({
      code: "42P01",
      severity: "ERROR",
      message: 'relation "x" does not exist',
      statement: "select * from x",
      position: 15,
    }),
  }),
};

/** The lines with the stream before each. */
function text(event: Event, options: Partial<RenderOptions> = {}): string[] {
  return render(event, { ...OPTIONS, ...options }).map(({ stream, text }) =>
    `${stream}: ${text}`
  );
}

/** What the JSON lines parse to, and the notes for a person. */
function json(event: Event, options: Partial<RenderOptions> = {}) {
  const lines = render(event, { ...JSON_OPTIONS, ...options });
  return {
    stdout: lines.filter(({ stream }) => stream === "stdout").map(({ text }) =>
      JSON.parse(text)
    ),
    stderr: lines.filter(({ stream }) => stream === "stderr").map(({ text }) =>
      text
    ),
  };
}

const HOLDER = {
  pid: 4711,
  application: "battlescope-migrate 0.1.0",
  address: "10.0.0.7:5000",
  sinceMs: 65_000,
};

Deno.test("render() puts results on stdout and everything else on stderr", () => {
  const events: [Event, string][] = [
    [
      {
        event: "waiting_for_database",
        reason: "connection refused",
        leftMs: 28_000,
      },
      "stderr: Waiting for the database, 28 s left: connection refused",
    ],
    [
      { event: "connected", server: SERVER },
      'stderr: Connected to "battlescope" at db:5432 (PostgreSQL 18.4)',
    ],
    [
      {
        event: "connected",
        server: { ...SERVER, host: "/run/pg", pooled: true },
      },
      'stderr: Connected to "battlescope" at /run/pg (PostgreSQL 18.4, through a pooler)',
    ],
    [
      { event: "connected", server: { ...SERVER, host: "::1" } },
      'stderr: Connected to "battlescope" at [::1]:5432 (PostgreSQL 18.4)',
    ],
    [
      { event: "waiting_for_lock", holder: HOLDER, leftMs: 60_000 },
      "stderr: Waiting for the migration lock, 1 min left: backend 4711 (battlescope-migrate 0.1.0, 10.0.0.7:5000, " +
      "for 1 min 5 s) holds it",
    ],
    [
      { event: "waiting_for_lock", holder: undefined, leftMs: 500 },
      "stderr: Waiting for the migration lock, 500 ms left: another migrator holds it",
    ],
    [
      { event: "waiting_for_migrations", pending: 1, leftMs: 1_000 },
      "stderr: Waiting for 1 migration, 1 s left",
    ],
    [
      { event: "waiting_for_migrations", pending: 2, leftMs: 1_000 },
      "stderr: Waiting for 2 migrations, 1 s left",
    ],
    [{ event: "warning", message: "careful" }, "stderr: warning: careful"],
    [
      { event: "notice", severity: "WARNING", message: "careful" },
      "stderr: WARNING: careful",
    ],
    [
      { event: "planned", direction: "up", migration: "a" },
      "stdout: Would apply a",
    ],
    [
      { event: "planned", direction: "down", migration: "a" },
      "stdout: Would roll back a",
    ],
    [
      {
        event: "started",
        direction: "up",
        migration: "a",
        number: 1,
        total: 3,
      },
      "stderr: Applying a (1 of 3)",
    ],
    [
      {
        event: "started",
        direction: "down",
        migration: "a",
        number: 1,
        total: 1,
      },
      "stderr: Rolling back a (1 of 1)",
    ],
    [
      {
        event: "retrying",
        reason: "55P03: canceling statement due to lock timeout",
        waitMs: 200,
        leftMs: 290_000,
      },
      "stderr: Trying again in 200 ms, 4 min 50 s left: 55P03: canceling statement due to lock timeout",
    ],
    [
      {
        event: "running",
        sql: "create index on t (a)",
        runningMs: 12_000,
        progress: {
          phase: "building index",
          percent: 40,
          tuplesDone: 4,
          tuplesTotal: 10,
        },
      },
      "stderr: Running since 12 s: create index on t (a) (building index, 40 %, 4 of 10 tuples)",
    ],
    [
      { event: "running", sql: "vacuum t", runningMs: 12_000 },
      "stderr: Running since 12 s: vacuum t",
    ],
    [
      {
        event: "running",
        sql: "alter table t …",
        runningMs: 12_000,
        work: {
          kind: "rewrites",
          tables: ["t"],
          bytes: 405 * MIB,
          expected: { fromMs: 4_000, toMs: 35_000 },
        },
      },
      "stderr: Running since 12 s: alter table t … (rewrites t: about 405 MiB, expected 4 to 35 s)",
    ],
    [
      {
        event: "running",
        sql: "alter table t …",
        runningMs: 12_000,
        work: {
          kind: "rewrites",
          tables: ["t"],
          bytes: 405 * MIB,
          writtenBytes: 191 * MIB,
          expected: { fromMs: 4_000, toMs: 35_000 },
        },
      },
      "stderr: Running since 12 s: alter table t … (rewrites t: written about 191 MiB of 405 MiB, expected 4 to 35 s)",
    ],
    [
      {
        event: "running",
        sql: "alter table t …",
        runningMs: 12_000,
        work: {
          kind: "rewrites",
          tables: ["t"],
          bytes: 405 * MIB,
          writtenBytes: 500 * MIB,
          expected: { fromMs: 4_000, toMs: 35_000 },
        },
      },
      "stderr: Running since 12 s: alter table t … (rewrites t: written about 500 MiB, more than the 405 MiB that it was to be, expected 4 to 35 s)",
    ],
    [
      {
        event: "running",
        sql: "alter table t …",
        runningMs: 12_000,
        work: { kind: "rewrites", tables: ["t", "u"], bytes: null },
      },
      "stderr: Running since 12 s: alter table t … (rewrites t, u)",
    ],
    [
      {
        event: "running",
        sql: "alter table t …",
        runningMs: 12_000,
        work: {
          kind: "rewrites",
          tables: ["t"],
          bytes: null,
          writtenBytes: 5 * MIB,
        },
      },
      "stderr: Running since 12 s: alter table t … (rewrites t: written about 5 MiB)",
    ],
    [
      {
        event: "running",
        sql: "alter table t …",
        runningMs: 12_000,
        work: {
          kind: "changes",
          tables: ["t"],
          bytes: 0,
          expected: { fromMs: 0, toMs: 50 },
        },
      },
      "stderr: Running since 12 s: alter table t … (changes rows of t: 0 bytes, expected under 1 s)",
    ],
    [
      { event: "applied", migration: "a", durationMs: 870 },
      "stdout: Applied a (870 ms)",
    ],
    [
      { event: "rolled_back", migration: "a", durationMs: 4_200 },
      "stdout: Rolled back a (4.2 s)",
    ],
    [
      { event: "recorded", action: "baseline", migration: "a" },
      "stdout: Recorded a",
    ],
    [
      { event: "recorded", action: "accept_checksum", migration: "a" },
      "stdout: Accepted the checksum of a",
    ],
    [
      { event: "recorded", action: "retry", migration: "a" },
      "stdout: Ready to be applied again: a",
    ],
    [
      { event: "recorded", action: "mark_applied", migration: "a" },
      "stdout: Marked as applied: a",
    ],
  ];

  for (const [event, line] of events) assertEquals(text(event), [line]);
});

Deno.test("render() shows who is in the way of a statement", () => {
  const event: Event = {
    event: "blocked",
    sql: "alter table t add a int",
    runningMs: 2_000,
    blockers: [
      {
        pid: 1,
        application: "web",
        user: "app",
        state: "idle in transaction",
        ageMs: 90_000,
        query: "select 1",
      },
      {
        pid: 2,
        application: "",
        user: "app",
        state: "",
        ageMs: undefined,
        query: "",
      },
    ],
  };

  assertEquals(text(event), [
    "stderr: Waiting for a lock since 2 s: alter table t add a int",
    "stderr:   blocked by backend 1 (web, user app, idle in transaction, its transaction is 1 min 30 s old): select 1",
    "stderr:   blocked by backend 2 (unnamed, user app, state hidden): ",
  ]);
});

Deno.test("render() shows statements and notices to those who asked", () => {
  const statement: Event = {
    event: "statement",
    sql: "  select 1\n\t from  t ",
    durationMs: 3,
  };
  const notice: Event = {
    event: "notice",
    severity: "NOTICE",
    message: "skipping",
  };

  assertEquals(text(statement), []);
  assertEquals(text(notice), []);
  assertEquals(text(statement, { verbosity: "verbose" }), [
    "stderr:     3 ms  select 1 from t",
  ]);
  assertEquals(text(notice, { verbosity: "verbose" }), [
    "stderr: NOTICE: skipping",
  ]);
  assertEquals(json(notice).stdout, []);
  assertEquals(json(notice, { verbosity: "verbose" }).stdout, [
    {
      event: "notice",
      at: AT,
      severity: "NOTICE",
      message: "skipping",
    },
  ]);
});

Deno.test("render() leaves results, warnings and errors when it is to be quiet", () => {
  const quiet = { verbosity: "quiet" } as const;

  assertEquals(text({ event: "connected", server: SERVER }, quiet), []);
  assertEquals(
    text({
      event: "started",
      direction: "up",
      migration: "a",
      number: 1,
      total: 1,
    }, quiet),
    [],
  );
  assertEquals(text({ event: "warning", message: "careful" }, quiet), [
    "stderr: warning: careful",
  ]);
  assertEquals(
    text({ event: "applied", migration: "a", durationMs: 1 }, quiet),
    ["stdout: Applied a (1 ms)"],
  );
  assertEquals(text(FAILED, quiet).length, 3);
});

Deno.test("render() shows a failure with what the server said", () => {
  assertEquals(text(FAILED), [
    'stderr: error: Cannot apply "a": relation "x" does not exist (SQLSTATE 42P01)',
    "stderr:   statement: select * from x",
    "stderr:                            ^",
  ]);
});

Deno.test("render() marks every fault of a refusal", () => {
  assertEquals(text({ event: "failed", error: new RefusedError(["a", "b"]) }), [
    "stderr: error: a",
    "stderr: error: b",
  ]);
});

Deno.test("render() uses colour only when told to", () => {
  assertEquals(
    text({ event: "failed", error: new RefusedError(["a"]) }, { color: true }),
    [
      "stderr: \u001b[31merror:\u001b[0m a",
    ],
  );
  assertEquals(text({ event: "warning", message: "a" }, { color: true }), [
    "stderr: \u001b[33mwarning:\u001b[0m a",
  ]);
});

Deno.test("render() closes a run with what it came to", () => {
  const summaries: [Partial<Summary>, string][] = [
    [{ applied: 1 }, "stdout: Applied 1 migration in 1.5 s"],
    [{ applied: 2 }, "stdout: Applied 2 migrations in 1.5 s"],
    [{}, "stdout: Nothing to apply: the database is up to date"],
    [{ to: "b" }, "stdout: Nothing to apply up to b"],
    [
      { command: "down", rolledBack: 2 },
      "stdout: Rolled back 2 migrations in 1.5 s",
    ],
    [{ command: "down" }, "stdout: Nothing to roll back"],
    [
      { command: "redo", applied: 1, rolledBack: 1 },
      "stdout: Rolled back 1 migration and applied 1 again in 1.5 s",
    ],
    [{ command: "redo" }, "stdout: Nothing to redo: no migration is applied"],
    [
      { command: "baseline", recorded: 3 },
      "stdout: Recorded 3 migrations in 1.5 s",
    ],
    [
      { command: "baseline" },
      "stdout: Nothing to record: the history has these migrations already",
    ],
    [
      { command: "repair", recorded: 1 },
      "stdout: Repaired 1 migration in 1.5 s",
    ],
    [{ command: "repair" }, "stdout: Nothing to repair"],
    [
      { dryRun: true, notRun: 1 },
      "stdout: Dry run: 1 migration would run, nothing was changed",
    ],
    [{ dryRun: true }, "stdout: Dry run: nothing to do"],
    [{ failed: true }, "stderr: Failed in 1.5 s: nothing was changed"],
    [
      { failed: true, notRun: 3 },
      "stderr: Failed in 1.5 s: nothing was changed, 3 not run",
    ],
    [
      { failed: true, applied: 1, notRun: 2 },
      "stderr: Failed in 1.5 s: 1 migration applied, 2 not run",
    ],
    [
      { failed: true, rolledBack: 2 },
      "stderr: Failed in 1.5 s: 2 migrations rolled back",
    ],
    [
      { failed: true, unfinished: 1 },
      "stderr: Failed in 1.5 s: 1 migration left half-way",
    ],
    [
      { failed: true, applied: 2, unknown: 1, notRun: 3 },
      "stderr: Failed in 1.5 s: 2 migrations applied, 1 migration unknown, 3 not run",
    ],
    [
      { failed: true, unknown: 12 },
      "stderr: Failed in 1.5 s: 12 migrations unknown",
    ],
    [
      { command: "repair", failed: true, recorded: 1 },
      "stderr: Failed in 1.5 s: 1 migration recorded",
    ],
  ];

  for (const [summary, line] of summaries) {
    assertEquals(
      text({ event: "summary", summary: { ...SUMMARY, ...summary } }),
      [line],
    );
  }
});

const STATUS: Event = {
  event: "status",
  plans: new Map(),
  backfills: new Map(),
  server: SERVER,
  states: migrationStates(
    ["a", "b", "c", "d", "e"].map((name) => migration(name)),
    [
      row(1, "a", { finishedAt: "2026-01-05T09:00:00.123456+00:00" }),
      row(2, "b", {
        status: "baseline",
        durationMs: null,
        finishedAt: "2026-01-05T10:00:00+02:00",
      }),
      row(3, "c", {
        status: "failed",
        error: "23505: duplicate\nkey",
        durationMs: 4_200,
      }),
      row(4, "d", { status: "rolled_back" }),
    ],
  ),
  program: { name: "battlescope-migrate", version: "1.2.3" },
};

Deno.test("render() shows the status as a table", () => {
  assertEquals(text(STATUS), [
    "stdout: STATE     MIGRATION  APPLIED AT                 TOOK   BY",
    "stdout: applied   a          2026-01-05 09:00:00Z       12 ms  migrator",
    "stdout: baseline  b          2026-01-05 10:00:00+02:00         migrator",
    "stdout: failed    c                                     4.2 s  migrator",
    "stdout:   23505: duplicate\\u000akey",
    "stdout: pending   d",
    "stdout: pending   e",
    "stdout: ",
    "stdout: 1 applied, 1 baseline, 2 pending, 1 failed",
  ]);
});

Deno.test("render() leaves out columns of the status for which a terminal is too narrow", () => {
  const shown = (columns: number) =>
    text(STATUS, { columns }).slice(0, 2).map((line) =>
      line.replace("stdout: ", "")
    );
  assertEquals(
    shown(80),
    text(STATUS).slice(0, 2).map((line) => line.replace("stdout: ", "")),
  );
  assertEquals(shown(61), [
    "STATE     MIGRATION  APPLIED AT                 TOOK",
    "applied   a          2026-01-05 09:00:00Z       12 ms",
  ]);
  assertEquals(shown(52), [
    "STATE     MIGRATION  APPLIED AT",
    "applied   a          2026-01-05 09:00:00Z",
  ]);
  assertEquals(shown(30), ["STATE     MIGRATION", "applied   a"]);
  // What does not fit at all is cut, and one sees that.
  assertEquals(shown(15), ["STATE     MIGR…", "applied   a"]);
  assertEquals(shown(1), ["STATE     …", "applied   a"]);
});

Deno.test("render() paints the states and keeps the columns", () => {
  const plain = text(STATUS);
  const painted = text(STATUS, { color: true });

  assertEquals(
    painted[1],
    plain[1]!.replace("applied ", "\u001b[32mapplied \u001b[0m"),
  );
  // deno-lint-ignore no-control-regex -- the escape sequences are what is looked for
  assertEquals(painted.map((line) => line.replace(/\u001b\[\d+m/g, "")), plain);
});

Deno.test("render() shows the status without migrations as counts", () => {
  assertEquals(text({ ...STATUS, states: [] } as Event), [
    "stdout: 0 applied, 0 pending",
  ]);
});

Deno.test("render() shows the status as one JSON object, with nothing around it", () => {
  const status = { stream: false } as const;
  const nothing = {
    durationMs: null,
    appliedBy: null,
    checksum: null,
    appliedAt: null,
  };
  const checksum = (name: string) => migration(name).checksum;

  assertEquals(json({ event: "connected", server: SERVER }, status).stdout, []);
  assertEquals(json(STATUS, status).stdout, [{
    program: { name: "battlescope-migrate", version: "1.2.3" },
    database: {
      host: "db",
      port: 5432,
      name: "battlescope",
      serverVersion: "18.4",
    },
    migrations: [
      {
        name: "a",
        state: "applied",
        appliedAt: "2026-01-05T09:00:00.123456+00:00",
        durationMs: 12,
        appliedBy: "migrator",
        checksum: checksum("a"),
      },
      {
        name: "b",
        state: "baseline",
        appliedAt: "2026-01-05T10:00:00+02:00",
        durationMs: null,
        appliedBy: "migrator",
        checksum: checksum("b"),
      },
      {
        name: "c",
        state: "failed",
        appliedAt: null,
        durationMs: 4_200,
        appliedBy: "migrator",
        checksum: checksum("c"),
        error: "23505: duplicate\nkey",
      },
      { name: "d", state: "pending", ...nothing },
      { name: "e", state: "pending", ...nothing },
    ],
    summary: {
      applied: 1,
      baseline: 1,
      pending: 2,
      out_of_order: 0,
      failed: 1,
      running: 0,
      changed: 0,
      missing: 0,
    },
  }]);
});

Deno.test("render() writes an event as one JSON line, and tells a person on stderr", () => {
  assertEquals(json({ event: "applied", migration: "a", durationMs: 870 }), {
    stdout: [{
      event: "applied",
      at: AT,
      migration: "a",
      durationMs: 870,
      outcome: "committed",
    }],
    stderr: [],
  });
  assertEquals(
    json({ event: "waiting_for_lock", holder: HOLDER, leftMs: 1_000 }),
    {
      stdout: [{
        event: "waiting_for_lock",
        at: AT,
        holder: HOLDER,
        leftMs: 1_000,
      }],
      stderr: [
        "Waiting for the migration lock, 1 s left: backend 4711 (battlescope-migrate 0.1.0, 10.0.0.7:5000, for 1 min 5 s) " +
        "holds it",
      ],
    },
  );
  assertEquals(json(FAILED).stdout, [{
    event: "failed",
    at: AT,
    message: 'Cannot apply "a": relation "x" does not exist',
    migration: "a",
    direction: "up",
    code: "42P01",
    statement: "select * from x",
    position: 15,
  }]);
  assertEquals(
    json({ event: "summary", summary: { ...SUMMARY, applied: 1 } }),
    {
      stdout: [{ event: "summary", at: AT, ...SUMMARY, applied: 1 }],
      stderr: [],
    },
  );
});

Deno.test("render() tells what became of a step to programs only: the error and the summary say it to people", () => {
  const event: Event = {
    event: "outcome",
    direction: "up",
    migration: "a",
    outcome: "unknown",
  };

  assertEquals(json(event), {
    stdout: [{ ...event, at: AT }],
    stderr: [],
  });
});

Deno.test("render() hides the password in text and in JSON", () => {
  const hide = redactor("hunter2", []);
  const event: Event = { event: "warning", message: "role hunter2 is odd" };

  assertEquals(text(event, { hide }), ["stderr: warning: role *** is odd"]);
  assertEquals(json(event, { hide }), {
    stdout: [{ event: "warning", at: AT, message: "role *** is odd" }],
    stderr: ["warning: role *** is odd"],
  });
});

Deno.test("render() keeps JSON whole when the password looks like a number", () => {
  const hide = redactor("5432", []);

  assertEquals(
    json({ event: "applied", migration: "a", durationMs: 54_321 }, { hide })
      .stdout,
    [{
      event: "applied",
      at: AT,
      migration: "a",
      durationMs: 54_321,
      outcome: "committed",
    }],
  );
});

Deno.test("holderText() says who holds the lock as far as it can be seen", () => {
  assertEquals(holderText(undefined), "another migrator holds it");
  assertEquals(
    holderText({
      pid: 1,
      application: "",
      address: "local",
      sinceMs: undefined,
    }),
    "backend 1 (unnamed, local) holds it",
  );
});

const ms = fc.nat();

/** Events as a hostile server, migration or history would have them. */
const events: fc.Arbitrary<Event> = fc.oneof(
  fc.record({
    event: fc.constant("waiting_for_database" as const),
    reason: hostile,
    leftMs: ms,
  }),
  hostile.map((host): Event => ({
    event: "connected",
    server: { ...SERVER, host, database: host, version: host, user: host },
  })),
  fc.record({
    event: fc.constant("waiting_for_lock" as const),
    holder: fc.record({
      pid: ms,
      application: hostile,
      address: hostile,
      sinceMs: ms,
    }),
    leftMs: ms,
  }),
  fc.record({ event: fc.constant("warning" as const), message: hostile }),
  fc.record({
    event: fc.constant("notice" as const),
    severity: hostile,
    message: hostile,
  }),
  fc.record({
    event: fc.constant("statement" as const),
    sql: hostile,
    durationMs: ms,
  }),
  fc.record({
    event: fc.constant("planned" as const),
    direction: fc.constantFrom("up" as const, "down" as const),
    migration: hostile,
  }),
  fc.record({
    event: fc.constant("started" as const),
    direction: fc.constantFrom("up" as const, "down" as const),
    migration: hostile,
    number: ms,
    total: ms,
  }),
  fc.record({
    event: fc.constant("blocked" as const),
    sql: hostile,
    runningMs: ms,
    blockers: fc.array(fc.record({
      pid: ms,
      application: hostile,
      user: hostile,
      state: hostile,
      ageMs: ms,
      query: hostile,
    })),
  }),
  fc.record({
    event: fc.constant("running" as const),
    sql: hostile,
    runningMs: ms,
    progress: fc.record({
      phase: hostile,
      percent: ms,
      tuplesDone: ms,
      tuplesTotal: ms,
    }),
    work: fc.record({
      kind: fc.constant("rewrites" as const),
      tables: fc.array(hostile),
      bytes: ms,
      writtenBytes: ms,
      expected: fc.record({ fromMs: ms, toMs: ms }),
    }),
  }),
  fc.record({
    event: fc.constant("retrying" as const),
    reason: hostile,
    waitMs: ms,
    leftMs: ms,
  }),
  fc.record({
    event: fc.constantFrom("applied" as const, "rolled_back" as const),
    migration: hostile,
    durationMs: ms,
  }),
  fc.record({
    event: fc.constant("recorded" as const),
    action: fc.constantFrom("baseline" as const, "retry" as const),
    migration: hostile,
  }),
  fc.record({
    event: fc.constant("outcome" as const),
    direction: fc.constantFrom("up" as const, "down" as const),
    migration: hostile,
    outcome: fc.constantFrom("rolled_back" as const, "unknown" as const),
  }),
  hostile.map((error): Event => ({ event: "failed", error: new Error(error) })),
  hostile.map((fault): Event => ({
    event: "failed",
    error: new RefusedError([fault, fault]),
  })),
  hostile.map((to): Event => ({
    event: "summary",
    summary: { ...SUMMARY, to },
  })),
  fc.tuple(hostile, hostile, hostile, hostile).map((
    [name, finishedAt, appliedBy, error],
  ): Event => ({
    event: "status",
    plans: new Map(),
    backfills: new Map(),
    server: { ...SERVER, host: name },
    states: migrationStates([], [
      row(1, name, { finishedAt, appliedBy }),
      row(2, `${name}2`, { status: "failed", appliedBy, error }),
    ]),
    program: { version: name },
  })),
);

Deno.test("render() gives lines that no terminal acts on, whatever the names and messages", () => {
  const verbosity = fc.constantFrom(
    "quiet" as const,
    "normal" as const,
    "verbose" as const,
  );
  const format = fc.constantFrom("text" as const, "json" as const);

  fc.assert(
    fc.property(
      events,
      verbosity,
      format,
      fc.boolean(),
      (event, verbosity, format, stream) => {
        const lines = render(event, { ...OPTIONS, verbosity, format, stream });
        for (const { text } of lines) assertEquals(isClean(text), true, text);
      },
    ),
    { numRuns: 3_000 },
  );
});

Deno.test("render() gives JSON lines that parse back to what happened", () => {
  fc.assert(
    fc.property(events, (event) => {
      const { stdout } = json(event, { verbosity: "verbose" });
      assertEquals(stdout.length, 1);
      const [value] = stdout;
      if (event.event === "status") {
        assertEquals(
          value.migrations.map(({ name }: { name: string }) => name),
          event.states.map(({ name }) => name),
        );
        return;
      }
      assertEquals([value.event, value.at], [event.event, AT]);
      if (event.event === "failed" || event.event === "summary") return;
      const isCommitted = ["applied", "rolled_back", "recorded"].includes(
        event.event,
      );
      assertEquals(value, {
        at: AT,
        ...JSON.parse(JSON.stringify(event)),
        ...(isCommitted && { outcome: "committed" }),
      });
    }),
    { numRuns: 3_000 },
  );
});
