/** Texts of SQL that are as mean to a reader as SQL allows. */
import fc from "fast-check";

/** What means something, or looks as if it did. */
const MEAN = [
  "'",
  "''",
  '"',
  '""',
  "\\",
  "\\'",
  "\\\\",
  "$$",
  "$a$",
  "$é$",
  "$",
  "$1",
  "a$b$",
  "--",
  "/*",
  "*/",
  "/*/",
  "**/",
  "\n",
  "\r",
  "\t",
  "\f",
  " ",
  ";",
  "(",
  ")",
  "E'",
  "e'",
  "xe'",
  "B'",
  "x'",
  "U&'",
  'u&"',
  "U&",
  "N'",
  "'\n'",
  "' -- it's\n'",
  "a",
  "é",
  "\u00a0",
  "\ufeff",
  "\u2028",
  "😀",
  "E",
  "1",
  "1.",
  ".5",
  "1e5",
  "..",
  "+",
  "-",
  "*",
  "/",
  "<",
  "=",
  "@",
  "~",
  "::",
  ",",
  "[",
  "]",
  "{",
  "?",
  "!",
  "|",
  "`",
  "#",
  "%",
  "^",
  "&",
  "commit",
  "begin atomic",
  "end",
  "case ",
  "select ",
  "as ",
];

export const mean = fc.constantFrom(...MEAN);

/** Text with none of these in it. */
const without = (...parts: readonly string[]) =>
  fc.array(mean, { maxLength: 5 }).map((pieces) => pieces.join("")).filter((
    text,
  ) => !parts.some((part) => text.includes(part)));

/** What may stand between two tokens. */
export const blank = fc.oneof(
  fc.constantFrom(" ", "\n", "\r\n", "\t", "\f", "/**/", "/* ; ' */"),
  without("*/", "/*", "*", "/").map((text) => `/*${text}*/`),
  without("*/", "/*", "*", "/").map((text) => `/* /*${text}*/ $$ */`),
  without("\n", "\r").map((text) => ` --${text}\n`),
  without("\n", "\r").map((text) => ` --${text}\r`),
);

/** Strings that are valid as strings are read here. */
const stringOf = (conforming: boolean): fc.Arbitrary<string> => {
  const doubled = (text: string) => text.replaceAll("'", "''");
  const escaped = (text: string) =>
    text.replaceAll("\\", "\\\\").replace(
      /'/g,
      (_, at) => at % 2 ? "\\'" : "''",
    );
  const plain = without().map((text) =>
    `'${conforming ? doubled(text) : escaped(text)}'`
  );
  const extended = without().map((text) => `E'${escaped(text)}'`);
  return fc.oneof(
    plain,
    extended,
    extended.map((text) => `e${text.slice(1)}\n  '\\''`),
    extended.map((text) => `${text} -- it's\n\r -- 'more'\n'\\'; commit;'`),
    plain.map((text) => `${text}\t\n'${doubled(";--")}'`),
    without("$").map((text) => `$$${text}$$`),
    without("$a$").filter((text) => !text.endsWith("$") && !text.endsWith("$a"))
      .map((text) => `$a$${text}$a$`),
    without("$é$").filter((text) => !text.endsWith("$") && !text.endsWith("$é"))
      .map((text) => `$é$${text}$é$`),
    ...(conforming
      ? [
        without().map((text) =>
          `U&'${doubled(text.replaceAll("\\", "\\\\"))}'`
        ),
        without("\\", "!").map((text) =>
          `u&'${doubled(text)}!0027' uescape '!'`
        ),
      ]
      : []),
  );
};

/** Names that are not folded. */
const name = without("\\", "\0").map((text) => text.slice(0, 20)).map((text) =>
  `"${text.replaceAll('"', '""')}x"`
);

