/**
 * Values in the words of a message: who holds a lock, which server, what a run came to.
 *
 * @module
 */
import { bytesText, rangeText } from "./amounts.ts";
import { addressText, formatDuration, quote, visible } from "../text.ts";
import type {
  Blocker,
  LockHolder,
  Progress,
  ServerInfo,
  StatementProgress,
  Summary,
} from "./events.ts";

/** The database that a command has looked at, as JSON has it. */
export function databaseJson(
  { host, port, database, version }: ServerInfo,
): Record<string, unknown> {
  return { host, port, name: database, serverVersion: version };
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

export function blockerText(blocker: Blocker): string {
  const { pid, application, user, state, ageMs, query } = blocker;
  const age = ageMs === undefined
    ? ""
    : `, its transaction is ${formatDuration(ageMs)} old`;
  const who = `${visible(application || "unnamed")}, user ${visible(user)}`;
  return `blocked by backend ${pid} (${who}, ${
    visible(state || "state hidden")
  }${age}): ${visible(query)}`;
}

export function progressText(progress: Progress): string {
  const { phase, percent, tuplesDone, tuplesTotal } = progress;
  const tuples = tuplesTotal > 0
    ? `, ${tuplesDone} of ${tuplesTotal} tuples`
    : tuplesDone > 0
    ? `, ${count(tuplesDone, "tuple")}`
    : "";
  return `${visible(phase)}${
    percent === undefined ? "" : `, ${percent} %`
  }${tuples}`;
}

/** What a statement was recorded to do, and how far that is. */
export function workText(work: StatementProgress): string {
  const { kind, tables, bytes, writtenBytes: written, expected } = work;
  const size = bytes === null ? undefined : bytesText(bytes);
  const what = `${WORKS[kind]} ${tables.map(visible).join(", ")}`;
  const far = written === undefined
    ? size && `${kind === "rewrites" ? "about " : ""}${size}`
    : size === undefined || written > bytes!
    ? `written about ${bytesText(written)}${
      size === undefined ? "" : `, more than the ${size} that it was to be`
    }`
    : `written about ${bytesText(written)} of ${size}`;
  const time = expected && `expected ${rangeText(expected)}`;
  return [what, [far, time].filter(Boolean).join(", ")].filter(Boolean)
    .join(": ");
}

const WORKS: Readonly<Record<StatementProgress["kind"], string>> = {
  rewrites: "rewrites",
  reads: "reads",
  builds: "builds indexes of",
  changes: "changes rows of",
};

export function serverText(server: ServerInfo): string {
  const pooler = server.pooled ? ", through a pooler" : "";
  return `${quote(server.database)} at ${
    visible(addressText(server))
  } (PostgreSQL ${visible(server.version)}${pooler})`;
}

/** The line that closes a run. */
export function summaryText(summary: Summary): string {
  const { applied, rolledBack, recorded, notRun, dryRun, open = 0 } = summary;
  const took = `in ${formatDuration(summary.durationMs)}`;
  if (summary.failed) {
    const { unfinished, unknown } = summary;
    const done = ([
      [applied, "applied"],
      [rolledBack, "rolled back"],
      [recorded, "recorded"],
      [unfinished, "left half-way"],
      [unknown, "unknown"],
      [open, "left open"],
    ] as const).flatMap(([n, what]) =>
      n > 0 ? [`${count(n, "migration")} ${what}`] : []
    );
    const rest = notRun > 0 ? `, ${notRun} not run` : "";
    return `Failed ${took}: ${
      done.length > 0 ? done.join(", ") : "nothing was changed"
    }${rest}`;
  }
  if (summary.command === "backfill") return `Done ${took}`;
  if (dryRun) {
    return notRun > 0
      ? `Dry run: ${count(notRun, "migration")} would run, nothing was changed`
      : "Dry run: nothing to do";
  }
  if (recorded > 0) {
    const what = summary.command === "repair" ? "Repaired" : "Recorded";
    return `${what} ${count(recorded, "migration")} ${took}`;
  }
  if (applied > 0 && rolledBack > 0) {
    return `Rolled back ${
      count(rolledBack, "migration")
    } and applied ${applied} again ${took}`;
  }
  if (open > 0) {
    const done = applied > 0 ? `${count(applied, "migration")} applied, ` : "";
    const rest = notRun > 0 ? `, ${notRun} not run` : "";
    return `Stopped by --time-limit ${took}: ${done}${
      count(open, "backfill")
    } left open${rest}`;
  }
  if (applied > 0) return `Applied ${count(applied, "migration")} ${took}`;
  if (rolledBack > 0) {
    return `Rolled back ${count(rolledBack, "migration")} ${took}`;
  }
  if (summary.phase !== undefined) {
    return `Nothing to apply in the phase ${summary.phase}`;
  }
  return summary.to === undefined
    ? NOTHING[summary.command] ?? "Nothing to do"
    : `Nothing to apply up to ${visible(summary.to)}`;
}

const NOTHING: Readonly<Partial<Record<Summary["command"], string>>> = {
  up: "Nothing to apply: the database is up to date",
  down: "Nothing to roll back",
  redo: "Nothing to redo: no migration is applied",
  baseline: "Nothing to record: the history has these migrations already",
  repair: "Nothing to repair",
};

/** `1 migration`, `2 migrations`. */
export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}
