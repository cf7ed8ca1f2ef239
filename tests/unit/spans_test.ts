import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { DatabaseError, MigrationError } from "../../src/errors.ts";
import type { Event, ServerInfo, Summary } from "../../src/report/events.ts";
import { exportRequest } from "../../src/report/otlp.ts";
import type { Span } from "../../src/report/span.ts";
import { MOST_SPANS, type RunEnd, Tracer } from "../../src/report/spans.ts";
import { type Hide, hideNothing, redactor } from "../../src/text.ts";

const SERVER: ServerInfo = {
  host: "db",
  port: 5432,
  database: "app",
  version: "18.4",
  schema: "public",
  user: "me",
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
  durationMs: 1,
  dryRun: false,
  failed: false,
};

const CONNECTED: Event = { event: "connected", server: SERVER };
const BEGUN: Event = { event: "transaction_begun" };
const COMMITTED: Event = { event: "transaction_ended", outcome: "committed" };

const started = (
  migration: string,
  direction: "up" | "down" = "up",
): Event => ({
  event: "started",
  direction,
  migration,
  number: 1,
  total: 1,
});
const applied = (migration: string): Event => ({
  event: "applied",
  migration,
  durationMs: 7,
});
const statement = (sql: string): Event => ({
  event: "statement",
  sql,
  durationMs: 0.5,
});

/** The spans of these events; a millisecond goes by with each look at the clock. */
function trace(
  events: readonly Event[],
  { hide = hideNothing, statements = false, ...end }: Partial<RunEnd> & {
    hide?: Hide;
    statements?: boolean;
  } = {},
): readonly Span[] {
  let ms = 0;
  let id = 0;
  const tracer = new Tracer({
    command: "up",
    runId: "r",
    pid: 1,
    statements,
    checksumOf: (name) => name === "a" ? "c0ffee" : undefined,
    hide,
    now: () => ms++,
    newId: () => String(id++),
  });
  for (const event of events) tracer.on(event);
  return tracer.end({ exitCode: 0, summary: SUMMARY, ...end });
}

/** Spans as one line each: `parent > id name [start, end] outcome error`. */
function shown(spans: readonly Span[]): string[] {
  return spans.map((span) => {
    const { id, parentId = "-", name, startMs, endMs, attributes, error } =
      span;
    const outcome = attributes["battlescope.migrate.outcome"] ?? "-";
    return `${parentId} > ${id} ${name} [${startMs}, ${endMs}] ${outcome}${
      error === undefined ? "" : ` ${error}`
    }`;
  });
}

Deno.test("Tracer makes a span of the run, of each transaction and of each migration", () => {
  const spans = trace([
    CONNECTED,
    BEGUN,
    started("a"),
    started("b"),
    COMMITTED,
    applied("a"),
    applied("b"),
    started("alone"),
    applied("alone"),
    BEGUN,
    started("c"),
    COMMITTED,
    applied("c"),
  ]);

  assertEquals(shown(spans), [
    "- > 0 battlescope-migrate up [0, 13] -",
    "0 > 1 transaction [1, 6] committed",
    "1 > 2 up a [2, 3] committed",
    "1 > 3 up b [4, 5] committed",
    "0 > 4 up alone [7, 8] committed",
    "0 > 5 transaction [9, 12] committed",
    "5 > 6 up c [10, 11] committed",
  ]);
});

