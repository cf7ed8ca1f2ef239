/**
 * The settings of a session and the migration lock, in SQL.
 *
 * @module
 */
import type { Backend } from "../engine/ports.ts";
import { quoteIdentifier, quoteLiteral } from "../sql/quote.ts";

/** What the statements are made from. Times are milliseconds. */
export interface Settings {
  /** What the lock is taken for; the first is the schema of the history. */
  readonly lockNames: readonly string[];
  /** The schema that was chosen and so has to become the search path. */
  readonly chosenSchema: string | undefined;
  readonly lockTimeoutMs: number;
  readonly statementTimeoutMs: number;
  /** As `server_version_num`. */
  readonly versionNumber: number;
}

/**
 * When the server was started, as the text of a number: by that it is known again through another connection, which may
 * lead to another server behind the same name.
 */
export const SERVER_STARTED =
  "extract(epoch from pg_catalog.pg_postmaster_start_time())::pg_catalog.text";

export type Scope = "transaction" | "session";

/** What {@link lockQuery} says of the transaction that it has the lock in, so that it is known again. */
export interface Begun {
  /** When the transaction began, as seconds since 1970, exactly as the server wrote it. */
  readonly at: string;
  /** What {@link SESSION_SETTINGS} has found: names and values. */
  readonly settings: readonly (readonly [string, string])[];
}

/** What was set on the connection before, by whoever has it in his care; to be asked before anything is set. */
export const SESSION_SETTINGS =
  "select s.name, s.setting from pg_catalog.pg_settings s where s.source operator(pg_catalog.=) 'session'";

/** The first half of the lock's key, "bsmg" in ASCII; the second is a hash of a name: that of the history's schema. */
export const LOCK_CLASS = 0x62736d67;

/**
 * Applies the settings, then tries to take the lock. Returns one row: `applied`, whether the server has taken the
 * timeouts; `pid`, the backend; `started`, see {@link SERVER_STARTED}; `began`, see {@link Begun}; `locked`.
 */
export function lockQuery(settings: Settings, scope: Scope): string {
  const { lockTimeoutMs, statementTimeoutMs, lockNames } = settings;
  const lock = scope === "transaction"
    ? "pg_catalog.pg_try_advisory_xact_lock"
    : "pg_catalog.pg_try_advisory_lock";
  const isSet = (name: string, ms: number) =>
    `pg_catalog.current_setting('${name}')::interval operator(pg_catalog.=) interval '${ms} ms'`;
  return `select ${settingsList(settings, scope)}, ` +
    `${isSet("lock_timeout", lockTimeoutMs)} and ` +
    `${isSet("statement_timeout", statementTimeoutMs)} as applied, ` +
    `pg_catalog.pg_backend_pid() as pid, ${SERVER_STARTED} as started, ` +
    "extract(epoch from pg_catalog.now())::pg_catalog.text as began, " +
    `${
      lockNames.map((name) => `${lock}(${LOCK_CLASS}, ${hashOf(name)})`)
        .join(" and ")
    } as locked`;
}

/** Sets how long a statement outside a transaction waits for a lock; milliseconds. */
export function lockTimeoutQuery(ms: number): string {
  return `select pg_catalog.set_config('lock_timeout', '${ms}ms', false)`;
}

/** The second half of the lock's key for a name, in SQL. */
export function hashOf(name: string): string {
  return `pg_catalog.hashtext(${quoteLiteral(name)})`;
}

