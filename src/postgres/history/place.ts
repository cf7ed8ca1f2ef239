/**
 * Where the history is, and whether it can be used there: what the server's catalogs say, judged.
 *
 * @module
 */
import { RefusedError } from "../../errors.ts";
import { quote, shellWord } from "../../text.ts";
import { quoteIdentifier } from "../../sql/quote.ts";

/** The name of the table. */
export const HISTORY_TABLE = "migration_history";

/** What its columns make a table: this program's history, or the table of Kysely's own migrator. */
export type Form = "own" | "kysely";

/** Where the history is, or is to be made. */
export interface Place {
  /** `null` when there is no schema to make it in. */
  readonly schema: string | null;
  readonly form: Form | "missing";
  /** What led there, as the server has said it. */
  readonly facts: string;
}

/** A schema that the search path leads to, in its order, and what has the name of the table in it. */
export interface SchemaFacts {
  readonly schema: string;
  readonly table?: TableFacts;
}

export interface TableFacts {
  readonly schema: string;
  /** `pg_class.relkind`. */
  readonly kind: string;
  readonly owner: string;
  readonly form: Form | null;
  /** Why it cannot be read as a history. */
  readonly fault: "kind" | "columns" | "privilege" | "row_security" | null;
  /** Its columns, when they make it neither form: see {@link OWN_COLUMNS}. */
  readonly columns: readonly string[] | null;
}

/** OIDs of types, which are the same on every server. */
const TYPES = {
  bigint: 20,
  integer: 23,
  text: 25,
  varchar: 1043,
  timestamp: 1114,
  timestamptz: 1184,
  uuid: 2950,
} as const;

/** The columns of this program's history, each with the OID of its type; see `createStatements`. */
export const OWN_COLUMNS: readonly string[] = [
  `id:${TYPES.bigint}`,
  `name:${TYPES.text}`,
  `checksum:${TYPES.text}`,
  `status:${TYPES.text}`,
  `started_at:${TYPES.timestamptz}`,
  `finished_at:${TYPES.timestamptz}`,
  `duration_ms:${TYPES.integer}`,
  `run_id:${TYPES.uuid}`,
  `applied_by:${TYPES.text}`,
  `host:${TYPES.text}`,
  `binary_version:${TYPES.text}`,
  `error:${TYPES.text}`,
  `rolled_back_at:${TYPES.timestamptz}`,
  `rolled_back_by:${TYPES.text}`,
  `rolled_back_run:${TYPES.uuid}`,
];

/** The columns of Kysely's table, each as it may have been made. */
export const KYSELY_COLUMNS: readonly (readonly string[])[] = [
  [`name:${TYPES.varchar}`, `name:${TYPES.text}`],
  [TYPES.varchar, TYPES.text, TYPES.timestamptz, TYPES.timestamp].map((type) =>
    `timestamp:${type}`
  ),
];

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

/** What `pathQuery` has found, in the order of the search path. @throws {RefusedError} when a schema may not be used */
export function readPath(facts: string, user: string): readonly SchemaFacts[] {
  const schemas: readonly SchemaAsJson[] = JSON.parse(facts) ?? [];
  return schemas.map(([schema, usable, kind, ...rest]) => {
    if (!usable) {
      throw new RefusedError([
        `Cannot use the schema ${quote(schema)}: ${
          quote(user)
        } may not; as its owner: ` +
        `grant usage, create on schema ${quoteIdentifier(schema)} to ${
          quoteIdentifier(user)
        }`,
      ]);
    }
    if (kind === null) return { schema };
    const [owner, form, fault, columns] = rest;
    return { schema, table: { schema, kind, owner, form, fault, columns } };
  });
}

/** Its name, whether it may be used, and what there is of the table. */
type SchemaAsJson = readonly [
  string,
  boolean,
  string | null,
  string,
  TableFacts["form"],
  TableFacts["fault"],
  TableFacts["columns"],
];

/** Where a search path leads, and what was passed over on the way, as warnings. */
export interface Found extends Place {
  readonly passedOver: readonly string[];
  /** Whether the server takes the name of the table, without a schema, for this one. */
  readonly isFirst: boolean;
}

/**
 * The place that the facts lead to: the first table that can be read as a history. Nothing in the first schema is passed
 * over, and nothing that row level security could make look empty.
 *
 * @throws {RefusedError} when what is there cannot be used
 */
