/**
 * Sends what a run came to, as spans, to a collector of OpenTelemetry. Nothing depends on it: what goes wrong is told.
 *
 * Loaded where the environment names a collector, and by no other run.
 *
 * @module
 */
import type { CommandName } from "../cli/options.ts";
import { NamedFiles, SYSTEM_AUTHORITIES } from "../cli/named_files.ts";
import {
  readTraceSettings,
  type TraceSettings,
} from "../cli/trace_settings.ts";
import type { Environment } from "../cli/environment.ts";
import { PROGRAM, VERSION } from "../cli/version.ts";
import { InterruptedError } from "../errors.ts";
import type { Migration } from "../plan/migration.ts";
import type { Event } from "../report/events.ts";
import {
  complaintOf,
  exportRequest,
  isTaken,
  type Trace,
} from "../report/otlp.ts";
import type { Span } from "../report/span.ts";
import { type RunEnd, Tracer } from "../report/spans.ts";
import { formatDuration, type Hide, hideNothing, visible } from "../text.ts";
import { abortable } from "../waits.ts";
import { readText } from "./files.ts";

// What a migration does to the globals must not reach what the program says of it.
const { fetch, AbortSignal, Headers, TextEncoder, TextDecoder } = globalThis;

/** How long a run may last longer for it, in milliseconds; and one that was asked to stop. */
const LIMIT_MS = 2_000;
const STOPPED_LIMIT_MS = 500;

/** How many spans go into one request, as OpenTelemetry's own exporters have it. */
const BATCH = 512;

/** How much of an answer is read, in bytes. */
const ANSWER_LIMIT = 16 * 1_024;

export interface TracesOptions {
  readonly env: Environment;
  readonly command: CommandName;
  readonly runId: string;
  /** Whether statements get spans of their own. */
  readonly statements: boolean;
  readonly migrations: readonly Migration[];
  readonly host: () => string | null;
  readonly hide: Hide;
  readonly stop: AbortSignal;
  readonly report: (event: Event) => void;
}

/** The traces of a run. */
export interface Traces {
  /** Takes what happened. */
  readonly on: (event: Event) => void;
  /** Sends them; reports it if that fails, and never rejects. */
  readonly send: (end: RunEnd) => Promise<void>;
}

/** Begins to trace, if the rest of the variables lets it; what they ask for in vain is reported. */
export function openTraces(options: TracesOptions): Traces | undefined {
  const { env, migrations, report } = options;
  const { settings, notes } = readTraceSettings(env);
  for (const message of notes) report({ event: "warning", message });
  if (settings === undefined) return undefined;
  const checksums = new Map(
    migrations.map(({ name, checksum }) => [name, checksum]),
  );
  const tracer = new Tracer({
    ...options,
    pid: Deno.pid,
    checksumOf: (name) => checksums.get(name),
    now: () => performance.timeOrigin + performance.now(),
    newId: () => randomHex(8),
  });
  let broken: unknown;
  return {
    on: (event) => {
      if (broken !== undefined) return;
      try {
        tracer.on(event);
      } catch (error) {
        broken = error;
      }
    },
    async send(end) {
      const message = broken === undefined
        ? await sendSpans(settings, () => tracer.end(end), options)
        : `Cannot send traces: ${reasonOf(broken, settings)}`;
      if (message !== undefined) report({ event: "warning", message });
    },
  };
}

/** @returns what there is to say of it, in one sentence; nothing when everything has arrived */
async function sendSpans(
  settings: TraceSettings,
  end: () => readonly Span[],
  options: TracesOptions,
): Promise<string | undefined> {
  const { stop } = options;
  const { collector } = settings;
  const limitMs = stop.aborted ? STOPPED_LIMIT_MS : LIMIT_MS;
  const over = AbortSignal.timeout(limitMs);
  // What stopped the work was not meant for this; what comes now is.
  const signal = stop.aborted ? over : AbortSignal.any([over, stop]);
  try {
    const spans = end();
    const trace = traceOf(settings, options);
    using client = await abortable(httpClient(settings, options.env), signal);
    let complaint: string | undefined;
    for (let i = 0; i < spans.length; i += BATCH) {
      const body = exportRequest(trace, spans.slice(i, i + BATCH));
      const answer = await post(settings, client, body, signal);
      complaint ??= complaintOf(collector, answer.status, answer.body);
      if (!isTaken(answer.status)) break;
    }
    return complaint;
  } catch (error) {
    const reason = over.aborted
      ? `it takes longer than ${formatDuration(limitMs)}`
      : reasonOf(error, settings);
    return `Cannot send traces to ${collector}: ${reason}`;
  }
}

