/**
 * What the server says of itself that may be a reason for a backfill to wait.
 *
 * @module
 */
import type { Signals } from "../../engine/backfill_ports.ts";
import type { Rows } from "../wire/protocol.ts";

const EQ = "operator(pg_catalog.=)";

/** How many sessions wait for a lock of this one. */
export const WAITING =
  `select pg_catalog.count(*)::pg_catalog.int4 as waiting from pg_catalog.pg_locks l
    where not l.granted and pg_catalog.pg_backend_pid() ${EQ} any (pg_catalog.pg_blocking_pids(l.pid))`;

/** A row for each standby, at least one; of what a role may not see it is told that there is something. */
export function signalsQuery(): string {
  return `select case when r.pid is not null then case when r.application_name operator(pg_catalog.<>) '' then r.application_name else r.pid::pg_catalog.text end end as standby,
      case when r.pid is not null and not pg_catalog.pg_is_in_recovery()
        then pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), r.replay_lsn)::double precision end as lag,
      r.pid is not null and r.state is null as hidden, a.unarchived
    from (select case when pg_catalog.current_setting('archive_mode') operator(pg_catalog.<>) 'off'
        and s.last_failed_time operator(pg_catalog.>) coalesce(s.last_archived_time, '-infinity'::pg_catalog.timestamptz)
        then s.last_failed_wal end as unarchived from pg_catalog.pg_stat_archiver s) a
      left join pg_catalog.pg_stat_replication r on true`;
}

/** Reads the answer to {@link signalsQuery}. */
export function readSignals(rows: Rows): Signals {
  const standbys = rows.filter(({ standby }) => standby !== null);
  const furthest = standbys.filter(({ lag }) => lag !== null)
    .toSorted((a, b) => Number(b.lag) - Number(a.lag))[0];
  // What only receives the log replays nothing, and is not behind.
  const hidden = standbys.find(({ hidden }) => hidden === true);
  return {
    lag: furthest &&
      { standby: String(furthest.standby), bytes: Number(furthest.lag) },
    hiddenStandby: hidden && String(hidden.standby),
    unarchived: rows[0]?.unarchived === null || rows[0] === undefined
      ? undefined
      : String(rows[0].unarchived),
  };
}
