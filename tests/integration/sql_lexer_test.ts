/** What is read in a text against what the server makes of it: whatever the text, both must find the same. */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { statementsOf } from "../../src/sql/lexer.ts";
import { tokensOf } from "../../src/sql/tokens.ts";
import {
  copiesThroughClient,
  isDefinition,
  type TransactionEffect,
  transactionEffects,
} from "../../src/sql/statement.ts";
import { pgTest } from "../support/server/postgres.ts";
import {
  type SimpleSession,
  withSimpleSession,
} from "../support/net/simple_query.ts";
import { blank, mean, textOf } from "../support/program/sql_texts.ts";
import { SEED } from "../support/program/seed.ts";

const UNTERMINATED = /^unterminated /;

/** Runs the property with strings read both ways. */
async function eitherWay(
  session: SimpleSession,
  property: (conforming: boolean) => Promise<void>,
): Promise<void> {
  for (const conforming of [true, false]) {
    await session.ask(`set standard_conforming_strings to ${conforming}`);
    await property(conforming);
  }
}

/** What heads of statements there are for what the server calls a command. */
const HEADS: Readonly<Record<string, readonly string[]>> = {
  SELECT: ["select", "with", "values", "table", ""],
  COMMIT: ["commit", "end"],
};

pgTest(
  "statementsOf() finds the statements that the server runs",
  async (db) => {
    await db.query("create table t (a int)");
    await withSimpleSession(db.url, async (session) => {
      await session.ask("set check_function_bodies to off");
      let accepted = 0;
      await eitherWay(session, async (conforming) => {
        const property = fc.asyncProperty(textOf(conforming), async (text) => {
          const { results, error } = await session.ask(text);
          const statements = statementsOf(text, { conforming });
          if (error !== undefined) {
            if (UNTERMINATED.test(error.message)) {
              assertEquals(statements, undefined);
            }
            return;
          }
          accepted++;
          assertEquals(statements?.length, results.length);
          for (const [at, { start, end, head }] of statements!.entries()) {
            const alone = await session.ask(text.slice(start, end));
            assertEquals(alone.results, [results[at]]);
            const command = results[at]!.tag.split(" ")[0]!;
            const heads = HEADS[command] ?? [command.toLowerCase()];
            assert(heads.includes(head), `${head} is not ${command}`);
          }
        });
        await fc.assert(property, { numRuns: 1_000, seed: SEED });
      });
      assert(accepted > 1_000, `only ${accepted} texts were accepted`);
    });
  },
);

/** What the scanner finds wrong in a token that is complete. */
const BAD_TOKEN =
  /^(?:trailing junk after|zero-length delimited identifier|unsafe use of string constant|invalid hexadecimal|invalid Unicode)/;

/** Whether PL/pgSQL takes the tokens for one expression. */
function isExpression(text: string, conforming: boolean): boolean {
  let depth = 0;
  let count = 0;
  for (const { kind, text: token } of tokensOf(text, { conforming })) {
    count++;
    if (kind !== "punctuation") continue;
    if (token === ";") return false;
    if (token === "(" || token === "[") depth++;
    if ((token === ")" || token === "]") && --depth < 0) return false;
  }
  return depth === 0 && count > 0;
}

pgTest(
  "statementsOf() reads any tokens as the server's scanner does",
  async (db) => {
    await withSimpleSession(db.url, async (session) => {
      // PL/pgSQL reads with the same scanner, and any tokens will do for an expression that it does not check.
      await session.ask("set check_function_bodies to off");
      const seen = { complete: 0, incomplete: 0 };
      await eitherWay(session, async (conforming) => {
        const texts = fc.array(mean, { maxLength: 12 }).map((parts) =>
          parts.join("")
        );
        const property = fc.asyncProperty(texts, async (text) => {
          const body = `begin if false then perform ${text}\n; end if; end `;
          const { error } = await session.ask(`do $body$ ${body}$body$`);
          const statements = statementsOf(body, { conforming });
          if (statements === undefined) {
            seen.incomplete++;
            assert(error !== undefined);
            return;
          }
          if (error !== undefined) {
            assert(!UNTERMINATED.test(error.message), error.message);
          }
          if (!isExpression(text, conforming)) return;
          seen.complete++;
          if (error !== undefined) {
            assert(BAD_TOKEN.test(error.message), error.message);
          }
        });
        await fc.assert(property, { numRuns: 2_000, seed: SEED });
      });
      assert(
        Math.min(seen.complete, seen.incomplete) > 500,
        JSON.stringify(seen),
      );
    });
  },
);

