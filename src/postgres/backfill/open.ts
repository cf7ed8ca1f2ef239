/**
 * Backfills that have begun, as `status` reads them.
 *
 * @module
 */
import type { Connection } from "../connection/connection.ts";
import type { OpenBackfill } from "../../plan/backfill_progress.ts";
import type { Row } from "../wire/protocol.ts";
import { positionsTable } from "../history/place.ts";
import { safetyQuery } from "./positions_table.ts";

/** Reads the positions of these rows of the history; of a table that is not to be trusted, or that this user may not read, none. */
export async function readOpen(
  connection: Connection,
  schema: string,
  ids: readonly number[],
): Promise<ReadonlyMap<number, OpenBackfill>> {
  const [known] = await connection.query(safetyQuery(schema));
  if (known?.safe !== true || known.readable !== true) return new Map();
  const rows = await connection.query(
    `select b.history_id::pg_catalog.int4 as id, b.share::double precision as share,
    b.rows_done::double precision as rows_done, b.rows_total::double precision as rows_total,
    b.rows_per_second, b.eta_seconds, b.control, b.held_for, b.error, b.rest::double precision as rest, b.aim_ms,
    b.batch_rows, b.last_batch_ms, b.host, b.pid,
    pg_catalog.to_char(pg_catalog.timezone('UTC', b.beat_at), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as beat_at,
    (extract(epoch from pg_catalog.clock_timestamp() operator(pg_catalog.-) b.beat_at)
      operator(pg_catalog.*) 1000)::double precision as beat_ago
    from only ${
      positionsTable(schema)
    } b where b.history_id operator(pg_catalog.=) any (array[${
      ids.join(", ")
    }]::bigint[])`,
  );
  return new Map(rows.map((row) => [Number(row.id), openOf(row)]));
}

function openOf(row: Row): OpenBackfill {
  const number = (value: unknown) => value === null ? null : Number(value);
  const text = (value: unknown) => value === null ? null : String(value);
  return {
    share: number(row.share),
    rowsDone: Number(row.rows_done),
    rowsTotal: Number(row.rows_total),
    rowsPerSecond: number(row.rows_per_second),
    etaSeconds: number(row.eta_seconds),
    control: row.control === "paused" ? "paused" : null,
    heldFor: text(row.held_for),
    error: text(row.error),
    rest: Number(row.rest),
    aimMs: Number(row.aim_ms),
    batchRows: number(row.batch_rows),
    lastBatchMs: number(row.last_batch_ms),
    runner: row.beat_at === null ? null : {
      host: text(row.host),
      pid: number(row.pid),
      beatAt: String(row.beat_at),
      beatAgoMs: Number(row.beat_ago),
    },
  };
}
