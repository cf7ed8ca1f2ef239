/**
 * Where traces go, what trace they are part of, and what they say of this program: read from OpenTelemetry's variables
 * (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).
 *
 * What is wrong with them is no reason not to migrate: it is told, and never repeats a value that may be a secret.
 *
 * @module
 */
import { quoteValue } from "../text.ts";
import {
  exporterVariable,
  readPairs,
  type Sourced,
} from "./trace_variables.ts";
import type { Environment } from "./environment.ts";

/** The span of somebody else that this run is a part of, as W3C writes it. */
export interface TraceParent {
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** 16 hexadecimal digits. */
  readonly spanId: string;
  /** A byte; its lowest bit says that the trace is recorded. */
  readonly flags: number;
  /** What others have noted about the trace. */
  readonly state: string | undefined;
}

export interface TraceSettings {
  /** Where the traces are sent; it may hold a key. */
  readonly url: string;
  /** The same for a message: `collector:4318`. */
  readonly collector: string;
  /** They may be secrets. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** The path of the authority to trust. */
  readonly certificate: Sourced | undefined;
  readonly parent: TraceParent | undefined;
  /** What is said of this program, beside what it says itself; it wins. */
  readonly resource: Readonly<Record<string, string>>;
}

/** What was read; without settings nothing is sent. */
export interface ReadTraceSettings {
  readonly settings?: TraceSettings;
  /** What the variables ask for and does not happen, one sentence each. */
  readonly notes: readonly string[];
}

/** Reads the variables, one of which says where traces go. */
export function readTraceSettings(env: Environment): ReadTraceSettings {
  const endpoint = readEndpoint(exporterVariable(env, "ENDPOINT")!);
  if (typeof endpoint === "string") {
    return { notes: [`Cannot send traces: ${endpoint}`] };
  }
  const parent = parseTraceParent(env.TRACEPARENT?.trim(), env.TRACESTATE);
  // Whoever began the trace has decided for all of its parts:
  // https://opentelemetry.io/docs/specs/otel/trace/sdk/#parentbased
  if (parent !== undefined && (parent.flags & 1) === 0) return { notes: [] };
  const headers = readHeaders(exporterVariable(env, "HEADERS"));
  const protocol = exporterVariable(env, "PROTOCOL");
  const notes = [...headers.notes];
  if (protocol !== undefined && protocol.text.trim() !== "http/json") {
    notes.push(
      `${protocol.source} is ${
        quoteValue(protocol.text)
      }: traces are sent as http/json all the same`,
    );
  }
  if (env.TRACEPARENT && parent === undefined) {
    notes.push("TRACEPARENT is not valid: this run is a trace of its own");
  }
  return {
    settings: {
      ...endpoint,
      headers: headers.pairs,
      certificate: exporterVariable(env, "CERTIFICATE"),
      parent,
      resource: readResource(env),
    },
    notes,
  };
}

/** @returns what is wrong with it, or what was read */
function readEndpoint(
  { text, source }: Sourced,
): Pick<TraceSettings, "url" | "collector"> | string {
  const url = URL.parse(text.trim());
  if (url === null || !/^https?:$/.test(url.protocol)) {
    return `${source} is no URL that begins with http:// or https://`;
  }
  if (url.username !== "" || url.password !== "") {
    return `${source} holds a user or a password, which belong into OTEL_EXPORTER_OTLP_HEADERS`;
  }
  if (source === "OTEL_EXPORTER_OTLP_ENDPOINT") {
    url.pathname = `${url.pathname.replace(/\/+$/, "")}/v1/traces`;
  }
  url.hash = "";
  return { url: url.href, collector: url.host };
}

/** A name of a header, and a value, as HTTP has them: https://www.rfc-editor.org/rfc/rfc9110#section-5 */
const HEADER_NAME = /^[\w!#$%&'*+.^`|~-]+$/;
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

function readHeaders(variable: Sourced | undefined): {
  readonly pairs: readonly (readonly [string, string])[];
  readonly notes: readonly string[];
} {
  const notes: string[] = [];
  const pairs = readPairs(variable?.text ?? "").flatMap(
    ({ name, value }, i) => {
      if (
        value !== undefined && HEADER_NAME.test(name) &&
        HEADER_VALUE.test(value)
      ) return [[name, value] as const];
      notes.push(
        `${variable!.source}: entry ${i + 1} is no header, and is left out`,
      );
      return [];
    },
  );
  return { pairs, notes };
}

/** What is not a pair is no attribute. */
function readResource(env: Environment): Record<string, string> {
  const attributes = readPairs(env.OTEL_RESOURCE_ATTRIBUTES ?? "")
    .flatMap(({ name, value }) => value === undefined ? [] : [[name, value]]);
  return {
    ...Object.fromEntries(attributes),
    ...(env.OTEL_SERVICE_NAME && { "service.name": env.OTEL_SERVICE_NAME }),
  };
}

/** A later version may add to the end of it: https://www.w3.org/TR/trace-context/#versioning-of-traceparent */
const TRACE_PARENT =
  /^(?<version>[\da-f]{2})-(?<traceId>[\da-f]{32})-(?<spanId>[\da-f]{16})-(?<flags>[\da-f]{2})(?<rest>-.*)?$/;

/** The longest text of that kind which everybody passes on, in characters. */
const STATE_LIMIT = 512;

function parseTraceParent(
  text: string | undefined,
  state: string | undefined,
): TraceParent | undefined {
  const { version, traceId, spanId, flags, rest } =
    TRACE_PARENT.exec(text ?? "")?.groups ?? {};
  if (
    version === undefined || version === "ff" ||
    (version === "00" && rest !== undefined) ||
    /^0+$/.test(traceId!) || /^0+$/.test(spanId!)
  ) return undefined;
  const isState = state !== undefined && state.length <= STATE_LIMIT &&
    /^[\x20-\x7e]+$/.test(state);
  return {
    traceId: traceId!,
    spanId: spanId!,
    flags: parseInt(flags!, 16),
    state: isState ? state : undefined,
  };
}
