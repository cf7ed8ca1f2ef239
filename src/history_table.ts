/**
 * The history table as it is read, in either form: this program's own, or that of Kysely's migrator.
 *
 * @module
 */
import { RefusedError } from "./errors.ts";
import type { HistoryRow, HistoryStatus } from "./history.ts";
import { compareNames } from "./migration.ts";
import type { TracedRow } from "./outcome.ts";
import type { Row, Rows } from "./protocol.ts";
import { quote } from "./quote.ts";
import { quoteIdentifier, quoteLiteral } from "./sql_quote.ts";

/** The rows of the history, and what tells whether they are still the same. */
export interface HistoryState {
  readonly fingerprint: string;
  readonly rows: readonly HistoryRow[];
}

/** A row of a migration table in the form of Kysely's own migrator. */
export interface KyselyRow {
  readonly name: string;
  /** ISO 8601. */
  readonly timestamp: string;
}

/** The name of the table. */
export const HISTORY_TABLE = "migration_history";

/** The quoted, qualified name of the history table. */
export function historyTable(schema: string): string {
  return `${quoteIdentifier(schema)}.${HISTORY_TABLE}`;
}

/**
 * The rows of the history, in either form, with what makes the fingerprint.
 *
 * @param table as it is written in SQL: with its schema, or for the search path to find
 */
export function historyQuery(table: string): string {
  return `select to_jsonb(h) as row, h.tableoid::int8::text as table, h.xmin::text as xmin from ${table} h`;
}

/**
 * Reads the answer to {@link historyQuery}.
 *
 * @throws {RefusedError} when the table is somebody else's
 */
export function readHistoryState(rows: Rows, schema?: string): HistoryState {
  return {
    fingerprint: fingerprintOf(rows),
    rows: readHistoryRows(rows, schema),
  };
}

/** The rows that a run has written or rolled back, and those with these ids. */
export function traceQuery(
  schema: string,
  runId: string,
  ids: readonly number[],
): string {
  const run = `${quoteLiteral(runId)}::uuid`;
  const listed = ids.length > 0 ? ` or id in (${ids.join(", ")})` : "";
  return `${historyQuery(historyTable(schema))}
    where run_id = ${run} or rolled_back_run = ${run}${listed}`;
}

/** Reads the answer to {@link traceQuery}. */
export function readTrace(rows: Rows, runId: string): readonly TracedRow[] {
  return rows.map(({ row }) => {
    const json = row as Row;
    return {
      ...historyRow(json),
      isOurs: json.run_id === runId,
      isUndoneByUs: json.rolled_back_run === runId,
    };
  });
}

/** As JSON, because one query must be able to read both forms. */
function readHistoryRows(
  rows: Rows,
  schema?: string,
): readonly HistoryRow[] {
  const json = rows.map(({ row }) => row as Row);
  const form = formOf(new Set(Object.keys(json[0] ?? {})), schema);
  return form === "kysely"
    ? readKyselyRows(json).map(convertedRow)
    : json.map(historyRow);
}

/** Reads the table in Kysely's form; `table` is quoted already. */
export function kyselyRowsQuery(table: string): string {
  return `select name::text, "timestamp"::text from ${table}`;
}

/** The quoted name of a table that may be qualified: `kysely_migration`, `app.kysely_migration`. */
export function tablePath(table: string): string {
  return table.split(".").map(quoteIdentifier).join(".");
}

/** Reads the answer to {@link kyselyRowsQuery}, in the order of the times. */
export function readKyselyRows(rows: readonly Row[]): readonly KyselyRow[] {
  return rows.map((row) => {
    const name = String(row.name);
    const time = new Date(String(row.timestamp));
    if (Number.isNaN(time.getTime())) {
      throw new RefusedError([
        `Cannot read the time of ${quote(name)} in Kysely's table: ${
          quote(String(row.timestamp))
        } is not a time`,
      ]);
    }
    return { name, timestamp: time.toISOString() };
  }).sort((a, b) =>
    compareNames(a.timestamp, b.timestamp) || compareNames(a.name, b.name)
  );
}

/**
 * The fingerprint of the history. It changes whenever a row is written, changed or removed: every write leaves the number
 * of its transaction (`xmin`) in its row. Reading it costs a fraction of reading the rows.
 */
export function fingerprintQuery(schema: string): string {
  return "select concat_ws(':', max(tableoid), count(*), max(xmin::text::int8), sum(xmin::text::int8)) as fingerprint " +
    `from ${historyTable(schema)}`;
}

/** Reads the answer to {@link fingerprintQuery}. */
export function readFingerprint(rows: Rows): string {
  return String(rows[0]?.fingerprint);
}

/** What {@link fingerprintQuery} would say of these rows; asking for it, too, would make the log-in longer. */
function fingerprintOf(rows: Rows): string {
  if (rows.length === 0) return "0";
  let table = 0;
  let newest = 0;
  let sum = 0n;
  for (const row of rows) {
    table = Math.max(table, Number(row.table));
    newest = Math.max(newest, Number(row.xmin));
    sum += BigInt(String(row.xmin));
  }
  return [table, rows.length, newest, sum].join(":");
}

/** The columns of the history table; no rows when there is no table. */
export function columnsQuery(schema: string): string {
  return `select attname from pg_attribute where attrelid = to_regclass(${
    quoteLiteral(historyTable(schema))
  }) ` +
    "and attnum > 0 and not attisdropped";
}

/** What has to be done before the history can be written. @throws {RefusedError} when the table is somebody else's */
export function historyForm(
  schema: string,
  columns: Rows,
): "missing" | "ready" | "kysely" {
  return formOf(new Set(columns.map((row) => row.attname)), schema);
}

function formOf(
  columns: ReadonlySet<unknown>,
  schema: string | undefined,
): "missing" | "ready" | "kysely" {
  if (columns.size === 0) return "missing";
  if (columns.has("status") && columns.has("checksum")) return "ready";
  if (columns.has("name") && columns.has("timestamp")) return "kysely";
  throw new RefusedError([
    `Cannot use the table ${
      quote(schema === undefined ? HISTORY_TABLE : `${schema}.${HISTORY_TABLE}`)
    }: it is neither this program's history nor a ` +
    "migration table of Kysely; rename it, or choose another schema with --schema",
  ]);
}

/** A row in Kysely's form as it will be when {@link convertStatements} has numbered the rows in this order. */
function convertedRow(
  { name, timestamp }: KyselyRow,
  index: number,
): HistoryRow {
  return {
    id: index + 1,
    name,
    checksum: null,
    status: "applied",
    finishedAt: timestamp,
    durationMs: null,
    appliedBy: null,
    error: null,
    rollingBack: false,
  };
}

function historyRow(json: Row): HistoryRow {
  const status = json.status as HistoryStatus;
  return {
    id: Number(json.id),
    name: String(json.name),
    // Rows converted from Kysely's table have none when this program did not carry the migration.
    checksum: json.checksum === "" ? null : String(json.checksum),
    status,
    finishedAt: inUtc(json.finished_at as string | null),
    durationMs: json.duration_ms as number | null,
    appliedBy: json.applied_by as string | null,
    error: json.error as string | null,
    rollingBack: (status === "failed" || status === "running") &&
      json.rolled_back_run !== null,
  };
}

/** Everybody sees the same time, whatever the zone of the role. What is no time to JavaScript, as `infinity`, stays. */
function inUtc(time: string | null): string | null {
  if (time === null || time.endsWith("+00:00")) return time;
  const date = new Date(time);
  return Number.isNaN(date.getTime())
    ? time
    : date.toISOString().replace("Z", "+00:00");
}
