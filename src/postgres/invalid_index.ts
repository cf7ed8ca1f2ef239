/**
 * A failed `create index concurrently` leaves its index behind, invalid: creating it again fails, and with
 * `if not exists` it would stay invalid and nobody would notice. It is dropped before it is created again.
 *
 * https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY
 *
 * @module
 */
import type { Connection } from "./connection/connection.ts";
import type { Event } from "../report/events.ts";
import { quoteLiteral } from "../sql/quote.ts";
import { concurrentIndex } from "../sql/statement.ts";

/** Drops the index that the statement is about to create, if it is there and invalid. */
export async function dropInvalidIndex(
  connection: Connection,
  statement: string,
  report: (event: Event) => void,
): Promise<void> {
  const wanted = concurrentIndex(statement);
  if (wanted === undefined) return;
  const index = await invalidIndex(connection, wanted);
  if (index === undefined) return;
  report({
    event: "warning",
    message:
      `Dropping the index ${index}: an earlier attempt has left it behind, invalid`,
  });
  await connection.query(`drop index concurrently if exists ${index}`);
}

/** The quoted, qualified name of the invalid index of that name, unless a session is at work on it. */
async function invalidIndex(
  connection: Connection,
  wanted: { index: string; table: string },
): Promise<string | undefined> {
  const [row] = await connection.query(
    `select pg_catalog.concat(pg_catalog.quote_ident(n.nspname), '.', pg_catalog.quote_ident(c.relname)) as name
    from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) i.indexrelid
      join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace
    where not i.indisvalid and i.indrelid operator(pg_catalog.=) pg_catalog.to_regclass(${
      quoteLiteral(wanted.table)
    })::pg_catalog.oid
      and c.relname operator(pg_catalog.=) (pg_catalog.parse_ident(${
      quoteLiteral(wanted.index)
    }))[1]::pg_catalog.name
      and not exists (
        select from pg_catalog.pg_stat_progress_create_index p where p.index_relid operator(pg_catalog.=) c.oid)`,
  );
  return row === undefined ? undefined : String(row.name);
}
