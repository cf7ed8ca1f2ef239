/**
 * Where the history is, and whether it can be used there: what the server's catalogs say, judged.
 *
 * @module
 */
import { RefusedError } from "./errors.ts";
import { quote } from "./quote.ts";
import { quoteIdentifier } from "./sql_quote.ts";

/** The name of the table. */
export const HISTORY_TABLE = "migration_history";

/** What its columns make a table: this program's history, or the table of Kysely's own migrator. */
export type Form = "own" | "kysely";

/** Where the history is, or is to be made. */
export interface Place {
  /** `null` when there is no schema to make it in. */
  readonly schema: string | null;
  readonly form: Form | "missing";
}

/** What the server says of the place; see `place_query.ts`. */
export interface PlaceFacts {
  /** The role that logged in. */
  readonly user: string;
  /** The schema that was asked for, or the first of the search path; `null` when there is none. */
  readonly schema: string | null;
  /** Whether the role may use what is in it. */
  readonly usage: boolean | null;
  /** What has the name of the table, in the order of the search path. */
  readonly tables: readonly TableFacts[];
  /** A few schemas with a history that the user may write, and would; `null` when there is none, or nobody asked. */
  readonly elsewhere: readonly string[] | null;
}

/** Something that has the name of the table. */
export interface TableFacts {
  readonly schema: string;
  readonly name: string;
  /** `pg_class.relkind`. */
  readonly kind: string;
  readonly owner: string;
  readonly form: Form | null;
  readonly fault: "kind" | "columns" | "privilege" | "row_security" | null;
  /** Of the columns of this program's history those that it has not, or with another type. */
  readonly lacks: readonly string[];
  /** Whether it is the one that counts: as the history, or as the reason why none can be used. */
  readonly decides: boolean;
  /** Whether what its owner has laid on it may run when it is written; `null` when nobody asked. */
  readonly trusted: boolean | null;
}

/** By `pg_class.relkind`: https://www.postgresql.org/docs/current/catalog-pg-class.html. */
const KINDS: Readonly<Record<string, string>> = {
  v: "a view",
  m: "a materialized view",
  f: "a foreign table",
  p: "a partitioned table",
  S: "a sequence",
  i: "an index",
  I: "a partitioned index",
  c: "a composite type",
};

/** A table that lacks no more columns than these was meant to be a history. */
const FEW_COLUMNS = 5;

/**
 * The place that the facts lead to.
 *
 * @throws {RefusedError} when what is there cannot be read, or the history is somewhere else
 */
export function placeOf(facts: PlaceFacts): Place {
  const { schema, usage, user, tables } = facts;
  if (schema !== null && usage === false) {
    throw new RefusedError([
      `Cannot use the schema ${quote(schema)}: ${
        quote(user)
      } may not; as its owner: ` +
      `grant usage, create on schema ${quoteIdentifier(schema)} to ${
        quoteIdentifier(user)
      }`,
    ]);
  }
  const table = tables.find(({ decides }) => decides);
  if (table === undefined) {
    assertNowhereElse(facts);
    return { schema, form: "missing" };
  }
  if (table.fault !== null) throw new RefusedError([refusalOf(table, user)]);
  return { schema: table.schema, form: table.form! };
}

/**
 * Nothing is written to a table that somebody may have laid there for us: its triggers would run with our rights.
 *
 * @throws {RefusedError}
 */
export function assertTrusted({ tables, user }: PlaceFacts): void {
  const table = tables.find(({ decides }) => decides);
  if (table === undefined || table.trusted !== false) return;
  throw new RefusedError([
    `Cannot write to ${historyName(table.schema)}: ${
      strangerText(table, user)
    }`,
  ]);
}

/** What was passed over on the way to the place, as warnings. */
export function passedOver({ tables, user }: PlaceFacts): readonly string[] {
  const end = tables.findIndex(({ decides }) => decides);
  return tables.slice(0, end < 0 ? tables.length : end).map((table) =>
    `Passing over ${nameOf(table)} on the search path: ${
      faultOf(table, user).why
    }`
  );
}

/** The quoted, qualified name of the history table. */
export function historyTable(schema: string): string {
  return `${quoteIdentifier(schema)}.${HISTORY_TABLE}`;
}

/** The history of a schema, for a message. */
export function historyName(schema: string): string {
  return `the history ${quote(`${schema}.${HISTORY_TABLE}`)}`;
}

/** Why a table cannot be read, or may not be trusted; `undefined` when it can and may. */
export function unfit(table: TableFacts, user: string): string | undefined {
  if (table.fault !== null) {
    return Object.values(faultOf(table, user)).join("; ");
  }
  return table.trusted === false ? strangerText(table, user) : undefined;
}

function assertNowhereElse({ schema, elsewhere }: PlaceFacts): void {
  const [one] = elsewhere ?? [];
  if (one === undefined) return;
  const another = schema === null
    ? ""
    : `; to begin another one, pass --schema ${word(schema)}`;
  throw new RefusedError([
    `Cannot find the history on the search path: there is one in the schema ${
      elsewhere!.map(quote).join(", ")
    }; to go on with it, pass --schema ${word(one)}${another}`,
  ]);
}

function strangerText({ owner }: TableFacts, user: string): string {
  return `it belongs to ${
    quote(owner)
  }, and what that role has laid on it would run with the rights of ${
    quote(user)
  }; give it to a role that ${
    quote(user)
  } is a member of, or pass --trust-history-owner ${word(owner)}`;
}

function nameOf({ schema, name }: TableFacts): string {
  return quote(`${schema}.${name}`);
}

/** A name as a word of a command line. */
function word(name: string): string {
  return /^[\w.-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`;
}

function refusalOf(table: TableFacts, user: string): string {
  const { why, out } = faultOf(table, user);
  return `Cannot use the table ${nameOf(table)}: ${why}; ${out}`;
}

/** Why a table cannot be used, and the way out. */
function faultOf(
  { schema, name, kind, fault, lacks }: TableFacts,
  user: string,
): { readonly why: string; readonly out: string } {
  const role = quoteIdentifier(user);
  const table = [schema, name].map(quoteIdentifier).join(".");
  const rename = "rename it, or choose another schema with --schema";
  switch (fault) {
    case "privilege":
      return {
        why: `${quote(user)} may not read it`,
        out: `as its owner: grant select on ${table} to ${role}`,
      };
    case "row_security":
      return {
        why: `row level security may hide rows of it from ${
          quote(user)
        }, and a history without them would not be what has happened`,
        out:
          `as its owner: alter table ${table} disable row level security, or as a superuser: alter role ${role} bypassrls`,
      };
    case "kind":
      return {
        why: `it is ${KINDS[kind] ?? "something else"}, and no plain table`,
        out: rename,
      };
    default:
      return {
        why: lacks.length > FEW_COLUMNS
          ? "it is neither this program's history nor a migration table of Kysely"
          : `it is no history of this program, which has these columns too, or with another type: ${
            lacks.join(", ")
          }`,
        out: rename,
      };
  }
}
