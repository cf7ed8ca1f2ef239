/**
 * Asks the catalogs where the history is, before the table itself is touched.
 *
 * All names are qualified: nobody who may create objects in a schema of the search path gets any of them run.
 *
 * @module
 */
import { HISTORY_TABLE, KYSELY_COLUMNS, OWN_COLUMNS } from "./place.ts";
import { quoteLiteral } from "../../sql/quote.ts";

const EQ = "operator(pg_catalog.=)";

/**
 * A query in brackets that returns one row: `facts`, as JSON what `readPath` reads. Equal texts are equal facts.
 *
 * @param schema the schema that the table must be in; the search path leads to it when missing
 */
export function pathQuery(
  schema: string | undefined,
  table: string = HISTORY_TABLE,
): string {
  const [schemas, usage] = schema === undefined
    ? [
      `pg_catalog.unnest(pg_catalog.current_schemas(false)) with ordinality as p(name, position)
        join pg_catalog.pg_namespace n on n.nspname ${EQ} p.name`,
      "true",
    ]
    : [
      `(values (${quoteLiteral(schema)}, 1)) as p(name, position)
        join pg_catalog.pg_namespace n on n.nspname ${EQ} p.name::pg_catalog.name`,
      "pg_catalog.has_schema_privilege(n.oid, 'usage')",
    ];
  return `(select pg_catalog.json_agg(pg_catalog.json_build_array(
      n.nspname, ${usage}, c.relkind, pg_catalog.pg_get_userbyid(c.relowner), f.form,
      case when not c.relkind ${EQ} 'r' then 'kind' when f.form is null then 'columns'
        when not pg_catalog.has_table_privilege(c.oid, 'select') then 'privilege'
        when pg_catalog.row_security_active(c.oid) then 'row_security' end,
      case when f.form is null then k.columns end) order by p.position)::pg_catalog.text as facts
    from ${schemas}
      left join pg_catalog.pg_class c on c.relnamespace ${EQ} n.oid and c.relname ${EQ} ${
    quoteLiteral(table)
  }
      left join lateral (${COLUMNS_QUERY}) k on true left join lateral (select ${FORM} as form offset 0) f on true)`;
}

/**
 * Whether the history in that schema belongs to somebody who may act for the user, or who could do what he wants anyway: a
 * query in brackets; null when there is none. That a superuser may act for everybody makes nobody trustworthy.
 *
 * @param owner a role that is trusted because the user of the program says so
 */
export function trustQuery(
  schema: string,
  table: string,
  owner: string | undefined,
): string {
  return `(select ${isTrusted(owner)} from pg_catalog.pg_namespace n
      join pg_catalog.pg_class c on c.relnamespace ${EQ} n.oid and c.relname ${EQ} ${
    quoteLiteral(table)
  } where n.nspname ${EQ} ${quoteLiteral(schema)})`;
}

/** Whether the user has the privileges to write the history in that schema: a query in brackets; null when there is none. */
export function writableQuery(schema: string): string {
  return `(select pg_catalog.has_table_privilege(c.oid, 'insert') and pg_catalog.has_table_privilege(c.oid, 'update')
      from pg_catalog.pg_namespace n join pg_catalog.pg_class c on c.relnamespace ${EQ} n.oid
        and c.relname ${EQ} '${HISTORY_TABLE}' where n.nspname ${EQ} ${
    quoteLiteral(schema)
  })`;
}

/**
 * The names of a few schemas that the search path does not lead to, with a history that the user may write and would: a query
 * in brackets, for an array; null when there is none.
 */
export function elsewhereQuery(owner: string | undefined): string {
  return `(select pg_catalog.array_agg(e.name) from (
      select n.nspname as name from pg_catalog.pg_class c
        join pg_catalog.pg_namespace n on n.oid ${EQ} c.relnamespace cross join lateral (${COLUMNS_QUERY}) k
      where c.relname ${EQ} '${HISTORY_TABLE}' and c.relkind ${EQ} 'r' and ${IS_OWN} and not c.relpersistence ${EQ} 't'
        and not n.nspname ${EQ} any (pg_catalog.current_schemas(false))
        and pg_catalog.has_schema_privilege(n.oid, 'usage') and pg_catalog.has_table_privilege(c.oid, 'insert')
        and pg_catalog.has_table_privilege(c.oid, 'update') and ${
    isTrusted(owner)
  }
      order by n.nspname limit 5) e)`;
}

/**
 * A few tables in the form of Kysely's own migrator, whatever their names, that the user may read: a query in brackets, for
 * JSON with schema, name and owner of each, and whether that is trusted as in {@link trustQuery}; null when there are none.
 */
export function kyselyTablesQuery(owner: string | undefined): string {
  return `(select pg_catalog.json_agg(pg_catalog.json_build_array(t.schema, t.name, t.owner, t.trusted)) from (
      select n.nspname as schema, c.relname as name, pg_catalog.pg_get_userbyid(c.relowner) as owner, ${
    isTrusted(owner)
  } as trusted from pg_catalog.pg_class c
        join pg_catalog.pg_namespace n on n.oid ${EQ} c.relnamespace cross join lateral (${COLUMNS_QUERY}) k
      where c.relkind ${EQ} 'r' and c.relnatts ${EQ} 2 and ${IS_KYSELY} and not c.relpersistence ${EQ} 't'
        and pg_catalog.has_schema_privilege(n.oid, 'usage') and pg_catalog.has_table_privilege(c.oid, 'select')
        and not pg_catalog.row_security_active(c.oid)
      order by trusted desc, n.nspname, c.relname limit 5) t)`;
}

/** The columns of the relation `c` with the OIDs of their types; what the server computes is none. Read once: `offset 0`. */
const COLUMNS_QUERY =
  `select array(select pg_catalog.concat(a.attname, ':', a.atttypid) from pg_catalog.pg_attribute a
        where a.attrelid ${EQ} c.oid and a.attnum operator(pg_catalog.>) 0 and not a.attisdropped
          and a.attgenerated ${EQ} '') as columns offset 0`;

/** Whether `k.columns` are those of this program's history. */
const IS_OWN = `k.columns operator(pg_catalog.@>) ${arrayOf(OWN_COLUMNS)}`;

/** Whether `k.columns` are those of Kysely's table. */
const IS_KYSELY = KYSELY_COLUMNS.map((one) =>
  `k.columns operator(pg_catalog.&&) ${arrayOf(one)}`
).join(" and ");

/** What `k.columns` make a table, as a `Form`. */
const FORM =
  `case when ${IS_OWN} then 'own' when ${IS_KYSELY} then 'kysely' end`;

function arrayOf(columns: readonly string[]): string {
  return `array[${columns.map((column) => `'${column}'`).join(", ")}]`;
}

/** Whether the owner of the relation `c` in the schema `n` is one; see {@link trustQuery}. */
export function isTrusted(owner: string | undefined): string {
  const isNamed = owner === undefined
    ? ""
    : ` or o.rolname ${EQ} ${quoteLiteral(owner)}`;
  return `exists (
        select from pg_catalog.pg_roles o where o.oid ${EQ} c.relowner and (
          o.rolsuper or o.oid ${EQ} n.nspowner${isNamed} or o.oid ${EQ} any (
            with recursive mine as (
              select r.oid from pg_catalog.pg_roles r where r.rolname ${EQ} session_user or r.rolname ${EQ} current_user
              union select m.roleid from pg_catalog.pg_auth_members m join mine on m.member ${EQ} mine.oid)
            select mine.oid from mine
            union all select b.datdba from pg_catalog.pg_database b where b.datname ${EQ} pg_catalog.current_database())))`;
}
