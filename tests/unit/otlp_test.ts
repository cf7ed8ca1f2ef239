import { assertEquals } from "@std/assert";
import { complaintOf, exportRequest } from "../../src/report/otlp.ts";
import { hideNothing as hidden } from "../../src/text.ts";

const TRACE = {
  traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
  resource: { "service.name": hidden("a") },
  version: hidden("1.2.3"),
};

Deno.test("exportRequest() is OTLP in JSON", () => {
  const text = exportRequest(TRACE, [
    {
      id: "00f067aa0ba902b7",
      name: hidden("run"),
      kind: "internal",
      startMs: 1_795_877_349_701.5751,
      endMs: 1_795_877_349_943,
      attributes: { number: 2 ** 40, text: hidden("b") },
    },
    {
      id: "00f067aa0ba902b8",
      parentId: "00f067aa0ba902b7",
      name: hidden("select"),
      kind: "client",
      // A clock that goes back ends nothing before it began.
      startMs: 5_000,
      endMs: 4_000,
      attributes: {},
      error: hidden("no"),
    },
  ]);

  assertEquals(JSON.parse(text), {
    resourceSpans: [{
      resource: {
        attributes: [{ key: "service.name", value: { stringValue: "a" } }],
      },
      scopeSpans: [{
        scope: { name: "battlescope-migrate", version: "1.2.3" },
        spans: [
          {
            traceId: TRACE.traceId,
            spanId: "00f067aa0ba902b7",
            flags: 0x101,
            name: "run",
            kind: 1,
            startTimeUnixNano: "1795877349701575000",
            endTimeUnixNano: "1795877349943000000",
            attributes: [
              { key: "number", value: { intValue: "1099511627776" } },
              { key: "text", value: { stringValue: "b" } },
            ],
            status: {},
          },
          {
            traceId: TRACE.traceId,
            spanId: "00f067aa0ba902b8",
            parentSpanId: "00f067aa0ba902b7",
            flags: 0x101,
            name: "select",
            kind: 3,
            startTimeUnixNano: "5000000000",
            endTimeUnixNano: "5000000000",
            attributes: [],
            status: { code: 2, message: "no" },
          },
        ],
      }],
    }],
  });
});

Deno.test("exportRequest() puts the run, and nothing else, under the span of somebody else", () => {
  const span = {
    name: hidden("a"),
    kind: "internal",
    startMs: 1,
    endMs: 2,
    attributes: {},
  } as const;
  const text = exportRequest({
    ...TRACE,
    parentId: "00f067aa0ba902b7",
    state: hidden("a=b"),
  }, [
    { ...span, id: "0000000000000001" },
    { ...span, id: "0000000000000002", parentId: "0000000000000001" },
  ]);

  const [{ scopeSpans: [{ spans }] }] = JSON.parse(text).resourceSpans;
  assertEquals(
    spans.map((
      { parentSpanId, flags, traceState }: Record<string, unknown>,
    ) => [parentSpanId, flags, traceState]),
    [["00f067aa0ba902b7", 0x301, "a=b"], ["0000000000000001", 0x101, "a=b"]],
  );
});

Deno.test("complaintOf() says what is wrong with an answer, and nothing of a good one", () => {
  const partial = (value: unknown) => JSON.stringify({ partialSuccess: value });
  const cases: [number, string, string | undefined][] = [
    [200, "", undefined],
    [200, "{}", undefined],
    [200, "no JSON", undefined],
    [200, "null", undefined],
    [200, partial({}), undefined],
    [200, partial(null), undefined],
    [200, partial({ rejectedSpans: "0", errorMessage: "" }), undefined],
    [
      200,
      partial({ rejectedSpans: "1", errorMessage: "too old" }),
      "Cannot send all traces to c:1: it has rejected 1 span: too old",
    ],
    [
      200,
      partial({ rejectedSpans: 3 }),
      "Cannot send all traces to c:1: it has rejected 3 spans",
    ],
    [
      200,
      partial({ errorMessage: "use /v2\n" }),
      "The traces are at c:1: use /v2\\u000a",
    ],
    [500, "", "Cannot send traces to c:1: it answers 500"],
    [
      401,
      '{"code":16,"message":"no token"}',
      "Cannot send traces to c:1: it answers 401: no token",
    ],
    [
      307,
      "",
      "Cannot send traces to c:1: it answers 307, which is not followed elsewhere",
    ],
    [202, "", undefined],
  ];
  for (const [status, body, expected] of cases) {
    assertEquals(complaintOf("c:1", status, body), expected, body);
  }
});
