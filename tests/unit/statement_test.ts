import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  changesSettings,
  concurrentIndex,
  copiesThroughClient,
  isDefinition,
  type TransactionEffect,
  transactionEffects,
  withoutLiterals,
} from "../../src/sql/statement.ts";
import { quoteIdentifier, quoteLiteral } from "../../src/sql/quote.ts";

/** Backslashes in a string of a text that has semicolons in other strings. */
const REGEX_AND_BODY = `
  create table codes (code text, constraint digits check (code ~ '^\\d+$'));
  create function touch() returns trigger language plpgsql as $body$
  begin
    new.code := trim(new.code);
    if new.code = '' then new.code := null; end if;
    return new;
  end
  $body$;
  create trigger touch before insert on codes for each row execute function touch();
`;

/** The form of a file that `pg_dump --inserts` writes. */
const DUMP = `--
-- PostgreSQL database dump
--

\\restrict AbC123

SET statement_timeout = 0;
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);

--
-- Name: f(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.f() RETURNS integer
    LANGUAGE sql
    BEGIN ATOMIC
 SELECT
         CASE
             WHEN true THEN 1
             ELSE 2
         END AS "end";
END;

CREATE FUNCTION public.g() RETURNS void
    LANGUAGE plpgsql
    AS $_$
begin
  perform regexp_replace('it''s', '\\s+$', $$;$$);
exception when others then null;
end;
$_$;

COMMENT ON FUNCTION public.g() IS 'rolls back; it''s final\\';

INSERT INTO public.t VALUES (1, 'C:\\end', NULL);
INSERT INTO public.t VALUES (2, 'commit;', -1.5);

CREATE RULE r AS
    ON INSERT TO public.t DO ( SELECT 1;
 SELECT 2;
);

\\unrestrict AbC123
`;

/** Whether a statement of the text ends the transaction. A doubt is a yes. */
const endsTransaction = (text: string) =>
  transactionEffects(text)?.some((effect) =>
    ["commit", "rollback", "prepare_transaction"].includes(effect)
  ) ?? true;

const filterBy = (texts: readonly string[], test: (text: string) => boolean) =>
  texts.filter((text) => test(text));

Deno.test("copiesThroughClient() knows COPY with data of the client, anywhere in a text", () => {
  const through = [
    "copy a to stdout",
    "-- rows\nCOPY a (b)\n  FROM STDIN with (format csv)",
    "copy (select 1 from b) to  stdout",
    "create table a (b int); copy a from stdin;",
    "select 1; /* ; */ Copy a.b (c, d) from/**/stdin",
    "copy stdin from stdin",
    'copy "from" from stdin',
    "copy a.to from stdin",
    "copy a from stdout", // as the server takes it
    "COPY a (b) FROM stdin;\n1\tit's\n\\.\n",
  ];
  const beside = [
    "copy a from '/srv/a.csv'",
    "copy a to program 'cat'",
    "copy stdin from '/srv/a.csv'",
    "copy a (stdin) to '/srv/stdout'",
    "copy (select a from stdin) to '/srv/a.csv'",
    'copy a from "stdin"',
    "copy a from '/srv/a.csv' (null 'from stdin')",
    "select 'copy a to stdout'",
    "select 1 -- ; copy a to stdout",
    "create function f() returns void language plpgsql as $$ begin copy a from stdin; end $$",
    "comment on table a is 'copy a from stdin'",
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
    "-- why\ncreate table a (b int)",
    "/* why; */ Alter/**/table a add b int",
    "create table a.as (b int)",
    'create table a (b int generated always as identity, "as" int)',
    "create unlogged table a (b int check (b::text ~ '^\\d+$'))",
    "create function f() returns table (a int) language sql as $$ select 1 $$",
    "create function f() returns int begin atomic select 1; select 2; end;",
    "create rule r as on insert to a do also (select 1; select 2)",
    "create view v as select 1",
    "create or replace temporary view v as table a",
    "create sequence s as integer",
    "create index on a (b)",
    "drop materialized view m",
    "alter default privileges grant select on tables to a",
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
    "create table a as select 1",
    "create temp table if not exists a (b) with (fillfactor = 70) as select 1",
    "create table a as execute p",
    "create global temporary table a as table b with no data",
    "create materialized view m as select 1",
    "create database a",
    "drop database a",
    "alter database a set tablespace b",
    "create tablespace a location '/srv/a'",
    "create subscription a connection 'b' publication c",
    "drop subscription a",
    "alter system set work_mem = '1GB'",
    "create unique index concurrently a on b (c)",
    "drop index concurrently a",
    "alter table a detach partition b concurrently",
    "refresh materialized view m",
    "select 1 into a",
    "createtable a",
    '"create" table a ()',
    "\ufeffcreate table a ()",
    "create table a ()\0",
  ];

  assertEquals(filterBy(texts, isDefinition), []);
  const backslash = "create table a (b text default 'it\\'s)";
  assertEquals(isDefinition(backslash, { conforming: false }), false);
});