export function placeOf(facts: string, user: string): Found {
  const path = readPath(facts, user);
  // The schemas of the system, and of temporary tables, hold no history.
  const schemas = path.filter(({ schema }) => !schema.startsWith("pg_"));
  const tables = schemas.flatMap(({ table }) => table ?? []);
  const decides = (table: TableFacts) =>
    table.fault === null || table.fault === "row_security" ||
    table.schema === schemas[0]!.schema;
  const table = tables.find(decides);
  const passedOver = tables.slice(0, table && tables.indexOf(table)).map((
    one,
  ) =>
    `Passing over ${nameOf(one)} on the search path: ${faultOf(one, user).why}`
  );
  if (table === undefined) {
    const schema = schemas[0]?.schema ?? null;
    return { schema, form: "missing", facts, passedOver, isFirst: false };
  }
  if (table.fault !== null) {
    const { why, out } = faultOf(table, user);
    throw new RefusedError([
      `Cannot use the table ${nameOf(table)}: ${why}; ${out}`,
    ]);
  }
  const { schema, form } = table;
  const isFirst =
    path.find(({ table }) => table !== undefined)?.table === table;
  return { schema, form: form!, facts, passedOver, isFirst };
}

/**
 * A history that the search path does not lead to is not one that is not there.
 *
 * @param elsewhere the schemas that have one
 */
export function elsewhereError(
  elsewhere: readonly string[],
  schema: string | null,
): RefusedError {
  const another = schema === null
    ? ""
    : `; to begin another one, pass --schema ${shellWord(schema)}`;
  return new RefusedError([
    `Cannot find the history on the search path: there is one in the schema ${
      elsewhere.map(quote).join(", ")
    }; to go on with it, pass --schema ${shellWord(elsewhere[0]!)}${another}`,
  ]);
}

/** Why nothing is written to a table that somebody may have laid there for us: its triggers would run with our rights. */
export function strangerText(
  { owner }: Pick<TableFacts, "owner">,
  user: string,
): string {
  return `it belongs to ${
    quote(owner)
  }, and what that role has laid on it would run with the rights of ${
    quote(user)
  }; give it to a role that ${
    quote(user)
  } is a member of, or pass --trust-history-owner ${shellWord(owner)}`;
}

/** Why a table that is not fit cannot be read. */
export function unfitText(
  table: TableFacts,
  user: string,
  name: string,
): string {
  const { why, out } = faultOf(table, user, name);
  return `${why}; ${out}`;
}

/** The quoted, qualified name of the history table. */
export function historyTable(schema: string): string {
  return `${quoteIdentifier(schema)}.${HISTORY_TABLE}`;
}

/** There is no schema to work in; `chosen` is that of `--schema`. */
export function noSchemaError(
  chosen: string | undefined,
  user: string,
): RefusedError {
  return new RefusedError([
    chosen === undefined
      ? "Cannot find a schema to work in: the search path leads to none; create it, " +
        `or grant usage on it to ${
          quoteIdentifier(user)
        }, or choose one with --schema`
      : `Cannot find the schema ${quote(chosen)}: create it ` +
        `(create schema ${quoteIdentifier(chosen)})`,
  ]);
}

/** The table with the positions of backfills, beside the history. */
export const POSITIONS = "migration_backfills";

/** Its quoted, qualified name. */
export function positionsTable(schema: string): string {
  return `${quoteIdentifier(schema)}.${POSITIONS}`;
}

/** The table with what was planned for migrations, beside the history. */
export const PLANS = "migration_plans";

/** The tables of the program itself. */
export const OWN_TABLES: readonly string[] = [HISTORY_TABLE, POSITIONS, PLANS];

/** The history of a schema, for a message. */
export function historyName(schema: string): string {
  return `the history ${nameOf({ schema })}`;
}

function nameOf({ schema }: { readonly schema: string }): string {
  return quote(`${schema}.${HISTORY_TABLE}`);
}

/** Why a table cannot be used, and the way out. */
function faultOf(
  { schema, kind, fault, columns }: TableFacts,
  user: string,
  name: string = HISTORY_TABLE,
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
      return { why: columnsText(columns ?? []), out: rename };
  }
}

function columnsText(columns: readonly string[]): string {
  const lacks = OWN_COLUMNS.filter((column) => !columns.includes(column));
  return lacks.length > FEW_COLUMNS
    ? "it is neither this program's history nor a migration table of Kysely"
    : `it is no history of this program, which has these columns too, or with another type: ${
      lacks.map((column) => column.split(":")[0]).join(", ")
    }`;
}
