/**
 * The objects of a schema as they are in this database.
 *
 * @module
 */
import type { Json } from "../../insight/recording.ts";
import type { Connection } from "../connection/connection.ts";
import { quoteLiteral } from "../../sql/quote.ts";
import type { FoundSchemaObject } from "../../engine/catalog_ports.ts";
import type { SchemaLockHolder } from "../../report/differences.ts";
import { withoutLiterals } from "../../sql/statement.ts";
import type { Rows } from "../wire/protocol.ts";
import { EQ } from "./snapshot_parts.ts";
import {
  SNAPSHOT_ROWS,
  snapshotQuery,
  type SnapshotRequest,
} from "./snapshot_query.ts";

/** Asks for the objects, in one flight that changes nothing. @throws {DatabaseError} 55P03 when one stays locked */
export async function readSnapshot(
  connection: Connection,
  request: SnapshotRequest,
): Promise<ReadonlyMap<string, FoundSchemaObject>> {
  // Of several statements in one message each has its rows.
  const results = await connection.query(
    snapshotQuery(request),
  ) as unknown as readonly Rows[];
  return new Map(
    results[SNAPSHOT_ROWS]!.map(({ identity, hash, parent, body, grants }) => [
      String(identity),
      {
        hash: String(hash),
        ...(typeof parent === "string" && { parent }),
        ...(typeof body === "string" && { body: JSON.parse(body) as Json }),
        ...(typeof grants === "string" && { grants: JSON.parse(grants) }),
      },
    ]),
  );
}

/** Who keeps the definitions of a schema's relations from being read, the oldest transaction first. */
export async function readLockHolders(
  connection: Connection,
  schema: string,
): Promise<readonly SchemaLockHolder[]> {
  const rows = await connection.query(lockHoldersQuery(schema));
  return rows.map((row) => ({
    pid: Number(row.pid),
    relation: String(row.relation),
    application: String(row.application ?? ""),
    user: String(row.user ?? ""),
    state: String(row.state ?? ""),
    ageMs: typeof row.age === "number" ? Math.round(row.age) : undefined,
    query: withoutLiterals(String(row.query ?? "")),
  }));
}

/** Asks for the sessions that keep the definitions of a schema's relations from being read, and what they have locked. */
function lockHoldersQuery(schema: string): string {
  return `select l.pid, pg_catalog.min(c.relname::pg_catalog.text collate pg_catalog."C") as relation,
      a.application_name as application, a.usename::pg_catalog.text as user, a.state, a.query,
      (extract(epoch from pg_catalog.clock_timestamp() operator(pg_catalog.-) a.xact_start)
        operator(pg_catalog.*) 1000)::double precision as age
    from pg_catalog.pg_locks l
      join pg_catalog.pg_class c on c.oid ${EQ} l.relation
      join pg_catalog.pg_namespace n on n.oid ${EQ} c.relnamespace
      left join pg_catalog.pg_stat_activity a on a.pid ${EQ} l.pid
    where l.locktype ${EQ} 'relation' and l.mode ${EQ} 'AccessExclusiveLock' and l.granted
      and l.database ${EQ} (select d.oid from pg_catalog.pg_database d where d.datname ${EQ} pg_catalog.current_database())
      and n.nspname ${EQ} ${quoteLiteral(schema)}
    group by l.pid, a.application_name, a.usename, a.state, a.query, a.xact_start
    order by a.xact_start`;
}