Deno.test("transactionEffects() sees every way to end one", () => {
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
    "create function f() returns int begin atomic select 1 as begin; select case when a then 1 end; end; end",
    "create view v as select begin atomic from a; commit",
    "create rule r as on insert to a do (select 1; select 2); commit",
    "select $a$ $$ $a$; commit --",
    "select 1 /* /* */ ; */ ; commit",
    "select E'a'\n'\\'; commit'; end",
    "select a$b$; commit; select c$b$",
    "select B'1''0'; commit",
    "select x'\\'; commit",
    "rollback and chain",
    "Abort Transaction",
    "commit;",
    ";;commit/**/;",
    "select 'cut off",
    "select 1\0",
  ];

  assertEquals(filterBy(texts, (text) => !endsTransaction(text)), []);
});

Deno.test("transactionEffects() takes nothing else for an end", () => {
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
    "prepare transaction as select 1",
    "commit prepared 'a'",
    "rollback prepared 'a'",
    "rollback work to savepoint a",
    "rollback/**/transaction\nto a",
    "rollback to a; select 1",
    "select 1; savepoint a; rollback to savepoint a; release a",
    "select 'a\\'; select ';commit'",
    "create rule r as on insert to a do (select 1; select 2)",
    "create function f() returns int begin atomic select case when a then 1 end; select 2 as end; end",
    "\\restrict commit\nselect 1",
    "\\connect a",
    '"commit"',
    "commit_",
    "commit\u00a0",
    "copy a from stdin",
    REGEX_AND_BODY,
    DUMP,
  ];

  assertEquals(filterBy(texts, endsTransaction), []);
});

Deno.test("transactionEffects() tells them one by one", () => {
  const cases: [string, TransactionEffect[] | undefined][] = [
    ["", []],
    ["/* commit */", []],
    ["begin", ["begin"]],
    ["BEGIN ISOLATION LEVEL serializable, read only;", ["begin"]],
    ["start/**/transaction", ["begin"]],
    ["start", ["none"]],
    ["begin; insert into a values (1); commit work and chain", [
      "begin",
      "none",
      "commit",
    ]],
    ["end; abort", ["commit", "rollback"]],
    ["-- why\nsavepoint a", ["savepoint"]],
    ["savepoint a;rollback to a;release savepoint a", [
      "savepoint",
      "rollback_to",
      "release",
    ]],
    ["rollback to savepoint a", ["rollback_to"]],
    ["ROLLBACK WORK TO a", ["rollback_to"]],
    ["rollback --\n transaction /**/ to savepoint a", ["rollback_to"]],
    ["rollback; rollback work; rollback transaction and no chain", [
      "rollback",
      "rollback",
      "rollback",
    ]],
    ["rollback work to work", ["rollback_to"]],
    ['rollback "to" a', ["rollback"]],
    ["prepare transaction 'a'", ["prepare_transaction"]],
    ["prepare transaction U&'a'", ["prepare_transaction"]],
    ["prepare transaction (int) as select $1", ["none"]],
    ["commit prepared 'a'; rollback prepared 'a'", ["none", "none"]],
    ["set transaction read only", ["none"]],
    ["do $$ begin commit; end $$", ["none"]],
    ["call commit()", ["none"]],
    ["begin; select '", undefined],
  ];

  for (const [text, expected] of cases) {
    assertEquals(transactionEffects(text), expected, text);
  }
  const text = "select 'a\\'; commit; --'";
  assertEquals(transactionEffects(text), ["none", "commit"]);
  assertEquals(transactionEffects(text, { conforming: false }), ["none"]);
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
    ["select U&'a' uescape '!', N'b', $a$c$a$", "select ? uescape ?, N?, ?"],
    ["select E'a'\n'b\\'c', 'd'\n'e'", "select ?, ?"],
    ['select "a\n b", U&"c d"', 'select "a b", U&"c d"'],
    ["-- secret\rselect/**/1;select 2", "select ?;select ?"],
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

Deno.test("withoutLiterals() shows no literal, whichever way strings are read, unless it is told", () => {
  const cases: [string, string][] = [
    ["select 'it\\'s hunter2', a", "select ?…"],
    ["select 'a\\', 'hunter2'", "select ?…"],
    ["select '\\d', b", "select ?, b"],
    ["select E'\\'', 'a', b", "select ?, ?, b"],
  ];

  for (const [text, expected] of cases) {
    assertEquals(withoutLiterals(text), expected);
  }
  assertEquals(
    withoutLiterals("select 'a\\', 'b'", { conforming: true }),
    "select ?, ?",
  );
  assertEquals(
    withoutLiterals("select 'it\\'s', b", { conforming: false }),
    "select ?, b",
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
    ["create index concurrently if on b (c)", ["if", "b"]],
    ["Create Index/**/Concurrently É on /* ; */ s /* . */ . b(c);", [
      "É",
      "s.b",
    ]],
    ["create index concurrently a on b (c); select 1", undefined],
    ['create index concurrently U&"a" on b (c)', undefined],
    ['create index "concurrently" on b (c)', undefined],
    ["create index concurrently a on s.", undefined],
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