Deno.test("Tracer says of each span what it is", () => {
  const [run, transaction, migration, query] = trace([
    CONNECTED,
    BEGUN,
    started("a"),
    statement("insert into b\n values ('secret', 5, $1) -- why"),
    COMMITTED,
    applied("a"),
  ], {
    statements: true,
    summary: { ...SUMMARY, applied: 1, outcome: "committed" },
  });
  const database = {
    "db.system.name": "postgresql",
    "db.namespace": "app|public",
    "server.address": "db",
    "server.port": 5432,
  };

  assertEquals(run!.attributes as unknown, {
    "process.executable.name": "battlescope-migrate",
    "process.pid": 1,
    "process.exit.code": 0,
    "battlescope.migrate.command": "up",
    "battlescope.migrate.run_id": "r",
    "battlescope.migrate.applied": 1,
    "battlescope.migrate.outcome": "committed",
    ...database,
  });
  assertEquals(transaction!.attributes as unknown, {
    "battlescope.migrate.outcome": "committed",
    ...database,
  });
  assertEquals(migration!.attributes as unknown, {
    "battlescope.migrate.migration": "a",
    "battlescope.migrate.direction": "up",
    "battlescope.migrate.checksum": "c0ffee",
    "battlescope.migrate.outcome": "committed",
    "battlescope.migrate.duration_ms": 7,
    ...database,
  });
  assertEquals(query!.attributes as unknown, {
    "db.query.text": "insert into b values (?, ?, $1)",
    "db.query.summary": "INSERT",
    ...database,
  });
  assertEquals([run!.kind, migration!.kind, query!.kind], [
    "internal",
    "internal",
    "client",
  ]);
});

Deno.test("Tracer leaves out what there is not: a schema, the port of a Unix socket", () => {
  const [run] = trace([{
    event: "connected",
    server: { ...SERVER, host: "/run/postgresql", schema: null },
  }]);
  const { attributes } = run!;
  assertEquals(attributes["db.namespace"] as string, "app");
  assertEquals(attributes["server.address"] as string, "/run/postgresql");
  assertEquals("server.port" in attributes, false);
});

Deno.test("Tracer puts statements where they belong, the program's own commit into the transaction", () => {
  const spans = trace([
    BEGUN,
    started("a"),
    statement("create table a ()"),
    statement("commit"),
    COMMITTED,
    started("alone"),
    statement("commit"),
    applied("alone"),
    statement("(select 1)"),
  ], { statements: true });

  assertEquals(spans.map(({ parentId, name }) => [parentId, String(name)]), [
    [undefined, "battlescope-migrate up"],
    ["0", "transaction"],
    ["1", "up a"],
    ["2", "CREATE"],
    ["1", "COMMIT"],
    ["0", "up alone"],
    ["5", "COMMIT"],
    ["0", "SQL"],
  ]);
});

Deno.test("Tracer shows each attempt, and fails what has failed: the run, its transaction, one migration and its statement", () => {
  const error = (name: string, sql = "select 1/0") =>
    new MigrationError(name, "up", {
      cause: new DatabaseError({
        code: "22012",
        severity: "ERROR",
        message: "division by zero",
        statement: sql,
      }),
    });
  const spans = trace([
    BEGUN,
    started("a"),
    { event: "transaction_ended", outcome: "rolled_back", error: error("a") },
    BEGUN,
    started("a"),
    started("b"),
    statement("select 1/0"),
    statement("select 2"),
    { event: "transaction_ended", outcome: "rolled_back", error: error("b") },
    {
      event: "outcome",
      direction: "up",
      migration: "a",
      outcome: "rolled_back",
    },
    {
      event: "outcome",
      direction: "up",
      migration: "b",
      outcome: "rolled_back",
    },
  ], {
    statements: true,
    exitCode: 1,
    error: error("b"),
    summary: { ...SUMMARY, notRun: 2, failed: true, outcome: "rolled_back" },
  });
  const said = 'Cannot apply "b": division by zero';

  assertEquals(
    spans.map(({ name, attributes, error }) => [
      String(name),
      attributes["battlescope.migrate.outcome"] as unknown,
      attributes["error.type"] as unknown,
      error as unknown,
    ]),
    [
      ["battlescope-migrate up", "rolled_back", "22012", said],
      [
        "transaction",
        "rolled_back",
        "22012",
        'Cannot apply "a": division by zero',
      ],
      ["up a", "rolled_back", "22012", 'Cannot apply "a": division by zero'],
      ["transaction", "rolled_back", "22012", said],
      ["up a", "rolled_back", undefined, undefined],
      ["up b", "rolled_back", "22012", said],
      ["SELECT", undefined, "22012", said],
      ["SELECT", undefined, undefined, undefined],
    ],
  );
});

