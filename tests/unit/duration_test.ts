import { assertEquals, assertInstanceOf } from "@std/assert";
import fc from "fast-check";
import { formatDuration, parseDuration } from "../../src/text.ts";

Deno.test("parseDuration() reads milliseconds, seconds, minutes and hours", () => {
  const durations = {
    "0": 0,
    "0s": 0,
    "500ms": 500,
    "5s": 5_000,
    "2m": 120_000,
    "1h": 3_600_000,
    "0030s": 30_000,
    "2147483647ms": 2_147_483_647,
    "596h": 2_145_600_000,
  };

  for (const [text, ms] of Object.entries(durations)) {
    assertEquals(parseDuration(text), ms, text);
  }
});

Deno.test("parseDuration() refuses what is not a duration", () => {
  const texts = [
    "",
    " ",
    "5",
    "s",
    "5 s",
    " 5s",
    "5s ",
    "5s\n",
    "-5s",
    "+5s",
    "1.5s",
    "1e3s",
    "5S",
    "5sec",
    "5d",
    "5us",
    "1m30s",
    "0x1s",
    "٣s",
    "Infinity",
    "00",
  ];

  for (const text of texts) {
    assertInstanceOf(parseDuration(text), SyntaxError, JSON.stringify(text));
  }
});

Deno.test("parseDuration() says what is wrong", () => {
  const messages = {
    "5 s": '"5 s" is not a duration such as 500ms, 5s, 2m or 1h',
    "597h": '"597h" is longer than the limit of 596h',
    "999999999999h": '"999999999999h" is longer than the limit of 596h',
    "postgres://app:hunter2@db/app":
      '"postgres://…" is not a duration such as 500ms, 5s, 2m or 1h',
  };

  for (const [text, message] of Object.entries(messages)) {
    assertEquals((parseDuration(text) as Error).message, message);
  }
});

Deno.test("parseDuration() accepts only whole milliseconds that PostgreSQL can keep", () => {
  const texts = fc.oneof(
    fc.string(),
    fc.tuple(
      fc.oneof(fc.nat().map(String), fc.double().map(String)),
      fc.constantFrom("ms", "s", "m", "h", "", "S", "d"),
    ).map(([n, unit]) => `${n}${unit}`),
  );

  fc.assert(fc.property(texts, (text) => {
    const ms = parseDuration(text);
    if (typeof ms !== "number") return;
    assertEquals(Number.isInteger(ms) && ms >= 0 && ms <= 2_147_483_647, true);
  }));
});

Deno.test("formatDuration() writes a duration for a person", () => {
  const durations: [number, string][] = [
    [0, "0 ms"],
    [0.4, "0 ms"],
    [870.4, "870 ms"],
    [999.4, "999 ms"],
    [999.5, "1 s"],
    [1_000, "1 s"],
    [4_249, "4.2 s"],
    [59_949, "59.9 s"],
    [59_950, "1 min"],
    [60_000, "1 min"],
    [185_000, "3 min 5 s"],
    [3_599_400, "59 min 59 s"],
    [3_599_500, "1 h"],
    [7_800_000, "2 h 10 min"],
    [2_145_600_000, "596 h"],
  ];

  assertEquals(
    durations.map(([ms]) => formatDuration(ms)),
    durations.map(([, text]) => text),
  );
});

Deno.test("formatDuration() never shows a part that belongs to the next larger unit", () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1e10, noNaN: true }), (ms) => {
      const text = formatDuration(ms);
      assertEquals(
        /\b(?:1000 ms|60(?:\.0)? s|60 min)$/.test(text),
        false,
        text,
      );
    }),
  );
});