/** Every way to say it, in a transaction with the savepoints `keep`, then `s`, `work`, `transaction` and `savepoint`. */
const SPELLINGS: readonly (readonly [TransactionEffect, readonly string[]])[] =
  [
    ["begin", [
      "begin",
      "begin work",
      "begin transaction isolation level read committed, read write",
      "start transaction",
      "start transaction read write",
    ]],
    ["commit", [
      "commit",
      "commit work",
      "commit transaction",
      "commit and chain",
      "commit work and no chain",
      "end",
      "end work",
      "end transaction and chain",
    ]],
    ["rollback", [
      "rollback",
      "rollback work",
      "rollback transaction",
      "rollback and chain",
      "rollback work and no chain",
      "abort",
      "abort work",
      "abort transaction and chain",
    ]],
    ["rollback_to", [
      "rollback to s",
      "rollback to savepoint s",
      "rollback work to s",
      "rollback transaction to savepoint s",
      'rollback to "s"',
      'rollback to U&"\\0073"',
      "rollback to work",
      "rollback work to work",
      "rollback transaction to transaction",
      "rollback to savepoint",
      "rollback to savepoint savepoint",
    ]],
    ["savepoint", [
      "savepoint b",
      'savepoint "commit"',
      "savepoint work",
      "savepoint prepared",
      "savepoint to_",
    ]],
    ["release", ["release s", "release savepoint s", 'release "s"']],
    ["none", [
      "select 1 as commit",
      "prepare p as select 1",
      "prepare transaction as select 1",
      "prepare prepared as select 1",
      "deallocate all",
      "set transaction read write",
      "set session characteristics as transaction read write",
      "commit prepared 'a'",
      "rollback prepared 'a'",
      "do $do$ begin commit; end $do$",
      '"commit"',
      'U&"commit"',
      "commit_",
      "commit$",
    ]],
  ];

const OPENING =
  "deallocate all; begin; savepoint keep; savepoint s; savepoint work; savepoint transaction; savepoint savepoint";

/** Statements that seem to end a transaction and do not, or that could hide one that does. */
const DECOYS = [
  "",
  ";",
  "select 'a\\\\', ';commit';",
  "select E'\\'; commit; --';",
  "select 1 as begin;",
  "create or replace view v as select begin atomic from (select 1 as begin) a;",
  "create or replace function pg_temp.f() returns int begin atomic select 1 as end; select case when true then 1 end; end;",
  "create or replace rule r as on insert to t do also (select 1; select 2);",
];

