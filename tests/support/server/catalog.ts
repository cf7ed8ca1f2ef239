/**
 * A database as text: every object of its own schemas and every row, one line each, in sections.
 *
 * Two databases with equal catalogs are the same to an application; a difference shows as a line.
 *
 * @module
 */
import postgres, { type Sql } from "postgres";

/** Section → sorted lines. The columns of a table keep their order: each line has its place. */
export type Catalog = Readonly<Record<string, readonly string[]>>;

export interface CatalogOptions {
  /** Tables that are left out, with all that belongs to them: the history of a migrator. */
  readonly without?: readonly string[];
}

/** Reads the catalog of a database, through a connection string or a client that may read all of it. */
export async function readCatalog(
  from: string | Sql,
  options: CatalogOptions = {},
): Promise<Catalog> {
  if (typeof from !== "string") return await readSections(from, options);
  const sql = postgres(from, { max: 1, onnotice: () => {} });
  try {
    return await readSections(sql, options);
  } finally {
    await sql.end();
  }
}

async function readSections(
  sql: Sql,
  options: CatalogOptions,
): Promise<Catalog> {
  const without = (options.without ?? []).join(",");
  const sections = Object.entries(SECTIONS).map(async ([section, query]) => {
    const rows = await sql.unsafe<{ line: string }[]>(
      `${RELATIONS} ${query}`,
      [without],
    );
    return [section, rows.map(({ line }) => line).sort()] as const;
  });
  const rows = readRows(sql, without);
  return {
    ...Object.fromEntries(await Promise.all(sections)),
    rows: (await rows).sort(),
  };
}

/** Own schemas, and the tables, views, indexes and sequences in them that count. */
const RELATIONS = `
  with own_schemas as (
    select oid, nspname, nspacl from pg_namespace
    where nspname !~ '^pg_' and nspname <> 'information_schema'
  ), left_out as (
    select oid from pg_class where relname = any(string_to_array($1, ',')) and relkind in ('r', 'p')
  ), relations as (
    select c.*, c.oid::regclass::text as shown
    from pg_class c
    where c.relnamespace in (select oid from own_schemas)
      and c.oid not in (select oid from left_out)
      and not exists (
        select from pg_index i where i.indexrelid = c.oid and i.indrelid in (select oid from left_out)
      )
      and not exists (
        select from pg_depend d
        where d.classid = 'pg_class'::regclass and d.objid = c.oid
          and (d.deptype = 'e' or (d.deptype in ('a', 'i') and d.refclassid = 'pg_class'::regclass
            and d.refobjid in (select oid from left_out)))
      )
  ), from_extensions as (
    select classid, objid from pg_depend where deptype = 'e'
  )
`;