function traceOf(
  { parent, resource }: TraceSettings,
  { hide, host }: TracesOptions,
): Trace {
  const name = host();
  const attributes = {
    "service.name": PROGRAM,
    "service.version": VERSION,
    ...(name !== null && { "host.name": name }),
    ...resource,
  };
  return {
    traceId: parent?.traceId ?? randomHex(16),
    ...(parent && { parentId: parent.spanId }),
    ...(parent?.state !== undefined && { state: hide(parent.state) }),
    resource: Object.fromEntries(
      Object.entries(attributes).map((
        [key, value],
      ) => [hide(visible(key)), hide(visible(value))]),
    ),
    version: hideNothing(VERSION),
  };
}

/** A client that trusts the authority that is named, or those of the system. */
async function httpClient(
  { url, certificate }: TraceSettings,
  env: Environment,
): Promise<Deno.HttpClient | undefined> {
  if (url.startsWith("http:")) return undefined;
  const named = certificate ??
    (env.SSL_CERT_FILE
      ? { text: env.SSL_CERT_FILE, source: "SSL_CERT_FILE" }
      : undefined);
  const authorities = named === undefined
    ? await systemAuthorities()
    : await readAuthority(named.text, named.source);
  return Deno.createHttpClient({
    ...(authorities !== undefined && { caCerts: [authorities] }),
  });
}

async function readAuthority(path: string, source: string): Promise<string> {
  const { value, faults } = await new NamedFiles(readText)
    .readPem(path, source, "certificate");
  if (value === undefined) throw new Error(faults[0]);
  return value;
}

async function systemAuthorities(): Promise<string | undefined> {
  for (const path of SYSTEM_AUTHORITIES) {
    const text = await readText(path).catch(() => undefined);
    if (text !== undefined) return text;
  }
  return undefined;
}

async function post(
  { url, headers }: TraceSettings,
  client: Deno.HttpClient | undefined,
  body: string,
  signal: AbortSignal,
): Promise<{ readonly status: number; readonly body: string }> {
  const all = new Headers();
  for (const [name, value] of headers) all.set(name, value);
  all.set("content-type", "application/json");
  all.set("user-agent", `${PROGRAM}/${VERSION}`);
  const response = await fetch(url, {
    method: "POST",
    headers: all,
    body: new TextEncoder().encode(body),
    // The headers, and what is sent, are for nobody else.
    redirect: "manual",
    signal,
    ...(client && { client }),
  });
  return { status: response.status, body: await beginningOf(response) };
}

/** As much of the answer as anybody wants to know. */
async function beginningOf({ body }: Response): Promise<string> {
  if (body === null) return "";
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let text = "";
  for (let left = ANSWER_LIMIT; left > 0;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    text += decoder.decode(value, { stream: true });
    left -= value.length;
  }
  // One that has no end is left to itself; that it was cancelled nobody has to wait for.
  reader.cancel().catch(() => {});
  return text;
}

/** The words of the runtime, without the URL, which may hold a key. */
function reasonOf(error: unknown, { url, collector }: TraceSettings): string {
  if (error instanceof InterruptedError) return error.message;
  if (!(error instanceof Error)) return String(error);
  const { message } = error.cause instanceof Error ? error.cause : error;
  return visible(
    message.replaceAll(url, collector)
      .replace(/^error sending request for url \([^)]*\): /, "")
      .replace(/^client error \(\w+\): /, ""),
  );
}

function randomHex(bytes: number): string {
  const random = crypto.getRandomValues(new Uint8Array(bytes));
  // All zeros is no id.
  return random.every((byte) => byte === 0)
    ? randomHex(bytes)
    : Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
