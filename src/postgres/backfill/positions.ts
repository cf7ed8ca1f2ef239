/**
 * The table of positions: a row for each backfill that has been begun in batches.
 *
 * All names are qualified: nobody who may create objects in a schema of the search path gets any of them run.
 *
 * @module
 */
import type { Advance, Beat, Position } from "../../engine/backfill_ports.ts";
import type { BackfillControl, Key } from "../../plan/backfill.ts";
import { quoteLiteral } from "../../sql/quote.ts";
import { historyTable, positionsTable } from "../history/place.ts";
import type { Row } from "../wire/protocol.ts";

const EQ = "operator(pg_catalog.=)";
const NOW = "pg_catalog.clock_timestamp()";

/** Who writes. */
export interface Writer {
  readonly runId: string;
  readonly host: string | null;
  /** Of the backend; `null` behind a pooler, which has another for each transaction. */
  readonly pid: number | null;
}

/** Inserts the position of the backfill that this run has just written into the history. */
export function openStatement(
  schema: string,
  { runId, host, pid }: Writer,
  name: string,
  keys: readonly string[],
): string {
  return checked(
    `insert into ${
      positionsTable(schema)
    } (history_id, keys, run_id, host, pid, beat_at)
    select h.id, array[${
      keys.map(quoteLiteral).join(", ")
    }]::pg_catalog.text[], h.run_id, ${textOrNull(host)}, ${
      pid ?? "null"
    }::pg_catalog.int4, ${NOW}
    from only ${historyTable(schema)} h where h.name ${EQ} ${quoteLiteral(name)}
      and h.status ${EQ} 'running' and h.run_id ${EQ} ${uuid(runId)}`,
  );
}

/** Waits until nobody is at a batch, and keeps others from beginning one while the transaction lasts. */
export function stopStatement(schema: string, id: number): string {
  return `select from ${
    positionsTable(schema)
  } b where b.history_id ${EQ} ${id} for update`;
}

/** The position. A backend that is gone, or that has got its number later, works on nothing. */
export function positionQuery(
  schema: string,
  id: number,
  runId: string,
  locked: boolean,
): string {
  return `select pg_catalog.array_to_json(b.keys)::pg_catalog.text as keys, b.position::pg_catalog.text as position, b.last_key::pg_catalog.text as last_key,
    b.passes::pg_catalog.int4 as passes, b.found, b.rows_done::double precision as rows_done,
    b.rows_total::double precision as rows_total, b.batch_rows, b.control is not null as paused,
    b.rest::double precision as rest, b.aim_ms, b.host, b.pid,
    b.run_id is not null as taken, b.run_id ${EQ} ${uuid(runId)} as ours,
    coalesce(${ms(`${NOW} operator(pg_catalog.-) b.beat_at`)}, 0) as beat_ago,
    ${ms(`${NOW} operator(pg_catalog.-) h.started_at`)} as age,
    case when b.pid is null then ${NOW} operator(pg_catalog.<) (b.beat_at operator(pg_catalog.+) interval '30 s')
      else exists (select from pg_catalog.pg_stat_activity a where a.pid ${EQ} b.pid
        and a.datname ${EQ} pg_catalog.current_database()
        and pg_catalog.starts_with(a.application_name, 'battlescope-migrate')
        and (a.backend_start is null or a.backend_start operator(pg_catalog.<=) b.beat_at)) end as there,
    h.status ${EQ} 'running' as open
    from only ${positionsTable(schema)} b join only ${
    historyTable(schema)
  } h on h.id ${EQ} b.history_id
    where b.history_id ${EQ} ${id}${
    locked ? " for update of b skip locked" : ""
  }`;
}

/** Reads the answer to {@link positionQuery}. */
export function readPosition(row: Row): Position {
  const number = (value: unknown) => value === null ? null : Number(value);
  return {
    isOpen: row.open === true,
    runner: row.taken === true
      ? {
        host: row.host as string | null,
        pid: number(row.pid),
        beatAgoMs: Number(row.beat_ago),
        isUs: row.ours === true,
        isThere: row.there === true,
      }
      : undefined,
    keys: keyOf(row.keys) ?? [],
    position: keyOf(row.position),
    lastKey: keyOf(row.last_key),
    passes: Number(row.passes),
    found: row.found === true,
    rowsDone: Number(row.rows_done),
    rowsTotal: Number(row.rows_total),
    batchRows: number(row.batch_rows),
    isPaused: row.paused === true,
    rest: Number(row.rest),
    aimMs: Number(row.aim_ms),
    ageMs: Number(row.age),
  };
}

