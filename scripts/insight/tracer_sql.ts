/**
 * What a server is asked after each statement of a migration that is recorded, and what it tells by itself.
 *
 * @module
 */

/** Nobody's schema: what watches the migrations, on a server that is there for that alone. */
export const SCHEMA = "battlescope_insight";

/** Begins a message of the event triggers. */
export const MARK = "battlescope_insight ";

/**
 * Installs the event triggers, which need a superuser and fire for everybody. They tell by a message: what they wrote into a
 * table would be lost with a rollback, and seen by the migrations.
 */
export const INSTALL = `
create schema ${SCHEMA};
create function ${SCHEMA}.parts(type text, identity text) returns text[] language sql as $$
  select case when type in ('table', 'table column', 'index', 'view', 'materialized view', 'foreign table', 'sequence', 'type')
    and identity not like '%[]' then pg_catalog.parse_ident(identity) end $$;
create function ${SCHEMA}.on_end() returns event_trigger language plpgsql as $$
begin
  raise debug '${MARK}%', pg_catalog.json_build_object('commands', (
    select pg_catalog.json_agg(pg_catalog.json_build_object('tag', command_tag, 'type', object_type, 'object', object_identity,
      'parts', ${SCHEMA}.parts(object_type, object_identity), 'id', objid::bigint))
    from pg_catalog.pg_event_trigger_ddl_commands() where not in_extension and object_identity is not null));
end $$;
create function ${SCHEMA}.on_drop() returns event_trigger language plpgsql as $$
begin
  raise debug '${MARK}%', pg_catalog.json_build_object('drops', (
    select pg_catalog.json_agg(pg_catalog.json_build_object('type', object_type, 'object', object_identity,
      'parts', ${SCHEMA}.parts(object_type, object_identity), 'original', original, 'normal', normal))
    from pg_catalog.pg_event_trigger_dropped_objects() where (original or normal) and not is_temporary));
end $$;
create function ${SCHEMA}.on_rewrite() returns event_trigger language plpgsql as $$
begin
  raise debug '${MARK}%', pg_catalog.json_build_object('rewrites', pg_catalog.pg_event_trigger_table_rewrite_oid()::bigint);
end $$;
create event trigger battlescope_insight_end on ddl_command_end execute function ${SCHEMA}.on_end();
create event trigger battlescope_insight_drop on sql_drop execute function ${SCHEMA}.on_drop();
create event trigger battlescope_insight_rewrite on table_rewrite execute function ${SCHEMA}.on_rewrite();
grant usage on schema ${SCHEMA} to public;
`;

/** Not of the server, not of this program, not passing. */
const USERS = `c.relpersistence <> 't' and n.nspname <> 'information_schema'
  and n.nspname not like 'pg\\_%' and n.nspname <> '${SCHEMA}'`;

/** Tables, partitioned and materialized ones, and indexes with their tables; `file` changes when one is written anew. */
const RELATIONS = `
  select c.oid::bigint as id, n.nspname::text as schema, c.relname::text as name, c.relkind::text as kind,
    pg_catalog.pg_relation_filenode(c.oid)::bigint as file, i.indrelid::bigint as "table", i.indisunique as "unique",
    i.indisprimary as "primary", i.indkey::pg_catalog.int2[] as columns
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  left join pg_catalog.pg_index i on i.indexrelid = c.oid
  where c.relkind in ('r', 'p', 'm', 'i', 'I') and ${USERS}`;

/** Columns and foreign keys of tables, and what enum types have. */
const CATALOG = (schemas: string) => `
  'columns', (select pg_catalog.json_agg(pg_catalog.json_build_array(a.attrelid::bigint, a.attnum, a.attname,
      pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull,
      a.atthasdef or a.attidentity <> '' or a.attgenerated <> ''))
    from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped and ${schemas}),
  'keys', (select pg_catalog.json_agg(pg_catalog.json_build_array(k.conrelid::bigint, k.conname, k.conkey))
    from pg_catalog.pg_constraint k join pg_catalog.pg_class c on c.oid = k.conrelid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where k.contype = 'f' and k.conparentid = 0 and ${schemas}),
  'enums', (select pg_catalog.json_agg(pg_catalog.json_build_array(e.enumtypid::regtype::text, e.count))
    from (select enumtypid, count(*) from pg_catalog.pg_enum group by 1) e)`;

/** One row: `seen`, JSON. Counts are those of the transaction, and of what is not reported yet of those before: only differences count. */
export const PROBE = `select pg_catalog.json_build_object(
  'locks', (select pg_catalog.json_agg(pg_catalog.json_build_array(l.relation::bigint, l.mode)) from pg_catalog.pg_locks l
    where l.pid = pg_catalog.pg_backend_pid() and l.locktype = 'relation' and l.granted),
  'relations', (select pg_catalog.json_agg(r) from (${RELATIONS}) r),
  'counts', (select pg_catalog.json_agg(pg_catalog.json_build_array(
      relid::bigint, n_tup_ins, n_tup_upd, n_tup_del, seq_scan, coalesce(idx_scan, 0)))
    from pg_catalog.pg_stat_xact_user_tables),
  ${CATALOG(USERS)}
)::text as seen`;
