/**
 * A stand-in for a collector of OpenTelemetry: an HTTP server that keeps what it is sent, and checks that it is OTLP in JSON
 * (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding).
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";

/** A span as it arrived, with its attributes as an object. */
export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly traceState?: string;
  readonly flags: number;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: Readonly<Record<string, string | number>>;
  readonly status: { readonly code?: number; readonly message?: string };
}

/** A request as it arrived. */
export interface ReceivedRequest {
  readonly path: string;
  readonly headers: Headers;
  readonly text: string;
}

export interface Collector extends AsyncDisposable {
  readonly url: string;
  /** As a message names it. */
  readonly place: string;
  readonly requests: readonly ReceivedRequest[];
  /** All that arrived. */
  spans(): ReceivedSpan[];
  /** What was said of who has sent it. */
  resource(): Readonly<Record<string, unknown>>;
}

export interface CollectorOptions {
  /** @default {200 and an empty object} */
  readonly answer?: (request: ReceivedRequest) => Response | Promise<Response>;
  /** PEM texts; then it speaks TLS. */
  readonly tls?: { readonly cert: string; readonly key: string };
}

/** Starts one on a free port. */
export function startCollector(
  { answer = () => Response.json({}), tls }: CollectorOptions = {},
): Collector {
  const requests: ReceivedRequest[] = [];
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {}, ...tls },
    async (request) => {
      const { pathname, search } = new URL(request.url);
      const received = {
        path: pathname + search,
        headers: request.headers,
        text: await request.text(),
      };
      requests.push(received);
      return await answer(received);
    },
  );
  const { port } = server.addr;
  // A certificate is for a name.
  const place = `${tls === undefined ? "127.0.0.1" : "localhost"}:${port}`;
  return {
    url: `${tls === undefined ? "http" : "https"}://${place}`,
    place,
    requests,
    spans: () => requests.flatMap(({ text }) => readRequest(text).spans),
    resource: () => readRequest(requests[0]!.text).resource,
    [Symbol.asyncDispose]: async () => await server.shutdown(),
  };
}

/** Reads the body of a request. Fails where it is not what the protocol wants. */
export function readRequest(text: string): {
  readonly resource: Readonly<Record<string, unknown>>;
  readonly spans: readonly ReceivedSpan[];
} {
  const request = JSON.parse(text);
  assertNames(request);
  assertEquals(Object.keys(request), ["resourceSpans"]);
  const [{ resource, scopeSpans }, ...others] = request.resourceSpans;
  assertEquals(others, []);
  assertEquals(scopeSpans.length, 1);
  assertEquals(scopeSpans[0].scope.name, "battlescope-migrate");
  return {
    resource: valuesOf(resource.attributes),
    spans: scopeSpans[0].spans.map(readSpan),
  };
}

const ID = /^(?!0+$)[\da-f]{16}$/;

// deno-lint-ignore no-explicit-any -- it comes from outside, and is checked here
function readSpan(span: any): ReceivedSpan {
  assertMatch(span.traceId, /^(?!0+$)[\da-f]{32}$/);
  assertMatch(span.spanId, ID);
  if ("parentSpanId" in span) assertMatch(span.parentSpanId, ID);
  assert(span.name !== "");
  assert([1, 3].includes(span.kind), "kind");
  assert(Number.isInteger(span.flags), "flags");
  assertMatch(span.startTimeUnixNano, /^\d{19}$/);
  assertMatch(span.endTimeUnixNano, /^\d{19}$/);
  assert(
    BigInt(span.endTimeUnixNano) >= BigInt(span.startTimeUnixNano),
    `${span.name} ends before it begins`,
  );
  const { code } = span.status;
  assert(code === undefined || code === 2, "status");
  return { ...span, attributes: valuesOf(span.attributes) };
}

function valuesOf(
  attributes: readonly {
    readonly key: string;
    readonly value: Readonly<Record<string, unknown>>;
  }[],
): Record<string, string | number> {
  const keys = attributes.map(({ key }) => key);
  assertEquals(new Set(keys).size, keys.length, "an attribute is there twice");
  return Object.fromEntries(
    attributes.map(({ key, value }) => [key, valueOf(value)]),
  );
}

function valueOf(
  value: Readonly<Record<string, unknown>>,
): string | number {
  assertEquals(Object.keys(value).length, 1);
  const { stringValue, intValue } = value;
  if (typeof stringValue === "string") return stringValue;
  assertMatch(String(intValue), /^-?\d+$/);
  assertEquals(typeof intValue, "string");
  return Number(intValue);
}

/** Every name of a field is in lowerCamelCase. */
function assertNames(value: unknown): void {
  if (typeof value !== "object" || value === null) return;
  for (const [name, member] of Object.entries(value)) {
    assert(Array.isArray(value) || /^[a-z][a-zA-Z]*$/.test(name), name);
    assertNames(member);
  }
}