/** A key that the server has written as an array of JSON. */
export function keyOf(text: unknown): Key | null {
  return text === null || text === undefined ? null : JSON.parse(String(text));
}

export function takeStatement(
  schema: string,
  id: number,
  writer: Writer,
): string {
  return update(schema, id, ownership(writer));
}

export function passStatement(
  schema: string,
  id: number,
  { passes, lastKey, rowsTotal }: {
    readonly passes: number;
    readonly lastKey: Key;
    readonly rowsTotal: number;
  },
): string {
  return update(
    schema,
    id,
    `position = null, found = false, passes = ${passes}, last_key = ${
      json(lastKey)
    }, rows_total = ${Math.round(rowsTotal)}`,
  );
}

export function advanceStatement(
  schema: string,
  id: number,
  writer: Writer,
  { position, found, rows, tookMs, batchRows }: Advance,
): string {
  return update(
    schema,
    id,
    `position = ${json(position)}, found = found or ${found},
      rows_done = rows_done operator(pg_catalog.+) ${rows}, batches = batches operator(pg_catalog.+) 1,
      busy_ms = busy_ms operator(pg_catalog.+) ${
      Math.round(tookMs)
    }, last_batch_ms = ${Math.round(tookMs)},
      batch_rows = ${batchRows}, held_for = null, error = null, ${
      ownership(writer)
    }`,
  );
}

/** Returns a row when there is one that is open. */
export function controlStatement(
  schema: string,
  id: number,
  control: BackfillControl,
): string {
  const sets = control.action === "set"
    ? [
      ...(control.rest === undefined ? [] : [`rest = ${control.rest}`]),
      ...(control.aimMs === undefined ? [] : [`aim_ms = ${control.aimMs}`]),
    ]
    : [`control = ${control.action === "pause" ? "'paused'" : "null"}`];
  return `update only ${positionsTable(schema)} set ${sets.join(", ")}
    where history_id ${EQ} ${id} and exists (select from only ${
    historyTable(schema)
  } h where h.id ${EQ} ${id} and h.status ${EQ} 'running') returning history_id`;
}

export function beatStatement(
  schema: string,
  id: number,
  writer: Writer,
  { heldFor, heldMs, share, rowsPerSecond, etaSeconds }: Beat,
): string {
  // Where another run has taken over there is nothing to be said any more.
  return `update only ${positionsTable(schema)} set held_for = ${
    textOrNull(heldFor)
  }, held_ms = held_ms operator(pg_catalog.+) ${
    Math.round(heldMs)
  }, share = coalesce(${share ?? "null"}::pg_catalog.float4, share),
      rows_per_second = ${rowsPerSecond ?? "null"}, eta_seconds = ${
    etaSeconds ?? "null"
  }, ${ownership(writer)}
    where history_id ${EQ} ${id} and run_id ${EQ} ${uuid(writer.runId)}`;
}

export function noteStatement(
  schema: string,
  id: number,
  error: string,
): string {
  return `update only ${positionsTable(schema)} set error = ${
    quoteLiteral(error)
  }
    where history_id ${EQ} ${id}`;
}

function ownership({ runId, host, pid }: Writer): string {
  return `run_id = ${uuid(runId)}, host = ${textOrNull(host)}, pid = ${
    pid ?? "null"
  }, beat_at = ${NOW}`;
}

function update(schema: string, id: number, set: string): string {
  return checked(
    `update only ${
      positionsTable(schema)
    } set ${set} where history_id ${EQ} ${id}`,
  );
}

/** A position that is not written must not be committed: to divide by the count of its rows is an error then. */
function checked(statement: string): string {
  return `with written as (${statement} returning 1 as one)
    select 1 operator(pg_catalog./) pg_catalog.count(*)::pg_catalog.int4 as written from written`;
}

function ms(interval: string): string {
  return `(extract(epoch from ${interval}) operator(pg_catalog.*) 1000)::double precision`;
}

function json(key: Key): string {
  return `${quoteLiteral(JSON.stringify(key))}::pg_catalog.jsonb`;
}

function uuid(text: string): string {
  return `${quoteLiteral(text)}::pg_catalog.uuid`;
}

function textOrNull(text: string | null): string {
  return text === null ? "null" : quoteLiteral(text);
}
