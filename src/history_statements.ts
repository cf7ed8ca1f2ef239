/**
 * The statements that create the history table, convert Kysely's into it, and write rows.
 *
 * All names are qualified: nobody who may create objects in a schema of the search path gets any of them run.
 *
 * @module
 */
import type { HistoryChange } from "./history.ts";
import { HISTORY_TABLE, historyName, historyTable } from "./history_place.ts";
import { type HistoryState, isNewer } from "./history_table.ts";
import { quoteIdentifier, quoteLiteral } from "./sql_quote.ts";
import { historyRefusal, type WriteCheck, written } from "./written.ts";

/** What the writer knows of this invocation. */
export interface RunIdentity {
  readonly runId: string;
  /** The machine or pod; asked for when something is written. */
  readonly host: () => string | null;
  readonly programVersion: string;
  /** Takes the password out of a text: an error is recorded as it is said. */
  readonly hide: (text: string) => string;
}

/** A privilege on a table, as `aclexplode` tells it. */
export interface Grant {
  readonly privilege: string;
  /** `null` is everybody. */
  readonly grantee: string | null;
  readonly grantable: boolean;
}

type Insert = HistoryChange & { readonly kind: "insert" };
type Update = Exclude<HistoryChange, { readonly kind: "insert" }>;

const EQ = "operator(pg_catalog.=)";

/** Creates the table. PostgreSQL names its indexes: a renamed table of another origin may still have the names. */
export function createStatements(schema: string): string {
  const table = historyTable(schema);
  return `create table ${table} (
    id bigint generated always as identity primary key,
    name pg_catalog.text not null,
    checksum pg_catalog.text not null,
    status pg_catalog.text not null constraint ${HISTORY_TABLE}_status_check
      check (status ${EQ} any (array['applied', 'baseline', 'rolled_back', 'failed', 'running'])),
    started_at pg_catalog.timestamptz not null,
    finished_at pg_catalog.timestamptz,
    duration_ms integer,
    run_id pg_catalog.uuid not null,
    applied_by pg_catalog.text not null,
    host pg_catalog.text,
    binary_version pg_catalog.text not null,
    error pg_catalog.text,
    rolled_back_at pg_catalog.timestamptz,
    rolled_back_by pg_catalog.text,
    rolled_back_run pg_catalog.uuid
  );
  create unique index on ${table} (name) where status ${EQ} any (array['applied', 'baseline'])`;
}

/** Asks who may do what with the table, as {@link Grant}s, and in each row whether the user has the rights of its owner. */
export function grantsQuery(schema: string): string {
  return `select pg_catalog.pg_has_role(c.relowner, 'usage') as owned, pg_catalog.pg_get_userbyid(c.relowner)::pg_catalog.text as owner,
    a.privilege_type as privilege, a.is_grantable as grantable,
    case when a.grantee operator(pg_catalog.<>) 0 then pg_catalog.pg_get_userbyid(a.grantee)::pg_catalog.text end as grantee
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid ${EQ} c.relnamespace
      left join lateral pg_catalog.aclexplode(c.relacl) a on true
    where n.nspname ${EQ} ${
    quoteLiteral(schema)
  } and c.relname ${EQ} '${HISTORY_TABLE}'`;
}

/**
 * Puts the history in the place of the table in Kysely's form, keeping names, times and privileges: a pod that waits for it
 * must not be shut out.
 *
 * @param rows all that the table has, and `horizon` as of when; it fails when somebody has written to the table since
 * @param checksums checksum by name, of the migrations that the program carries
 */
export function convertStatements(
  schema: string,
  run: RunIdentity,
  { rows, horizon, grants }: HistoryState & {
    readonly grants: readonly Grant[];
  },
  checksums: ReadonlyMap<string, string>,
): readonly string[] {
  const table = historyTable(schema);
  const changes = rows.map(({ name, finishedAt }): HistoryChange => ({
    kind: "insert",
    name,
    checksum: checksums.get(name) ?? "",
    status: "applied",
    startedAgoMs: 0,
    durationMs: null,
    error: null,
    appliedAt: finishedAt!,
  }));
  return [
    `lock table ${table} in access exclusive mode`,
    unchangedCheck(schema, rows.length, horizon),
    `drop table ${table}`,
    createStatements(schema),
    ...grants.map(({ privilege, grantee, grantable }) =>
      `grant ${privilege} on ${table} to ${
        grantee === null ? "public" : quoteIdentifier(grantee)
      }${grantable ? " with grant option" : ""}`
    ),
    ...changeStatements(schema, run, changes),
  ];
}

