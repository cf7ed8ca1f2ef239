/**
 * The table with the positions of backfills: whether it may be trusted, and how it is made.
 *
 * @module
 */
import { AIM_MS } from "../../plan/backfill.ts";
import { quoteIdentifier, quoteLiteral } from "../../sql/quote.ts";
import { historyTable, POSITIONS, positionsTable } from "../history/place.ts";
import type { Row } from "../wire/protocol.ts";

const EQ = "operator(pg_catalog.=)";
/**
 * Asks whether there is a table of this name and it is to be trusted as the history is: a row with `safe`, or none.
 * Whoever could lay there something else would have it run with our rights.
 */
export function safetyQuery(schema: string): string {
  return `select c.relkind ${EQ} 'r' and c.relowner ${EQ} h.relowner as safe,
      pg_catalog.has_table_privilege(c.oid, 'select') as readable
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid ${EQ} c.relnamespace
      left join pg_catalog.pg_class h on h.relnamespace ${EQ} n.oid and h.relname ${EQ} 'migration_history'
    where n.nspname ${EQ} ${
    quoteLiteral(schema)
  } and c.relname ${EQ} '${POSITIONS}'`;
}

/** Asks who has rights on the table, or on the history: `grantee`, `null` for everybody, and whether he may read the history. */
export function readersQuery(schema: string): string {
  return `select case when a.grantee operator(pg_catalog.<>) 0 then pg_catalog.pg_get_userbyid(a.grantee)::pg_catalog.text end as grantee,
      pg_catalog.bool_or(c.relname ${EQ} 'migration_history' and a.privilege_type ${EQ} 'SELECT') as reads
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid ${EQ} c.relnamespace,
      lateral pg_catalog.aclexplode(c.relacl) a
    where n.nspname ${EQ} ${
    quoteLiteral(schema)
  } and c.relname ${EQ} any (array['migration_history', '${POSITIONS}'])
      and a.grantee operator(pg_catalog.<>) c.relowner group by a.grantee`;
}

/** Whoever may read the history may read the positions, and nobody else has rights on them, whatever new tables are given. */
export function rightsStatements(
  schema: string,
  readers: readonly Row[],
): string {
  const table = positionsTable(schema);
  return readers.flatMap(({ grantee, reads }) => {
    const who = grantee === null ? "public" : quoteIdentifier(String(grantee));
    return [
      `revoke all on ${table} from ${who}`,
      ...(reads === true ? [`grant select on ${table} to ${who}`] : []),
    ];
  }).join("; ");
}

/** Half of each page stays free: a row that changes with every batch stays in its page. */
export function createPositions(schema: string): string {
  return `create table ${positionsTable(schema)} (
    history_id bigint primary key references ${historyTable(schema)},
    keys pg_catalog.text[] not null,
    position pg_catalog.jsonb,
    last_key pg_catalog.jsonb,
    passes smallint not null default 0,
    found boolean not null default false,
    rows_done bigint not null default 0,
    rows_total bigint not null default 0,
    batches bigint not null default 0,
    busy_ms bigint not null default 0,
    held_ms bigint not null default 0,
    batch_rows integer,
    last_batch_ms integer,
    share real,
    rows_per_second integer,
    eta_seconds integer,
    control pg_catalog.text constraint ${POSITIONS}_control_check check (control ${EQ} 'paused'),
    rest real not null default 1,
    aim_ms integer not null default ${AIM_MS},
    held_for pg_catalog.text,
    run_id pg_catalog.uuid,
    host pg_catalog.text,
    pid integer,
    beat_at pg_catalog.timestamptz,
    error pg_catalog.text
  ) with (fillfactor = 50)`;
}
