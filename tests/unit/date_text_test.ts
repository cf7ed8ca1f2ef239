import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { parseDate, writeDate } from "../../src/postgres/values/date_text.ts";

Deno.test("writeDate() writes an instant as the wall clock of this process and its distance from UTC", () => {
  const instants = [
    "2026-01-02T03:04:05.678Z",
    "0001-01-01T00:00:00.000Z",
    "0000-02-29T12:00:00.000Z",
    "-000043-03-15T12:00:00.000Z",
    "+012345-01-02T00:00:00.000Z",
    "1800-01-02T03:00:00.001Z",
  ];

  for (const instant of instants) {
    const text = writeDate(new Date(instant));
    assertEquals((parseText(text) as Date).toISOString(), instant, text);
  }
});

Deno.test("parseDate() reads what a server prints", () => {
  const texts: [string, unknown][] = [
    ["2026-01-02 03:04:05+00", "2026-01-02T03:04:05.000Z"],
    ["2026-01-02 03:04:05.6+05:30", "2026-01-01T21:34:05.600Z"],
    ["2026-01-02 03:04:05.678912-08", "2026-01-02T11:04:05.678Z"],
    ["1800-01-02 03:04:05-04:56:02", "1800-01-02T08:00:07.000Z"],
    ["0044-03-15 12:00:00+00 BC", "-000043-03-15T12:00:00.000Z"],
    ["0001-02-29 12:00:00+00 BC", "0000-02-29T12:00:00.000Z"],
    ["0099-01-02 00:00:00+00", "0099-01-02T00:00:00.000Z"],
    ["12345-01-02 00:00:00+00", "+012345-01-02T00:00:00.000Z"],
  ];

  for (const [text, instant] of texts) {
    assertEquals((parseDate(text) as Date).toISOString(), instant);
  }
});

Deno.test("parseDate() reads what knows no zone as this process's wall clock", () => {
  const noon = parseDate("2026-01-02 12:30:15.25") as Date;
  assertEquals(
    [noon.getHours(), noon.getMinutes(), noon.getSeconds()],
    [12, 30, 15],
  );
  assertEquals(noon.getMilliseconds(), 250);

  const day = parseDate("0001-02-29 BC") as Date;
  assertEquals([day.getFullYear(), day.getMonth(), day.getDate()], [0, 1, 29]);
  assertEquals([day.getHours(), day.getMinutes()], [0, 0]);
});

Deno.test("parseDate() reads infinity as a number and leaves what no Date can hold", () => {
  assertEquals(parseDate("infinity"), Infinity);
  assertEquals(parseDate("-infinity"), -Infinity);
  for (const text of ["294276-12-31 23:59:59+00", "02/01/2026", ""]) {
    assertEquals(parseDate(text), text);
  }
});

Deno.test("parseDate() reads what writeDate() wrote, once a server has printed it", () => {
  fc.assert(
    fc.property(
      fc.date({
        min: new Date("-004000-01-01T00:00:00Z"),
        max: new Date("+200000-01-01T00:00:00Z"),
        noInvalidDate: true,
      }),
      (date) => {
        assertEquals(parseText(writeDate(date)), date);
      },
    ),
  );
});

/** A server reads a `T` and prints a blank. */
function parseText(text: string): unknown {
  return parseDate(text.replace("T", " "));
}