/** Fails when the table has other rows than it had. */
function unchangedCheck(
  schema: string,
  count: number,
  horizon: string,
): string {
  const text = `Cannot take over Kysely's rows: somebody is writing to ${
    historyName(schema)
  }; stop the other migrator, and start again`;
  return `select case when pg_catalog.count(*) ${EQ} ${count}
      and pg_catalog.count(*) filter (where ${isNewer(horizon)}) ${EQ} 0
    then 0 else ${
    historyRefusal([quoteLiteral(text)])
  } end as changed from only ${historyTable(schema)} h`;
}

/**
 * The statements that write changes, in their order. Each returns `id` and `took`, milliseconds, of its rows, and fails when
 * it has not written all of them; see `written.ts`.
 *
 * @param nameOf the name of the migration of a row
 */
export function changeStatements(
  schema: string,
  run: RunIdentity,
  changes: readonly HistoryChange[],
  nameOf: (id: number) => string | undefined = () => undefined,
): readonly string[] {
  const statements: string[] = [];
  for (let i = 0; i < changes.length;) {
    const change = changes[i]!;
    if (change.kind === "insert") {
      const inserts = [change];
      for (
        let next = changes[++i];
        next?.kind === "insert" && next.status === change.status;
        next = changes[++i]
      ) inserts.push(next);
      statements.push(insertStatement(schema, run, inserts));
    } else {
      i++;
      statements.push(updateStatement(schema, run, change, nameOf(change.id)));
    }
  }
  return statements;
}

/**
 * Times are taken from the server's clock: the clocks of pods differ. A migration whose duration is not given has had the
 * transaction to itself: it took from the transaction's begin until now.
 */
function insertStatement(
  schema: string,
  run: RunIdentity,
  inserts: readonly Insert[],
): string {
  const { runId, host, programVersion } = run;
  const { status, name } = inserts[0]!;
  const rows = inserts.map(({ error, ...rest }) => ({
    ...rest,
    error: error === null ? null : run.hide(error),
  }));
  const id = `${quoteLiteral(runId)}::pg_catalog.uuid`;
  const check: WriteCheck = {
    schema,
    what: inserts.length > 1
      ? `Cannot record ${inserts.length} migrations as ${status}`
      : RECORD[status](`"${name}"`),
    count: inserts.length,
    expected: `status ${EQ} '${status}' and run_id ${EQ} ${id}`,
  };
  return written(
    `insert into ${historyTable(schema)}
      (name, checksum, status, started_at, finished_at, duration_ms, run_id, applied_by, host, binary_version, error)
    select c.name, c.checksum, c.status, t.started,
      case when not c.status ${EQ} 'running'
        then t.started operator(pg_catalog.+) (coalesce(t.took, 0) operator(pg_catalog.*) interval '1 ms') end, t.took,
      ${id}, session_user, ${textOrNull(host())}, ${
      quoteLiteral(programVersion)
    }, c.error
    from pg_catalog.jsonb_to_recordset(${
      quoteLiteral(JSON.stringify(rows))
    }::pg_catalog.jsonb) as c(name pg_catalog.text, checksum pg_catalog.text, status pg_catalog.text,
        "startedAgoMs" double precision, "durationMs" integer, error pg_catalog.text, "appliedAt" pg_catalog.timestamptz),
      lateral (select
        coalesce(c."appliedAt", case when c.status ${EQ} 'applied' and c."durationMs" is null then pg_catalog.now()
          else pg_catalog.clock_timestamp() operator(pg_catalog.-) (c."startedAgoMs" operator(pg_catalog.*) interval '1 ms')
          end) as started,
        case when c.status ${EQ} 'applied' and c."appliedAt" is null and c."durationMs" is null
          then (extract(epoch from pg_catalog.clock_timestamp() operator(pg_catalog.-) pg_catalog.now())
            operator(pg_catalog.*) 1000)::pg_catalog.int4
          else c."durationMs" end as took) t`,
    check,
  );
}

