import { assertEquals } from "@std/assert";
import { readTraceSettings } from "../../src/cli/trace_settings.ts";
import { traceSecrets, wantsTraces } from "../../src/cli/trace_variables.ts";

const ENDPOINT = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318" };
const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN = "00f067aa0ba902b7";

Deno.test("wantsTraces() needs an endpoint, and nobody who forbids it", () => {
  const cases: [Record<string, string>, boolean][] = [
    [{}, false],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: "" }, false],
    [{ OTEL_SERVICE_NAME: "a", TRACEPARENT: "b" }, false],
    [ENDPOINT, true],
    [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "x" }, true],
    [{ ...ENDPOINT, OTEL_SDK_DISABLED: "true" }, false],
    [{ ...ENDPOINT, OTEL_SDK_DISABLED: "TRUE" }, false],
    [{ ...ENDPOINT, OTEL_SDK_DISABLED: "1" }, true],
    [{ ...ENDPOINT, OTEL_SDK_DISABLED: "" }, true],
    [{ ...ENDPOINT, OTEL_TRACES_EXPORTER: "none" }, false],
    [{ ...ENDPOINT, OTEL_TRACES_EXPORTER: "otlp" }, true],
  ];
  for (const [env, wanted] of cases) {
    assertEquals(wantsTraces(env), wanted, JSON.stringify(env));
  }
});

Deno.test("readTraceSettings() adds the path to the endpoint of all signals, and takes that of traces as it is", () => {
  const all = "OTEL_EXPORTER_OTLP_ENDPOINT";
  const traces = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
  const cases: [Record<string, string>, string, string][] = [
    [{ [all]: "http://c:4318" }, "http://c:4318/v1/traces", "c:4318"],
    [{ [all]: "http://c:4318/" }, "http://c:4318/v1/traces", "c:4318"],
    [{ [all]: " https://c/otlp// " }, "https://c/otlp/v1/traces", "c"],
    [{ [all]: "https://c/a?key=b#c" }, "https://c/a/v1/traces?key=b", "c"],
    [
      { [all]: "http://[::1]:4318" },
      "http://[::1]:4318/v1/traces",
      "[::1]:4318",
    ],
    [{ [traces]: "http://t/x?key=b" }, "http://t/x?key=b", "t"],
    [{ [traces]: "http://t", [all]: "http://c" }, "http://t/", "t"],
    [{ [traces]: "", [all]: "http://c" }, "http://c/v1/traces", "c"],
  ];
  for (const [env, url, collector] of cases) {
    const { settings, notes } = readTraceSettings(env);
    assertEquals([settings?.url, settings?.collector, notes], [
      url,
      collector,
      [],
    ]);
  }
});

Deno.test("readTraceSettings() says what is wrong with the endpoint, and never repeats it", () => {
  const no = "is no URL that begins with http:// or https://";
  const cases: [Record<string, string>, string][] = [
    ...["collector:4318", "secret", "grpc://c", "http://", "\ufffd"].map((
      text,
    ): [Record<string, string>, string] => [
      { OTEL_EXPORTER_OTLP_ENDPOINT: text },
      `OTEL_EXPORTER_OTLP_ENDPOINT ${no}`,
    ]),
    [
      { ...ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "collector:4318" },
      `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ${no}`,
    ],
    ...["http://me:secret@c", "http://secret@c"].map((
      text,
    ): [Record<string, string>, string] => [
      { OTEL_EXPORTER_OTLP_ENDPOINT: text },
      "OTEL_EXPORTER_OTLP_ENDPOINT holds a user or a password, which belong into OTEL_EXPORTER_OTLP_HEADERS",
    ]),
  ];
  for (const [env, fault] of cases) {
    assertEquals(readTraceSettings(env), {
      notes: [`Cannot send traces: ${fault}`],
    });
  }
});

Deno.test("readTraceSettings() reads headers as they are encoded, and leaves out what is none", () => {
  const cases: [string, [string, string][], number[]][] = [
    ["a=b", [["a", "b"]], []],
    [" a = b , c=d,, ", [["a", "b"], ["c", "d"]], []],
    [
      "authorization=Bearer%20x%2Cy%3D%3D",
      [["authorization", "Bearer x,y=="]],
      [],
    ],
    ["authorization=Basic dXNlcjpwdw==", [[
      "authorization",
      "Basic dXNlcjpwdw==",
    ]], []],
    ["a=100%", [["a", "100%"]], []],
    ["a=", [["a", ""]], []],
    ["secret", [], [1]],
    ["=secret,a=b", [["a", "b"]], [1]],
    ["a b=secret,c=d%0D%0Ae,f=g", [["f", "g"]], [1, 2]],
    ["a=%E2%82%AC", [], [1]],
  ];
  for (const [text, pairs, left] of cases) {
    const env = { ...ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS: text };
    const { settings, notes } = readTraceSettings(env);
    assertEquals(settings!.headers, pairs, text);
    assertEquals(
      notes,
      left.map((entry) =>
        `OTEL_EXPORTER_OTLP_HEADERS: entry ${entry} is no header, and is left out`
      ),
    );
  }
});

