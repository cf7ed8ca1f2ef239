import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  quote,
  quoteArgument,
  quoteValue,
  redactor,
  visible,
} from "../../src/text.ts";
import { hostile, isClean } from "../support/net/hostile.ts";

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

Deno.test("redactor() knows every spelling of a password", () => {
  const password = "it's+\"a\\\tse%cr  é\u200b😀!";
  const encoded = encodeURIComponent(password);
  const spellings = [
    password,
    encoded,
    encoded.toLowerCase(),
    encoded.replaceAll("'", "%27").replaceAll("!", "%21"),
    password.replaceAll("'", "''"),
    password.replaceAll("'", "''").replaceAll("\\", "\\\\"),
    JSON.stringify(password),
    JSON.stringify(JSON.stringify(password)),
    visible(password),
    password.replaceAll(/\s+/g, " "),
    Deno.inspect(password),
    Deno.inspect({ password }),
  ];
  const hide = redactor(password, []);

  for (const spelling of spellings) {
    const hidden = hide(`before ${spelling} after`);
    assertEquals(
      hidden.replaceAll(/["'`\\{}]|password:/g, "").replaceAll(/ +/g, " "),
      "before *** after",
      `${spelling} -> ${hidden}`,
    );
  }
});

Deno.test("redactor() hides a password that a text breaks off in", () => {
  const hide = redactor("p@ssw/rd!", []);

  assertEquals(hide("url postgres://me:p@ssw…"), "url postgres://me:***…");
  assertEquals(
    hide("url postgres://me:p%40ssw%2…"),
    "url postgres://me:***%2…",
  );
  assertEquals(hide("no secret: p@s…"), "no secret: p@s…");
  assertEquals(
    hide("p@ssw is only its beginning"),
    "p@ssw is only its beginning",
  );
});

Deno.test("redactor() leaves no spelling of any password behind", () => {
  const passwords = fc.string({ unit: "grapheme", minLength: 4, maxLength: 20 })
    .filter((password) =>
      /\S.*\S.*\S.*\S/u.test(password) && !/\*/.test(password)
    );
  const spell = fc.constantFrom<((text: string) => string)[]>(
    (text) => text,
    encodeURIComponent,
    (text) => text.replaceAll("'", "''"),
    (text) => JSON.stringify(text).slice(1, -1),
    visible,
    (text) => text.replace(/\s+/g, " "),
  );
  fc.assert(
    fc.property(passwords, spell, fc.string(), (password, spell, around) => {
      fc.pre(!around.includes(spell(password)));
      const hidden = redactor(password, [])(`${around}<${spell(password)}>`);
      assertEquals(hidden.slice(around.length), "<***>");
    }),
    { numRuns: 300 },
  );
});

Deno.test("redactor() hides a long secret, whole and where a text breaks off in it", () => {
  for (const length of [65, 2_000, 20_000]) {
    const secret = Array.from(
      { length },
      (_, i) => "aB3-_.~+/='\"\\é%"[(i * i + i) % 15],
    ).join("");
    const hide = redactor(secret, []);
    const spellings = [
      secret,
      encodeURIComponent(secret),
      encodeURIComponent(secret).replace(/%../g, (one) => one.toLowerCase()),
      JSON.stringify(secret).slice(1, -1),
      secret.replaceAll("'", "''"),
    ];
    for (const spelling of spellings) {
      assertEquals(hide(`a ${spelling} b ${spelling}`), "a *** b ***");
      for (const end of [4, 57, 64]) {
        const cut = `a ${secret.slice(0, end)}…`;
        assertEquals(hide(`${cut} b`), "a ***… b");
      }
    }
    assertEquals(
      hide(`${secret.slice(0, 3)}… and …`),
      `${secret.slice(0, 3)}… and …`,
    );
  }
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
