/**
 * The history table in SQL: `migration_history` of one schema.
 *
 * @module
 */
import type { Connection, Row, Rows } from "./connection.ts";
import { DatabaseError, RefusedError } from "./errors.ts";
import type { HistoryChange, HistoryRow, HistoryStatus } from "./history.ts";
import { quote } from "./quote.ts";

/** What the writer knows of this invocation. */
export interface RunIdentity {
  readonly runId: string;
  readonly host: string | null;
  readonly programVersion: string;
}

/** What the server says of itself, with the history of the schema. */
export interface Greeting {
  /** As `server_version_num`: 180004 is 18.4. */
  readonly versionNumber: number;
  readonly schema: string | null;
  readonly user: string;
  readonly readOnly: boolean;
  readonly backendPid: number;
  readonly history: readonly HistoryRow[];
}

/** A row of a migration table in the form of Kysely's own migrator. */
export interface KyselyRow {
  readonly name: string;
  /** ISO 8601. */
  readonly timestamp: string;
}

const TABLE = "migration_history";
const UNDEFINED_TABLE = "42P01";

/** Reads the server's facts and the history in one flight; in two when there is no history yet. */
export async function greet(
  connection: Connection,
  schema: string | undefined,
): Promise<Greeting> {
  const table = schema === undefined ? TABLE : tableIn(schema);
  const facts = factsQuery(schema);
  let results: readonly Rows[];
  try {
    results = await connection.query(
      `${facts}; ${historyQuery(table)}`,
    ) as unknown as readonly Rows[];
  } catch (error) {
    if (!isUndefinedTable(error)) throw error;
    results = [await connection.query(facts)];
  }
  const row = results[0]![0] as Row;
  return {
    versionNumber: Number(row.version),
    schema: row.schema as string | null,
    user: String(row.user),
    readOnly: row.read_only === true,
    backendPid: Number(row.pid),
    // A table of that name in another schema of the search path is somebody else's.
    history: row.own === true ? readRows(results[1] ?? []) : [],
  };
}

/** The history as the current snapshot sees it; empty when there is no table. */
export async function readHistory(
  connection: Connection,
  schema: string,
): Promise<readonly HistoryRow[]> {
  const [exists] = await connection.query(
    `select to_regclass(${literal(tableIn(schema))}) is not null as found`,
  );
  if (exists?.found !== true) return [];
  return readRows(await connection.query(historyQuery(tableIn(schema))));
}

/** The rows of a migration table that Kysely's own migrator keeps. */
export async function readKyselyTable(
  connection: Connection,
  table: string,
): Promise<readonly KyselyRow[]> {
  const path = table.split(".").map(identifier).join(".");
  try {
    const rows = await connection.query(
      `select name::text, "timestamp"::text from ${path}`,
    );
    return rows.map(kyselyRow);
  } catch (error) {
    const code = error instanceof DatabaseError ? error.server.code : "";
    if (code === UNDEFINED_TABLE || code === "3F000") {
      throw new RefusedError([
        `Cannot read ${quote(table)}: there is no such table in this database`,
      ]);
    }
    if (code === "42703") {
      throw new RefusedError([
        `Cannot read ${
          quote(table)
        }: it is not a migration table of Kysely, which has the columns name and timestamp`,
      ]);
    }
    throw error;
  }
}

/**
 * Makes the history table ready for writing: creates it, or converts the one of Kysely's own migrator, keeping names and
 * times. Runs inside the caller's transaction, under the migration lock.
 *
 * @param checksums checksum by name, for the rows that are converted
 */
export async function prepareHistory(
  connection: Connection,
  schema: string,
  run: RunIdentity,
  checksums: ReadonlyMap<string, string>,
): Promise<void> {
  const table = tableIn(schema);
  const columns = new Set(
    (await connection.query(
      `select attname from pg_attribute where attrelid = to_regclass(${
        literal(table)
      }) and attnum > 0 and not attisdropped`,
    )).map((row) => row.attname),
  );
  if (columns.has("status") && columns.has("checksum")) return;
  if (columns.size === 0) {
    await connection.query(createStatement(table));
    return;
  }
  if (!columns.has("name") || !columns.has("timestamp")) {
    throw new RefusedError([
      `Cannot use the table ${
        quote(`${schema}.${TABLE}`)
      }: it is neither this program's history nor a ` +
      "migration table of Kysely; rename it, or choose another schema with --schema",
    ]);
  }
  const rows = (await connection.query(
    `select name::text, "timestamp"::text from ${table}`,
  )).map(kyselyRow).sort((a, b) => a.timestamp < b.timestamp ? -1 : 1);
  await connection.query(`drop table ${table}; ${createStatement(table)}`);
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
  await writeHistory(connection, schema, run, changes);
}

/** Writes changes in their order. Returns the ids of the rows. */
export async function writeHistory(
  connection: Connection,
  schema: string,
  run: RunIdentity,
  changes: readonly HistoryChange[],
): Promise<readonly number[]> {
  const table = tableIn(schema);
  const ids: number[] = [];
  for (let i = 0; i < changes.length;) {
    const inserts: HistoryChange[] = [];
    while (changes[i]?.kind === "insert") inserts.push(changes[i++]!);
    if (inserts.length > 0) {
      const rows = await connection.query(insertStatement(table), [
        JSON.stringify(inserts),
        run.runId,
        run.host,
        run.programVersion,
      ]);
      ids.push(...rows.map((row) => Number(row.id)));
      continue;
    }
    const change = changes[i++] as Exclude<HistoryChange, { kind: "insert" }>;
    const [assignments, parameters] = assignmentsOf(change, run);
    const rows = await connection.query(
      `update ${table} set ${assignments} where id = $1::bigint returning id`,
      [String(change.id), ...parameters],
    );
    if (rows.length !== 1) {
      throw new RefusedError([
        `Cannot write to the history: its row ${change.id} is gone`,
      ]);
    }
    ids.push(change.id);
  }
  return ids;
}

