/**
 * What a forecast needs to know of this database, in one message that only reads.
 *
 * @module
 */
import { sqlStateOf } from "../../errors.ts";
import type { DatabaseFacts, Holder, TableFacts } from "../../insight/facts.ts";
import type { LockMode } from "../../insight/locks.ts";
import type { AskedNames } from "../../insight/tables.ts";
import { quoteLiteral } from "../../sql/quote.ts";
import type { Connection } from "../connection/connection.ts";
import type { Row, Rows } from "../wire/protocol.ts";

/** What is asked for. */
export interface FactsRequest extends AskedNames {
  /** Names are without it; others have theirs in front. */
  readonly schema: string;
}

/** How long it waits for a lock, milliseconds: the size of a table cannot be read while somebody locks it altogether. */
const LOCK_MS = 2_000;

/** How long it may take, milliseconds. */
const TIME_MS = 30_000;

/** How often it is asked: a lock that came between may be gone. */
const ATTEMPTS = 3;

/** PostgreSQL's lock_not_available. */
const LOCKED = "55P03";

/** Sessions whose transaction is older than this are told of. */
const OLD = "1 minute";

/**
 * The question, for the simple protocol: settings and rows in one message, which is one transaction and only reads, with a path on
 * which nobody else can put anything. The last answer has one row, `facts`.
 */
export function factsQuery(
  { schema, tables, columns, objects }: FactsRequest,
): string {
  const list = (names: readonly string[]) =>
    names.length === 0
      ? "'{}'::text[]"
      : `array[${names.map(quoteLiteral).join(", ")}]::text[]`;
  const named = (name: string) =>
    `case when n.nspname = ${
      quoteLiteral(schema)
    } then ${name}::text else n.nspname || '.' || ${name} end`;
  return `set transaction read only; select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true),
  pg_catalog.set_config('lock_timeout', '${LOCK_MS}', true), pg_catalog.set_config('statement_timeout', '${TIME_MS}', true);
with recursive wanted as (
  select c.oid, c.relkind, c.relowner, ${named("c.relname")} as name
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p', 'm', 'f') and ${named("c.relname")} = any (${
    list(tables)
  })
), tree as (
  select w.oid as root, w.oid, w.relkind from wanted w
  union all
  select t.root, c.oid, c.relkind from tree t join pg_inherits i on i.inhparent = t.oid and t.relkind = 'p'
    join pg_class c on c.oid = i.inhrelid
), closed as (
  select l.relation from pg_locks l where l.mode = 'AccessExclusiveLock' and l.pid <> pg_backend_pid()
    and l.database = (select d.oid from pg_database d where d.datname = current_database())
), parts as (
  select t.root, t.oid, c.reltuples, exists (select from closed l where l.relation in (t.root, t.oid)) as locked
  from tree t join pg_class c on c.oid = t.oid where t.relkind <> 'p'
), sizes as (
  select p.root, bool_or(p.locked) as locked, sum(case when p.locked then (
      select sum(greatest(c.relpages, 0)::bigint) * current_setting('block_size')::bigint
      from pg_class t join pg_class c on c.oid in (t.oid, t.reltoastrelid) where t.oid = p.oid)
      else pg_table_size(p.oid) end)::bigint as bytes,
    sum(case when p.locked then (select sum(greatest(c.relpages, 0)::bigint) * current_setting('block_size')::bigint
      from pg_index i join pg_class c on c.oid = i.indexrelid where i.indrelid = p.oid)
      else pg_indexes_size(p.oid) end)::bigint as index_bytes,
    bool_and(case when p.locked then p.reltuples = 0 else pg_relation_size(p.oid) = 0 end) as empty,
    case when bool_and(p.reltuples >= 0) then sum(p.reltuples)::bigint end as rows
  from parts p group by p.root
), sessions as (
  select pid, application_name, usename, state, (extract(epoch from now() - xact_start) * 1000)::bigint as age, datname, xact_start
  from pg_stat_activity where pid <> pg_backend_pid()
)
select json_build_object(
  'schema', ${quoteLiteral(schema)},
  'mayCreate', (select has_schema_privilege(n.oid, 'create') from pg_namespace n where n.nspname = ${
    quoteLiteral(schema)
  }),
  'superuser', current_setting('is_superuser') = 'on',
  'seesOthers', current_setting('is_superuser') = 'on' or pg_has_role('pg_read_all_stats', 'usage'),
  'timeZone', current_setting('TimeZone'),
  'standbys', (select count(*) from pg_stat_replication),
  'prepared', (select count(*) from pg_prepared_xacts where database = current_database()),
  'old', (select json_agg(json_build_array(pid, application_name, usename, state, age) order by age desc) from (
    select * from sessions where datname = current_database() and xact_start < now() - interval '${OLD}' order by age desc limit 20) s),
  'tables', (select json_agg(json_build_object('name', w.name, 'bytes', s.bytes, 'indexBytes', s.index_bytes,
      'indexes', (select count(*) from pg_index i where i.indrelid = w.oid), 'rows', s.rows,
      'estimated', coalesce(s.locked, false), 'empty', coalesce(s.empty, true), 'owned', pg_has_role(w.relowner, 'usage'),
      'columns', (select json_agg(a.attname) from pg_attribute a
        where a.attrelid = w.oid and a.attnum > 0 and not a.attisdropped and a.attname = any (${
    list(columns)
  })),
      'holders', (select json_agg(json_build_object('mode', l.mode, 'session',
          json_build_array(l.pid, a.application_name, a.usename, a.state, a.age)) order by l.pid, l.mode)
        from pg_locks l left join sessions a on a.pid = l.pid
        where l.relation = w.oid and l.granted and l.locktype = 'relation' and l.pid <> pg_backend_pid()
          and l.database = (select d.oid from pg_database d where d.datname = current_database()))))
    from wanted w left join sizes s on s.root = w.oid),
  'taken', (select json_agg(name) from (
    select ${
    named("c.relname")
  } as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
    union select ${
    named("t.typname")
  } from pg_type t join pg_namespace n on n.oid = t.typnamespace
      where t.typrelid = 0 and t.typelem = 0) x where x.name = any (${
    list(objects)
  }))
)::text as facts`;
}

