import { assertEquals } from "@std/assert";
import {
  causeOf,
  causesOf,
  ConnectionError,
  ConnectionLostError,
  DatabaseError,
  ExitCode,
  InterruptedError,
  MigrationError,
  RefusedError,
  sqlStateOf,
  UsageError,
} from "../../src/errors.ts";

const DATABASE_ERROR = new DatabaseError({
  code: "55P03",
  severity: "ERROR",
  message: "canceling statement due to lock timeout",
});

Deno.test("ExitCode is what scripts build on", () => {
  assertEquals(ExitCode, {
    done: 0,
    failed: 1,
    usage: 2,
    pending: 3,
    differs: 3,
    unfinished: 4,
    interrupted: 130,
    terminated: 143,
  });
});

Deno.test("every error says what happened", () => {
  const errors: [Error, string][] = [
    [new UsageError(["a", "b"]), "UsageError: a\nb"],
    [new RefusedError(["a", "b"]), "RefusedError: a\nb"],
    [DATABASE_ERROR, "DatabaseError: canceling statement due to lock timeout"],
    [
      new ConnectionLostError("the server closed it"),
      "ConnectionLostError: The connection to the database was lost: the server closed it",
    ],
    [new InterruptedError("SIGTERM"), "InterruptedError: Stopped by SIGTERM"],
    [
      new MigrationError("a", "up", { cause: 1 }),
      'MigrationError: Cannot apply "a"',
    ],
    [
      new MigrationError("a", "down", { cause: 1 }),
      'MigrationError: Cannot roll back "a"',
    ],
  ];

  assertEquals(
    errors.map(([error]) => `${error}`),
    errors.map(([, text]) => text),
  );
});

Deno.test("ConnectionError says whether waiting may help, and whether nobody answered", () => {
  const error = new ConnectionError("a", { transient: true, hint: "b" });

  assertEquals([error.transient, error.timedOut, error.hint], [
    true,
    false,
    "b",
  ]);
  assertEquals(
    new ConnectionError("a", { transient: false, timedOut: true }).timedOut,
    true,
  );
});

Deno.test("causeOf() and sqlStateOf() look through the causes", () => {
  const error = new Error("a", {
    cause: new MigrationError("b", "up", { cause: DATABASE_ERROR }),
  });

  assertEquals(causeOf(error, MigrationError)?.migration, "b");
  assertEquals(causeOf(error, DatabaseError), DATABASE_ERROR);
  assertEquals(causeOf(error, RefusedError), undefined);
  assertEquals(sqlStateOf(error), "55P03");
  assertEquals(sqlStateOf(new Error("a")), undefined);
  assertEquals(sqlStateOf("a"), undefined);
});

Deno.test("causesOf() ends where the errors end", () => {
  const inner = new Error("inner", { cause: "text" });
  const outer = new Error("outer", { cause: inner });

  assertEquals(causesOf(outer), [outer, inner]);
  assertEquals(causesOf("text"), []);
});

Deno.test("causesOf() cuts a circle", () => {
  const a = new Error("a");
  const b = new Error("b", { cause: a });
  a.cause = b;

  assertEquals(causesOf(a), [a, b]);
  assertEquals(causeOf(a, DatabaseError), undefined);
});
