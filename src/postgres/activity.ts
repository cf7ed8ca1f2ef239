/**
 * What the server says of the backend at work: what it does, who is in its way, how far it is.
 *
 * @module
 */
import type { Blocker } from "../report/events.ts";
import { withoutLiterals } from "../sql/statement.ts";
import { progressQuery } from "./progress.ts";
import { isAsOld, SERVER_STARTED } from "./settings.ts";

/** A backend that a second connection looks at. */
export interface WatchedBackend {
  readonly pid: number;
  /** See {@link SERVER_STARTED}: what another server says of a process with that number says nothing. */
  readonly serverStarted: string;
  /** Since when it is known, on `performance.now()`; of one behind a pooler nobody knows how old it is. */
  readonly since?: number;
}

/**
 * Asks in one row for the backend: `started` and `pid` (null when there is none), `state`, `wait`, `reading` and whether it
 * is `ours`, what {@link blockersOf} reads, and the columns of {@link progressQuery}.
 */
export function activityQuery({ pid, since }: WatchedBackend): string {
  return `select ${SERVER_STARTED} as started, a.pid, a.state, a.wait_event_type as wait, a.wait_event operator(pg_catalog.=) 'ClientRead' as reading,
    a.usename operator(pg_catalog.=) current_user
      and a.application_name operator(pg_catalog.=) pg_catalog.current_setting('application_name') as ours,
    p.view, p.progress,
    (select pg_catalog.json_agg(pg_catalog.json_build_object(
        'pid', b.pid, 'application', b.application_name, 'user', b.usename, 'state', b.state, 'query', b.query,
        'ageMs', (extract(epoch from pg_catalog.clock_timestamp() operator(pg_catalog.-) b.xact_start)
          operator(pg_catalog.*) 1000)::double precision) order by b.xact_start)
      from pg_catalog.pg_stat_activity b
      where b.pid operator(pg_catalog.=) any (pg_catalog.pg_blocking_pids(a.pid))) as blockers
  from (values (1)) as one
    left join pg_catalog.pg_stat_activity a on a.pid operator(pg_catalog.=) ${pid}
      and ${since === undefined ? "true" : isAsOld("a.backend_start", since)}
    left join lateral (${progressQuery("a.pid")}) p on true`;
}

/** The sessions that it waits for. */
export function blockersOf(json: unknown): Blocker[] {
  if (!Array.isArray(json)) return [];
  return json.map((row: Record<string, unknown>) => ({
    pid: Number(row.pid),
    application: String(row.application ?? ""),
    user: String(row.user ?? ""),
    state: String(row.state ?? ""),
    ageMs: typeof row.ageMs === "number" ? Math.round(row.ageMs) : undefined,
    query: withoutLiterals(String(row.query ?? "")),
  }));
}
