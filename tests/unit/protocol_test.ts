import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { DatabaseError } from "../../src/errors.ts";
import {
  bytes,
  dataRow,
  ERROR,
  fields,
  uint16,
  within,
} from "../support/net/wire_bytes.ts";
import { MessageReader } from "../../src/postgres/wire/messages.ts";
import {
  concat,
  endsSession,
  isWholeDescription,
  loggedInMessages,
  message,
  readColumns,
  readCopied,
  readError,
  readRow,
  readSetting,
  readStatus,
  startupMessage,
  TERMINATE,
  textOf,
  uint32,
} from "../../src/postgres/wire/protocol.ts";

/** A `RowDescription` without its head; what a reader of text does not need is of no sense. */
function rowDescription(
  ...columns: readonly (readonly [string, number])[]
): Uint8Array {
  return concat([
    uint16(columns.length),
    ...columns.flatMap(([name, type]) => [
      bytes(name, 0),
      uint32(0xdddddddd),
      uint16(0xdddd),
      uint32(type),
      uint16(0xffff),
      uint32(0xffffffff),
      uint16(0),
    ]),
  ]);
}

Deno.test("message() counts bytes and ends each text with a zero", () => {
  assertEquals(
    message("Q", "select 1"),
    bytes("Q", 0, 0, 0, 13, "select 1", 0),
  );
  assertEquals(message("Q", "é☃"), bytes("Q", 0, 0, 0, 10, "é☃", 0));
  assertEquals(message("p", ""), bytes("p", 0, 0, 0, 5, 0));
  assertEquals(message("p", bytes(1, 2)), bytes("p", 0, 0, 0, 6, 1, 2));
  assertEquals(
    message("p", "SCRAM-SHA-256", concat([uint32(3), bytes("n,,")])),
    bytes("p", 0, 0, 0, 25, "SCRAM-SHA-256", 0, 0, 0, 0, 3, "n,,"),
  );
  assertEquals(
    message("Q", "x".repeat(70_000)).subarray(0, 5),
    bytes("Q", 0, 1, 0x11, 0x75),
  );
  assertEquals(TERMINATE, bytes("X", 0, 0, 0, 4));
});

Deno.test("startupMessage() has a version, pairs and no type", () => {
  assertEquals(
    startupMessage({ user: "me", database: "dä" }),
    concat([
      bytes(0, 0, 0, 30, 0, 3, 0, 0),
      bytes("user", 0, "me", 0, "database", 0, "dä", 0, 0),
    ]),
  );
  assertEquals(startupMessage({}), bytes(0, 0, 0, 9, 0, 3, 0, 0, 0));
});

Deno.test("uint32() puts the highest byte first", () => {
  assertEquals(uint32(0), bytes(0, 0, 0, 0));
  assertEquals(uint32(0x01020304), bytes(1, 2, 3, 4));
  assertEquals(uint32(0xffffffff), bytes(255, 255, 255, 255));
});

Deno.test("loggedInMessages() hands on what the server announced", () => {
  const announced = new MessageReader().push(concat([
    message("S", "TimeZone", "UTC"),
    message("K", uint32(7), uint32(8)),
  ]));
  assertEquals(
    loggedInMessages(announced),
    concat([
      bytes("R", 0, 0, 0, 8, 0, 0, 0, 0),
      bytes("S", 0, 0, 0, 17, "TimeZone", 0, "UTC", 0),
      bytes("K", 0, 0, 0, 12, 0, 0, 0, 7, 0, 0, 0, 8),
      bytes("Z", 0, 0, 0, 5, "I"),
      bytes("Z", 0, 0, 0, 5, "I"),
    ]),
  );
});

Deno.test("isWholeDescription() finds one that is shorter or longer than it says", () => {
  const whole = rowDescription(["a", 23], ["größe", 25]);
  assert(isWholeDescription(whole));
  assert(isWholeDescription(rowDescription()));
  for (let length = 0; length < whole.length; length++) {
    assert(!isWholeDescription(whole.subarray(0, length)), `${length} bytes`);
  }
  assert(!isWholeDescription(concat([whole, bytes(0)])));
});

Deno.test("readStatus() takes what it does not know for a transaction that cannot be committed", () => {
  const statuses = { I: "idle", T: "open", E: "failed", "?": "failed" };
  for (const [letter, status] of Object.entries(statuses)) {
    assertEquals(readStatus(bytes(letter)), status);
  }
  assertEquals(readStatus(bytes()), "failed");
});

Deno.test("readSetting() reads a name and a value", () => {
  assertEquals(readSetting(bytes("TimeZone", 0, "UTC", 0)), [
    "TimeZone",
    "UTC",
  ]);
});

Deno.test("readColumns() reads names and types", () => {
  assertEquals(readColumns(rowDescription()), []);
  const columns = [
    { name: "id", type: 23 },
    { name: "", type: 25 },
    { name: "größe ☃", type: 4_000_000_000 },
  ];
  const body = rowDescription(
    ...columns.map(({ name, type }) => [name, type] as const),
  );
  assertEquals(readColumns(body), columns);
  assertEquals(readColumns(within(body)), columns);
});

