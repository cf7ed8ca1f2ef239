/**
 * Events → lines of text or JSON. Nothing is written here.
 *
 * @module
 */
import type { OutputConfig } from "../cli/config.ts";
import {
  formatDuration,
  type HiddenText,
  type Hide,
  painter,
  RED,
  visible,
  YELLOW,
} from "../text.ts";
import { controlText, progressText as fillText } from "./backfill_wording.ts";
import type { Event, RecordAction } from "./events.ts";
import { failureLines, failureOf } from "./failure.ts";
import {
  blockerText,
  count,
  holderText,
  progressText,
  serverText,
  summaryText,
  workText,
} from "./wording.ts";
import { statusJson, statusLines } from "./status_table.ts";

// What a migration does to the globals must not reach the program's own output.
const { stringify } = JSON;

/** A line and where it goes. */
export interface Line {
  readonly stream: "stdout" | "stderr";
  readonly text: HiddenText;
}

export interface RenderOptions extends OutputConfig {
  /** The wall clock of this machine. */
  readonly at: Date;
  /** `false` for a command whose JSON is one object: what happens on the way is no part of it. */
  readonly stream: boolean;
  /** How wide the terminal is that shows standard output, in characters; missing where it is none. */
  readonly columns?: number;
  /** Replaces the password where a text holds it. */
  readonly hide: Hide;
}

/** Renders one event; many give no line at all. */
export function render(event: Event, options: RenderOptions): readonly Line[] {
  const text = textLines(event, options).map(({ stream, text }) => ({
    stream,
    text: options.hide(text),
  }));
  if (options.format === "text") return text;
  // A person who watches a JSON run still finds what it waits for, and why it failed, on stderr.
  const notes = text.filter(({ stream }) => stream === "stderr");
  const json = options.stream || event.event === "status" ||
      event.event === "verified" || event.event === "forecast"
    ? jsonOf(event, options)
    : undefined;
  return json === undefined
    ? notes
    : [...notes, { stream: "stdout", text: jsonLine(json, options.hide) }];
}

const RECORDED: Readonly<Record<RecordAction, string>> = {
  baseline: "Recorded",
  accept_checksum: "Accepted the checksum of",
  retry: "Ready to be applied again:",
  mark_applied: "Marked as applied:",
};

/** A line whose text may still hold a secret. */
type RawLine = Omit<Line, "text"> & { readonly text: string };

function textLines(event: Event, options: RenderOptions): RawLine[] {
  const paint = painter(options.color);
  const note = (text: string): RawLine[] =>
    options.verbosity === "quiet" ? [] : [{ stream: "stderr", text }];
  const result = (text: string): RawLine[] => [{ stream: "stdout", text }];
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
    case "waiting_for_backfill":
      return note(
        `Waiting for the backfill ${visible(event.migration)}, ${
          formatDuration(event.leftMs)
        } left: ${event.reason}`,
      );
    case "backfill_progress":
      return note(`${visible(event.migration)}: ${fillText(event)}`);
    case "backfill_controlled":
      return result(controlText(event));
    case "backfill_held":
      return note(
        `Holding ${visible(event.migration)}: ${visible(event.reason)}`,
      );
    case "backfill_retried":
      return note(
        `Trying ${visible(event.migration)} again with ${
          count(event.rows, "row")
        }: ${visible(event.reason)}`,
      );
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
      return [
        `Would ${event.direction === "up" ? "apply" : "roll back"} ${
          visible(event.migration)
        }`,
        ...event.forecast?.lines ?? [],
      ].flatMap(result);
    case "started":
      return note(
        `${event.direction === "up" ? "Applying" : "Rolling back"} ${
          visible(event.migration)
        } (${event.number} of ${event.total})`,
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
        }${event.work === undefined ? "" : ` (${workText(event.work)})`}`,
      );
    case "quiet":
      return note(
        `The ${event.direction} function of ${
          visible(event.migration)
        } has sent nothing for ${
          formatDuration(event.quietMs)
        }: it is waited for`,
      );
    case "retrying":
      return note(
        `Trying again in ${formatDuration(event.waitMs)}, ${
          formatDuration(event.leftMs)
        } left: ${visible(event.reason)}`,
      );
    case "applied":
      return result(
        `Applied ${visible(event.migration)} (${
          formatDuration(event.durationMs)
        })`,
      );
    case "rolled_back":
      return result(
        `Rolled back ${visible(event.migration)} (${
          formatDuration(event.durationMs)
        })`,
      );
    case "recorded":
      return result(`${RECORDED[event.action]} ${visible(event.migration)}`);
    case "outcome":
      // The error and the summary say it to a person.
    case "transaction_begun":
    case "transaction_ended":
      return [];
    case "status":
      return statusLines(event, options).flatMap(result);
    case "verified":
    case "forecast":
      return event.lines.flatMap(result);
    case "failed":
      return failureLines(event.error, options.hide).map((line, i) => ({
        stream: "stderr",
        text: i === 0 || !line.startsWith(" ")
          ? `${paint(RED, "error:")} ${line}`
          : line,
      }));
    case "summary":
      return [{
        stream: event.summary.failed ? "stderr" : "stdout",
        text: summaryText(event.summary) +
          (event.reason === undefined ? "" : `; reason: ${event.reason}`),
      }];
  }
}

function jsonOf(
  event: Event,
  options: RenderOptions,
): Readonly<Record<string, unknown>> | undefined {
  const { event: name, ...rest } = event;
  const named = { event: name, at: options.at.toISOString() };
  switch (event.event) {
    case "statement":
    case "notice":
      return options.verbosity === "verbose"
        ? { ...named, ...rest }
        : undefined;
    case "transaction_begun":
    case "transaction_ended":
      return undefined;
    case "status":
      return statusJson(event);
    case "verified":
    case "forecast":
      return event.value;
    case "applied":
    case "rolled_back":
    case "recorded":
      return { ...named, ...rest, outcome: "committed" };
    case "failed":
      return {
        ...named,
        ...failureOf(event.error),
        ...(event.outcome && { outcome: event.outcome }),
      };
    case "summary":
      return { ...named, ...event.summary };
    case "planned": {
      const { direction, migration, forecast } = event;
      return { ...named, direction, migration, ...forecast?.value };
    }
    default:
      return { ...named, ...rest };
  }
}

/** One line of JSON that no terminal acts on. Only texts are searched for the password: a number that looks like it stays. */
function jsonLine(value: unknown, hide: Hide): HiddenText {
  const json = stringify(
    value,
    (_, one) => typeof one === "string" ? hide(one) : one,
  );
  return json.replace(
    /[\p{Cc}\p{Cf}\u2028\u2029]/gu,
    (character) =>
      character.split("").map((unit) =>
        `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`
      ).join(""),
    // Each text in it is hidden, and what is made of it here are escapes of JSON.
  ) as HiddenText;
}
