import { assertEquals } from "@std/assert";
import {
  type LexOptions,
  readStatements,
  statementsOf,
} from "../../src/sql/lexer.ts";

/** The statements as they are written. */
const written = (text: string, options?: LexOptions) =>
  statementsOf(text, options)?.map(({ start, end }) => text.slice(start, end));

Deno.test("statementsOf() separates statements, and counts no empty ones", () => {
  const cases: [string, string[]][] = [
    ["", []],
    [" ; -- nothing\n;/**/", []],
    ["a", ["a"]],
    [" a ; b;; c -- d", ["a", "b", "c"]],
    ["a\n\t\f\v\r;b", ["a", "b"]],
    ["a /* ; */ b; c", ["a /* ; */ b", "c"]],
    ["a /* b */ ; c /* d */", ["a", "c"]],
    ["1;.5;(a;'b'", ["1", ".5", "(a", "'b'"]],
  ];

  for (const [text, expected] of cases) {
    assertEquals(written(text), expected, text);
  }
});

Deno.test("statementsOf() looks for no semicolon in comments, strings and names", () => {
  const texts = [
    "a -- ;\n b",
    "a --;\rb",
    "a /* ; /* ; */ ; */ b",
    "a /*/ ; */ b",
    "a /**;**/ b",
    "a +/*;*/ b",
    "a *--;\n b",
    "a ';' b",
    "a 'b'';' c",
    "a '\\;' b",
    "a 'it''s'';'",
    "E'\\';'",
    "e'\\\\'';'",
    "a E'b' -- it's\n\n '\\';' c",
    "B'1' X'f;' b'0'\n';'",
    "N';'",
    "U&';' u&';\\'''",
    'a U&";" "b;""\'" u&";"""',
    "$$;$$",
    "$a$;$$;$b$;a$;$a$",
    "$é_1$;$é_1$",
    "$A$;$a$;$A$",
    "a $1 $$;$$ $2",
    "'a'\n';'",
  ];

  for (const text of texts) assertEquals(written(text), [text], text);
});

Deno.test("statementsOf() finds the semicolon after what only looks as if it went on", () => {
  const cases: [string, string[]][] = [
    ["a -- '\n; b", ["a", "b"]],
    ["a -- '\r; b", ["a", "b"]],
    ["'\\'; b", ["'\\'", "b"]],
    ["U&'\\'; b", ["U&'\\'", "b"]],
    ["N'\\'; b", ["N'\\'", "b"]],
    ["x'\\'; b", ["x'\\'", "b"]],
    ["fee'\\'; b", ["fee'\\'", "b"]],
    ["_e'\\'; b", ["_e'\\'", "b"]],
    ["ée'\\'; b", ["ée'\\'", "b"]],
    ["E 'a\\'; b", ["E 'a\\'", "b"]],
    ["E'a' '\\'; b", ["E'a' '\\'", "b"]],
    ["E'a' -- b\n -- c\n, '\\'; b", ["E'a' -- b\n -- c\n, '\\'", "b"]],
    ["E'a' /* \n */ '\\'; b", ["E'a' /* \n */ '\\'", "b"]],
    ["x''; b", ["x''", "b"]],
    ['"\\"; b', ['"\\"', "b"]],
    ["a$b$; c$b$", ["a$b$", "c$b$"]],
    ["é$$; c$$", ["é$$", "c$$"]],
    ["a$1$; b$1$", ["a$1$", "b$1$"]],
    ["$1; $2", ["$1", "$2"]],
    ["$1$; $", ["$1$", "$"]],
    ["a\u00a0--\u2028; b\n; c", ["a\u00a0", "c"]],
    ["a - -1 * /1; b", ["a - -1 * /1", "b"]],
    ["\\restrict a; b", ["\\restrict a", "b"]],
  ];

  for (const [text, expected] of cases) {
    assertEquals(written(text), expected, text);
  }
});

Deno.test("statementsOf() takes a backslash for an escape where strings are read so", () => {
  const options = { conforming: false };
  const cases: [string, string[] | undefined][] = [
    ["'\\';' ; b", ["'\\';'", "b"]],
    ["'a'\n'\\';'; b", ["'a'\n'\\';'", "b"]],
    ["N'\\';'; b", ["N'\\';'", "b"]],
    ["'\\\\'; b", ["'\\\\'", "b"]],
    ["'\\'; b", undefined],
    ["X'\\'; b", ["X'\\'", "b"]],
    ["B'1''\\';'; b", ["B'1''\\';'", "b"]],
    ["B'1'\n'\\'; b", ["B'1'\n'\\'", "b"]],
    ['"\\"; b', ['"\\"', "b"]],
    ["$$\\$$; b", ["$$\\$$", "b"]],
  ];

  for (const [text, expected] of cases) {
    assertEquals(written(text, options), expected, text);
  }
});

