/**
 * What `--grant-status` gives another role: to read the history, which is all that `status` needs.
 *
 * All names are qualified: nobody who may create objects in a schema of the search path gets any of them run.
 *
 * @module
 */
import { RefusedError } from "../../errors.ts";
import { quoteIdentifier, quoteLiteral } from "../../sql/quote.ts";
import { quote } from "../../text.ts";
import {
  HISTORY_TABLE,
  historyTable,
  type Place,
  PLANS,
  POSITIONS,
} from "./place.ts";

const EQ = "operator(pg_catalog.=)";

/** The rights that a role needs for `status` and does not have. */
export interface MissingRights {
  /** To use the schema. */
  readonly usage: boolean;
  /** To read the table. */
  readonly select: boolean;
  /** To read these tables that are beside it: how far backfills are, what was planned. */
  readonly beside: readonly string[];
}

/** Nothing is lacking. */
export const NOTHING_MISSING: MissingRights = {
  usage: false,
  select: false,
  beside: [],
};

/**
 * A schema; then whether the role may use it, and the user may grant that; the same of reading its history, null where there is
 * none; and of the tables beside it.
 */
type SchemaRights = readonly [
  string,
  boolean,
  boolean,
  boolean | null,
  boolean | null,
  readonly (readonly [table: string, reads: boolean, mayGrant: boolean])[],
];

/**
 * A query in brackets: as JSON what {@link missingRights} reads; null when there is no such role.
 *
 * @param schema the schema that was chosen; those of the search path when missing
 */
export function rightsQuery(role: string, schema: string | undefined): string {
  const schemas = schema === undefined
    ? "any (pg_catalog.current_schemas(false))"
    : `${quoteLiteral(schema)}::pg_catalog.name`;
  // Compared as text: a name would be cut off, and lead to another role.
  return `(select coalesce((select pg_catalog.json_agg(pg_catalog.json_build_array(n.nspname,
      pg_catalog.has_schema_privilege(r.oid, n.oid, 'usage'),
      pg_catalog.has_schema_privilege(n.oid, 'usage with grant option'),
      pg_catalog.has_table_privilege(r.oid, c.oid, 'select'),
      pg_catalog.has_table_privilege(c.oid, 'select with grant option'),
      (select coalesce(pg_catalog.json_agg(pg_catalog.json_build_array(p.relname,
          pg_catalog.has_table_privilege(r.oid, p.oid, 'select'),
          pg_catalog.has_table_privilege(p.oid, 'select with grant option'))), '[]')
        from pg_catalog.pg_class p where p.relnamespace ${EQ} n.oid and p.relkind ${EQ} 'r'
          and p.relname ${EQ} any (array['${POSITIONS}', '${PLANS}']))))
    from pg_catalog.pg_namespace n left join pg_catalog.pg_class c on c.relnamespace ${EQ} n.oid
      and c.relname ${EQ} '${HISTORY_TABLE}' and c.relkind ${EQ} 'r'
    where n.nspname ${EQ} ${schemas}), '[]')::pg_catalog.text
    from pg_catalog.pg_roles r where r.rolname::pg_catalog.text ${EQ} ${
    quoteLiteral(role)
  }::pg_catalog.text)`;
}

/**
 * What the role lacks where the history is, or is to be made; a table that is not there is granted when it is made.
 *
 * @param rights the answer to {@link rightsQuery}
 * @throws {RefusedError} when there is no such role, or the user cannot grant it what it lacks
 */
export function missingRights(
  rights: string | null,
  { schema, form }: Place,
  role: string,
  user: string,
): MissingRights {
  if (rights === null) {
    throw new RefusedError([
      `Cannot grant "status" to ${quote(role)}: there is no such role; ` +
      `create it (create role ${
        quoteIdentifier(role)
      } login), or correct --grant-status`,
    ]);
  }
  const found = (JSON.parse(rights) as readonly SchemaRights[])
    .find(([name]) => name === schema);
  if (found === undefined) return NOTHING_MISSING;
  const [name, uses, mayGrantUsage, reads, mayGrantSelect, tables] = found;
  const unread = form === "missing" ? [] : tables.filter(([, reads]) => !reads);
  const missing = {
    usage: !uses,
    select: form !== "missing" && reads === false,
    beside: unread.map(([table]) => table),
  };
  const denied = {
    usage: missing.usage && !mayGrantUsage,
    select: missing.select && mayGrantSelect !== true,
    beside: unread.filter(([, , mayGrant]) => !mayGrant)
      .map(([table]) => table),
  };
  if (!denied.usage && !denied.select && denied.beside.length === 0) {
    return missing;
  }
  throw new RefusedError([
    `Cannot grant "status" to ${quote(role)}: ${
      quote(user)
    } may not; as the owner: ${grantStatements(name, role, denied).join("; ")}`,
  ]);
}

/** The statements that give the role what it lacks; none where there is no role, or nothing lacking. */
export function grantStatements(
  schema: string | null,
  role: string | undefined,
  missing: MissingRights | undefined,
): readonly string[] {
  if (schema === null || role === undefined || missing === undefined) return [];
  const to = quoteIdentifier(role);
  const grants: [boolean, string][] = [
    [missing.usage, `usage on schema ${quoteIdentifier(schema)}`],
    [missing.select, `select on ${historyTable(schema)}`],
    ...missing.beside.map((table): [boolean, string] => [
      true,
      `select on ${quoteIdentifier(schema)}.${table}`,
    ]),
  ];
  return grants.filter(([isMissing]) => isMissing)
    .map(([, what]) => `grant ${what} to ${to}`);
}
