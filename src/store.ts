/**
 * The history table in SQL: `migration_history` of one schema.
 *
 * @module
 */
import type { Row, Rows } from "./protocol.ts";
import { RefusedError } from "./errors.ts";
import type { HistoryChange, HistoryRow, HistoryStatus } from "./history.ts";
import { compareNames } from "./migration.ts";
import { quote } from "./quote.ts";
import { quoteIdentifier, quoteLiteral } from "./statement.ts";

/** What the writer knows of this invocation. */
export interface RunIdentity {
  readonly runId: string;
  /** The machine or pod; asked for when something is written. */
  readonly host: () => string | null;
  readonly programVersion: string;
  /** Takes the password out of a text: an error is recorded as it is said. */
  readonly hide: (text: string) => string;
}

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

const TABLE = "migration_history";

/** The server's facts and the history in one flight. It fails with 42P01 when there is no history. */
export function greetingQuery(schema: string | undefined): string {
  const table = schema === undefined ? TABLE : tableIn(schema);
  return `${factsQuery(schema)}; ${stateQuery(table)}`;
}

/** The server's facts alone. */
export function factsQuery(schema: string | undefined): string {
  const own = schema === undefined
    ? `to_regclass('${TABLE}') = to_regclass(quote_ident(current_schema()) || '.${TABLE}')`
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

/** The rows of the history, in either form, with what makes the fingerprint. */
export function historyQuery(schema: string): string {
  return stateQuery(tableIn(schema));
}

/**
 * The fingerprint of the history. It changes whenever a row is written, changed or removed: every write leaves the number
 * of its transaction (`xmin`) in its row. Reading it costs a fraction of reading the rows.
 */
export function fingerprintQuery(schema: string): string {
  return "select concat_ws(':', max(tableoid), count(*), max(xmin::text::int8), sum(xmin::text::int8)) as fingerprint " +
    `from ${tableIn(schema)}`;
}

/** Reads the answer to {@link fingerprintQuery}. */
export function readFingerprint(rows: Rows): string {
  return String(rows[0]?.fingerprint);
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

/** The columns of the history table; no rows when there is no table. */
export function columnsQuery(schema: string): string {
  return `select attname from pg_attribute where attrelid = to_regclass(${
    quoteLiteral(tableIn(schema))
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

/** Creates the table. PostgreSQL names its indexes: a renamed table of another origin may still have the names. */
export function createStatements(schema: string): string {
  const table = tableIn(schema);
  return `create table ${table} (
    id bigint generated always as identity primary key,
    name text not null,
    checksum text not null,
    status text not null constraint ${TABLE}_status_check
      check (status in ('applied', 'baseline', 'rolled_back', 'failed', 'running')),
    started_at timestamptz not null,
    finished_at timestamptz,
    duration_ms integer,
    run_id uuid not null,
    applied_by text not null,
    host text,
    binary_version text not null,
    error text,
    rolled_back_at timestamptz,
    rolled_back_by text,
    rolled_back_run uuid
  );
  create unique index on ${table} (name) where status in ('applied', 'baseline')`;
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
 * Puts the history in the place of the table in Kysely's form, keeping names, times and privileges.
 *
 * @param checksums checksum by name, of the migrations that the program carries
 */
export function convertStatements(
  schema: string,
  run: RunIdentity,
  rows: readonly KyselyRow[],
  checksums: ReadonlyMap<string, string>,
): readonly string[] {
  const changes = rows.map(({ name, timestamp }): HistoryChange => ({
    kind: "insert",
    name,
    checksum: checksums.get(name) ?? "",
    status: "applied",
    startedAgoMs: 0,
    durationMs: null,
    error: null,
    appliedAt: timestamp,
  }));
  return [
    replaceStatement(schema),
    ...changeStatements(schema, run, changes),
  ];
}

/** The statements that write changes, in their order. Each returns `id` and `took`, milliseconds, of its rows. */
export function changeStatements(
  schema: string,
  run: RunIdentity,
  changes: readonly HistoryChange[],
): readonly string[] {
  const table = tableIn(schema);
  const statements: string[] = [];
  for (let i = 0; i < changes.length;) {
    const inserts: HistoryChange[] = [];
    for (
      let change = changes[i];
      change?.kind === "insert";
      change = changes[++i]
    ) {
      const { error } = change;
      inserts.push({
        ...change,
        error: error === null ? null : run.hide(error),
      });
    }
    if (inserts.length > 0) {
      statements.push(insertStatement(table, run, inserts));
      continue;
    }
    const change = changes[i++] as Exclude<HistoryChange, { kind: "insert" }>;
    statements.push(
      `update ${table} set ${
        assignmentsOf(change, run)
      } where id = ${change.id} returning id, duration_ms as took`,
    );
  }
  return statements;
}

/** Who may read the old table may read the new one: a pod that waits for it must not be shut out. */
function replaceStatement(schema: string): string {
  const table = tableIn(schema);
  return `do ${
    quoteLiteral(`
    declare
      one record;
      acl aclitem[] := (select relacl from pg_class where oid = ${
      quoteLiteral(table)
    }::regclass);
    begin
      drop table ${table};
      ${createStatements(schema)};
      for one in select * from aclexplode(acl) loop
        execute format('grant %s on %s to %s', one.privilege_type, ${
      quoteLiteral(table)
    },
          case one.grantee when 0 then 'public' else one.grantee::regrole::text end
          || case when one.is_grantable then ' with grant option' else '' end);
      end loop;
    end`)
  }`;
}

/** The quoted, qualified name of the history table. */
function tableIn(schema: string): string {
  return `${quoteIdentifier(schema)}.${TABLE}`;
}

function stateQuery(table: string): string {
  return `select to_jsonb(h) as row, h.tableoid::int8::text as table, h.xmin::text as xmin from ${table} h`;
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

/**
 * Times are taken from the server's clock: the clocks of pods differ. A migration whose duration is not given has had the
 * transaction to itself: it took from the transaction's begin until now.
 */
function insertStatement(
  table: string,
  run: RunIdentity,
  inserts: readonly HistoryChange[],
): string {
  const { runId, host, programVersion } = run;
  return `insert into ${table} (name, checksum, status, started_at, finished_at, duration_ms,
      run_id, applied_by, host, binary_version, error)
    select c.name, c.checksum, c.status, t.started,
      case when c.status <> 'running' then t.started + coalesce(t.took, 0) * interval '1 ms' end, t.took,
      ${quoteLiteral(runId)}::uuid, session_user, ${textOrNull(host())}, ${
    quoteLiteral(programVersion)
  }, c.error
    from jsonb_to_recordset(${
    quoteLiteral(JSON.stringify(inserts))
  }::jsonb) as c(name text, checksum text, status text,
        "startedAgoMs" float8, "durationMs" int, error text, "appliedAt" timestamptz),
      lateral (select
        coalesce(c."appliedAt", case when c.status = 'applied' and c."durationMs" is null then now()
          else clock_timestamp() - c."startedAgoMs" * interval '1 ms' end) as started,
        case when c.status = 'applied' and c."appliedAt" is null and c."durationMs" is null
          then (extract(epoch from clock_timestamp() - now()) * 1000)::int else c."durationMs" end as took) t
    returning id, duration_ms as took`;
}

function assignmentsOf(
  change: Exclude<HistoryChange, { kind: "insert" }>,
  run: RunIdentity,
): string {
  const runId = `${quoteLiteral(run.runId)}::uuid`;
  const rolledBack =
    `rolled_back_at = clock_timestamp(), rolled_back_by = session_user, rolled_back_run = ${runId}`;
  switch (change.kind) {
    case "start_rollback":
      return `status = 'running', rolled_back_run = ${runId}`;
    case "roll_back":
      return `status = 'rolled_back', ${rolledBack}`;
    case "finish":
      return `status = 'applied', finished_at = clock_timestamp(), duration_ms = ${change.durationMs}`;
    case "fail":
      return "status = 'failed', finished_at = coalesce(finished_at, clock_timestamp()), " +
        `error = ${
          quoteLiteral(change.error)
        }, duration_ms = coalesce(${change.durationMs}::int, duration_ms)`;
    case "note_error":
      return `error = ${quoteLiteral(run.hide(change.error))}`;
    case "accept_checksum":
      return `checksum = ${quoteLiteral(change.checksum)}`;
    case "mark_applied":
      return `status = 'applied', checksum = ${
        quoteLiteral(change.checksum)
      }, ` +
        "finished_at = coalesce(finished_at, clock_timestamp()), rolled_back_run = null";
  }
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
      quote(schema === undefined ? TABLE : `${schema}.${TABLE}`)
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

/** `null` as a text: the type of a bare one in a select list would be unknown. */
function textOrNull(text: string | null): string {
  return text === null ? "null::text" : quoteLiteral(text);
}