pgTest(
  "transactionEffects() tells what each statement did, however it is spelled",
  async (db) => {
    await db.query("create table t (a int)");
    const cased = (text: string) =>
      /["$]/.test(text) ? fc.constant(text) : fc.mixedCase(fc.constant(text));
    const text = fc.tuple(
      fc.constantFrom(...DECOYS),
      fc.constantFrom(...SPELLINGS.flatMap(([, texts]) => texts)).chain(cased),
      fc.array(blank, { minLength: 12, maxLength: 12 }),
      fc.constantFrom("", ";", ";;"),
    ).map(([decoy, spelled, blanks, end]) => {
      const left = [...blanks];
      const words = spelled.replaceAll(" ", () => left.pop()!);
      return `${left.pop()}${decoy}${left.pop()}${words}${left.pop()}${end}`;
    });
    await withSimpleSession(db.url, async (session) => {
      await eitherWay(session, async (conforming) => {
        const seen = new Set<TransactionEffect>();
        const property = fc.asyncProperty(text, async (text) => {
          await session.ask(OPENING);
          const { results, error } = await session.ask(text);
          const back = await session.ask("rollback to savepoint keep");
          await session.ask("rollback");
          const survived = back.error === undefined;
          const effects = results.map(({ tag }) => effectOf(tag, survived));
          const told = transactionEffects(text, { conforming });
          if (error === undefined) {
            for (const effect of effects) seen.add(effect);
            assertEquals(told, effects);
          }
          const ends = told?.some((one) =>
            one === "commit" || one === "rollback"
          );
          assertEquals(ends, !survived);
        });
        await fc.assert(property, { numRuns: 1_500, seed: SEED });
        assertEquals(
          [...seen].sort(),
          SPELLINGS.map(([effect]) => effect).sort(),
        );
      });
    });
  },
);

/** What the statement with this tag has done, by whether the savepoint that was set before is still there. */
function effectOf(tag: string, survived: boolean): TransactionEffect {
  switch (tag) {
    case "BEGIN":
    case "START TRANSACTION":
      return "begin";
    case "COMMIT":
      return "commit";
    case "SAVEPOINT":
      return "savepoint";
    case "RELEASE":
      return "release";
    case "ROLLBACK":
      return survived ? "rollback_to" : "rollback";
    default:
      return "none";
  }
}

pgTest(
  "copiesThroughClient() knows for which COPY the server turns to the client",
  async (db) => {
    await db.query(
      `create table t (a int, stdin int); create table stdin (a int); create table "from" (a int)`,
    );
    const copies = [
      "copy t from stdin",
      "copy t to stdout",
      "copy t from stdout",
      "copy t to stdin",
      "copy t (a, stdin) from stdin where a > 1",
      "copy stdin from stdin",
      "copy public . stdin to stdout with (format csv)",
      'copy "from" to stdout',
      "copy binary t to stdout",
      "copy (select a from stdin) to stdout",
      "copy (values ((1))) to stdout (header)",
      "select 1; copy t to stdout; select 2",
      "select 'copy t to stdout'",
      "copy t from '/nowhere'",
      "copy stdin from '/nowhere'",
      "copy t (stdin) from program 'exit 1'",
      "copy (select a from stdin) to '/nowhere/stdin'",
      'copy t from "stdin"',
      "copy t from program stdin",
      // A tab: only spaces are put in the place of other blanks.
      "copy nowhere to '/nowhere' (null 'to\tstdout')",
    ];
    await withSimpleSession(db.url, async (session) => {
      const seen = new Set<boolean>();
      const property = fc.asyncProperty(
        fc.constantFrom(...copies),
        fc.array(blank, { minLength: 10, maxLength: 10 }),
        async (spelled, blanks) => {
          const left = [...blanks];
          const text = spelled.replaceAll(" ", () => left.pop() ?? " ");
          const { copies } = await session.ask(text);
          seen.add(copies);
          assertEquals(copiesThroughClient(text), copies);
        },
      );
      await fc.assert(property, { numRuns: 500, seed: SEED });
      assertEquals(seen.size, 2);
    });
  },
);

/** Run one after the other, in one transaction. */
const DEFINITIONS = [
  "create table a (b int primary key, c text)",
  "create unlogged table a2 (like a including all)",
  "create temp table if not exists a3 on commit drop as select 1 as b",
  "create table a4 (b) with (fillfactor = 70) as values (1), (2)",
  "prepare p as select 1 as b",
  "create table a5 as execute p",
  "select 1 as b into a6",
  "create materialized view m as select 1 as b",
  "create view v as select b as c from a",
  "create recursive view w (n) as values (1)",
  "create unique index i on a (c)",
  "create index concurrently j on a (c)",
  "drop index i",
  "drop index concurrently if exists k",
  "create function f() returns table (n int) language sql as 'select 1'",
  "create function g() returns int begin atomic select 1; end",
  "create procedure q() language sql as ''",
  "create rule r as on insert to a do also (select 1; select 2)",
  "create type t as enum ('x')",
  "alter type t add value 'y'",
  "create domain d as int",
  "create sequence s as integer",
  "create schema o create table a (b int)",
  "create statistics z on b, c from a",
  "create policy y on a as permissive",
  'create collation l from "C"',
  "create cast (t as d) with inout as assignment",
  "alter table a add column e int default 1",
  'alter table a rename column e to "as"',
  "comment on table a is 'a'",
  "grant select on a to public",
  "revoke all on a from public",
  "alter default privileges grant select on tables to public",
  "refresh materialized view concurrently m",
  "insert into a values (1)",
  "delete from a",
  "explain create table a7 as select 1",
  "create database x",
  "drop database x",
  "alter system set work_mem = '1MB'",
  "create tablespace x location '/nowhere'",
  "create subscription x connection '' publication y",
  "drop table a2",
  "drop materialized view m",
  "drop view v, w cascade",
];

pgTest(
  "isDefinition() knows what gives neither rows nor a count, and runs in a transaction",
  async (db) => {
    await withSimpleSession(db.url, async (session) => {
      await session.ask("begin");
      for (const text of DEFINITIONS) {
        const { results } = await session.ask(`savepoint s; ${text}`);
        if (results.length < 2) await session.ask("rollback to savepoint s");
        const tells = results.length < 2 || results[1]!.rows.length > 0 ||
          /\d$|^PREPARE|^REFRESH/.test(results[1]!.tag);
        assertEquals(isDefinition(text), !tells, text);
      }
    });
  },
);
