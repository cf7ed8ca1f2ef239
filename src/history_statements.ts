/**
 * The statements that create the history table, convert Kysely's into it, and write rows.
 *
 * @module
 */
import type { HistoryChange } from "./history.ts";
import {
  HISTORY_TABLE,
  historyTable,
  type KyselyRow,
} from "./history_table.ts";
import { quoteLiteral } from "./sql_quote.ts";

/** What the writer knows of this invocation. */
export interface RunIdentity {
  readonly runId: string;
  /** The machine or pod; asked for when something is written. */
  readonly host: () => string | null;
  readonly programVersion: string;
  /** Takes the password out of a text: an error is recorded as it is said. */
  readonly hide: (text: string) => string;
}

/** Creates the table. PostgreSQL names its indexes: a renamed table of another origin may still have the names. */
export function createStatements(schema: string): string {
  const table = historyTable(schema);
  return `create table ${table} (
    id bigint generated always as identity primary key,
    name text not null,
    checksum text not null,
    status text not null constraint ${HISTORY_TABLE}_status_check
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
  const table = historyTable(schema);
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
  const table = historyTable(schema);
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
    case "cancel_rollback":
      return `status = ${quoteLiteral(change.status)}, rolled_back_run = null`;
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

/** `null` as a text: the type of a bare one in a select list would be unknown. */
function textOrNull(text: string | null): string {
  return text === null ? "null::text" : quoteLiteral(text);
}
