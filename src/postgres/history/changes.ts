/**
 * The statements that write rows of the history.
 *
 * All names are qualified: nobody who may create objects in a schema of the search path gets any of them run.
 *
 * @module
 */
import type { HistoryChange } from "../../plan/history.ts";
import { historyTable } from "./place.ts";
import { quoteLiteral } from "../../sql/quote.ts";
import type { HiddenText, Hide } from "../../text.ts";
import { type WriteCheck, written } from "./written.ts";

/** What the writer knows of this invocation. */
export interface RunIdentity {
  readonly runId: string;
  /** The machine or pod; asked for when something is written. */
  readonly host: () => string | null;
  readonly programVersion: string;
  /** Takes the password out of a text: an error is recorded as it is said. */
  readonly hide: Hide;
}

type Insert = HistoryChange & { readonly kind: "insert" };
type Update = Exclude<HistoryChange, { readonly kind: "insert" }>;

const EQ = "operator(pg_catalog.=)";

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
            errorLiteral(run.hide(change.error))
          }, duration_ms = coalesce(${change.durationMs}::pg_catalog.int4, duration_ms)`,
        expected: `status ${EQ} 'failed'`,
      };
    case "note_error":
      return {
        what: RECORD.failed(name),
        from: ["applied", "baseline", "running", "failed"],
        set: `error = ${errorLiteral(run.hide(change.error))}`,
        expected: `error ${EQ} ${errorLiteral(run.hide(change.error))}`,
      };
    case "accept_checksum":
      return {
        what: `Cannot accept the checksum of ${name}`,
        from: ["applied", "baseline"],
        set: `checksum = ${quoteLiteral(change.checksum)}`,
        expected: `checksum ${EQ} ${quoteLiteral(change.checksum)}`,
      };
    case "reopen":
      return {
        what: `Cannot record that ${name} goes on`,
        from: ["running", "failed"],
        set: `status = 'running', checksum = ${
          quoteLiteral(change.checksum)
        }, finished_at = null, error = null`,
        expected: `status ${EQ} 'running'`,
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

/** An error as the history keeps it. */
function errorLiteral(error: HiddenText): string {
  return quoteLiteral(error);
}

/** `null` as a text: the type of a bare one in a select list would be unknown. */
function textOrNull(text: string | null): string {
  return text === null ? "null::pg_catalog.text" : quoteLiteral(text);
}
