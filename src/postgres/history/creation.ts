/**
 * The statements that create the history table, and that put it in the place of the table of Kysely's migrator.
 *
 * All names are qualified: nobody who may create objects in a schema of the search path gets any of them run.
 *
 * @module
 */
import type { HistoryChange, HistoryRow } from "../../plan/history.ts";
import { HISTORY_TABLE, historyTable } from "./place.ts";
import { changeStatements, type RunIdentity } from "./changes.ts";
import { quoteIdentifier, quoteLiteral } from "../../sql/quote.ts";

const EQ = "operator(pg_catalog.=)";

/** A privilege on a table, as `aclexplode` tells it. */
export interface Grant {
  readonly privilege: string;
  /** `null` is everybody. */
  readonly grantee: string | null;
  readonly grantable: boolean;
}

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

/** Keeps everybody else from reading and writing the table until the transaction ends. */
export function lockStatement(schema: string): string {
  return `lock table ${historyTable(schema)} in access exclusive mode`;
}

/**
 * Puts the history in the place of the table in Kysely's form, keeping names, times and privileges: a pod that waits for it
 * must not be shut out.
 *
 * @param rows all that the table has; nobody else may write to it meanwhile, see {@link lockStatement}
 * @param checksums checksum by name, of the migrations that the program carries
 */
export function convertStatements(
  schema: string,
  run: RunIdentity,
  { rows, grants }: {
    readonly rows: readonly HistoryRow[];
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
