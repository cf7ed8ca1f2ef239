import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  quote,
  quoteArgument,
  quoteValue,
  redactor,
  visible,
} from "../../src/quote.ts";
import { hostile, isClean } from "../support/hostile.ts";

Deno.test("visible() shows what a terminal or a viewer would act on", () => {
  const texts: [string, string][] = [
    ["plain, é, 😀", "plain, é, 😀"],
    ["a\nb\r\tc", "a\\u000ab\\u000d\\u0009c"],
    ["\u001b[31mred", "\\u001b[31mred"],
    ["\u009b1A", "\\u009b1A"],
    ["\u007f\u0000", "\\u007f\\u0000"],
    ["a\u2028b\u2029", "a\\u2028b\\u2029"],
    ["\u202etxt.exe", "\\u202etxt.exe"],
    ["\u200b\u200e\ufeff", "\\u200b\\u200e\\ufeff"],
    ["\u{e0041}", "\\u{e0041}"],
    ["\ud83d", "\\ud83d"],
  ];

  assertEquals(
    texts.map(([text]) => visible(text)),
    texts.map(([, shown]) => shown),
  );
});

Deno.test("visible() never returns a control character and changes nothing twice", () => {
  fc.assert(fc.property(hostile, (text) => {
    const shown = visible(text);
    assertEquals(isClean(shown), true);
    assertEquals(visible(shown), shown);
  }));
});

Deno.test("quote() shows at most 200 characters, on one line", () => {
  assertEquals(quote("a"), '"a"');
  assertEquals(quote(""), '""');
  assertEquals(quote("a\nb"), '"a\\u000ab"');
  assertEquals(quote("x".repeat(200)), `"${"x".repeat(200)}"`);
  assertEquals(quote("x".repeat(201)), `"${"x".repeat(200)}…"`);
});

Deno.test("quoteValue() hides what may be a connection string", () => {
  const values: [string, string][] = [
    ["fast", '"fast"'],
    ["-15", '"-15"'],
    ["-x", '"-x"'],
    ["-phunter2", '"-p…"'],
    ["a=b", '"a=b"'],
    ["postgres://app:hunter2@db/app", '"postgres://…"'],
    ["POSTGRESQL://app:hunter2@db/app", '"POSTGRESQL://…"'],
    ["app:hunter2@db", '"…"'],
    ["host=db password=hunter2", '"…"'],
    ["PGPASSWORD=hunter2", '"…"'],
  ];

  assertEquals(
    values.map(([value]) => quoteValue(value)),
    values.map(([, shown]) => shown),
  );
});

Deno.test("quoteArgument() shows of a value bound to a name only the name", () => {
  const words: [string, string][] = [
    ["stauts", '"stauts"'],
    ["--dryrun", '"--dryrun"'],
    ["-", '"-"'],
    ["-p", '"-p"'],
    ["-phunter2", '"-p…"'],
    ["-😀hunter2", '"-😀…"'],
    ["POSTGRES_PASSWORD=hunter2", '"POSTGRES_PASSWORD=…"'],
    ["=hunter2", '"=…"'],
    ["=", '"="'],
    ["postgres://app:hun=ter2@db/app", '"postgres://…"'],
    ["app:hunter2@db", '"…"'],
    ["app:hunt@er2=x", '"…"'],
    ["--postgres://app:hunter2@db/app", '"…"'],
  ];

  assertEquals(
    words.map(([word]) => quoteArgument(word)),
    words.map(([, shown]) => shown),
  );
});

Deno.test("quote(), quoteValue() and quoteArgument() never return a control character", () => {
  fc.assert(fc.property(hostile, (text) => {
    for (const shown of [quote(text), quoteValue(text), quoteArgument(text)]) {
      assertEquals(isClean(shown), true);
      assertEquals(shown.length <= 2 + 200 * 6 + 1, true);
    }
  }));
});

Deno.test("redactor() replaces the password as it is, as a URL and as JSON writes it", () => {
  const hide = redactor('p@ss"word', ["app", "db"]);

  assertEquals(
    hide('role p@ss"word, p%40ss%22word, {"x":"p@ss\\"word"}'),
    'role ***, ***, {"x":"***"}',
  );
});

Deno.test("redactor() takes four characters for a secret, three for chance", () => {
  assertEquals(redactor("abcd", [])("xabcdx"), "x***x");
  assertEquals(redactor("abc", [])("xabcx"), "xabcx");
});

Deno.test("redactor() leaves a text alone when there is no secret to hide", () => {
  const text = "application app at db.internal, postgresql";
  const unsecret = [undefined, "", "app", "app", "internal", "gres"];

  for (const password of unsecret) {
    assertEquals(redactor(password, ["app", "db.internal"])(text), text);
  }
});

Deno.test("redactor() leaves no copy of the password behind", () => {
  const passwords = fc.string({ minLength: 8, maxLength: 40 })
    .filter((password) => !"***".includes(password));

  fc.assert(
    fc.property(passwords, fc.string(), fc.string(), (password, a, b) => {
      const hidden = redactor(password, [])(`${a}${password}${b}`);
      assertEquals(hidden.includes(password), false);
    }),
  );
});
