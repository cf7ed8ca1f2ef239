import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  ConnectionError,
  ConnectionLostError,
  DatabaseError,
  LeftBehindError,
  LocatedError,
  MigrationError,
  RefusedError,
  type ServerMessage,
  UsageError,
} from "../../src/errors.ts";
import {
  failureLines as linesOf,
  failureOf,
  failureText,
  leftBehind,
} from "../../src/report/failure.ts";
import { hideNothing, redactor } from "../../src/text.ts";
import { hostile, isClean } from "../support/net/hostile.ts";

function databaseError(server: Partial<ServerMessage> = {}): DatabaseError {
  return new DatabaseError({
    code: "42P01",
    severity: "ERROR",
    message: 'relation "x" does not exist',
    ...server,
  });
}

function applying(cause: unknown): MigrationError {
  return new MigrationError("a", "up", { cause });
}

function failureLines(error: unknown): string[] {
  return linesOf(error, hideNothing);
}

Deno.test("failureLines() shows every fault of a usage error and of a refusal", () => {
  assertEquals(failureLines(new UsageError(["a", "b\nc"])), ["a", "b\\u000ac"]);
  assertEquals(failureLines(new RefusedError(["a", "b"])), ["a", "b"]);
});

Deno.test("failureLines() shows what the server said", () => {
  const error = applying(databaseError({
    code: "23503",
    message: 'violates foreign key constraint "f"',
    detail: "Key (a)=(1) is not present\nin table t",
    hint: "Insert it first",
    where: "SQL statement\nPL/pgSQL function f() line 3",
    statement: "alter table t\n\tadd foreign key (a)",
  }));

  assertEquals(failureLines(error), [
    'Cannot apply "a": violates foreign key constraint "f" (SQLSTATE 23503)',
    "  detail: Key (a)=(1) is not present",
    "    in table t",
    "  statement: alter table t",
    "     add foreign key (a)",
    "  where: SQL statement",
    "    PL/pgSQL function f() line 3",
    "  hint: Insert it first",
  ]);
});

/** The statement and the mark below it. */
function marked(statement: string, position: number): string[] {
  return failureLines(databaseError({ statement, position })).slice(1);
}

Deno.test("failureLines() marks the place in the statement", () => {
  assertEquals(marked("select * from x", 15), [
    "  statement: select * from x",
    "                           ^",
  ]);
  assertEquals(marked("select *\r\n\tfrom x\r\nwhere true", 17), [
    "  statement:  from x",
    "                   ^",
  ]);
  assertEquals(marked("select '😀é' from x", 18), [
    "  statement: select '😀é' from x",
    "                              ^",
  ]);
  assertEquals(marked("select", 7), [
    "  statement: select",
    "                   ^",
  ]);
  assertEquals(marked("x", 99), [
    "  statement: x",
    "              ^",
  ]);
});

Deno.test("failureLines() cuts a long line to what is around the place", () => {
  const statement = `select ${"a, ".repeat(1_000)}x${", b".repeat(1_000)}`;
  const [line, mark] = marked(statement, statement.indexOf("x") + 1);

  assertEquals(
    line,
    `  statement: …${"a, ".repeat(20).slice(1)}x${
      ", b".repeat(20).slice(0, 59)
    }`,
  );
  assertEquals(mark!.length - 1, line!.indexOf("x"));
});

Deno.test("failureLines() shows the head of a long statement without a place", () => {
  const statement = "x".repeat(2_001);
  const whole = "x".repeat(2_000);

  assertEquals(
    failureLines(databaseError({ statement: whole }))[1],
    `  statement: ${whole}`,
  );
  assertEquals(
    failureLines(databaseError({ statement }))[1],
    `  statement: ${"x".repeat(2_000)}…`,
  );
});

Deno.test("failureLines() indents the lines of a message", () => {
  assertEquals(failureLines(applying(new Error("first\nsecond\n\tthird"))), [
    'Cannot apply "a": first',
    "  second",
    "   third",
  ]);
});

Deno.test("failureLines() shows the hint of a failed connection", () => {
  const error = new ConnectionError("Cannot connect to db:5432", {
    transient: false,
    hint: "is it running?",
    cause: new Error("ECONNREFUSED"),
  });

  assertEquals(failureLines(error), [
    "Cannot connect to db:5432",
    "  hint: is it running?",
  ]);
});

Deno.test("failureLines() shows the causes, and of errors of the language the class", () => {
  const errors: [unknown, string][] = [
    [
      new Error("a", { cause: new Error("b", { cause: new Error("c") }) }),
      "a: b: c",
    ],
    [
      applying(new TypeError("x is not a function")),
      'Cannot apply "a": TypeError: x is not a function',
    ],
    [applying(new Error("")), 'Cannot apply "a": Error'],
    [applying(new AggregateError([])), 'Cannot apply "a": AggregateError'],
    [applying(undefined), 'Cannot apply "a": undefined'],
    [applying(null), 'Cannot apply "a": null'],
    [applying("text"), 'Cannot apply "a": text'],
    [applying(42), 'Cannot apply "a": 42'],
    [applying({ code: 7 }), 'Cannot apply "a": {"code":7}'],
    [applying({ message: "text" }), 'Cannot apply "a": text'],
    [applying(Object.create(null)), 'Cannot apply "a": {}'],
    [applying(Symbol("s")), 'Cannot apply "a": Symbol(s)'],
    [applying({ n: 1n }), 'Cannot apply "a": something that cannot be shown'],
    ["text", "text"],
    [
      new ConnectionLostError("it was cut", { cause: new Error("ECONNRESET") }),
      "The connection to the database was lost: it was cut",
    ],
  ];

  assertEquals(
    errors.map(([error]) => failureLines(error)),
    errors.map(([, text]) => [text]),
  );
});