/** The select list that applies the settings: in the transaction, or to the session. */
export function settingsList(settings: Settings, scope: Scope): string {
  const { lockTimeoutMs, statementTimeoutMs, versionNumber, chosenSchema } =
    settings;
  const values: [string, string][] = [
    ["lock_timeout", `${lockTimeoutMs}ms`],
    ["statement_timeout", `${statementTimeoutMs}ms`],
    ["idle_in_transaction_session_timeout", "60s"],
    // A vanished client is noticed within about 25 s, a closed socket within a second.
    ["tcp_keepalives_idle", "10"],
    ["tcp_keepalives_interval", "5"],
    ["tcp_keepalives_count", "3"],
    // How values are printed, for the driver that reads them. The order of day and month stays the role's.
    ["DateStyle", "ISO"],
    ["bytea_output", "hex"],
  ];
  if (versionNumber >= 170_000) values.push(["transaction_timeout", "0"]);
  if (chosenSchema !== undefined) {
    values.push(["search_path", quoteIdentifier(chosenSchema)]);
  }
  const set = (name: string, value: string) =>
    `pg_catalog.set_config('${name}', ${quoteLiteral(value)}, ${
      scope === "transaction"
    })`;
  return `${values.map(([name, value]) => set(name, value)).join(", ")}, ` +
    // Only servers that can watch a socket accept it: Linux, and from 16 on every platform but Windows.
    "case when pg_catalog.version() operator(pg_catalog.~) 'linux' or " +
    "pg_catalog.current_setting('server_version_num')::integer operator(pg_catalog.>=) 160000 and " +
    `pg_catalog.version() operator(pg_catalog.!~*) 'windows|mingw|msvc|visual' then ${
      set("client_connection_check_interval", "1s")
    } end, ` +
    // "Applied" is printed after the commit: where a server crash could lose that commit, it is made to wait for its disk.
    `case when pg_catalog.current_setting('synchronous_commit') operator(pg_catalog.=) 'off' then ${
      set("synchronous_commit", "on")
    } end, ` +
    // Digits enough to read back the same number.
    `case when pg_catalog.current_setting('extra_float_digits')::pg_catalog.int4 operator(pg_catalog.<) 1 then ${
      set("extra_float_digits", "1")
    } end`;
}

/** Ends a backend of this program that waits for its client; another one that got its number later is younger. */
export function endIdleQuery({ pid, since, serverStarted }: Backend): string {
  return `select pg_catalog.pg_terminate_backend(pid) from pg_catalog.pg_stat_activity
    where pid operator(pg_catalog.=) ${pid} and usename operator(pg_catalog.=) session_user
      and application_name operator(pg_catalog.=) pg_catalog.current_setting('application_name')
      and state operator(pg_catalog.~~) 'idle%'
      and ${SERVER_STARTED} operator(pg_catalog.=) ${
    quoteLiteral(serverStarted)
  } and ${isAsOld("backend_start", since)}`;
}

/** Whether a process was there at a moment of `performance.now()`; `start` is when it began, in SQL. */
export function isAsOld(start: string, since: number): string {
  const ageMs = Math.floor(performance.now() - since);
  return `${start} operator(pg_catalog.<=)
    (pg_catalog.clock_timestamp() operator(pg_catalog.-) interval '${ageMs} ms')`;
}

/** Who has the lock: `pid`, `application`, `address`, and `since`, milliseconds; no row when nobody has it. */
export function lockHolderQuery(lockNames: readonly string[]): string {
  const keys = lockNames.map((name) =>
    `${hashOf(name)}::bigint operator(pg_catalog.&) 4294967295`
  );
  return `select l.pid, coalesce(a.application_name, '') as application,
      case when a.client_addr is null then 'local'
        else pg_catalog.concat(pg_catalog.host(a.client_addr), ':', a.client_port) end as address,
      (extract(epoch from pg_catalog.clock_timestamp() operator(pg_catalog.-) coalesce(a.xact_start, a.state_change))
        operator(pg_catalog.*) 1000)::double precision as since
    from pg_catalog.pg_locks l left join pg_catalog.pg_stat_activity a on a.pid operator(pg_catalog.=) l.pid
    where l.locktype operator(pg_catalog.=) 'advisory' and l.granted and l.objsubid operator(pg_catalog.=) 2
      and l.database operator(pg_catalog.=) (
        select d.oid from pg_catalog.pg_database d where d.datname operator(pg_catalog.=) pg_catalog.current_database())
      and l.classid::bigint operator(pg_catalog.=) ${LOCK_CLASS}
      and l.objid::bigint operator(pg_catalog.=) any (array[${
    keys.join(", ")
  }]) limit 1`;
}