const expressionOf = (conforming: boolean): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 3, arbitrary: stringOf(conforming) },
    stringOf(conforming).filter((text) => text.startsWith("'")).map((text) =>
      `N${text}`
    ),
    fc.constantFrom(
      "1",
      "1.5",
      ".5",
      "1e-5",
      "B'0101'",
      "b'01'\n'10'",
      "x'1f'",
      "@-5",
      "1-/*;*/1",
      "2*--;\n3",
      "1<>-1",
      "1+/**/+1",
      "4/2",
      "'{a;b}'::text[]",
      "(array['a;'])[1]",
      "case when true then 'a' end",
      "case 1 when 1 then case when true then 2 end end",
      "(select 'a;b')",
    ),
  );

const columnOf = (conforming: boolean): fc.Arbitrary<string> =>
  fc.tuple(
    expressionOf(conforming),
    fc.oneof(
      fc.constantFrom(
        "",
        "as end",
        "end",
        "as begin",
        "as case",
        "atomic",
        "as a$b$",
        "é$$",
        "as a$1",
        'as U&"d\\0061t;a"',
        "as u&\"a;b!0022\" uescape '!'",
      ),
      name.map((text) => `as ${text}`),
    ),
  ).map((parts) => parts.join(" "));

const selectOf = (conforming: boolean): fc.Arbitrary<string> =>
  fc.tuple(
    blank,
    fc.array(columnOf(conforming), { minLength: 1, maxLength: 3 }),
  )
    .map(([blank, columns]) => `select${blank}${columns.join(`${blank},`)}`);

/** Statements that can be run again and come to the same, of many shapes. */
const statementOf = (conforming: boolean): fc.Arbitrary<string> => {
  const select = selectOf(conforming);
  const string = stringOf(conforming);
  const or = fc.constantFrom("or replace", "OR/*;*/REPLACE", "Or --'\nReplace");
  return fc.oneof(
    { weight: 4, arbitrary: select },
    select.map((text) => `(${text})`),
    select.map((text) => `With a as (${text}) select 1`),
    expressionOf(conforming).map((text) => `VALUES (${text})`),
    string.map((text) => `set my.setting to ${text}`),
    fc.tuple(or, blank, fc.array(select, { maxLength: 3 })).map((
      [or, blank, bodies],
    ) =>
      `create ${or} function pg_temp.f(begin int default (1)) returns int language sql${blank}begin${blank}atomic ${
        bodies.map((body) => `${body}${blank};`).join("")
      } ; select case when true then 1 end as end; end`
    ),
    fc.tuple(or, select).map(([or, body]) =>
      `create ${or} procedure pg_temp.p() Begin --;\nAtomic insert into t ${
        body.replace(/^select/, "select 1 where exists (select")
      }); END`
    ),
    or.map((or) =>
      `create ${or} function pg_temp.g() returns int language sql return case when true then 1 end`
    ),
    string.map((text) =>
      `create or replace function pg_temp.h() returns int language plpgsql as ${text}`
    ),
    fc.tuple(or, fc.array(select, { minLength: 1, maxLength: 3 })).map((
      [or, bodies],
    ) =>
      `create ${or} rule r as on insert to t do also (${bodies.join(";")};)`
    ),
    fc.constantFrom(
      "create or replace view v as select begin atomic from (select 1 as begin) a",
      "comment on table t is E'\\';'",
      "set local search_path to public, begin",
      "table t",
      "create or replace function pg_temp.i() returns int language plpgsql as $do$ begin return ';$$'; end $do$",
      "notify a, 'b;c'",
    ),
  );
};

/** Texts of several statements; a few of them with something in a place where it does not belong. */
export const textOf = (conforming: boolean): fc.Arbitrary<string> =>
  fc.tuple(
    fc.array(fc.tuple(blank, statementOf(conforming)), { maxLength: 4 }),
    fc.constantFrom(";", ";;", "; ;", ";\n", "/**/;--;\n"),
    fc.constantFrom("", "", ";", "; -- end", "/* end */"),
    fc.option(fc.tuple(mean, fc.nat()), { freq: 2 }),
  ).map(([statements, separator, end, mistake]) => {
    const text = statements.map((parts) => parts.join("")).join(separator) +
      end;
    if (mistake === null) return text;
    const at = mistake[1] % (text.length + 1);
    return text.slice(0, at) + mistake[0] + text.slice(at);
  });
