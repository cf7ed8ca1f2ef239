/**
 * Spans as OTLP has them in JSON: ids in hexadecimal, enums as numbers, integers of 64 bits as strings
 * (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding); and what a collector answers.
 *
 * @module
 */
import { PROGRAM } from "../cli/version.ts";
import { type HiddenText, visible } from "../text.ts";
import type { Attributes, Span } from "./span.ts";
import { count } from "./wording.ts";

// What a migration does to the globals must not reach what the program says of it.
const { parse, stringify } = JSON;

/** What all spans of a run have in common. */
export interface Trace {
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** The span of somebody else that the run is a part of: 16 hexadecimal digits. */
  readonly parentId?: string;
  /** As W3C's `tracestate`. */
  readonly state?: HiddenText;
  /** Who says it. */
  readonly resource: Attributes;
  /** The version of what has made the spans. */
  readonly version: HiddenText;
}

/** `SpanKind` and `Status.StatusCode` of the protocol. */
const KIND = { internal: 1, client: 3 } as const;
const ERROR = 2;

/** `SpanFlags`: recorded; it is known whether the parent is in another process; and it is. */
const RECORDED = 0x1;
const PARENT_IS_KNOWN = 0x100;
const PARENT_IS_REMOTE = 0x200;

/** The body of a request that brings the spans. */
export function exportRequest(trace: Trace, spans: readonly Span[]): string {
  return stringify({
    resourceSpans: [{
      resource: { attributes: keyValues(trace.resource) },
      scopeSpans: [{
        scope: { name: PROGRAM, version: trace.version },
        spans: spans.map((span) => spanOf(trace, span)),
      }],
    }],
  });
}

function spanOf(
  { traceId, parentId: foreign, state }: Trace,
  { id, parentId, name, kind, startMs, endMs, attributes, error }: Span,
) {
  const parent = parentId ?? foreign;
  const isRemote = parentId === undefined && foreign !== undefined;
  return {
    traceId,
    spanId: id,
    ...(state !== undefined && { traceState: state }),
    ...(parent !== undefined && { parentSpanId: parent }),
    flags: RECORDED | PARENT_IS_KNOWN | (isRemote ? PARENT_IS_REMOTE : 0),
    name,
    kind: KIND[kind],
    startTimeUnixNano: nanos(startMs),
    endTimeUnixNano: nanos(Math.max(startMs, endMs)),
    attributes: keyValues(attributes),
    status: error === undefined ? {} : { code: ERROR, message: error },
  };
}

/** More than microseconds no clock here knows, and a number of JavaScript holds that many. */
function nanos(ms: number): string {
  return `${Math.round(ms * 1_000)}000`;
}

function keyValues(attributes: Attributes) {
  return Object.entries(attributes).map(([key, value]) => ({
    key,
    value: typeof value === "number"
      ? { intValue: String(value) }
      : { stringValue: value },
  }));
}

/**
 * What there is to say of an answer, in one sentence; nothing when all is well. What it repeats of it is the collector's.
 *
 * @param collector where it is
 */
export function complaintOf(
  collector: string,
  status: number,
  body: string,
): string | undefined {
  const value = objectOf(body);
  if (!isTaken(status)) {
    const isElsewhere = status >= 300 && status < 400;
    const why = isElsewhere ? ", which is not followed elsewhere" : "";
    return `Cannot send traces to ${collector}: it answers ${status}${why}${
      textOf(value.message)
    }`;
  }
  const { partialSuccess } = value;
  if (!isObject(partialSuccess)) return undefined;
  const said = textOf(partialSuccess.errorMessage);
  const rejected = Number(partialSuccess.rejectedSpans ?? 0);
  if (rejected > 0) {
    return `Cannot send all traces to ${collector}: it has rejected ${
      count(rejected, "span")
    }${said}`;
  }
  return said === "" ? undefined : `The traces are at ${collector}${said}`;
}

/** Whether an answer says that the spans have arrived; some collectors say so with another number than 200. */
export function isTaken(status: number): boolean {
  return status >= 200 && status < 300;
}

/** The longest that is repeated of what a collector says, in characters. */
const SAID_LIMIT = 200;

function textOf(value: unknown): string {
  return typeof value === "string" && value !== ""
    ? `: ${visible(value.slice(0, SAID_LIMIT))}`
    : "";
}

/** What is no object of JSON says nothing. */
function objectOf(body: string): Readonly<Record<string, unknown>> {
  try {
    const value = parse(body);
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