/** The quoted, qualified name of the history table. */
function tableIn(schema: string): string {
  return `${identifier(schema)}.${TABLE}`;
}

function factsQuery(schema: string | undefined): string {
  const own = schema === undefined
    ? `to_regclass('${TABLE}') = to_regclass(quote_ident(current_schema()) || '.${TABLE}')`
    : "true";
  const name = schema === undefined
    ? "current_schema()"
    : `(select nspname from pg_namespace where nspname = ${literal(schema)})`;
  return `select current_setting('server_version_num')::int as version, ${name}::text as schema, ` +
    "session_user::text as user, pg_backend_pid() as pid, " +
    "pg_is_in_recovery() or current_setting('transaction_read_only') = 'on' as read_only, " +
    `coalesce(${own}, false) as own`;
}

/** As JSON, because one query must be able to read either form of the table. */
function historyQuery(table: string): string {
  return `select to_jsonb(h) as row from ${table} h`;
}

function createStatement(table: string): string {
  return `create table ${table} (
    id bigint generated always as identity constraint ${TABLE}_pkey primary key,
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
  create unique index ${TABLE}_name_key on ${table} (name) where status in ('applied', 'baseline')`;
}

/** Times are taken from the server's clock: the clocks of pods differ. */
function insertStatement(table: string): string {
  return `insert into ${table} (name, checksum, status, started_at, finished_at, duration_ms,
      run_id, applied_by, host, binary_version, error)
    select c.name, c.checksum, c.status, t.started,
      case when c.status <> 'running' then t.started + coalesce(c."durationMs", 0) * interval '1 ms' end,
      c."durationMs", $2::uuid, session_user, $3::text, $4::text, c.error
    from jsonb_to_recordset($1::text::jsonb) as c(name text, checksum text, status text, "startedAgoMs" float8,
        "durationMs" int, error text, "appliedAt" timestamptz),
      lateral (select coalesce(c."appliedAt", clock_timestamp() - c."startedAgoMs" * interval '1 ms') as started) t
    returning id`;
}

function assignmentsOf(
  change: Exclude<HistoryChange, { kind: "insert" }>,
  run: RunIdentity,
): [string, readonly (string | null)[]] {
  const rolledBack =
    "rolled_back_at = clock_timestamp(), rolled_back_by = session_user, rolled_back_run = $2::uuid";
  switch (change.kind) {
    case "start_rollback":
      return ["status = 'running', rolled_back_run = $2::uuid", [run.runId]];
    case "roll_back":
      return [`status = 'rolled_back', ${rolledBack}`, [run.runId]];
    case "finish":
      return [
        "status = 'applied', finished_at = clock_timestamp(), duration_ms = $2::int",
        [String(change.durationMs)],
      ];
    case "fail":
      return [
        "status = 'failed', finished_at = coalesce(finished_at, clock_timestamp()), error = $2::text, " +
        "duration_ms = coalesce($3::int, duration_ms)",
        [
          change.error,
          change.durationMs === null ? null : String(change.durationMs),
        ],
      ];
    case "note_error":
      return ["error = $2::text", [change.error]];
    case "accept_checksum":
      return ["checksum = $2::text", [change.checksum]];
    case "mark_applied":
      return [
        "status = 'applied', checksum = $2::text, finished_at = coalesce(finished_at, clock_timestamp()), " +
        "rolled_back_run = null",
        [change.checksum],
      ];
  }
}

function readRows(rows: Rows): readonly HistoryRow[] {
  return rows.map(({ row }, i) => {
    const json = row as Row;
    if (!("status" in json)) {
      return {
        id: i,
        name: String(json.name),
        checksum: null,
        status: "applied",
        finishedAt: String(json.timestamp),
        durationMs: null,
        appliedBy: null,
        error: null,
        rollingBack: false,
      };
    }
    const status = json.status as HistoryStatus;
    return {
      id: Number(json.id),
      name: String(json.name),
      // Rows converted from Kysely's table have none when this program did not carry the migration.
      checksum: json.checksum === "" ? null : String(json.checksum),
      status,
      finishedAt: json.finished_at as string | null,
      durationMs: json.duration_ms as number | null,
      appliedBy: json.applied_by as string | null,
      error: json.error as string | null,
      rollingBack: (status === "failed" || status === "running") &&
        json.rolled_back_run !== null,
    };
  });
}

function kyselyRow(row: Row): KyselyRow {
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
}

function isUndefinedTable(error: unknown): boolean {
  return error instanceof DatabaseError &&
    error.server.code === UNDEFINED_TABLE;
}

/** Quotes an identifier; PostgreSQL: https://www.postgresql.org/docs/current/sql-syntax-lexical.html */
export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Quotes a text as a literal that does not depend on `standard_conforming_strings`. */
export function literal(text: string): string {
  const quoted = text.replaceAll("'", "''");
  return quoted.includes("\\")
    ? `E'${quoted.replaceAll("\\", "\\\\")}'`
    : `'${quoted}'`;
}
