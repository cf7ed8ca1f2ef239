/**
 * What is asked with the log-in: the server's facts and the history, in one flight.
 *
 * @module
 */
import {
  HISTORY_TABLE,
  historyQuery,
  type HistoryState,
  historyTable,
  readHistoryState,
} from "./history_table.ts";
import type { Row, Rows } from "./protocol.ts";
import { quoteLiteral } from "./sql_quote.ts";

/** What the server says of itself, with the history of the schema. */
export interface Greeting {
  /** As `server_version_num`: 180004 is 18.4. */
  readonly versionNumber: number;
  readonly schema: string | null;
  readonly user: string;
  readonly readOnly: boolean;
  readonly backendPid: number;
  /** `undefined` when there is no history yet. */
  readonly history: HistoryState | undefined;
}

/** The server's facts and the history in one flight. It fails with 42P01 when there is no history. */
export function greetingQuery(schema: string | undefined): string {
  const table = schema === undefined ? HISTORY_TABLE : historyTable(schema);
  return `${factsQuery(schema)}; ${historyQuery(table)}`;
}

/** The server's facts alone. */
export function factsQuery(schema: string | undefined): string {
  const own = schema === undefined
    ? `to_regclass('${HISTORY_TABLE}') = to_regclass(quote_ident(current_schema()) || '.${HISTORY_TABLE}')`
    : "true";
  const name = schema === undefined
    ? "current_schema()"
    : `(select nspname from pg_namespace where nspname = ${
      quoteLiteral(schema)
    })`;
  return `select current_setting('server_version_num')::int as version, ${name}::text as schema, ` +
    "session_user::text as user, pg_backend_pid() as pid, " +
    "pg_is_in_recovery() or current_setting('transaction_read_only') = 'on' as read_only, " +
    `coalesce(${own}, false) as own`;
}

/** Reads the answer to {@link greetingQuery}, or with one part to {@link factsQuery}. */
export function readGreeting([facts, history]: readonly Rows[]): Greeting {
  const row = facts![0] as Row;
  return {
    versionNumber: Number(row.version),
    schema: row.schema as string | null,
    user: String(row.user),
    readOnly: row.read_only === true,
    backendPid: Number(row.pid),
    // A table of that name in another schema of the search path is somebody else's.
    history: row.own === true && history !== undefined
      ? readHistoryState(history, row.schema as string)
      : undefined,
  };
}
