/**
 * How far a statement is, as the views of the server have it that tell of the progress of commands:
 * https://www.postgresql.org/docs/current/progress-reporting.html
 *
 * @module
 */
import type { Progress } from "../report/events.ts";

/** The columns that are there in every version that the program works with; what a later one has besides is used where it is. */
type ViewRow = Readonly<Record<string, unknown>>;

/** What the columns of a view mean. */
const VIEWS: Readonly<Record<string, (row: ViewRow) => Progress>> = {
  create_index: (row) => {
    const byTuples = number(row.tuples_total) > 0;
    return {
      phase: text(row.phase),
      percent: byTuples
        ? percent(row.tuples_done, row.tuples_total)
        : percent(row.blocks_done, row.blocks_total),
      tuplesDone: number(row.tuples_done),
      tuplesTotal: number(row.tuples_total),
    };
  },
  cluster: (row) => ({
    phase: text(row.phase),
    // Rows that are read by an index come from no block in particular.
    percent: row.phase === "seq scanning heap"
      ? percent(row.heap_blks_scanned, row.heap_blks_total)
      : undefined,
    tuplesDone: Math.max(
      number(row.heap_tuples_scanned),
      number(row.heap_tuples_written),
    ),
    tuplesTotal: 0,
  }),
  vacuum: (row) => ({
    phase: text(row.phase),
    percent: {
      "scanning heap": percent(row.heap_blks_scanned, row.heap_blks_total),
      "vacuuming indexes": percent(row.indexes_processed, row.indexes_total),
      "vacuuming heap": percent(row.heap_blks_vacuumed, row.heap_blks_total),
    }[text(row.phase)],
    tuplesDone: 0,
    tuplesTotal: 0,
  }),
  analyze: (row) => ({
    phase: text(row.phase),
    percent: text(row.phase).startsWith("acquiring")
      ? percent(row.sample_blks_scanned, row.sample_blks_total)
      : undefined,
    tuplesDone: 0,
    tuplesTotal: 0,
  }),
  copy: (row) => ({
    // It has one phase, and the view no word for it.
    phase: text(row.command),
    percent: percent(row.bytes_processed, row.bytes_total),
    tuplesDone: number(row.tuples_processed),
    tuplesTotal: 0,
  }),
};

/**
 * Rows of what the process with this number works at, none or one: `view`, and `progress` with all columns of it. A process
 * is in one of the views at a time.
 *
 * @param pid in SQL
 */
export function progressQuery(pid: string): string {
  return Object.keys(VIEWS).map((view) =>
    `select '${view}' as view, pg_catalog.row_to_json(v) as progress from pg_catalog.pg_stat_progress_${view} v
      where v.pid operator(pg_catalog.=) ${pid}`
  ).join(" union all ");
}

/** How far it is; `undefined` when no view says anything of it, or the role may not see it. */
export function progressOf(row: ViewRow | undefined): Progress | undefined {
  const { view, progress } = row ?? {};
  const read = typeof view === "string" ? VIEWS[view] : undefined;
  if (read === undefined || !isRow(progress)) return undefined;
  const found = read(progress);
  return found.phase === "" ? undefined : found;
}

function isRow(value: unknown): value is ViewRow {
  return typeof value === "object" && value !== null;
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function number(value: unknown): number {
  return typeof value === "number" ? value : 0;
}

/** Whole percents, never more than all; `undefined` where the total is not known. */
function percent(done: unknown, total: unknown): number | undefined {
  return number(total) > 0
    ? Math.min(100, Math.floor(100 * number(done) / number(total)))
    : undefined;
}