Deno.test("readRow() reads values by the types of their columns", () => {
  const cases: readonly (readonly [number, string, unknown])[] = [
    [16, "t", true],
    [16, "f", false],
    [21, "-32768", -32768],
    [23, "0", 0],
    [23, "2147483647", 2_147_483_647],
    // These may be larger than a number can be, or are not one.
    [20, "9223372036854775807", "9223372036854775807"],
    [26, "4294967295", "4294967295"],
    [1700, "1.10", "1.10"],
    [114, '{"a":[1,null,"☃"]}', { a: [1, null, "☃"] }],
    [3802, '"text"', "text"],
    [3802, "null", null],
    [25, "", ""],
    [25, "t", "t"],
    [25, "null", "null"],
    [25, "naïve ☃ 🔑", "naïve ☃ 🔑"],
    [1043, " 1 ", " 1 "],
    [1184, "2026-01-05 10:40:00+00", "2026-01-05 10:40:00+00"],
    [0, "?", "?"],
  ];
  for (const [type, text, value] of cases) {
    const columns = [{ name: "value", type }];
    assertEquals(readRow(columns, dataRow(text)), { value }, `${type} ${text}`);
    assertEquals(readRow(columns, dataRow(null)), { value: null });
  }
  const columns = cases.map(([type], i) => ({ name: `c${i}`, type }));
  assertEquals(
    readRow(columns, within(dataRow(...cases.map(([, text]) => text)))),
    Object.fromEntries(cases.map(([, , value], i) => [`c${i}`, value])),
  );
});

Deno.test("readRow() finds what follows a null and an empty text", () => {
  const columns = ["a", "b", "c", "d"].map((name) => ({ name, type: 25 }));
  assertEquals(readRow(columns, dataRow(null, "", "x", null)), {
    a: null,
    b: "",
    c: "x",
    d: null,
  });
  assertEquals(readRow([], dataRow()), {});
});

Deno.test("textOf() ends at the zero byte, or with the message", () => {
  assertEquals(textOf(bytes("SELECT 1", 0)), "SELECT 1");
  assertEquals(textOf(bytes("v=abc")), "v=abc");
  assertEquals(textOf(bytes("größe", 0, "more", 0)), "größe");
  assertEquals(textOf(bytes()), "");
  assertEquals(textOf(bytes(0)), "");
});

Deno.test("readError() reads the fields that are shown", () => {
  const error = readError(fields({
    S: "FEHLER",
    V: "ERROR",
    C: "42501",
    M: "keine Berechtigung für Tabelle ☃",
    D: "in\ntwo lines",
    H: "GRANT",
    W: "PL/pgSQL function f()",
    P: "8",
    s: "public",
    t: "a",
    n: "a_pkey",
    F: "aclchk.c",
    L: "2843",
    R: "aclcheck_error",
  }));
  assertInstanceOf(error, DatabaseError);
  assertEquals(error.message, "keine Berechtigung für Tabelle ☃");
  assertEquals(error.server, {
    code: "42501",
    severity: "ERROR",
    message: "keine Berechtigung für Tabelle ☃",
    detail: "in\ntwo lines",
    hint: "GRANT",
    where: "PL/pgSQL function f()",
    schema: "public",
    table: "a",
    constraint: "a_pkey",
    position: 8,
  });
});

Deno.test("readError() leaves out what is missing", () => {
  assertEquals(readError(fields({ S: "FATAL", C: "28P01", M: "no" })).server, {
    code: "28P01",
    severity: "FATAL",
    message: "no",
  });
  for (const body of [bytes(), bytes(0)]) {
    assertEquals(readError(body).server, {
      code: "",
      severity: "ERROR",
      message: "",
    });
  }
});

Deno.test("endsSession() is for errors after which there is none", () => {
  const severities = {
    ERROR: false,
    WARNING: false,
    FATAL: true,
    PANIC: true,
  };
  for (const [severity, ends] of Object.entries(severities)) {
    const error = readError(fields({ ...ERROR, S: "Meldung", V: severity }));
    assertEquals(endsSession(error), ends, severity);
  }
});

Deno.test("concat() puts one after the other", () => {
  assertEquals(concat([]), new Uint8Array());
  assertEquals(
    concat([bytes(1), bytes(), within(bytes(2, 3))]),
    bytes(1, 2, 3),
  );
});

Deno.test("readCopied() undoes what COPY does to a text", () => {
  const read = (line: string) => readCopied(new TextEncoder().encode(line));
  assertEquals(read("1\ta b\t\\N\t\n"), ["1", "a b", null, ""]);
  assertEquals(read("\\t\\n\\r\\b\\f\\v\\\\\t\\\\N\tü\n"), [
    "\t\n\r\b\f\v\\",
    "\\N",
    "ü",
  ]);
});
