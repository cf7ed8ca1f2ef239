/**
 * What `migration_history` says: rows in, the current row of each migration out, changes to write.
 *
 * @module
 */
export type HistoryStatus =
  | "applied"
  | "baseline"
  | "rolled_back"
  | "failed"
  | "running";

/** One application of one migration. Times are ISO 8601 texts as PostgreSQL writes them. */
export interface HistoryRow {
  readonly id: number;
  readonly name: string;
  /** `null` in a table that Kysely's own migrator wrote: it knows no checksums. */
  readonly checksum: string | null;
  readonly status: HistoryStatus;
  readonly finishedAt: string | null;
  readonly durationMs: number | null;
  readonly appliedBy: string | null;
  readonly error: string | null;
  /** The row is `running` or `failed` because a rollback began and did not end. */
  readonly rollingBack: boolean;
}

/** A row that makes its migration count as applied. */
export type AppliedRow = HistoryRow & {
  readonly status: "applied" | "baseline";
};

/** One write to the history. The writer fills in the run, the user, the host and the program's version. */
export type HistoryChange =
  | {
    readonly kind: "insert";
    readonly name: string;
    readonly checksum: string;
    readonly status: Exclude<HistoryStatus, "rolled_back">;
    /** Milliseconds since the migration began, on this machine's monotonic clock. */
    readonly startedAgoMs: number;
    /** Milliseconds; `null` while it runs or when it never ran here. */
    readonly durationMs: number | null;
    readonly error: string | null;
    /** ISO 8601; only when another tool's history is taken over. */
    readonly appliedAt?: string;
  }
  | { readonly kind: "start_rollback"; readonly id: number }
  /** The rollback that was about to begin did not run. */
  | {
    readonly kind: "cancel_rollback";
    readonly id: number;
    readonly status: AppliedRow["status"];
  }
  | { readonly kind: "roll_back"; readonly id: number }
  | {
    readonly kind: "finish";
    readonly id: number;
    readonly durationMs: number;
  }
  | {
    readonly kind: "fail";
    readonly id: number;
    /** Milliseconds; `null` keeps what the row says. */
    readonly durationMs: number | null;
    readonly error: string;
  }
  /** A rollback failed and left the migration applied. */
  | { readonly kind: "note_error"; readonly id: number; readonly error: string }
  | {
    readonly kind: "accept_checksum";
    readonly id: number;
    readonly checksum: string;
  }
  | {
    readonly kind: "mark_applied";
    readonly id: number;
    readonly checksum: string;
  }
  /** A backfill that failed, or was edited, goes on from its position. */
  | {
    readonly kind: "reopen";
    readonly id: number;
    readonly checksum: string;
  };

/** Whether the row makes its migration count as applied. */
export function isApplied(row: HistoryRow | undefined): row is AppliedRow {
  return row?.status === "applied" || row?.status === "baseline";
}

/** The row that decides the state of each migration: the applied one, else the newest. */
export function currentRows(
  rows: readonly HistoryRow[],
): ReadonlyMap<string, HistoryRow> {
  const current = new Map<string, HistoryRow>();
  for (const row of rows) {
    const known = current.get(row.name);
    if (known === undefined || decides(row, known)) current.set(row.name, row);
  }
  return current;
}

/** Whether a row, rather than another one of the same migration, decides its state. */
export function decides(row: HistoryRow, other: HistoryRow): boolean {
  return isApplied(row) || (!isApplied(other) && row.id > other.id);
}

/**
 * The rows after changes that this program has written itself, or `undefined` when they must be read again.
 *
 * @param ids of the rows that were written, in the order of the changes
 */
export function rowsAfter(
  rows: readonly HistoryRow[],
  changes: readonly HistoryChange[],
  ids: readonly number[],
): readonly HistoryRow[] | undefined {
  const rolledBack = new Set<number>();
  const inserted: HistoryRow[] = [];
  for (const [i, change] of changes.entries()) {
    if (change.kind === "roll_back") {
      rolledBack.add(change.id);
    } else if (change.kind === "insert" && change.status === "applied") {
      const { name, checksum, status, durationMs, error } = change;
      inserted.push({
        id: ids[i]!,
        name,
        checksum,
        status,
        finishedAt: null,
        durationMs,
        appliedBy: null,
        error,
        rollingBack: false,
      });
    } else {
      return undefined;
    }
  }
  const kept = rolledBack.size === 0
    ? rows
    : rows.map((row): HistoryRow =>
      rolledBack.has(row.id) ? { ...row, status: "rolled_back" } : row
    );
  return [...kept, ...inserted];
}
