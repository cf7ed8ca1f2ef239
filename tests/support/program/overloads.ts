/**
 * What a stranger lays in a schema of the search path for others to run: a function, an operator, a type and a relation for
 * each that PostgreSQL has, and more of them for arguments that PostgreSQL's own take in a more general form.
 *
 * @module
 */
import { type SqlToken, tokensOf } from "../../../src/sql/tokens.ts";
import type { TestDatabase } from "../server/postgres.ts";

/** Types that an overload names exactly where PostgreSQL's own function takes any, or another one. */
const EXACT = [
  "name",
  "text",
  "oid",
  "regclass",
  "bigint",
  "integer",
  "json",
  "timestamptz",
  "xid",
  "public.migration_history",
];

/** Lays all of it in a schema. Whatever of it runs raises an error, and counts, which no rollback takes back. */
export async function layOverloads(
  db: TestDatabase,
  schema: string,
): Promise<void> {
  const body = (name: string) =>
    `format('begin perform pg_catalog.nextval(''${schema}.calls''); raise exception ''overload %%'', %L; end', ${name})`;
  const exact = `unnest(array[${EXACT.map((type) => `'${type}'`)}])`;
  const [laid] = await db.query<Record<string, number>>(`
    create sequence ${schema}.calls;
    create function pg_temp.lay(statement text) returns int language plpgsql as
      $$ begin execute statement; return 1; exception when others then return 0; end $$;
    create function ${schema}.ran(what text) returns boolean language plpgsql as
      $$ begin perform pg_catalog.nextval('${schema}.calls'); raise exception 'overload %', what; end $$;
    create function ${schema}.ran(bigint) returns bigint language plpgsql as
      $$ begin perform pg_catalog.nextval('${schema}.calls'); raise exception 'overload count'; end $$;
    create aggregate ${schema}.count(*) (sfunc = ${schema}.ran, stype = bigint);
    select (
        select sum(pg_temp.lay(format('create function ${schema}.%I(%s) returns %s language plpgsql as %L', proname, args,
          case when pg_get_function_result(p.oid) ~ 'any|TABLE|SETOF' then 'record' else pg_get_function_result(p.oid) end,
          ${body("proname")})))
        from pg_proc p, lateral (
          select oidvectortypes(proargtypes) union
          select regexp_replace(oidvectortypes(proargtypes), '"?any(compatible)?(element|nonarray|array)?"?', e, 'g') from ${exact} e union
          select e from ${exact} e where pronargs = 1) a(args)
        where pronamespace = 'pg_catalog'::regnamespace and prokind <> 'p') as functions,
      (
        select sum(pg_temp.lay(format(
          'create function ${schema}.operator_%1$s(%2$s) returns %3$s language plpgsql as %4$L;
           create operator ${schema}.%5$s (function = ${schema}.operator_%1$s%6$s%7$s)',
          n, concat_ws(', ', l, r), result, ${
    body("oprname")
  }, oprname, ', leftarg = ' || l, ', rightarg = ' || r)))
        from (
          select row_number() over () as n, * from (
            select oprname, nullif(oprleft, 0)::regtype::text as l, nullif(oprright, 0)::regtype::text as r, oprresult::regtype::text as result
            from pg_operator where oprnamespace = 'pg_catalog'::regnamespace union
            select oprname, l, r, 'boolean' from ${exact} l, ${exact} r, (
              select distinct oprname from pg_operator where oprleft <> 0 and oprname in ('=', '<>', '<', '>', '<=', '>=', '~', '||', '+', '-', '*', '->>')) o
          ) o) o) as operators,
      (
        select sum(pg_temp.lay(format('create domain ${schema}.%I as pg_catalog.%1$I check (${schema}.ran(%1$L))', typname)))
        from pg_type where typnamespace = 'pg_catalog'::regnamespace and typtype = 'b' and typname !~ '^_') as types,
      (
        select sum(pg_temp.lay(format('create view ${schema}.%I as select * from pg_catalog.%1$I where ${schema}.ran(%1$L)', relname)))
        from pg_class where relnamespace = 'pg_catalog'::regnamespace and relkind in ('r', 'v')) as relations`);
  const { functions, operators, types, relations } = laid!;
  if (
    Number(functions) < 5_000 || Number(operators) < 1_500 ||
    Number(types) < 50 || Number(relations) < 100
  ) throw new Error(`Too little was laid: ${JSON.stringify(laid)}`);
  await db.query(`
    grant usage on schema ${schema} to public;
    grant select on all tables in schema ${schema} to public; grant usage on sequence ${schema}.calls to public`);
}

