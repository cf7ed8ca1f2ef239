/**
 * What a span is, and what it says of a database and of a run.
 *
 * Names of attributes are OpenTelemetry's own (https://opentelemetry.io/docs/specs/semconv/db/postgresql/,
 * https://opentelemetry.io/docs/specs/semconv/cli/cli-spans/) or begin with {@link OWN}.
 *
 * @module
 */
import { type HiddenText, type Hide, hideNothing, visible } from "../text.ts";
import type { ServerInfo, Summary } from "./events.ts";

/** With this the names of the program's own attributes begin. */
export const OWN = "battlescope.migrate.";

/** Texts have lost what is secret. Numbers are integers. */
export type Attributes = Record<string, HiddenText | number>;

/** Something that took a while. */
export interface Span {
  /** 16 hexadecimal digits. */
  readonly id: string;
  /** Missing for the run itself. */
  readonly parentId?: string;
  readonly name: HiddenText;
  /** A call of the server, or work of the program's own. */
  readonly kind: "client" | "internal";
  /** Milliseconds since 1970, with fractions. */
  readonly startMs: number;
  endMs: number;
  readonly attributes: Attributes;
  /** Why it failed. */
  error?: HiddenText;
}

/** Where the work is done; the schema is that of the history when the connection was made. */
export function databaseAttributes(
  { host, port, database, schema }: ServerInfo,
  hide: Hide,
): Attributes {
  const namespace = schema === null ? database : `${database}|${schema}`;
  return {
    "db.system.name": hideNothing("postgresql"),
    "db.namespace": hide(visible(namespace)),
    "server.address": hide(visible(host)),
    // A Unix socket has none.
    ...(!host.startsWith("/") && { "server.port": port }),
  };
}

/** What a run came to; of what there is none nothing is said. */
export function summaryAttributes(summary: Summary): Attributes {
  const counts = {
    applied: summary.applied,
    rolled_back: summary.rolledBack,
    recorded: summary.recorded,
    not_run: summary.notRun,
    unfinished: summary.unfinished,
    unknown: summary.unknown,
    open: summary.open ?? 0,
  };
  return {
    ...Object.fromEntries(
      Object.entries(counts).filter(([, count]) => count > 0)
        .map(([name, count]) => [OWN + name, count]),
    ),
    ...(summary.outcome !== undefined &&
      { [`${OWN}outcome`]: hideNothing(summary.outcome) }),
  };
}