// Names are shown as the search path shows them, so that the same objects in another default schema read the same.
// Not-null constraints, which PostgreSQL 18 lists, are left out: the columns say it on every version.
const SECTIONS: Readonly<Record<string, string>> = {
  schemas: `
    select nspname || coalesce(' ' || nspacl::text, '') as line from own_schemas`,
  extensions: `
    select extname as line from pg_extension`,
  tables: `
    select concat_ws(' ', shown, relkind, relpersistence, reloptions::text, relacl::text,
      case when relrowsecurity then 'row security' end, pg_get_partkeydef(oid)) as line
    from relations where relkind in ('r', 'p', 'f', 'c')`,
  columns: `
    select concat_ws(' ', shown || '.' || to_char(place, 'FM000') || ' ' || attname, type,
      case when attnotnull then 'not null' end, kind || value, identity, collated, acl) as line
    from (
      select r.shown, a.attname, format_type(a.atttypid, a.atttypmod) as type, a.attnotnull,
        a.attacl::text as acl, pg_get_expr(d.adbin, d.adrelid) as value,
        case when a.attgenerated <> '' then 'generated ' else 'default ' end as kind,
        case when a.attidentity <> '' then 'identity ' || a.attidentity::text end as identity,
        case when a.attcollation <> t.typcollation then 'collate ' || a.attcollation::regcollation::text end as collated,
        row_number() over (partition by r.oid order by a.attnum) as place
      from relations r
      join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
      join pg_type t on t.oid = a.atttypid
      left join pg_attrdef d on d.adrelid = r.oid and d.adnum = a.attnum
      where r.relkind in ('r', 'p', 'f', 'c', 'v', 'm')
    ) columns`,
  constraints: `
    select concat_ws(' ', coalesce(r.shown, k.contypid::regtype::text), k.conname,
      pg_get_constraintdef(k.oid), case when not k.convalidated then 'not validated' end) as line
    from pg_constraint k
    left join relations r on r.oid = k.conrelid
    where k.contype <> 'n' and k.contype <> 't' and (
      r.oid is not null
      or k.contypid <> 0 and k.connamespace in (select oid from own_schemas)
    )`,
  indexes: `
    select concat_ws(' ', pg_get_indexdef(i.indexrelid), case when not i.indisvalid then 'invalid' end,
      case when i.indisclustered then 'clustered' end, case when i.indisreplident then 'replica identity' end,
      x.reloptions::text) as line
    from pg_index i join relations x on x.oid = i.indexrelid`,
  triggers: `
    select concat_ws(' ', pg_get_triggerdef(t.oid), t.tgenabled) as line
    from pg_trigger t join relations r on r.oid = t.tgrelid where not t.tgisinternal`,
  rules: `
    select pg_get_ruledef(w.oid) as line
    from pg_rewrite w join relations r on r.oid = w.ev_class where w.rulename <> '_RETURN'`,
  policies: `
    select concat_ws(' ', r.shown, p.polname, p.polcmd, p.polpermissive,
      pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)) as line
    from pg_policy p join relations r on r.oid = p.polrelid`,
  views: `
    select concat_ws(' ', shown, relkind, reloptions::text, relacl::text, pg_get_viewdef(oid)) as line
    from relations where relkind in ('v', 'm')`,
  functions: `
    select case when p.prokind in ('f', 'p', 'w') then pg_get_functiondef(p.oid) else 'aggregate ' || p.oid::regprocedure::text end
      || coalesce(' ' || p.proacl::text, '') as line
    from pg_proc p
    where p.pronamespace in (select oid from own_schemas)
      and not exists (select from from_extensions e where e.classid = 'pg_proc'::regclass and e.objid = p.oid)`,
  types: `
    select concat_ws(' ', t.oid::regtype, t.typtype, (
        select string_agg(quote_literal(enumlabel), ', ' order by enumsortorder) from pg_enum where enumtypid = t.oid
      ), nullif(t.typbasetype, 0)::regtype, case when t.typnotnull then 'not null' end,
      t.typdefault, t.typacl::text) as line
    from pg_type t
    where t.typnamespace in (select oid from own_schemas) and t.typtype in ('e', 'd', 'r')
      and not exists (select from from_extensions e where e.classid = 'pg_type'::regclass and e.objid = t.oid)`,
  sequences: `
    select concat_ws(' ', r.shown, format_type(s.seqtypid, null), 'start', s.seqstart, 'by', s.seqincrement,
      'from', s.seqmin, 'to', s.seqmax, 'cache', s.seqcache, case when s.seqcycle then 'cycle' end) as line
    from pg_sequence s join relations r on r.oid = s.seqrelid`,
  comments: `
    select concat_ws(' ', o.type, o.identity, quote_literal(d.description)) as line
    from pg_description d
    cross join lateral pg_identify_object(d.classoid, d.objoid, d.objsubid) o
    where d.objoid in (select oid from relations)
      or d.classoid = 'pg_namespace'::regclass and d.objoid in (select oid from own_schemas where nspname <> 'public')
      or d.classoid = 'pg_proc'::regclass and d.objoid in (
        select oid from pg_proc where pronamespace in (select oid from own_schemas)
          and oid not in (select objid from from_extensions where classid = 'pg_proc'::regclass))
      or d.classoid = 'pg_type'::regclass and d.objoid in (
        select oid from pg_type where typnamespace in (select oid from own_schemas)
          and oid not in (select objid from from_extensions where classid = 'pg_type'::regclass))
      or d.classoid = 'pg_constraint'::regclass and d.objoid in (
        select oid from pg_constraint where conrelid in (select oid from relations))
      or d.classoid = 'pg_trigger'::regclass and d.objoid in (
        select oid from pg_trigger where tgrelid in (select oid from relations))`,
};

/** Every row of every table as JSON. Random keys and times that defaults filled in differ on each run: they are masked. */
async function readRows(sql: Sql, without: string): Promise<string[]> {
  const tables = await sql.unsafe<{ shown: string; masked: string }[]>(
    `${RELATIONS}
    select shown, array_to_string(array(
      select a.attname::text
      from pg_attribute a join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
      where a.attrelid = relations.oid
        and pg_get_expr(d.adbin, d.adrelid) ~* '^(now|gen_random_uuid|clock_timestamp|current_timestamp)'
    ), ',') as masked
    from relations where relkind in ('r', 'm')`,
    [without],
  );
  const lines: string[] = [];
  for (const { shown, masked } of tables) {
    // A key that a migration chose is not a random (version 4) one, so it stays.
    const rows = await sql.unsafe<{ row: string }[]>(
      `select (
        select jsonb_object_agg(key, case
          when key <> all(string_to_array($1, ',')) then value
          when coalesce(value #>> '{}', '') ~ '^([0-9a-f]{8}-[0-9a-f]{4}-[^4]|$)' then value
          else '"…"' end)
        from jsonb_each(to_jsonb(t))
      )::text as row from ${shown} t`,
      [masked],
    );
    for (const { row } of rows) lines.push(`${shown} ${row}`);
  }
  return lines;
}
