/**
 * Events → lines of text or JSON. Nothing is written here.
 *
 * @module
 */
import type { OutputConfig } from "./config.ts";
import { formatDuration } from "./duration.ts";
import type {
  Blocker,
  Event,
  LockHolder,
  Progress,
  ServerInfo,
  Summary,
} from "./events.ts";
import { failureLines, failureOf } from "./failure.ts";
import { quote, visible } from "./quote.ts";
import type { MigrationState, State } from "./states.ts";

/** A line and where it goes. */
export interface Line {
  readonly stream: "stdout" | "stderr";
  readonly text: string;
}

export interface RenderOptions extends OutputConfig {
  /** The wall clock of this machine, ISO 8601. */
  readonly at: string;
  /** `false` for a command whose JSON is one object: what happens on the way is no part of it. */
  readonly stream: boolean;
}

/** Renders one event; many give no line at all. */
export function render(event: Event, options: RenderOptions): readonly Line[] {
  const text = textLines(event, options);
  if (options.format === "text") return text;
  // A person who watches a JSON run still finds what it waits for, and why it failed, on stderr.
  const notes = text.filter(({ stream }) => stream === "stderr");
  const json = options.stream || event.event === "status"
    ? jsonOf(event, options)
    : undefined;
  return json === undefined
    ? notes
    : [...notes, { stream: "stdout", text: JSON.stringify(json) }];
}

/** Who holds the lock, for a message. */
export function holderText(holder: LockHolder | undefined): string {
  if (holder === undefined) return "another migrator holds it";
  const since = holder.sinceMs === undefined
    ? ""
    : `, for ${formatDuration(holder.sinceMs)}`;
  const application = visible(holder.application || "unnamed");
  return `backend ${holder.pid} (${application}, ${
    visible(holder.address)
  }${since}) holds it`;
}

function blockerText(blocker: Blocker): string {
  const { pid, application, user, state, ageMs, query } = blocker;
  const age = ageMs === undefined
    ? ""
    : `, its transaction is ${formatDuration(ageMs)} old`;
  const who = `${visible(application || "unnamed")}, user ${visible(user)}`;
  return `blocked by backend ${pid} (${who}, ${
    visible(state || "state hidden")
  }${age}): ${visible(query)}`;
}

function progressText(progress: Progress): string {
  const { phase, percent, tuplesDone, tuplesTotal } = progress;
  const tuples = tuplesTotal > 0
    ? `, ${tuplesDone} of ${tuplesTotal} tuples`
    : "";
  return `${visible(phase)}${
    percent === undefined ? "" : `, ${percent} %`
  }${tuples}`;
}

/** What every state counts, in the order in which `status` counts them. */
const STATES: readonly State[] = [
  "applied",
  "baseline",
  "pending",
  "out_of_order",
  "failed",
  "running",
  "changed",
  "missing",
];

const RED = 31;
const GREEN = 32;
const YELLOW = 33;

const STATE_COLORS: Readonly<Record<State, number>> = {
  applied: GREEN,
  baseline: GREEN,
  pending: YELLOW,
  out_of_order: YELLOW,
  failed: RED,
  running: RED,
  changed: RED,
  missing: YELLOW,
};

function textLines(event: Event, options: RenderOptions): Line[] {
  const paint = painter(options.color);
  const note = (text: string): Line[] =>
    options.verbosity === "quiet" ? [] : [{ stream: "stderr", text }];
  const result = (text: string): Line[] => [{ stream: "stdout", text }];
  switch (event.event) {
    case "waiting_for_database":
      return note(
        `Waiting for the database, ${formatDuration(event.leftMs)} left: ${
          visible(event.reason)
        }`,
      );
    case "connected":
      return note(`Connected to ${serverText(event.server)}`);
    case "waiting_for_lock":
      return note(
        `Waiting for the migration lock, ${
          formatDuration(event.leftMs)
        } left: ${holderText(event.holder)}`,
      );
    case "waiting_for_migrations":
      return note(
        `Waiting for ${count(event.pending, "migration")}, ${
          formatDuration(event.leftMs)
        } left`,
      );
    case "warning":
      return [{
        stream: "stderr",
        text: `${paint(YELLOW, "warning:")} ${visible(event.message)}`,
      }];
    case "notice": {
      const shown = options.verbosity === "verbose" ||
        event.severity === "WARNING";
      return shown
        ? note(`${visible(event.severity)}: ${visible(event.message)}`)
        : [];
    }
    case "statement":
      return options.verbosity === "verbose"
        ? note(
          `${formatDuration(event.durationMs).padStart(8)}  ${
            visible(event.sql.replace(/\s+/g, " ").trim())
          }`,
        )
        : [];
    case "planned":
      return result(
        `Would ${
          event.direction === "up" ? "apply" : "roll back"
        } ${event.migration}`,
      );
    case "started":
      return note(
        `${
          event.direction === "up" ? "Applying" : "Rolling back"
        } ${event.migration} (${event.number} of ${event.total})`,
      );
    case "blocked":
      return note(
        `Waiting for a lock since ${formatDuration(event.runningMs)}: ${
          visible(event.sql)
        }`,
      ).concat(event.blockers.flatMap((one) => note(`  ${blockerText(one)}`)));
    case "running":
      return note(
        `Running since ${formatDuration(event.runningMs)}: ${
          visible(event.sql)
        }${
          event.progress === undefined
            ? ""
            : ` (${progressText(event.progress)})`
        }`,
      );
    case "retrying":
      return note(
        `Trying again in ${formatDuration(event.waitMs)}, ${
          formatDuration(event.leftMs)
        } left: ${visible(event.reason)}`,
      );
    case "applied":
      return result(
        `Applied ${event.migration} (${formatDuration(event.durationMs)})`,
      );
    case "rolled_back":
      return result(
        `Rolled back ${event.migration} (${formatDuration(event.durationMs)})`,
      );
    case "recorded":
      return result(`${event.what} ${event.migration}`);
    case "status":
      return statusLines(event.states, options).flatMap(result);
    case "failed":
      return failureLines(event.error).map((line, i) => ({
        stream: "stderr",
        text: i === 0 || !line.startsWith(" ")
          ? `${paint(RED, "error:")} ${line}`
          : line,
      }));
    case "summary":
      return [{
        stream: event.summary.failed ? "stderr" : "stdout",
        text: summaryText(event.summary),
      }];
  }
}