Deno.test("readTraceSettings() takes the headers of traces alone, where there are any", () => {
  const { settings } = readTraceSettings({
    ...ENDPOINT,
    OTEL_EXPORTER_OTLP_HEADERS: "authorization=a",
    OTEL_EXPORTER_OTLP_TRACES_HEADERS: "x-team=b",
  });
  assertEquals(settings!.headers, [["x-team", "b"]]);
});

Deno.test("traceSecrets() knows every value of a header, with and without its scheme, whatever is sent", () => {
  assertEquals(
    traceSecrets({
      OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20abc, x=100%, naked",
      OTEL_EXPORTER_OTLP_TRACES_HEADERS: "x=100%,y=z",
    }),
    ["100%", "z", "Bearer abc", "abc", "naked"],
  );
  assertEquals(traceSecrets({}), []);
});

Deno.test("readTraceSettings() takes the trace of a valid TRACEPARENT, and says that another is none", () => {
  const parent = { traceId: TRACE, spanId: SPAN, flags: 1, state: undefined };
  const good: [string, object][] = [
    [`00-${TRACE}-${SPAN}-01`, parent],
    [` 00-${TRACE}-${SPAN}-01\n`, parent],
    [`00-${TRACE}-${SPAN}-03`, { ...parent, flags: 3 }],
    [`cc-${TRACE}-${SPAN}-01`, parent],
    [`cc-${TRACE}-${SPAN}-01-what-will-be`, parent],
  ];
  for (const [text, expected] of good) {
    const { settings, notes } = readTraceSettings({
      ...ENDPOINT,
      TRACEPARENT: text,
    });
    assertEquals([settings!.parent, notes], [expected, []] as unknown, text);
  }
  const bad = [
    "x",
    `00-${TRACE}-${SPAN}`,
    `00-${TRACE}-${SPAN}-01-more`,
    `ff-${TRACE}-${SPAN}-01`,
    `cc-${TRACE}-${SPAN}-01x`,
    `00-${"0".repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${"0".repeat(16)}-01`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`,
    `00-${TRACE}-${SPAN}-0g`,
  ];
  for (const text of bad) {
    const { settings, notes } = readTraceSettings({
      ...ENDPOINT,
      TRACEPARENT: text,
      TRACESTATE: "a=b",
    });
    assertEquals([settings!.parent, notes], [undefined, [
      "TRACEPARENT is not valid: this run is a trace of its own",
    ]], text);
  }
});

Deno.test("readTraceSettings() records nothing of a trace that its beginner does not record, whatever else is wrong", () => {
  for (const flags of ["00", "02"]) {
    assertEquals(
      readTraceSettings({
        ...ENDPOINT,
        TRACEPARENT: `00-${TRACE}-${SPAN}-${flags}`,
        OTEL_EXPORTER_OTLP_PROTOCOL: "grpc",
      }),
      { notes: [] },
    );
  }
});

Deno.test("readTraceSettings() passes a state on that is one", () => {
  const state = (text: string) =>
    readTraceSettings({
      ...ENDPOINT,
      TRACEPARENT: `00-${TRACE}-${SPAN}-01`,
      TRACESTATE: text,
    }).settings!.parent!.state;
  assertEquals(state("a=b,c=d"), "a=b,c=d");
  assertEquals(state("a".repeat(513)), undefined);
  assertEquals(state("a=\n"), undefined);
  assertEquals(state(""), undefined);
});

Deno.test("readTraceSettings() says that another protocol is asked for than the one it speaks", () => {
  const notes = (env: Record<string, string>) =>
    readTraceSettings({ ...ENDPOINT, ...env }).notes;
  assertEquals(notes({ OTEL_EXPORTER_OTLP_PROTOCOL: "http/json" }), []);
  assertEquals(notes({ OTEL_EXPORTER_OTLP_PROTOCOL: "" }), []);
  assertEquals(notes({ OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" }), [
    'OTEL_EXPORTER_OTLP_PROTOCOL is "grpc": traces are sent as http/json all the same',
  ]);
  assertEquals(
    notes({
      OTEL_EXPORTER_OTLP_PROTOCOL: "grpc",
      OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: "http/json",
    }),
    [],
  );
});

Deno.test("readTraceSettings() takes what is said of the program; the name of its own variable wins", () => {
  const resource = (env: Record<string, string>) =>
    readTraceSettings({ ...ENDPOINT, ...env }).settings!.resource;
  const attributes = "service.name=a,team=the%20migrators, x ,y=1=2";
  assertEquals(resource({ OTEL_RESOURCE_ATTRIBUTES: attributes }), {
    "service.name": "a",
    team: "the migrators",
    y: "1=2",
  });
  assertEquals(
    resource({ OTEL_RESOURCE_ATTRIBUTES: attributes, OTEL_SERVICE_NAME: "b" })[
      "service.name"
    ],
    "b",
  );
  assertEquals(resource({}), {});
});