Deno.test("failureLines() ends although the causes run in a circle", () => {
  const error = new Error("a");
  error.cause = new Error("b", { cause: error });

  assertEquals(failureLines(error), ["a: b"]);
});

Deno.test("failureOf() keeps everything apart", () => {
  const server = {
    code: "42601",
    severity: "ERROR",
    message: "syntax error",
    detail: "d",
    hint: "h",
    where: "w",
    statement: "selec",
    position: 1,
  };

  assertEquals(failureOf(applying(new DatabaseError(server))), {
    message: 'Cannot apply "a": syntax error',
    migration: "a",
    direction: "up",
    code: "42601",
    detail: "d",
    hint: "h",
    where: "w",
    statement: "selec",
    position: 1,
  });
  assertEquals(failureOf(new Error("a")), { message: "a" });
});

Deno.test("failureText() is one line with the SQLSTATE, without the name of the migration", () => {
  assertEquals(
    failureText(applying(databaseError())),
    '42P01: relation "x" does not exist',
  );
  assertEquals(
    failureText(applying(new TypeError("a\nb\0"))),
    "TypeError: a\\u000ab\\u0000",
  );
  assertEquals(
    failureText(applying(new Error("a", { cause: databaseError() }))),
    '42P01: a: relation "x" does not exist',
  );
  assertEquals(failureText(new Error("a")), "a");
  assertEquals(
    failureText(new Error("x".repeat(3_000))),
    `${"x".repeat(2_000)}…`,
  );
});

const servers: fc.Arbitrary<Partial<ServerMessage>> = fc.record({
  message: hostile,
  detail: hostile,
  hint: hostile,
  where: hostile,
  statement: hostile,
  position: fc.integer({ min: 1, max: 60 }),
}, { requiredKeys: ["message"] });

Deno.test("failureLines() and failureText() are clean whatever the server or a migration says", () => {
  const causes = fc.oneof(
    servers.map(databaseError),
    hostile.map((text) => new Error(text)),
    hostile.map((text) => new TypeError(text, { cause: text })),
    fc.anything(),
  );

  fc.assert(
    fc.property(causes, (cause) => {
      for (const error of [cause, applying(cause)]) {
        const [first, ...rest] = failureLines(error);
        for (const line of [first!, ...rest, failureText(error)]) {
          assertEquals(isClean(line), true, line);
        }
        assertEquals(rest.filter((line) => !line.startsWith("  ")), []);
        JSON.stringify(failureOf(error));
      }
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("failureLines() puts the mark below the character that the server counted", () => {
  const statements = fc.array(
    fc.constantFrom("a", "é", "😀", " ", "\t", "\n", "\r\n", "\u0007"),
    { minLength: 1, maxLength: 100 },
  ).map((parts) => parts.join(""));

  fc.assert(
    fc.property(statements, fc.nat(), (statement, n) => {
      const places = [...statement].flatMap((c, i) => c === "é" ? [i] : []);
      if (places.length === 0) return;
      const [line, mark] = marked(statement, places[n % places.length]! + 1);
      assertEquals([...line!][mark!.length - 1], "é");
    }),
  );
});

Deno.test("the place of an error in a migration is told on a line of its own, as data, and in the history", () => {
  const error = applying(
    new LocatedError("migrations/0002_b.ts:7:13", {
      cause: new TypeError("x is not a function", {
        cause: new Error("one\ntwo"),
      }),
    }),
  );

  assertEquals(failureLines(error), [
    'Cannot apply "a": TypeError: x is not a function: one',
    "  two",
    "  at migrations/0002_b.ts:7:13",
  ]);
  assertEquals(failureOf(error), {
    message: 'Cannot apply "a": TypeError: x is not a function: one\ntwo',
    migration: "a",
    direction: "up",
    location: "migrations/0002_b.ts:7:13",
  });
  assertEquals(
    failureText(error),
    "TypeError: x is not a function: one\\u000atwo (at migrations/0002_b.ts:7:13)",
  );
});

Deno.test("a place does not hide what the server said of a statement", () => {
  const error = applying(
    new LocatedError("migrations/0002_b.ts:7:13", {
      cause: new Error("No rules", { cause: databaseError() }),
    }),
  );

  assertEquals(failureLines(error), [
    'Cannot apply "a": No rules: relation "x" does not exist (SQLSTATE 42P01)',
    "  at migrations/0002_b.ts:7:13",
  ]);
  assertEquals(
    failureText(error),
    '42P01: No rules: relation "x" does not exist (at migrations/0002_b.ts:7:13)',
  );
});

Deno.test("leftBehind() reads what failureText() has said of indexes", () => {
  const lists = [
    ["public.a_idx"],
    ["public.a_ccnew", 'public."Odd, (name)_ccnew"'],
    ['"a""b".c', 'd."e.f"'],
  ];
  for (const indexes of lists) {
    const error = new LeftBehindError(indexes, indexes, true, {
      cause: databaseError(),
    });
    assertEquals(leftBehind(failureText(applying(error))), indexes);
  }
  assertEquals(leftBehind("42P01: no (left behind, invalid: "), []);
  assertEquals(leftBehind("42P01: no such table"), []);
});

Deno.test("failureLines() hides a password before a statement is cut", () => {
  const password = "abcdefgh-secret";
  const hide = redactor(password, []);
  for (let before = 40; before < 80; before++) {
    for (const after of [0, 30, 50, 58, 100]) {
      const statement = `${"x".repeat(before)}${password}${"y".repeat(after)}`;
      for (const position of [1, before, before + 8, statement.length]) {
        const error = databaseError({ statement, position });
        const text = hide(linesOf(error, hide).join("\n"));
        assertEquals(/bcde|secr|ecret/.test(text), false, text);
      }
    }
  }
});