/** Asks it. @throws {DatabaseError} 55P03 when a table stays locked altogether */
export async function askFacts(
  connection: Connection,
  request: FactsRequest,
): Promise<DatabaseFacts> {
  await connection.prepare();
  for (let left = ATTEMPTS - 1;; left--) {
    try {
      const answers = await connection.query(factsQuery(request));
      return readFacts(answers as unknown as readonly Rows[]);
    } catch (error) {
      if (sqlStateOf(error) !== LOCKED || left === 0) throw error;
    }
  }
}

/** Reads the answers to {@link factsQuery}: one for each of its statements. */
export function readFacts(answers: readonly (readonly Row[])[]): DatabaseFacts {
  const [row] = answers.at(-1) ?? [];
  const {
    schema,
    mayCreate,
    superuser,
    seesOthers,
    timeZone,
    standbys,
    prepared,
    old,
    tables,
    taken,
  } = JSON.parse(String(row?.facts));
  return {
    schema,
    mayCreate: mayCreate === true,
    superuser,
    seesOthers,
    timeZone,
    standbys,
    prepared,
    oldTransactions: (old ?? []).map(session),
    tables: new Map((tables ?? []).map(readTable)),
    taken: new Set(taken ?? []),
  };
}

type SessionFields = readonly [
  pid: number,
  application: string | null,
  user: string | null,
  state: string | null,
  ageMs: number | null,
];

interface TableRow
  extends Omit<TableFacts, "holders" | "columns" | "bytes" | "indexBytes"> {
  readonly name: string;
  readonly bytes: number | null;
  readonly indexBytes: number | null;
  readonly columns: readonly string[] | null;
  readonly holders: readonly { mode: string; session: SessionFields }[] | null;
}

function readTable(
  { name, bytes, indexBytes, columns, holders, ...rest }: TableRow,
): [string, TableFacts] {
  return [name, {
    ...rest,
    bytes: bytes ?? 0,
    indexBytes: indexBytes ?? 0,
    columns: new Set(columns ?? []),
    holders: (holders ?? []).map((one): Holder => ({
      ...session(one.session),
      mode: one.mode.replace(/Lock$/, "") as LockMode,
    })),
  }];
}

function session(
  [pid, application, user, state, ageMs]: SessionFields,
): Omit<Holder, "mode"> {
  return {
    pid,
    application: application ?? "",
    user: user ?? "",
    ...(state !== null && { state }),
    ...(ageMs !== null && { ageMs }),
  };
}
