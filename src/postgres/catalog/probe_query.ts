/**
 * Probes as SQL. What a recorded expression calls is looked for among PostgreSQL's own functions and operators, and nowhere else.
 *
 * @module
 */
import type { ServerMessage } from "../../errors.ts";
import type { Demand, Probe } from "../../insight/probe_values.ts";
import { quoteIdentifier } from "../../sql/quote.ts";
import { tokensOf } from "../../sql/tokens.ts";
import {
  placeOf,
  PROBE_BEGIN,
  type ProbedTable,
  refusalOf,
} from "./probe_tables.ts";

/** The rows that do not satisfy a demand. */
export interface Violations {
  /** What of them is shown; a probe itself reads no column that the demand does not name. */
  readonly list: string;
  readonly from: string;
}

/** The tables whose rows a probe reads, as a recording has them. */
export function tablesOf({ table, demand }: Probe): string[] {
  return demand.kind === "foreign key" ? [table, demand.references] : [table];
}

/** The question, for the simple protocol. Its row says whether there is a row that does not satisfy the demand: `violated`. */
export function probeQuery({ from }: Violations): string {
  return `${PROBE_BEGIN};\nselect exists (select from ${from}) as violated`;
}

/** A statement that shows some of the rows. */
export function violationsQuery({ list, from }: Violations): string {
  return `select ${list} from ${from} limit 10`;
}

/** Why there is no answer. The server's words are kept only where they cannot hold what is in a row. */
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
      return `the server cannot tell (${code})`;
  }
}

/** The rows that do not satisfy the demand; a text says why they cannot be asked for. */
export function violationsOf(
  { table: name, demand }: Probe,
  tables: ReadonlyMap<string, ProbedTable>,
): Violations | string {
  const table = tables.get(name);
  if (table === undefined) return `${name} is not there yet`;
  const whole = placeOf(table, false);
  switch (demand.kind) {
    case "not null": {
      const names = new Set([demand.column]);
      const column = quoteIdentifier(demand.column);
      return refusalOf(table, names, { compares: false, mixed: false }) ??
        // A row of nulls is null, and not what NOT NULL means.
        {
          list: "*",
          from: `${whole} where ${column} is not distinct from null`,
        };
    }
    case "check": {
      const names = namesIn(demand.expression);
      if (typeof names === "string") return names;
      const place = placeOf(table, demand.noInherit);
      return refusalOf(table, names, { compares: true, mixed: true }) ??
        { list: "*", from: `${place} where not (${demand.expression})` };
    }
    case "unique":
      return duplicates(table, demand.definition);
    case "foreign key": {
      const parent = tables.get(demand.references);
      if (parent === undefined) return `${demand.references} is not there yet`;
      return orphans(table, parent, demand);
    }
  }
}

/** The names in an expression; a text, when something in it stands in a schema: whose that is here nobody knows. */
function namesIn(expression: string): ReadonlySet<string> | string {
  const names = new Set<string>();
  for (const { kind, text } of tokensOf(expression)) {
    if (text === ".") {
      return "it names a function, an operator or a type with its schema, and none of those is run";
    }
    if (kind === "word") names.add(text);
    if (kind === "identifier") {
      names.add(text.slice(1, -1).replaceAll('""', '"'));
    }
  }
  return names;
}

/** Where all columns are there, and no row that they refer to. */
function orphans(
  child: ProbedTable,
  parent: ProbedTable,
  { columns, referencedColumns, full }: Demand & { kind: "foreign key" },
): Violations | string {
  const options = { compares: true, mixed: false };
  const refusal = refusalOf(child, new Set(columns), options) ??
    refusalOf(parent, new Set(referencedColumns), options);
  if (refusal !== undefined) return refusal;
  const own = columns.map((name) => `c.${quoteIdentifier(name)}`);
  const other = referencedColumns.map((name) => `p.${quoteIdentifier(name)}`);
  const present = own.map((one) => `${one} is not null`).join(" and ");
  const same = own.map((one, i) => `${other[i]} operator(pg_catalog.=) ${one}`)
    .join(" and ");
  const orphan = `${present} and not exists (select from ${
    placeOf(parent, true)
  } p where ${same})`;
  const some = own.map((one) => `${one} is not null`).join(" or ");
  return {
    list: "*",
    from: `${placeOf(child, true)} c where ${
      full && own.length > 1
        ? `(${orphan}) or ((${some}) and not (${present}))`
        : orphan
    }`,
  };
}

/** The keys that stand in more than one row; where one of them is null they are different, unless it is said otherwise. */
function duplicates(
  table: ProbedTable,
  definition: string,
): Violations | string {
  // Rows are grouped by the collations of the columns.
  for (const { kind, text } of tokensOf(definition)) {
    if (kind === "word" && text === "collate") {
      return "a key of it has a collation of its own";
    }
  }
  const { keys, isDistinct, predicate } = indexParts(definition);
  const names = namesIn([...keys, predicate ?? ""].join(","));
  if (typeof names === "string") return names;
  // Columns are grouped by the equality of their own types.
  const compares = predicate !== undefined ||
    keys.some((key) => key.includes("("));
  const refusal = refusalOf(table, names, { compares, mixed: true });
  if (refusal !== undefined) return refusal;
  const present = isDistinct
    ? keys.map((key) => `(${key}) is distinct from null`)
    : [];
  const where = [
    ...present,
    ...predicate === undefined ? [] : [`(${predicate})`],
  ];
  return {
    list: `${keys.join(", ")}, pg_catalog.count(*)`,
    from: `${placeOf(table, true)}${
      where.length === 0 ? "" : ` where ${where.join(" and ")}`
    } group by ${
      keys.join(", ")
    } having pg_catalog.count(*) operator(pg_catalog.>) 1`,
  };
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
