/**
 * Probes as SQL. What a recorded expression calls is looked for among PostgreSQL's own functions and operators, and nowhere else.
 *
 * @module
 */
import type { ServerMessage } from "../../errors.ts";
import { quoteIdentifier } from "../../sql/quote.ts";
import { tokensOf } from "../../sql/tokens.ts";
import type { Demand, Probe } from "../../insight/probe_values.ts";

/** How long one may take, and wait for a lock within that; milliseconds. */
const TIME_MS = 2_000;
const LOCK_MS = 1_000;

/** Which statement of {@link probeQuery} has the row. */
export const PROBE_ROW = 2;

/**
 * The question, for the simple protocol: one message, which is one transaction and only reads. Its row says whether there is a
 * row that does not satisfy the demand: `violated`.
 */
export function probeQuery(probe: Probe, schema: string): string {
  return `set transaction read only; select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true),
  pg_catalog.set_config('lock_timeout', '${LOCK_MS}', true), pg_catalog.set_config('statement_timeout', '${TIME_MS}', true),
  pg_catalog.set_config('row_security', 'off', true), pg_catalog.set_config('jit', 'off', true);
select exists (${violations(probe, schema)}) as violated`;
}

/** A statement that shows some of the rows. */
export function violationsQuery(probe: Probe, schema: string): string {
  return `${violations(probe, schema)} limit 10`;
}

/** Why there is no answer. */
export function probeFailure({ code, message }: ServerMessage): string {
  switch (code) {
    case "42501":
      return `not allowed: ${message}`;
    case "57014":
      return "it takes longer than 2 s";
    case "55P03":
      return "somebody has locked the table";
    case "42703":
    case "42704":
    case "42883":
    case "42P01":
      return `it is about something that is not there yet, or not PostgreSQL's own: ${message}`;
    default:
      return message;
  }
}

function violations({ table, demand }: Probe, schema: string): string {
  const named = (name: string) =>
    `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;
  const from = named(table);
  switch (demand.kind) {
    case "not null":
      return `select * from ${from} where ${
        quoteIdentifier(demand.column)
      } is null`;
    case "check":
      return `select * from ${from} where not (${demand.expression})`;
    case "unique":
      return duplicates(from, demand.definition);
    case "foreign key":
      return orphans(from, named(demand.references), demand);
  }
}

/** Where all columns are there, and no row that they refer to. */
function orphans(
  child: string,
  parent: string,
  { columns, referencedColumns, full }: Demand & { kind: "foreign key" },
): string {
  const own = columns.map((name) => `c.${quoteIdentifier(name)}`);
  const other = referencedColumns.map((name) => `p.${quoteIdentifier(name)}`);
  const present = own.map((one) => `${one} is not null`).join(" and ");
  const same = own.map((one, i) => `${other[i]} = ${one}`).join(" and ");
  const orphan =
    `${present} and not exists (select from ${parent} p where ${same})`;
  const some = own.map((one) => `${one} is not null`).join(" or ");
  return `select * from ${child} c where ${
    full && own.length > 1
      ? `(${orphan}) or ((${some}) and not (${present}))`
      : orphan
  }`;
}

/** The keys that stand in more than one row; where one of them is null they are different, unless it is said otherwise. */
function duplicates(from: string, definition: string): string {
  const { keys, isDistinct, predicate } = indexParts(definition);
  const present = isDistinct ? keys.map((key) => `${key} is not null`) : [];
  const where = [...present, ...predicate === undefined ? [] : [predicate]];
  return `select ${keys.join(", ")}, count(*) from ${from}${
    where.length === 0 ? "" : ` where ${where.join(" and ")}`
  } group by ${keys.join(", ")} having count(*) > 1`;
}

interface IndexParts {
  /** Columns, and expressions. */
  readonly keys: readonly string[];
  /** Whether nulls are different from each other. */
  readonly isDistinct: boolean;
  readonly predicate: string | undefined;
}

/** The parts of `CREATE UNIQUE INDEX name ON table USING method (keys) … NULLS NOT DISTINCT … WHERE (predicate)`. */
export function indexParts(definition: string): IndexParts {
  const tokens = [...tokensOf(definition)];
  const open = tokens.findIndex(({ text }) => text === "(");
  const keys: string[] = [];
  let depth = 0;
  let isKey = true;
  let at = open;
  let start = tokens[open]!.end;
  let end = start;
  do {
    const { text, kind, end: tokenEnd } = tokens[at]!;
    if (text === "(") depth++;
    else if (text === ")") depth--;
    const isOver = depth === 0 || (depth === 1 && text === ",");
    if (isOver) {
      keys.push(definition.slice(start, end).trim());
      start = end = tokenEnd;
      isKey = true;
    } else if (at > open && isKey) {
      end = tokenEnd;
      // A name goes on behind a dot, and a function's behind a bracket; what else follows says how it is sorted.
      const next = tokens[at + 1]!.text;
      isKey = depth > 1 || text === "." || next === "." || next === "(" ||
        (kind !== "word" && kind !== "identifier" && text !== ")");
    }
    at++;
  } while (depth > 0);
  const rest = tokens.slice(at);
  const where = topLevel(rest, "where");
  const nulls = rest.findIndex(({ text }, i) =>
    text === "nulls" && rest[i + 1]?.text === "not"
  );
  return {
    keys,
    isDistinct: nulls < 0 || (where >= 0 && nulls > where),
    predicate: where < 0
      ? undefined
      : definition.slice(rest[where]!.end).trim(),
  };
}

/** Where a word stands outside of brackets. */
function topLevel(
  tokens: readonly { readonly text: string; readonly kind: string }[],
  word: string,
): number {
  let depth = 0;
  return tokens.findIndex(({ text, kind }) => {
    if (text === "(") depth++;
    else if (text === ")") depth--;
    return depth === 0 && kind === "word" && text === word;
  });
}
