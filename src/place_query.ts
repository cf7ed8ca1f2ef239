/**
 * Asks the catalogs where the history is, before the table itself is touched.
 *
 * All names are qualified: nobody who may create objects in a schema of the search path gets any of them run.
 *
 * @module
 */
import { type Form, HISTORY_TABLE } from "./history_place.ts";
import { quoteLiteral } from "./sql_quote.ts";

/** Which table is looked for. */
export interface Wanted {
  /** @default {HISTORY_TABLE} */
  readonly table?: string;
  /** The schema that it must be in; the search path leads to it when missing. */
  readonly schema: string | undefined;
  /** @default {either} */
  readonly form?: Form;
}

/** What is to be known besides, before anything is written. */
export interface TrustQuestion {
  /** A role that is trusted because the user of the program says so. */
  readonly owner: string | undefined;
  /** Whether other schemas are looked at, too, when the search path leads to no history. */
  readonly elsewhere: boolean;
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

/** The columns of this program's history; see `createStatements`. */
const OWN_COLUMNS: Readonly<Record<string, keyof typeof TYPES>> = {
  id: "bigint",
  name: "text",
  checksum: "text",
  status: "text",
  started_at: "timestamptz",
  finished_at: "timestamptz",
  duration_ms: "integer",
  run_id: "uuid",
  applied_by: "text",
  host: "text",
  binary_version: "text",
  error: "text",
  rolled_back_at: "timestamptz",
  rolled_back_by: "text",
  rolled_back_run: "uuid",
};

/** The columns of Kysely's table, with the types that they may have been given. */
const KYSELY_COLUMNS: Readonly<
  Record<string, readonly (keyof typeof TYPES)[]>
> = {
  name: ["varchar", "text"],
  timestamp: ["varchar", "text", "timestamptz", "timestamp"],
};

const EQ = "operator(pg_catalog.=)";

/**
 * A query in brackets that returns one row: `facts`, which are `PlaceFacts` as JSON, and of the table that counts its
 * `schema`, `form`, `fault` and `trusted`. Where none counts the schema is that in which the history is to be made.
 *
 * A table counts when it can be read, or when it must not be passed over: in the first schema, and where row level security
 * could make a history look empty.
 */
export function placeQuery(wanted: Wanted, trust?: TrustQuestion): string {
  const table = quoteLiteral(wanted.table ?? HISTORY_TABLE);
  return `(with recursive schemas as (${schemasQuery(wanted.schema)}),
    roles as (
      select r.oid from pg_catalog.pg_roles r where r.rolname ${EQ} session_user or r.rolname ${EQ} current_user
      union select m.roleid from pg_catalog.pg_auth_members m join roles on m.member ${EQ} roles.oid
    ),
    tables as (
      select s.position, s.name as schema, c.relname as name, c.relkind as kind, c.relowner as owner, k.columns, f.form,
        ${faultOf(wanted.form)} as fault,
        ${
    trust === undefined ? "null::pg_catalog.bool" : isTrusted(trust)
  } as trusted
      from schemas s join pg_catalog.pg_class c on c.relnamespace ${EQ} s.oid and c.relname ${EQ} ${table}
        cross join lateral (${COLUMNS_QUERY}) k cross join lateral (select ${FORM} as form offset 0) f
    ),
    decisive as (
      select * from tables t
      where t.fault is null or t.fault ${EQ} 'row_security'
        or t.position ${EQ} (select pg_catalog.min(s.position) from schemas s)
      order by t.position limit 1
    )
    select coalesce(d.schema, s.name)::pg_catalog.text as schema, coalesce(d.form, 'missing') as form, d.fault, d.trusted,
      pg_catalog.json_build_object(
        'user', session_user, 'schema', s.name, 'usage', pg_catalog.has_schema_privilege(s.oid, 'usage'),
        'tables', array(
          select pg_catalog.json_build_object(
            'schema', t.schema, 'name', t.name, 'kind', t.kind, 'owner', pg_catalog.pg_get_userbyid(t.owner), 'form', t.form,
            'fault', t.fault, 'trusted', t.trusted, 'decides', coalesce(t.position ${EQ} d.position, false),
            'lacks', array(
              select o.name from (values ${OWN_VALUES}) as o(name, type)
              where not pg_catalog.concat(o.name, ':', o.type) ${EQ} any (t.columns)))
          from tables t order by t.position),
        'elsewhere', ${
    trust?.elsewhere ? elsewhereQuery(table, trust) : "null::pg_catalog.json"
  }
      )::pg_catalog.text as facts
    from (select) one left join (select * from schemas order by position limit 1) s on true left join decisive d on true)`;
}

/** The schemas that come into question: `position`, `oid`, `name` and `owner`. Those of temporary tables never do. */
function schemasQuery(schema: string | undefined): string {
  return schema !== undefined
    ? `select 1 as position, n.oid, n.nspname as name, n.nspowner as owner
      from pg_catalog.pg_namespace n where n.nspname ${EQ} ${
      quoteLiteral(schema)
    }`
    : `select p.position, n.oid, n.nspname as name, n.nspowner as owner
      from pg_catalog.unnest(pg_catalog.current_schemas(false)) with ordinality as p(name, position)
        join pg_catalog.pg_namespace n on n.nspname ${EQ} p.name
      where not n.nspname ${EQ} 'pg_catalog' and not n.oid ${EQ} pg_catalog.pg_my_temp_schema()
        and not pg_catalog.pg_is_other_temp_schema(n.oid)`;
}

/** The columns of the relation `c` with the OIDs of their types; what the server computes is none. Read once: `offset 0`. */
const COLUMNS_QUERY =
  `select array(select pg_catalog.concat(a.attname, ':', a.atttypid) from pg_catalog.pg_attribute a
          where a.attrelid ${EQ} c.oid and a.attnum operator(pg_catalog.>) 0 and not a.attisdropped
            and a.attgenerated ${EQ} '') as columns offset 0`;

const OWN_VALUES = Object.entries(OWN_COLUMNS)
  .map(([name, type]) => `('${name}', ${TYPES[type]})`).join(", ");

/** Whether `k.columns` are those of this program's history. */
const IS_OWN = `k.columns operator(pg_catalog.@>) ${
  anyOf(Object.entries(OWN_COLUMNS).map(([name, type]) => [name, [type]]))
}`;

/** What `k.columns` make a table, as a {@link Form}. */
const FORM = `case when ${IS_OWN} then 'own' when ${
  Object.entries(KYSELY_COLUMNS).map((one) =>
    `k.columns operator(pg_catalog.&&) ${anyOf([one])}`
  ).join(" and ")
} then 'kysely' end`;

function anyOf(
  columns: readonly (readonly [string, readonly (keyof typeof TYPES)[]])[],
): string {
  const texts = columns.flatMap(([name, types]) =>
    types.map((type) => `'${name}:${TYPES[type]}'`)
  );
  return `array[${texts.join(", ")}]`;
}

/** What keeps the relation `c` from being read as the history, or as a table of that form. */
function faultOf(form: Form | undefined): string {
  const fits = `f.form is not null${
    form === undefined ? "" : ` and f.form ${EQ} '${form}'`
  }`;
  return `case when not c.relkind ${EQ} 'r' then 'kind' when not (${fits}) then 'columns'
          when not pg_catalog.has_table_privilege(c.oid, 'select') then 'privilege'
          when pg_catalog.row_security_active(c.oid) then 'row_security' end`;
}

/**
 * Whether the owner of the relation `c` in the schema `s` may act for the user, or could do what he wants anyway. That a
 * superuser may act for everybody makes nobody trustworthy.
 */
function isTrusted({ owner }: TrustQuestion): string {
  const isNamed = owner === undefined
    ? ""
    : ` or o.rolname ${EQ} ${quoteLiteral(owner)}`;
  return `exists (
          select from pg_catalog.pg_roles o where o.oid ${EQ} c.relowner and (
            o.rolsuper or o.oid ${EQ} s.owner or o.oid ${EQ} any (select roles.oid from roles)${isNamed}
            or o.oid ${EQ} (
              select b.datdba from pg_catalog.pg_database b where b.datname ${EQ} pg_catalog.current_database())))`;
}

/** The names of a few schemas with a history that the user may write and would, when none was decisive: as JSON. */
function elsewhereQuery(table: string, trust: TrustQuestion): string {
  return `case when d.position is null then (
          select pg_catalog.json_agg(e.name) from (
            select s.name from pg_catalog.pg_class c
              join (select n.oid, n.nspname as name, n.nspowner as owner from pg_catalog.pg_namespace n) s
                on s.oid ${EQ} c.relnamespace
              cross join lateral (${COLUMNS_QUERY}) k
            where c.relname ${EQ} ${table} and c.relkind ${EQ} 'r' and not c.relpersistence ${EQ} 't' and ${IS_OWN}
              and pg_catalog.has_schema_privilege(s.oid, 'usage') and pg_catalog.has_table_privilege(c.oid, 'insert')
              and pg_catalog.has_table_privilege(c.oid, 'update') and ${
    isTrusted(trust)
  }
            order by s.name limit 5) e) end`;
}
