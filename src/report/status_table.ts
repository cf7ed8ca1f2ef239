/**
 * What `status` shows: a table, or the members of one JSON object.
 *
 * @module
 */
import {
  formatDuration,
  GREEN,
  painter,
  RED,
  visible,
  YELLOW,
} from "../text.ts";
import type { PlannedTime } from "../insight/planned_times.ts";
import { rangeText } from "./amounts.ts";
import { openLines } from "./backfill_wording.ts";
import { databaseJson } from "./wording.ts";
import type { Event } from "./events.ts";
import type { OpenBackfill } from "../plan/backfill_progress.ts";
import type { MigrationState, State } from "../plan/states.ts";

/** What every state counts, in the order in which `status` counts them. */
const STATES: readonly State[] = [
  "applied",
  "baseline",
  "pending",
  "out_of_order",
  "failed",
  "running",
  "open",
  "changed",
  "missing",
];

const STATE_COLORS: Readonly<Record<State, number>> = {
  applied: GREEN,
  baseline: GREEN,
  pending: YELLOW,
  out_of_order: YELLOW,
  failed: RED,
  running: RED,
  open: YELLOW,
  changed: RED,
  missing: YELLOW,
};

type Status = Event & { readonly event: "status" };

/** The members of the JSON object. */
export function statusJson(
  { server, states, backfills, plans, program }: Status,
): Record<string, unknown> {
  return {
    program,
    database: databaseJson(server),
    migrations: states.map(({ name, state, row }) => ({
      name,
      state,
      appliedAt: appliedAt(state, row),
      durationMs: row?.durationMs ?? null,
      ...(row && plans.has(row.id) && { planned: plans.get(row.id) }),
      appliedBy: row?.appliedBy ?? null,
      checksum: row?.checksum ?? null,
      ...(row?.error !== undefined && row.error !== null &&
        { error: row.error }),
      ...(backfills.has(name) &&
        { backfill: openJson(backfills.get(name)!) }),
    })),
    summary: Object.fromEntries(
      STATES.filter((state) => state !== "open" || counted(states, state) > 0)
        .map((state) => [state, counted(states, state)]),
    ),
  };
}

/** The columns of the table, the first of them the most important. */
const COLUMNS = ["STATE", "MIGRATION", "APPLIED AT", "TOOK", "PLANNED", "BY"];

/** Most migrations do nothing that takes long: nothing was planned for them. */
const PLANNED = COLUMNS.indexOf("PLANNED");

/** The first half of a pair of surrogates, at the end of a text that was cut. */
const HALF = /[\ud800-\udbff]$/;

/** Between two columns. */
const GAP = "  ";

/**
 * The table, and the counts below it. On a terminal that is too narrow for all of its columns the last ones are left out,
 * and names that are still too long are cut, with a sign.
 */
export function statusLines(
  { states, backfills, plans }: Pick<Status, "states" | "backfills" | "plans">,
  { color, columns = Infinity }: {
    readonly color: boolean;
    /** How wide the terminal is, in characters; missing where it is none. */
    readonly columns?: number;
  },
): string[] {
  const paint = painter(color);
  const rows = states.map(({ name, state, row }) => [
    state,
    visible(name),
    timeText(appliedAt(state, row)),
    row?.durationMs === undefined || row.durationMs === null
      ? ""
      : formatDuration(row.durationMs),
    plannedText(row && plans.get(row.id)),
    visible(row?.appliedBy ?? ""),
  ]);
  const all = [COLUMNS, ...rows];
  const isPlanned = rows.some((cells) => cells[PLANNED] !== "");
  const shown = isPlanned ? all : all.map((row) => row.toSpliced(PLANNED, 1));
  const table = fitting(shown, columns);
  const widths = widthsOf(table);
  const lines = table.flatMap((cells, i) => {
    const padded = cells.map((cell, j) => cell.padEnd(widths[j]!));
    const { row, state } = states[i - 1] ?? {};
    if (state !== undefined) padded[0] = paint(STATE_COLORS[state], padded[0]!);
    const line = padded.join(GAP).trimEnd();
    const open = backfills.get(states[i - 1]?.name ?? "");
    if (open !== undefined) {
      return [line, ...openLines(open).map((text) => `  ${text}`)];
    }
    const failed = state === "failed" || state === "running";
    return failed && row?.error ? [line, `  ${visible(row.error)}`] : [line];
  });
  const counts = STATES
    .filter((state) =>
      counted(states, state) > 0 || state === "applied" || state === "pending"
    )
    .map((state) => `${counted(states, state)} ${state.replaceAll("_", " ")}`);
  return states.length === 0
    ? [counts.join(", ")]
    : [...lines, "", counts.join(", ")];
}

function widthsOf(table: readonly (readonly string[])[]): number[] {
  return table[0]!.map((_, i) =>
    Math.max(...table.map((cells) => cells[i]!.length))
  );
}

/** As much of the table as goes into so many columns of a terminal: at least state and name. */
function fitting(
  table: readonly (readonly string[])[],
  columns: number,
): readonly (readonly string[])[] {
  const widths = widthsOf(table);
  const widthOf = (count: number) =>
    widths.slice(0, count).reduce((sum, width) => sum + width, 0) +
    GAP.length * (count - 1);
  let count = widths.length;
  while (count > 2 && widthOf(count) > columns) count--;
  const most = Math.max(1, columns - widths[0]! - GAP.length);
  return table.map((cells) =>
    cells.slice(0, count).map((cell, i) =>
      i === 1 && cell.length > most
        ? `${cell.slice(0, most - 1).replace(HALF, "")}…`
        : cell
    )
  );
}

/** Ages depend on the moment of the look: the time of the beat says it. */
function openJson(
  { runner, rest: _rest, aimMs: _aimMs, ...open }: OpenBackfill,
): Record<string, unknown> {
  return {
    ...open,
    runner: runner && {
      host: runner.host,
      pid: runner.pid,
      beatAt: runner.beatAt,
    },
  };
}

function appliedAt(state: State, row: MigrationState["row"]): string | null {
  return state === "failed" || state === "running" || state === "open" ||
      row === undefined
    ? null
    : row.finishedAt;
}

function plannedText(planned: PlannedTime | undefined): string {
  return planned === undefined ? "" : rangeText(planned);
}

/** PostgreSQL's `2026-01-05T09:00:00.123456+00:00` as `2026-01-05 09:00:00Z`. */
function timeText(time: string | null): string {
  return visible(time ?? "")
    .replace(/^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?/, "$1 $2")
    .replace(/\+00:00$/, "Z");
}

function counted(states: readonly MigrationState[], state: State): number {
  return states.filter((one) => one.state === state).length;
}
