import { assertEquals } from "@std/assert";
import {
  ConnectionError,
  DatabaseError,
  InterruptedError,
  MigrationError,
  RefusedError,
} from "../../src/errors.ts";
import {
  errorType,
  messageWithoutValues,
} from "../../src/report/error_values.ts";
import { hideNothing, redactor } from "../../src/text.ts";

function ofServer(code: string, message: string, statement?: string): Error {
  const cause = new DatabaseError({
    code,
    severity: "ERROR",
    message,
    ...(statement !== undefined && { statement }),
  });
  return new MigrationError("0001_a", "up", { cause });
}

const said = (error: unknown) => messageWithoutValues(error, hideNothing);

Deno.test("messageWithoutValues() leaves out what the server repeats of data, parameters and statements", () => {
  const cases: [string, string, string | undefined, string][] = [
    [
      "22P02",
      'invalid input syntax for type integer: "abc"',
      undefined,
      'invalid input syntax for type integer: "?"',
    ],
    [
      "22P02",
      'invalid input syntax for type integer: "a"b"',
      undefined,
      'invalid input syntax for type integer: "?"',
    ],
    [
      "22P02",
      "ungültige Eingabesyntax für Typ integer: „abc“",
      undefined,
      'ungültige Eingabesyntax für Typ integer: "?"',
    ],
    [
      "22P02",
      "syntaxe en entrée invalide pour le type integer : « abc »",
      undefined,
      'syntaxe en entrée invalide pour le type integer : "?"',
    ],
    [
      "22003",
      'value "99999999999" is out of range for type integer',
      undefined,
      'value "?" is out of range for type integer',
    ],
    [
      "42601",
      "unterminated quoted string at or near \"'abc",
      undefined,
      'unterminated quoted string at or near "?"',
    ],
    [
      "42P01",
      'relation "killmails" does not exist',
      "select * from killmails where name = 'Rifter'",
      'relation "killmails" does not exist',
    ],
    [
      "P0001",
      "Rifter, it's not, E\\xyz, of 12345",
      "select f('Rifter', 'it''s', $a$E\\xyz$a$, 'of')",
      "?, ? not, ?, of 12345",
    ],
  ];
  for (const [code, message, statement, expected] of cases) {
    assertEquals(
      said(ofServer(code, message, statement)),
      `Cannot apply "0001_a": ${expected}`,
    );
  }
});

Deno.test("messageWithoutValues() says the rest as it is, on one line, without what is secret", () => {
  assertEquals(
    said(
      new MigrationError("0001_a", "down", {
        cause: new TypeError("no\n  way"),
      }),
    ),
    'Cannot roll back "0001_a": TypeError: no; way',
  );
  assertEquals(
    said(ofServer("P0001", "", "select 'Rifter'")),
    'Cannot apply "0001_a": DatabaseError',
  );
  assertEquals(said(new RefusedError(["one", "two"])), "one; two");
  assertEquals(said("text"), "text");
  assertEquals(said(undefined), "undefined");
  assertEquals(said(new Error("\u001b[2J")), "\\u001b[2J");
  assertEquals(
    messageWithoutValues(new Error("it's s3cr3t!"), redactor("s3cr3t!", [])),
    "it's ***",
  );
  // It is cut after it was searched: half of a secret would not be found.
  const long = messageWithoutValues(
    new Error(`${"x".repeat(995)}s3cr3t!${"y".repeat(99)}`),
    redactor("s3cr3t!", []),
  );
  assertEquals(long, `${"x".repeat(995)}***yy…`);
});

Deno.test("errorType() is the SQLSTATE, or the name of the error that tells most", () => {
  const type = (error: unknown) => errorType(error, hideNothing);
  assertEquals(type(ofServer("42P01", "no")), "42P01");
  assertEquals(
    type(new MigrationError("a", "up", { cause: new RangeError("no") })),
    "RangeError",
  );
  assertEquals(type(new InterruptedError("SIGTERM")), "InterruptedError");
  assertEquals(
    type(
      new ConnectionError("no", { transient: true, cause: new Error("ECONN") }),
    ),
    "ConnectionError",
  );
  assertEquals(
    type(Object.assign(new Error("no"), { name: "a secret!" })),
    "_OTHER",
  );
  assertEquals(type("text"), "_OTHER");
});
