/**
 * The history table as it is read, in either form: this program's own, or that of Kysely's migrator.
 *
 * @module
 */
import { RefusedError } from "../../errors.ts";
import type { HistoryRow, HistoryStatus } from "../../plan/history.ts";
import { type Form, historyTable } from "./place.ts";
import { compareNames } from "../../plan/migration.ts";
import type { TracedRow } from "../../plan/outcome.ts";
import type { Row, Rows } from "../wire/protocol.ts";
import { quote } from "../../text.ts";
import { quoteLiteral } from "../../sql/quote.ts";

/** The rows of the history at one moment. */
export interface HistoryState {
  /** Those that decide the state of a migration, and perhaps others. */
  readonly rows: readonly HistoryRow[];
  /** The ids of all others: of the past nothing more has to be known. */
  readonly past: readonly number[];
  /** A transaction's number: whatever has been written since was written by it or by a later one. */
  readonly horizon: string;
}

/** A row of a migration table in the form of Kysely's own migrator. */
export interface KyselyRow {
  readonly name: string;
  /** ISO 8601. */
  readonly timestamp: string;
}

/** What is read of a row, in this order. */
const FIELDS = [
  "id",
  "name",
  "checksum",
  "status",
  "finished_at",
  "duration_ms",
  "applied_by",
  "error",
  "rolled_back_run",
] as const;

type Field = string | number | null;

const EQ = "operator(pg_catalog.=)";

/** The number of the oldest transaction that is not over yet, for {@link HistoryState.horizon}. */
export const HORIZON =
  "pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::pg_catalog.xid::pg_catalog.text";

/**
 * Reads a table as COPY does: without planning, which would run the functions that its owner has built into an index of it,
 * and without any rule or child table.
 *
 * @param table as it is written in SQL
 */
export function copyStatement(table: string, form: Form): string {
  const columns = form === "own" ? FIELDS.join(", ") : 'name, "timestamp"';
  return `copy ${table} (${columns}) to stdout`;
}

/** All rows of this program's history, or of Kysely's table. */
export function historyQuery(schema: string, form: Form): string {
  return form === "own"
    ? `select ${ROW}::pg_catalog.text as row from only ${
      historyTable(schema)
    } h`
    : kyselyRowsQuery(historyTable(schema));
}

/** Reads the answer to {@link historyQuery}. */
export function readHistory(form: Form, rows: Rows): readonly HistoryRow[] {
  return form === "own"
    ? rows.map(({ row }) => historyRow(JSON.parse(String(row))))
    : convertedRows(rows);
}

/**
 * What has changed since: how many rows there are, and those that were written behind the horizon. Every write leaves the
 * number of its transaction, `xmin`, in its row.
 */
export function changesQuery(schema: string, horizon: string): string {
  return `select pg_catalog.count(*)::pg_catalog.int4 as count,
    pg_catalog.json_agg(${ROW}) filter (where ${
    isNewer(horizon)
  })::pg_catalog.text as changed
    from only ${historyTable(schema)} h`;
}

/** Whether the row `h` was written behind the horizon. */
export function isNewer(horizon: string): string {
  return `pg_catalog.age(h.xmin) operator(pg_catalog.<=) pg_catalog.age(${
    quoteLiteral(horizon)
  }::pg_catalog.xid)`;
}

/**
 * Reads the answer to {@link changesQuery}: the rows as they are now, and whether they say the same as before; `undefined`
 * when some are gone, and all have to be read again.
 */
export function readChanges(
  [answer]: Rows,
  before: HistoryState,
):
  | Pick<HistoryState, "rows" | "past"> & { readonly same: boolean }
  | undefined {
  const changed: readonly Field[][] = JSON.parse(
    String(answer!.changed ?? "[]"),
  );
  const rows = new Map(before.rows.map((row) => [row.id, row]));
  const ids = new Set(changed.length > 0 ? before.past : []);
  let same = true;
  for (const row of changed.map(historyRow)) {
    same &&= saysTheSame(row, rows.get(row.id));
    rows.set(row.id, row);
    ids.delete(row.id);
  }
  const past = ids.size === before.past.length || changed.length === 0
    ? before.past
    : [...ids];
  return rows.size + past.length === Number(answer!.count)
    ? { rows: [...rows.values()], past, same }
    : undefined;
}