/** Words that may stand before a parenthesis without being a function. */
const KEYWORDS =
  "add all and any array as by check coalesce else exists extract filter from in into join key lateral not on operator or over row select set then unique using values when where with"
    .split(" ");

/** Types that the grammar knows: they are never looked up. */
const TYPES = "bigint boolean double integer interval numeric smallint".split(
  " ",
);

/** What is looked up by the search path, or by an operator that is: PostgreSQL looks up the `=` of these in it. */
const BY_OPERATOR = "between ilike like natural nullif similar".split(" ");

/** What the statements of a text leave to the search path to find, as far as that can be told from the text. */
export function unqualifiedNames(text: string): string[] {
  const tokens = [...tokensOf(text)];
  const at = (i: number) => tokens[i]?.text ?? "";
  const common = new Set(
    tokens.flatMap(({ text }, i) =>
      at(i + 1) === "as" && at(i + 2) === "(" ? [text] : []
    ),
  );
  const found: string[] = [];
  let inSet = false;
  tokens.forEach((token, i) => {
    const [before, next] = [at(i - 1), at(i + 1)];
    const report = () =>
      void found.push(
        tokens.slice(i - 3, i + 3).map(({ text }) => text).join(" "),
      );
    if (token.kind === "operator") {
      const isQualified = before === "." && at(i - 2) === "pg_catalog" &&
        at(i - 4) === "operator";
      const isStar = token.text === "*" &&
        ["select", "(", ".", ","].includes(before);
      const isAssignment = token.text === "=" && inSet;
      if (!isQualified && !isStar && !isAssignment) report();
    }
    if (token.kind !== "word") return;
    if (token.text === "set") inSet = true;
    if (token.text === "where" || token.text === "returning") inSet = false;
    if (isType(tokens, i) && !TYPES.includes(token.text)) report();
    if (next === "(" && !KEYWORDS.includes(token.text)) {
      const isQualified = before === "." &&
        (at(i - 2) === "pg_catalog" ||
          ["copy", "into", "on", "table"].includes(at(i - 3)));
      // With the log-in, where COPY reads whatever the path leads to, or fails: it runs nothing of it.
      const isCopied = before === "copy" && token.text === "migration_history";
      if (!isQualified && before !== "as" && !isCopied) report();
    }
    if (
      BY_OPERATOR.includes(token.text) ||
      (token.text === "in" && next === "(") ||
      (token.text === "case" && next !== "when") ||
      (token.text === "distinct" && before === "from") ||
      (token.text === "distinct" && before === "not")
    ) report();
    const isRelation = ["from", "join", "into", "update", "only", "table"]
      .includes(before) &&
      next !== "." && next !== "(" &&
      at(i - 4) !== "extract";
    const isKeyword = ["only", "lateral", "select", "case", "where"]
      .includes(token.text);
    if (isRelation && !isKeyword && !common.has(token.text)) report();
  });
  return found;
}

/** Whether a word is the name of a type, behind `::`, that is not qualified. */
function isType(tokens: readonly SqlToken[], i: number): boolean {
  const isCast = tokens[i - 1]?.text === ":" && tokens[i - 2]?.text === ":";
  return isCast && tokens[i + 1]?.text !== ".";
}