Deno.test("Tracer says of nothing that it is committed, or not, when nobody knows", () => {
  const spans = trace([
    BEGUN,
    started("a"),
    {
      event: "transaction_ended",
      outcome: "unknown",
      error: new Error("lost"),
    },
    { event: "outcome", direction: "up", migration: "a", outcome: "unknown" },
    // A backfill that goes on in the next run.
    started("b"),
  ]);
  assertEquals(
    spans.map(({ attributes }) =>
      attributes["battlescope.migrate.outcome"] as unknown
    ),
    [undefined, "unknown", "unknown", undefined],
  );
});

Deno.test("Tracer keeps the first spans, and how many came after them", () => {
  const events = Array.from(
    { length: MOST_SPANS + 10 },
    () => statement("select 1"),
  );
  const spans = trace([...events, started("a"), applied("a")], {
    statements: true,
  });
  assertEquals(spans.length, MOST_SPANS);
  assertEquals(
    spans[0]!.attributes["battlescope.migrate.dropped_spans"] as unknown,
    12,
  );
});

Deno.test("no secret and no literal is in what is sent, unless it is in a name", () => {
  const secret = fc.string({ unit: "grapheme", minLength: 8, maxLength: 20 })
    // What says nothing is in many a text; and names are cut off by the server.
    .filter((text) => /(?:[^\s\w]\w|\w[^\s\w]).*\w{4}/su.test(text))
    .filter((text) => !/\0|\*\*\*/.test(text));
  const literal = (text: string) => `'${text.replaceAll("'", "''")}'`;
  const places: Record<string, (text: string) => readonly Event[]> = {
    literal: (text) => [statement(`select ${literal(text)}, 1`)],
    dollars: (text) => [statement(`select $__$${text}$__$`)],
    comment: (
      text,
    ) => [statement(`select 1 /* ${text.replace(/[*/]/g, "")} */`)],
  };
  const hiddenPlaces: Record<string, (text: string) => readonly Event[]> = {
    ...places,
    head: (text) => [statement(text)],
    name: (text) => [started(text)],
    identifier: (text) => [statement(`select "${text.replaceAll('"', '""')}"`)],
    server: (text) => [{
      event: "connected",
      server: { ...SERVER, schema: text, host: text },
    }],
  };
  const isIn = (spans: readonly Span[], text: string) =>
    exportRequest({
      traceId: "0".repeat(32),
      resource: {},
      version: hideNothing("1"),
    }, spans).includes(JSON.stringify(text).slice(1, -1));

  fc.assert(fc.property(
    secret.filter((text) => !/[$\\]/.test(text)),
    fc.constantFrom(...Object.keys(places)),
    (text, place) => {
      const events = [BEGUN, started("a"), ...places[place]!(text)];
      assert(!isIn(trace(events, { statements: true }), text), place);
    },
  ));
  fc.assert(fc.property(
    secret,
    fc.constantFrom(...Object.keys(hiddenPlaces)),
    fc.constantFrom("message", "thrown"),
    (text, place, kind) => {
      const error = new MigrationError("a", "up", {
        cause: kind === "thrown"
          ? new Error(`no: ${text}`)
          : new DatabaseError({
            code: "42P01",
            severity: "ERROR",
            message: `no ${text}`,
            statement: `select ${literal(text)}`,
          }),
      });
      const events = [
        CONNECTED,
        BEGUN,
        started("a"),
        ...hiddenPlaces[place]!(text),
      ];
      const hide = redactor(text, []);
      const spans = trace(events, { statements: true, hide, error });
      assert(!isIn(spans, text), `${place}, ${kind}`);
    },
  ));
});