/** What cannot be done when the row of a migration, whose quoted name is given, is not written. */
const RECORD: Readonly<Record<Insert["status"], (name: string) => string>> = {
  applied: (name) => `Cannot record ${name} as applied`,
  baseline: (name) => `Cannot record ${name} as applied`,
  running: (name) => `Cannot record that ${name} begins`,
  failed: (name) => `Cannot record the failure of ${name}`,
};

function updateStatement(
  schema: string,
  run: RunIdentity,
  change: Update,
  name: string | undefined,
): string {
  const quoted = name === undefined ? `row ${change.id}` : `"${name}"`;
  const { what, from, set, expected } = updateOf(change, run, quoted);
  const states = from.map((status) => `'${status}'`).join(", ");
  return written(
    `update only ${historyTable(schema)} set ${set}
    where id ${EQ} ${change.id} and status ${EQ} any (array[${states}])`,
    { schema, what, count: 1, expected },
  );
}

/** What an update writes, to a row in which states, and what is so afterwards. */
function updateOf(change: Update, run: RunIdentity, name: string): {
  readonly what: string;
  readonly from: readonly string[];
  readonly set: string;
  readonly expected: string;
} {
  const runId = `${quoteLiteral(run.runId)}::pg_catalog.uuid`;
  const now = "pg_catalog.clock_timestamp()";
  switch (change.kind) {
    case "start_rollback":
      return {
        what: `Cannot record that the rollback of ${name} begins`,
        from: ["applied", "baseline"],
        set: `status = 'running', rolled_back_run = ${runId}`,
        expected: `status ${EQ} 'running' and rolled_back_run ${EQ} ${runId}`,
      };
    case "cancel_rollback":
      return {
        what: `Cannot record that the rollback of ${name} did not run`,
        from: ["running"],
        set: `status = ${quoteLiteral(change.status)}, rolled_back_run = null`,
        expected: `status ${EQ} ${quoteLiteral(change.status)}`,
      };
    case "roll_back":
      return {
        what: `Cannot record ${name} as rolled back`,
        from: ["applied", "baseline", "running", "failed"],
        set: `status = 'rolled_back', rolled_back_at = ${now}, ` +
          `rolled_back_by = session_user, rolled_back_run = ${runId}`,
        expected:
          `status ${EQ} 'rolled_back' and rolled_back_run ${EQ} ${runId}`,
      };
    case "finish":
      return {
        what: RECORD.applied(name),
        from: ["running"],
        set:
          `status = 'applied', finished_at = ${now}, duration_ms = ${change.durationMs}`,
        expected: `status ${EQ} 'applied'`,
      };
    case "fail":
      return {
        what: RECORD.failed(name),
        from: ["running"],
        set:
          `status = 'failed', finished_at = coalesce(finished_at, ${now}), error = ${
            quoteLiteral(run.hide(change.error))
          }, duration_ms = coalesce(${change.durationMs}::pg_catalog.int4, duration_ms)`,
        expected: `status ${EQ} 'failed'`,
      };
    case "note_error":
      return {
        what: RECORD.failed(name),
        from: ["applied", "baseline"],
        set: `error = ${quoteLiteral(run.hide(change.error))}`,
        expected: `error ${EQ} ${quoteLiteral(run.hide(change.error))}`,
      };
    case "accept_checksum":
      return {
        what: `Cannot accept the checksum of ${name}`,
        from: ["applied", "baseline"],
        set: `checksum = ${quoteLiteral(change.checksum)}`,
        expected: `checksum ${EQ} ${quoteLiteral(change.checksum)}`,
      };
    case "mark_applied":
      return {
        what: RECORD.applied(name),
        from: ["running", "failed"],
        set:
          `status = 'applied', checksum = ${quoteLiteral(change.checksum)}, ` +
          `finished_at = coalesce(finished_at, ${now}), rolled_back_run = null`,
        expected: `status ${EQ} 'applied'`,
      };
  }
}

/** `null` as a text: the type of a bare one in a select list would be unknown. */
function textOrNull(text: string | null): string {
  return text === null ? "null::pg_catalog.text" : quoteLiteral(text);
}