Deno.test("statementsOf() keeps the body of a routine and the actions of a rule together", () => {
  const texts = [
    "create function f() returns int begin atomic select 1; select 2; end",
    "create function f() returns int begin atomic end",
    "CREATE OR REPLACE PROCEDURE p() BEGIN -- ;\n ATOMIC ; ; END",
    "create/**/or--\nreplace function f() begin atomic select case when a then case b when 1 then 2 end end; end",
    "create function f() begin atomic select 1 as end; select a.end; select 1 end; end",
    "create function f(begin int default (1), atomic int) returns begin language sql begin atomic select 1; end",
    "create function f() returns int begin atomic select ';'; select $$end;$$ /* end; */; end",
    "create rule r as on insert to t do (a; b)",
    "create or replace rule r as on insert to t do also (a; (b); c;)",
  ];

  for (const text of texts) {
    assertEquals(written(text), [text], text);
    assertEquals(written(`a; ${text} ; b;`), ["a", text, "b"], text);
  }
});

Deno.test("statementsOf() knows that only a routine has such a body", () => {
  const cases: [string, string[]][] = [
    [
      "create view v as select begin atomic from a; commit",
      ["create view v as select begin atomic from a", "commit"],
    ],
    [
      "create function f(begin atomic) language c; commit",
      ["create function f(begin atomic) language c", "commit"],
    ],
    [
      'create function f() "begin" atomic; commit',
      ['create function f() "begin" atomic', "commit"],
    ],
    [
      "create function f() as $$ begin atomic $$; commit",
      ["create function f() as $$ begin atomic $$", "commit"],
    ],
    ["drop function f; begin atomic; end", [
      "drop function f",
      "begin atomic",
      "end",
    ]],
    ["select (a; commit", ["select (a", "commit"]],
    ["select --\n(a); commit", ["select --\n(a)", "commit"]],
    ["select ';' (a); commit", ["select ';' (a)", "commit"]],
    ["create table t (a; commit", ["create table t (a", "commit"]],
    ["create rule r as (a)); commit", ["create rule r as (a))", "commit"]],
  ];

  for (const [text, expected] of cases) {
    assertEquals(written(text), expected, text);
  }
});

Deno.test("statementsOf() is in doubt about a text that is cut off, or holds a NUL", () => {
  const texts = [
    "'",
    "'a''",
    "a; 'b",
    "E'\\'",
    "E'a\\",
    "E'a'\n'",
    "x'1",
    "U&'a",
    '"',
    '"a""',
    'u&"',
    "/*",
    "/* /* */",
    "/*/",
    "$$",
    "$a$ $A$ $b$ $a",
    "a\0",
    "a \0; b",
    "\0",
  ];

  for (const text of texts) assertEquals(statementsOf(text), undefined, text);
});

Deno.test("readStatements() reads a text that is cut off as far as it goes", () => {
  const { statements, complete } = readStatements("copy a; b 'c; d");

  assertEquals(complete, false);
  assertEquals(
    statements.map(({ start, end, head }) => [start, end, head]),
    [[0, 6, "copy"], [8, 15, "b"]],
  );
});

Deno.test("statementsOf() tells the first word of a statement, in lower case if it is ASCII", () => {
  const cases: [string, string][] = [
    ["SELECT", "select"],
    ["/* a */ Commit work", "commit"],
    ["(select 1)", ""],
    ['"commit"', ""],
    ['U&"commit"', ""],
    ["'commit'", ""],
    ["commit_", "commit_"],
    ["Commit\u00a0", "Commit\u00a0"],
    ["\ufeffcommit", "\ufeffcommit"],
    ["ROLLBAC\u212a", "ROLLBAC\u212a"],
  ];

  for (const [text, expected] of cases) {
    assertEquals(statementsOf(text)?.map(({ head }) => head), [expected]);
  }
});

Deno.test("SqlStatement has the tokens of its part of the text", () => {
  const text =
    "a; Select É, \"B\"\"\" , E'c'\n'd', $1::int4[],1.5e-3+.5-0x1F, 1..2 -- e\n;f";
  const [, statement] = statementsOf(text)!;

  assertEquals(
    [...statement!.tokens].map(({ kind, text }) => `${kind} ${text}`),
    [
      "word select",
      "word É",
      "punctuation ,",
      'identifier "B"""',
      "punctuation ,",
      "string E'c'\n'd'",
      "punctuation ,",
      "parameter $1",
      "punctuation :",
      "punctuation :",
      "word int4",
      "punctuation [",
      "punctuation ]",
      "punctuation ,",
      "number 1.5e-3",
      "operator +",
      "number .5",
      "operator -",
      "number 0x1F",
      "punctuation ,",
      "number 1",
      "punctuation .",
      "number .2",
    ],
  );
  for (const { start, end, text: token } of statement!.tokens) {
    assertEquals(text.slice(start, end).toLowerCase(), token.toLowerCase());
  }
});

Deno.test("statementsOf() reads any number of the same", () => {
  const parts = [
    "(1, 'a', -2.5), ",
    "- ",
    "/",
    "(",
    "1_",
    "é ",
    "'' ",
    "''",
    '""',
    "$",
    "$a",
    "/**/",
    "--\n",
    "'a' -- b\n",
    "E'\\\\' ",
    ".",
    "\n",
  ];
  const texts = [
    ...parts.flatMap((part) => [
      `a ${part.repeat(10_000)}`,
      `create function ${part.repeat(10_000)}`,
    ]),
    // A pattern that repeats a group needs more stack than there is.
    `a ${"b,".repeat(5_000_000)}`,
    `create function ${"*".repeat(10_000_000)}`,
  ];

  for (const text of texts) {
    assertEquals(statementsOf(`${text}\n;b`)?.at(-1)?.end, text.length + 3);
  }
});
