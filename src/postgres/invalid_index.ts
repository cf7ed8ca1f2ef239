/**
 * A concurrent build that fails leaves its index behind, invalid: creating it again fails, and with `if not exists` it would
 * stay invalid and nobody would notice. Whatever its name is, the catalog tells: it was not there before, or was valid.
 *
 * https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY,
 * https://www.postgresql.org/docs/current/sql-reindex.html#SQL-REINDEX-CONCURRENTLY
 *
 * @module
 */
import type { Connection } from "./connection/connection.ts";
import type { Event } from "../report/events.ts";
import { quoteLiteral } from "../sql/quote.ts";
import { concurrentIndex } from "../sql/statement.ts";

const NAME =
  "pg_catalog.concat(pg_catalog.quote_ident(n.nspname), '.', pg_catalog.quote_ident(c.relname))";

/** The invalid indexes that no session is at work on. One of a partitioned table may be meant to be so. */
const INVALID =
  `from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) i.indexrelid
    join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace
  where not i.indisvalid and c.relkind operator(pg_catalog.=) 'i' and not exists (
    select from pg_catalog.pg_stat_progress_create_index p where p.index_relid operator(pg_catalog.=) c.oid)`;

/** Invalid indexes: their names, as they are written in SQL, by their OIDs. */
export type InvalidIndexes = ReadonlyMap<number, string>;

/** Those that are there now. */
export async function invalidIndexes(
  connection: Connection,
): Promise<InvalidIndexes> {
  const rows = await connection.query(
    `select c.oid::pg_catalog.int8::pg_catalog.text as oid, ${NAME} as name ${INVALID} order by c.oid`,
  );
  return new Map(rows.map(({ oid, name }) => [Number(oid), String(name)]));
}

/** Drops those of these indexes that are invalid still. */
export async function dropInvalid(
  connection: Connection,
  names: readonly string[],
  report: (event: Event) => void,
): Promise<void> {
  if (names.length === 0) return;
  const there = new Set((await invalidIndexes(connection)).values());
  for (const name of names.filter((name) => there.has(name))) {
    await drop(connection, name, report);
  }
}

/**
 * Drops the index that the statement is about to create, if it is there and invalid: of an attempt whose process was killed
 * nobody has said what it left behind.
 */
export async function dropInvalidIndex(
  connection: Connection,
  statement: string,
  report: (event: Event) => void,
): Promise<void> {
  const wanted = concurrentIndex(statement);
  if (wanted === undefined) return;
  const [row] = await connection.query(
    `select ${NAME} as name ${INVALID}
      and i.indrelid operator(pg_catalog.=) pg_catalog.to_regclass(${
      quoteLiteral(wanted.table)
    })::pg_catalog.oid
      and c.relname operator(pg_catalog.=) (pg_catalog.parse_ident(${
      quoteLiteral(wanted.index)
    }))[1]::pg_catalog.name`,
  );
  if (row !== undefined) await drop(connection, String(row.name), report);
}

async function drop(
  connection: Connection,
  index: string,
  report: (event: Event) => void,
): Promise<void> {
  report({
    event: "warning",
    message:
      `Dropping the index ${index}: an earlier attempt has left it behind, invalid`,
  });
  await connection.query(`drop index concurrently if exists ${index}`);
}
