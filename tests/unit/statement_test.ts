import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  changesSettings,
  concurrentIndex,
  copiesThroughClient,
  endsTransaction,
  isDefinition,
  withoutLiterals,
} from "../../src/statement.ts";
import { quoteIdentifier, quoteLiteral } from "../../src/sql_quote.ts";

const filterBy = (texts: readonly string[], test: (text: string) => boolean) =>
  texts.filter((text) => test(text));

Deno.test("copiesThroughClient() knows COPY with data of the client", () => {
  const through = [
    "copy a to stdout",
    "-- rows\nCOPY a (b)\n  FROM STDIN with (format csv)",
    "copy (select 1) to  stdout",
  ];
  const beside = [
    "copy a from '/srv/a.csv'",
    "copy a to program 'cat'",
    "select 'copy a to stdout'",
    "",
  ];

  assertEquals(
    filterBy([...through, ...beside], copiesThroughClient),
    through,
  );
});

Deno.test("isDefinition() knows one statement that returns nothing", () => {
  const texts = [
    "create table a (b int)",
    "  CREATE TABLE a (b int);  ",
    "create table a (b int); -- the end",
    "create table a (b text default ';')",
    'create table "a;b" (c int)',
    "create function f() returns int language plpgsql as $$ begin return 1; end $$",
    "create function f() returns int language plpgsql as $a$ $$ ; $$ $a$;",
    "create table a (b int /* a; /* nested; */ comment */)",
    "alter table a add b int",
    "drop index a",
    "comment on table a is 'it''s; here'",
    "grant select on a to b",
    "revoke select on a from b",
  ];

  assertEquals(filterBy(texts, (text) => !isDefinition(text)), []);
});

Deno.test("isDefinition() says no to queries, to several statements and in doubt", () => {
  const texts = [
    "",
    "select 1",
    "insert into a values (1)",
    "createtable a",
    "with a as (select 1) select 1",
    "create table a (b int); select 1",
    "create table a (b int); create table c (d int)",
    "create table a (b text default 'unterminated)",
    'create table "unterminated (b int)',
    "create function f() as $$ unterminated",
    "create table a (b int) /* unterminated",
    "create table a (); -- x\rcommit",
  ];

  assertEquals(filterBy(texts, isDefinition), []);
  const backslash = "create table a (b text default 'it\\'s)";
  assertEquals(isDefinition(backslash, { conforming: false }), false);
});

Deno.test("endsTransaction() sees every way to end one", () => {
  const texts = [
    "commit",
    " COMMIT;",
    "commit and chain",
    "end",
    "abort",
    "rollback",
    "rollback; select 1",
    "rollback to a; commit",
    "select 1; commit",
    "-- why\ncommit",
    "-- why\rcommit",
    "/* why */ commit",
    "/* a /* b */ c */ commit",
    "select E'a\\n'; commit",
    "select 'a\\b' ; rollback",
    "prepare transaction 'a'",
    "/* why */ prepare transaction 'a'",
    "create function f() returns int begin atomic select 1; end; commit",
  ];

  assertEquals(filterBy(texts, (text) => !endsTransaction(text)), []);
});

Deno.test("endsTransaction() leaves everything else alone", () => {
  const texts = [
    "select 1",
    "savepoint a",
    "rollback to a",
    "  rollback to savepoint a;",
    "-- why\nrollback to a",
    "select 'commit; rollback'",
    "select E'\\'' || 'commit'",
    'select 1 as "commit"',
    "select 1 as commit",
    "comment on column a.commit is 'end'",
    "do $$ begin perform 1; end $$",
    "create function f() returns int language sql begin atomic select 1; end",
    "create procedure p() language sql begin atomic insert into a values (1); insert into a values (2); end;",
    "-- commit\nselect 1",
    "/* ; commit */ select 1",
    "prepare a as select 1",
  ];

  assertEquals(filterBy(texts, endsTransaction), []);
});