/** The rows that a run has written or rolled back, and those with these ids. */
export function traceQuery(
  schema: string,
  runId: string,
  ids: readonly number[],
): string {
  const is = (column: string) =>
    `h.${column} ${EQ} ${quoteLiteral(runId)}::pg_catalog.uuid`;
  const isListed = ids.length > 0
    ? ` or h.id ${EQ} any (array[${ids.join(", ")}]::bigint[])`
    : "";
  return `select ${ROW}::pg_catalog.text as row, ${is("run_id")} as ours, ${
    is("rolled_back_run")
  } as undone
    from only ${historyTable(schema)} h where ${is("run_id")} or ${
    is("rolled_back_run")
  }${isListed}`;
}

/** Reads the answer to {@link traceQuery}. */
export function readTrace(rows: Rows): readonly TracedRow[] {
  return rows.map(({ row, ours, undone }) => ({
    ...historyRow(JSON.parse(String(row))),
    isOurs: ours === true,
    isUndoneByUs: undone === true,
  }));
}

/** Reads a table in Kysely's form; `table` is quoted already. */
export function kyselyRowsQuery(table: string): string {
  return `select name::pg_catalog.text, "timestamp"::pg_catalog.text from only ${table}`;
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

/** A row as a JSON array; times are in UTC, in ISO 8601. */
const ROW = `pg_catalog.json_build_array(${
  FIELDS.map((field) =>
    field === "finished_at"
      ? `pg_catalog.timezone('UTC', h.${field})`
      : `h.${field}`
  ).join(", ")
})`;

/** Rows in Kysely's form as they will be when they are converted: numbered in this order. */
export function convertedRows(rows: readonly Row[]): HistoryRow[] {
  return readKyselyRows(rows).map(({ name, timestamp }, index) => ({
    id: index + 1,
    name,
    checksum: null,
    status: "applied",
    finishedAt: timestamp,
    durationMs: null,
    appliedBy: null,
    error: null,
    rollingBack: false,
  }));
}

const STATUSES: readonly unknown[] = [
  "applied",
  "baseline",
  "rolled_back",
  "failed",
  "running",
] satisfies HistoryStatus[];

/** @throws {RefusedError} for a row without an id, a name or a status that is known */
export function historyRow(fields: readonly Field[]): HistoryRow {
  const [
    id,
    name,
    checksum,
    status,
    finishedAt,
    durationMs,
    appliedBy,
    error,
    run,
  ] = fields as readonly [Field, ...(string | null)[]];
  if (id === null || name === null) {
    throw new RefusedError([
      `Cannot read the history: a row of it has no ${
        id === null ? "id" : "name"
      }; somebody has changed the table`,
    ]);
  }
  if (!STATUSES.includes(status)) {
    const said = status === null
      ? "has no status"
      : `says ${quote(`${status}`)}`;
    throw new RefusedError([
      `Cannot read the history: its row ${id}, of ${
        quote(String(name))
      }, ${said}, which this program does not know; use the newest one that has worked here`,
    ]);
  }
  return {
    id: Number(id),
    name: String(name),
    // Rows converted from Kysely's table have none when this program did not carry the migration.
    checksum: checksum || null,
    status: status as HistoryStatus,
    finishedAt: inUtc(finishedAt ?? null),
    durationMs: durationMs === null ? null : Number(durationMs),
    appliedBy: appliedBy ?? null,
    error: error ?? null,
    rollingBack: (status === "failed" || status === "running") && run !== null,
  };
}

/** `2024-05-06T07:08:09.1+00:00`, as PostgreSQL writes it in JSON. What is no time to anybody, as `infinity`, stays. */
function inUtc(time: string | null): string | null {
  const [, day, clock] =
    /^(\d{4,}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d(?:\.\d+)?)(?:\+00)?$/.exec(
      time ?? "",
    ) ?? [];
  return day === undefined ? time : `${day}T${clock}+00:00`;
}

/** Whether a plan that was made from one of them holds for the other. */
function saysTheSame(one: HistoryRow, other: HistoryRow | undefined): boolean {
  return other !== undefined && one.name === other.name &&
    one.checksum === other.checksum && one.status === other.status &&
    one.rollingBack === other.rollingBack;
}