function jsonOf(
  event: Event,
  options: RenderOptions,
): Record<string, unknown> | undefined {
  switch (event.event) {
    case "statement":
    case "notice":
      return options.verbosity === "verbose"
        ? { at: options.at, ...event }
        : undefined;
    case "status":
      return statusJson(event.server, event.states, event.program);
    case "failed":
      return { event: "failed", at: options.at, ...failureOf(event.error) };
    case "summary":
      return { event: "summary", at: options.at, ...event.summary };
    default: {
      const { event: name, ...rest } = event;
      return { event: name, at: options.at, ...rest };
    }
  }
}

function statusJson(
  server: ServerInfo,
  states: readonly MigrationState[],
  program: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  return {
    program,
    database: {
      host: server.host,
      port: server.port,
      name: server.database,
      serverVersion: server.version,
    },
    migrations: states.map(({ name, state, row }) => ({
      name,
      state,
      appliedAt: appliedAt(state, row),
      durationMs: row?.durationMs ?? null,
      appliedBy: row?.appliedBy ?? null,
      checksum: row?.checksum ?? null,
      ...(row?.error !== undefined && row.error !== null &&
        { error: row.error }),
    })),
    summary: Object.fromEntries(
      STATES.map((state) => [state, counted(states, state)]),
    ),
  };
}

function statusLines(
  states: readonly MigrationState[],
  options: RenderOptions,
): string[] {
  const paint = painter(options.color);
  const rows = states.map(({ name, state, row }) => [
    state,
    visible(name),
    appliedAt(state, row)?.replace("T", " ").replace(/\.\d+/, "").replace(
      "+00:00",
      "Z",
    ) ?? "",
    row?.durationMs === undefined || row.durationMs === null
      ? ""
      : formatDuration(row.durationMs),
    visible(row?.appliedBy ?? ""),
  ]);
  const table = [["STATE", "MIGRATION", "APPLIED AT", "TOOK", "BY"], ...rows];
  const widths = table[0]!.map((_, i) =>
    Math.max(...table.map((cells) => cells[i]!.length))
  );
  const lines = table.flatMap((cells, i) => {
    const padded = cells.map((cell, j) => cell.padEnd(widths[j]!));
    const { row, state } = states[i - 1] ?? {};
    if (state !== undefined) padded[0] = paint(STATE_COLORS[state], padded[0]!);
    const line = padded.join("  ").trimEnd();
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

function appliedAt(state: State, row: MigrationState["row"]): string | null {
  return state === "failed" || state === "running" || row === undefined
    ? null
    : row.finishedAt;
}

function counted(states: readonly MigrationState[], state: State): number {
  return states.filter((one) => one.state === state).length;
}

function summaryText(summary: Summary): string {
  const { applied, rolledBack, recorded, notRun, unfinished, dryRun } = summary;
  const took = `in ${formatDuration(summary.durationMs)}`;
  if (summary.failed) {
    const done = [
      ...(applied > 0 ? [`${count(applied, "migration")} applied`] : []),
      ...(rolledBack > 0
        ? [`${count(rolledBack, "migration")} rolled back`]
        : []),
      ...(unfinished > 0
        ? [`${count(unfinished, "migration")} left half-way`]
        : []),
    ];
    const rest = notRun > 0 ? `, ${notRun} not run` : "";
    return `Failed ${took}: ${
      done.length > 0 ? done.join(", ") : "nothing was changed"
    }${rest}`;
  }
  if (dryRun) {
    return notRun > 0
      ? `Dry run: ${count(notRun, "migration")} would run, nothing was changed`
      : "Dry run: nothing to do";
  }
  if (recorded > 0) return `Recorded ${count(recorded, "migration")} ${took}`;
  if (applied > 0 && rolledBack > 0) {
    return `Rolled back ${
      count(rolledBack, "migration")
    } and applied ${applied} again ${took}`;
  }
  if (applied > 0) return `Applied ${count(applied, "migration")} ${took}`;
  if (rolledBack > 0) {
    return `Rolled back ${count(rolledBack, "migration")} ${took}`;
  }
  return summary.to === undefined
    ? NOTHING[summary.command] ?? "Nothing to do"
    : `Nothing to apply up to ${summary.to}`;
}

const NOTHING: Readonly<Partial<Record<Summary["command"], string>>> = {
  up: "Nothing to apply: the database is up to date",
  down: "Nothing to roll back",
  redo: "Nothing to redo: no migration is applied",
  baseline: "Nothing to record: the history has these migrations already",
  repair: "Nothing to repair",
};

function serverText(server: ServerInfo): string {
  const pooler = server.pooled ? ", through a pooler" : "";
  const at = server.host.startsWith("/")
    ? server.host
    : `${server.host}:${server.port}`;
  return `${quote(server.database)} at ${
    visible(at)
  } (PostgreSQL ${server.version}${pooler})`;
}

function painter(color: boolean): (code: number, text: string) => string {
  return (code, text) => color ? `\u001b[${code}m${text}\u001b[0m` : text;
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}