Deno.test("withoutLiterals() shows no value", () => {
  const cases: [string, string][] = [
    [
      "select 'a', 1.5, E'x\\'y', x'ff', 1e5, 0x1f, 1_000",
      "select ?, ?, ?, ?, ?, ?, ?",
    ],
    ["select $1, a1, t$1", "select $1, a1, t$1"],
    ["update t set a = 'it''s' where b = 7", "update t set a = ? where b = ?"],
    ["select \"it's 5\", 'b'", 'select "it\'s 5", ?'],
    ["do $$ secret $$", "do ?"],
    ["do $a$ $$ secret $$ $a$ language plpgsql", "do ? language plpgsql"],
    [
      "select 1 -- the secret is 'x\nfrom t /* or 'y */ where a",
      "select ? from t where a",
    ],
    ["select 'cut o", "select ?"],
    ["do $$ cut o", "do ?"],
    ["select /* cut o", "select"],
    [
      `select ${"a, ".repeat(100)}`,
      `select ${"a, ".repeat(100)}`.slice(0, 200) + "…",
    ],
  ];

  for (const [text, expected] of cases) {
    assertEquals(withoutLiterals(text), expected);
  }
});

Deno.test("withoutLiterals() never shows what stands in a literal, also of a statement that was cut off", () => {
  const literal = fc.constantFrom(
    "'hunter2'",
    "'it''s hunter2'",
    "E'\\'hunter2'",
    "$$hunter2$$",
    "$a$ $$hunter2 $a$",
    "-- hunter2\n",
    "/* hunter2 */",
  );
  const part = fc.oneof(
    literal,
    fc.constantFrom("select ", " a", ", ", '"b"', " 12 ", "$1"),
  );

  fc.assert(
    fc.property(fc.array(part), fc.nat(80), (parts, length) => {
      const text = parts.join(" ");
      for (const one of [text, text.slice(0, length)]) {
        assertEquals(withoutLiterals(one).includes("hunter"), false);
      }
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("concurrentIndex() knows what is created and on which table", () => {
  const cases: [string, [string, string] | undefined][] = [
    ["create index concurrently a on b (c)", ["a", "b"]],
    [
      "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS a ON ONLY s.b USING gin (c)",
      ["a", "s.b"],
    ],
    ['create index concurrently "A ""b" on "S" . "T" (c)', [
      '"A ""b"',
      '"S"."T"',
    ]],
    ["-- big\n/* table */ create index concurrently a on b (c)", ["a", "b"]],
    ["create index concurrently on b (c)", undefined],
    ["create index a on b (c)", undefined],
    ["select 'create index concurrently a on b (c)'", undefined],
  ];

  for (const [text, expected] of cases) {
    const found = concurrentIndex(text);
    assertEquals(found && [found.index, found.table], expected, text);
  }
});

Deno.test("changesSettings() sees what would outlive the statement", () => {
  const yes = [
    "set search_path = a",
    "select 1; SET role b",
    "reset all",
    "discard all",
    "select set_config('a.b', 'c', false)",
  ];
  const no = [
    "select 1",
    "update a set b = 1",
    "alter table a set (fillfactor = 70)",
    "create table settings (a int)",
  ];

  assertEquals([...yes, ...no].filter(changesSettings), yes);
});

Deno.test("quoteLiteral() and quoteIdentifier() double the quotes", () => {
  assertEquals(quoteLiteral("it's"), "'it''s'");
  assertEquals(quoteLiteral("a\\'b"), "E'a\\\\''b'");
  assertEquals(quoteIdentifier('a"b'), '"a""b"');
});

Deno.test("quoteLiteral() gives one token whatever the text", () => {
  fc.assert(fc.property(fc.string(), fc.string(), (a, b) => {
    const text = `create table a (b text default ${quoteLiteral(a)})`;
    for (const conforming of [true, false]) {
      assertEquals(isDefinition(text, { conforming }), true);
      assertEquals(
        isDefinition(`${text}; drop table ${quoteIdentifier(b)}`, {
          conforming,
        }),
        false,
      );
    }
    assertEquals(
      endsTransaction(`select ${quoteIdentifier(a)}, ${quoteIdentifier(b)}`),
      false,
    );
  }));
});
