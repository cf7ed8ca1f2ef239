/** What a run sends to a collector of OpenTelemetry, and what it says when that fails. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import config from "../../deno.json" with { type: "json" };
import { openSession } from "../support/program/application.ts";
import { backfill, fillTable } from "../support/program/backfills.ts";
import { readDocument } from "../support/program/documents.ts";
import { migration, table, upCode } from "../support/program/migrations.ts";
import {
  CONNECTED,
  type Scenario,
  scenario,
} from "../support/program/scenario.ts";
import {
  type Collector,
  readRequest,
  type ReceivedSpan,
  startCollector,
} from "../support/net/collector.ts";
import { makeAuthority } from "../support/server/certificates.ts";

const A = { "0001_a": table("a") };
const CONCURRENT = migration({
  up: "create index concurrently a_idx on a (id)",
  down: "drop index concurrently a_idx",
  options: "{ transaction: false }",
});
const BROKEN = migration({ up: "insert into a values ('s3cr3t-value')" });
const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN = "00f067aa0ba902b7";

const to = (collector: Collector) => ({
  OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
});

/** Spans as a tree, one line each: what it is, and what came of it. */
function tree(spans: readonly ReceivedSpan[], parent?: string): string[] {
  return spans.filter(({ parentSpanId }) => parentSpanId === parent).flatMap(
    (span) => {
      const { name, attributes, status, spanId } = span;
      const words = [
        name,
        attributes["db.query.text"],
        attributes["battlescope.migrate.outcome"],
        attributes["error.type"],
        status.message,
      ];
      const line = words.filter((word) => word !== undefined).join(" | ");
      return [line, ...tree(spans, spanId).map((line) => `  ${line}`)];
    },
  );
}

scenario(
  "traces show the run, its transactions, migrations and, with --verbose, the statements without their literals",
  {
    ...A,
    "0002_b": migration({
      up: [
        "create table b (name text default 's3cr3t-default')",
        "insert into b values ('s3cr3t-value'), ($$s3cr3t$$)",
      ],
    }),
    "0003_index": CONCURRENT,
    "0004_c": upCode(
      "await sql`insert into b values (${'s3cr3t-parameter'})`.execute(db);",
    ),
  },
  async (s) => {
    await using collector = startCollector();
    const { code, stdout } = await s.run("up --verbose", {
      env: to(collector),
    });
    assertEquals([code, stdout.split("\n").length], [0, 6]);
    const spans = collector.spans();
    assertEquals(tree(spans), [
      "battlescope-migrate up | committed",
      "  transaction | committed",
      "    up 0001_a | committed",
      "      CREATE | create table a (id integer primary key)",
      "    up 0002_b | committed",
      "      CREATE | create table b (name text default ?)",
      "      INSERT | insert into b values (?), (?)",
      "    COMMIT | commit",
      "  up 0003_index | committed",
      "    CREATE | create index concurrently a_idx on a (id)",
      "  transaction | committed",
      "    up 0004_c | committed",
      "      INSERT | insert into b values ($1)",
      "    COMMIT | commit",
    ]);
    const [run] = spans;
    const { host, port, name } = s.db;
    const [{ checksum, run_id }] = await s.db.query<
      { checksum: string; run_id: string }
    >("select checksum, run_id::text from migration_history order by id") as [
      { checksum: string; run_id: string },
    ];
    const database = {
      "db.system.name": "postgresql",
      "db.namespace": `${name}|public`,
      "server.address": host,
      "server.port": port,
    };
    const { "process.pid": pid, ...attributes } = run!.attributes;
    assertEquals(typeof pid, "number");
    assertEquals(attributes, {
      "process.executable.name": "battlescope-migrate",
      "process.exit.code": 0,
      "battlescope.migrate.command": "up",
      "battlescope.migrate.run_id": run_id,
      "battlescope.migrate.applied": 4,
      "battlescope.migrate.outcome": "committed",
      ...database,
    });
    const first = spans.find((one) => one.name === "up 0001_a")!;
    assertEquals(first.attributes["battlescope.migrate.checksum"], checksum);
    assertEquals(collector.resource(), {
      "service.name": "battlescope-migrate",
      "service.version": config.version,
      "host.name": "test-host",
    });
    assertEquals(new Set(spans.map(({ traceId }) => traceId)).size, 1);
    assertNested(spans);
    const [{ path, headers, text }] = collector.requests as [
      Collector["requests"][number],
    ];
    assertEquals([path, headers.get("content-type")], [
      "/v1/traces",
      "application/json",
    ]);
    assertEquals(text.includes("s3cr3t"), false);
    assertEquals(text.includes(s.db.password), false);
  },
);

/** No span is longer than that of which it is a part. */
function assertNested(spans: readonly ReceivedSpan[]): void {
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  for (const span of spans) {
    const parent = byId.get(span.parentSpanId ?? "");
    if (parent === undefined) continue;
    const what = `${span.name} in ${parent.name}`;
    const begins = BigInt(span.startTimeUnixNano) >=
      BigInt(parent.startTimeUnixNano);
    const ends = BigInt(span.endTimeUnixNano) <= BigInt(parent.endTimeUnixNano);
    assertEquals([begins, ends], [true, true], what);
  }
}

scenario(
  "traces tell of a failure what it was, and what became of the rest",
  { ...A, "0002_broken": BROKEN },
  async (s) => {
    await using collector = startCollector();
    const failed =
      'Cannot apply "0002_broken": invalid input syntax for type integer: "?"';
    const { code } = await s.run("up --verbose", { env: to(collector) });
    assertEquals(code, 1);
    assertEquals(tree(collector.spans()), [
      `battlescope-migrate up | rolled_back | 22P02 | ${failed}`,
      `  transaction | rolled_back | 22P02 | ${failed}`,
      "    up 0001_a | rolled_back",
      "      CREATE | create table a (id integer primary key)",
      `    up 0002_broken | rolled_back | 22P02 | ${failed}`,
      `      INSERT | insert into a values (?) | 22P02 | ${failed}`,
      "  COMMIT | commit",
    ]);
    assertEquals(collector.requests[0]!.text.includes("s3cr3t"), false);
    assertEquals(collector.spans()[0]!.attributes["process.exit.code"], 1);
  },
);

scenario(
  "traces come of every command that changes something, and of no other",
  { ...A, "0002_index": CONCURRENT, "0003_b": table("b") },
  async (s) => {
    const traced = async (command: string) => {
      await using collector = startCollector();
      const { code, stderr } = await s.run(command, { env: to(collector) });
      assertEquals(stderr.includes("warning"), false, stderr);
      assertEquals(code, 0, stderr);
      return tree(collector.spans());
    };
    assertEquals(await traced("up --dry-run"), []);
    assertEquals(await traced("up --transaction each"), [
      "battlescope-migrate up | committed",
      "  transaction | committed",
      "    up 0001_a | committed",
      "  up 0002_index | committed",
      "  transaction | committed",
      "    up 0003_b | committed",
    ]);
    for (
      const command of ["status", "plan", "verify", "version", "help", "schema"]
    ) {
      await using collector = startCollector();
      await s.run(command, { env: to(collector) });
      assertEquals(collector.requests, [], command);
    }
    assertEquals(await traced("up"), ["battlescope-migrate up | committed"]);
    assertEquals(await traced("redo --yes"), [
      "battlescope-migrate redo | committed",
      "  transaction | committed",
      "    down 0003_b | committed",
      "    up 0003_b | committed",
    ]);
    assertEquals(await traced("down --yes --steps 2"), [
      "battlescope-migrate down | committed",
      "  transaction | committed",
      "    down 0003_b | committed",
      "  down 0002_index | committed",
    ]);
    assertEquals(await traced("down --all --dry-run"), []);
    assertEquals(await traced("baseline --to 0003_b"), [
      "battlescope-migrate baseline | committed",
    ]);
    await s.db.query("update migration_history set checksum = 'old'");
    assertEquals(await traced("repair --accept-checksum 0003_b"), [
      "battlescope-migrate repair | committed",
    ]);
  },
);

scenario(
  "traces show an attempt that could not get its lock, and that the next one did",
  {
    "0001_a": table("a"),
    "0002_b": migration({ up: "alter table held add x int" }),
  },
  async (s) => {
    await using collector = startCollector();
    await s.db.query("create table held ()");
    await using holder = await openSession(s.db.url);
    await holder.run("begin; lock table held");
    await using up = s.start("up --lock-timeout 200ms", {
      env: to(collector),
    });
    await up.waitFor("Trying again");
    await holder.run("commit");
    assertEquals((await up.result).code, 0);
    const lines = tree(collector.spans()).filter((line) =>
      !line.includes("up 000")
    );
    assertEquals(lines[0], "battlescope-migrate up | committed");
    assertEquals(
      lines[1],
      '  transaction | rolled_back | 55P03 | Cannot apply "0002_b": canceling statement due to lock timeout',
    );
    assertEquals(lines.at(-1), "  transaction | committed");
  },
);

scenario(
  "traces show a large backfill without a transaction of its own",
  { "0001_fill": backfill() },
  async (s) => {
    await fillTable(s.db);
    await using collector = startCollector();
    const { code, stderr } = await s.run("up", { env: to(collector) });
    assertEquals(code, 0, stderr);
    assertEquals(
      tree(collector.spans()).includes("  up 0001_fill | committed"),
      true,
    );
  },
);

scenario(
  "traces are part of the trace of TRACEPARENT, unless nobody records that",
  A,
  async (s) => {
    await using collector = startCollector();
    const env = { ...to(collector), TRACESTATE: "rojo=00f0" };
    await s.run("up", {
      env: { ...env, TRACEPARENT: `00-${TRACE}-${SPAN}-00` },
    });
    assertEquals(collector.requests, []);
    await s.run("redo --yes", {
      env: { ...env, TRACEPARENT: `00-${TRACE}-${SPAN}-01` },
    });
    const [run, ...others] = collector.spans();
    assertEquals([run!.parentSpanId, run!.flags], [SPAN, 0x301]);
    for (const { traceId, traceState } of [run!, ...others]) {
      assertEquals([traceId, traceState], [TRACE, "rojo=00f0"]);
    }
  },
);

scenario(
  "traces go where the variables say, with their headers, as the service that they name",
  A,
  async (s) => {
    await using collector = startCollector();
    await using other = startCollector();
    await s.run("up", {
      env: {
        OTEL_EXPORTER_OTLP_ENDPOINT: other.url,
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${collector.url}/in?key=k3y`,
        OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20t0ken%3D,x-a=b",
        OTEL_SERVICE_NAME: "schema",
        OTEL_RESOURCE_ATTRIBUTES: "host.name=node,team=a%20b",
        OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      },
    });
    assertEquals(other.requests, []);
    const [{ path, headers }] = collector.requests as [
      Collector["requests"][number],
    ];
    assertEquals(
      [path, headers.get("authorization"), headers.get("x-a")],
      ["/in?key=k3y", "Bearer t0ken=", "b"],
    );
    assertEquals(collector.resource(), {
      "service.name": "schema",
      "service.version": config.version,
      "host.name": "node",
      "team": "a b",
    });
  },
);

for (
  const [name, env] of Object.entries({
    OTEL_SDK_DISABLED: "true",
    OTEL_TRACES_EXPORTER: "none",
  })
) {
  scenario(`${name}=${env} sends nothing and says nothing`, A, async (s) => {
    await using collector = startCollector();
    assertEquals(
      await s.run("up", { env: { ...to(collector), [name]: env } }),
      {
        code: 0,
        stdout: "Applied 0001_a (T)\nApplied 1 migration in T\n",
        stderr: `${CONNECTED}Applying 0001_a (1 of 1)\n`,
      },
    );
    assertEquals(collector.requests, []);
  });
}

/** What a run says to a collector that answers so. */
async function warned(
  s: Scenario,
  answer: () => Response,
  env: Record<string, string> = {},
): Promise<string> {
  await using collector = startCollector({ answer });
  const { code, stdout, stderr } = await s.run("up", {
    env: { ...to(collector), ...env },
  });
  assertEquals([code, stdout], [
    0,
    "Nothing to apply: the database is up to date\n",
  ]);
  return stderr.replace(CONNECTED, "").replaceAll(collector.place, "COLLECTOR");
}

scenario(
  "a collector that does not take the traces is worth one warning, and changes no exit code",
  A,
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    const partial = (partialSuccess: unknown) => () =>
      Response.json({ partialSuccess });
    const cases: [() => Response, string][] = [
      [() => new Response("", { status: 200 }), ""],
      [() => new Response(null, { status: 202 }), ""],
      [
        () => new Response("no", { status: 500 }),
        "warning: Cannot send traces to COLLECTOR: it answers 500\n",
      ],
      [
        () => Response.json({ message: "no\u001b[2J token" }, { status: 401 }),
        "warning: Cannot send traces to COLLECTOR: it answers 401: no\\u001b[2J token\n",
      ],
      [
        partial({ rejectedSpans: "1", errorMessage: "too old" }),
        "warning: Cannot send all traces to COLLECTOR: it has rejected 1 span: too old\n",
      ],
      [
        partial({ errorMessage: "deprecated" }),
        "warning: The traces are at COLLECTOR: deprecated\n",
      ],
    ];
    for (const [answer, expected] of cases) {
      assertEquals(await warned(s, answer), expected);
    }
  },
);

scenario(
  "a collector that leads elsewhere is not followed: nobody else gets the headers",
  A,
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    await using elsewhere = startCollector();
    for (const status of [301, 302, 303, 307, 308]) {
      assertEquals(
        await warned(
          s,
          () =>
            new Response(null, {
              status,
              headers: { location: elsewhere.url },
            }),
          { OTEL_EXPORTER_OTLP_HEADERS: "authorization=t0ken" },
        ),
        `warning: Cannot send traces to COLLECTOR: it answers ${status}, which is not followed elsewhere\n`,
      );
    }
    assertEquals(elsewhere.requests, []);
  },
);

scenario(
  "variables that cannot be followed are worth a warning each, and no value is repeated",
  A,
  async (s) => {
    assertEquals((await s.run("up")).code, 0);
    const said = async (env: Record<string, string>) => {
      const { code, stderr } = await s.run("up", { env });
      assertEquals(code, 0);
      return stderr.replace(CONNECTED, "");
    };
    assertEquals(
      await said({ OTEL_EXPORTER_OTLP_ENDPOINT: "s3cr3t" }),
      "warning: Cannot send traces: OTEL_EXPORTER_OTLP_ENDPOINT is no URL that begins with http:// or https://\n",
    );
    assertEquals(
      await said({
        OTEL_EXPORTER_OTLP_ENDPOINT: "https://localhost:4318",
        OTEL_EXPORTER_OTLP_CERTIFICATE: "/nowhere/ca.pem",
      }),
      'warning: Cannot send traces to localhost:4318: OTEL_EXPORTER_OTLP_CERTIFICATE: cannot read the file "/nowhere/ca.pem": there is no such file\n',
    );
    await using collector = startCollector();
    assertEquals(
      await said({
        ...to(collector),
        OTEL_EXPORTER_OTLP_HEADERS: "s3cr3t,a=b",
        OTEL_EXPORTER_OTLP_PROTOCOL: "grpc",
        TRACEPARENT: "s3cr3t",
      }),
      `\
warning: OTEL_EXPORTER_OTLP_HEADERS: entry 1 is no header, and is left out
warning: OTEL_EXPORTER_OTLP_PROTOCOL is "grpc": traces are sent as http/json all the same
warning: TRACEPARENT is not valid: this run is a trace of its own
`,
    );
    assertEquals(collector.requests.length, 1);
  },
);

scenario(
  "a collector that is down is worth one warning, which names no more than its place",
  A,
  async (s) => {
    let url: string;
    {
      await using gone = startCollector();
      url = gone.url;
    }
    const { code, stdout, stderr } = await s.run("up", {
      env: { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${url}/x)?key=k3y` },
    });
    assertEquals([code, stdout], [
      0,
      "Applied 0001_a (T)\nApplied 1 migration in T\n",
    ]);
    assertEquals(
      stderr,
      `${CONNECTED}Applying 0001_a (1 of 1)\nwarning: Cannot send traces to ${
        new URL(url).host
      }: tcp connect error: Connection refused (os error 111)\n`,
    );
  },
);

scenario(
  "what the headers hold is hidden wherever a migration or the collector says it",
  {
    "0001_say": upCode(`
  const headers = Deno.env.get("OTEL_EXPORTER_OTLP_HEADERS")!;
  console.log(headers, decodeURIComponent(headers));
  await sql.raw("do $$ begin raise warning '" + decodeURIComponent(headers) + "'; end $$").execute(db);
  throw new Error(headers);`),
  },
  async (s) => {
    const token = "t0k+en/=";
    await using collector = startCollector({
      answer: ({ headers }) =>
        Response.json({ message: headers.get("authorization") }, {
          status: 403,
        }),
    });
    for (const format of ["text", "json"]) {
      const { code, stdout, stderr } = await s.run(
        `up --verbose --format ${format}`,
        {
          env: {
            ...to(collector),
            OTEL_EXPORTER_OTLP_HEADERS: `authorization=Bearer%20${
              encodeURIComponent(token)
            }`,
          },
        },
      );
      assertEquals(code, 1);
      for (const text of [stdout, stderr, collector.requests.at(-1)!.text]) {
        for (const form of [token, encodeURIComponent(token), "t0k"]) {
          assertEquals(text.includes(form), false, text);
        }
      }
      assertStringIncludes(stderr, "it answers 403: ***\n");
    }
    assertEquals(await s.history(), ["0001_say failed", "0001_say failed"]);
    const [{ error }] = await s.db.query<{ error: string }>(
      "select error from migration_history order by id",
    ) as [{ error: string }];
    assertEquals(error, "authorization=*** (at migrations/0001_say.ts:8:9)");
  },
);

scenario(
  "docs/operations.md shows what arrives",
  {
    "20260105105000_audit_logs": migration({
      up: [
        "create table audit_logs (id int)",
        ...["a", "b", "c"].map((name) =>
          `create index ${name} on audit_logs (id)`
        ),
      ],
    }),
  },
  async (s) => {
    await using collector = startCollector();
    await s.run("up --verbose", {
      env: {
        ...to(collector),
        TRACEPARENT: `00-${TRACE}-${SPAN}-01`,
        HOSTNAME: "db-migrate-x7k2p",
      },
    });
    const text = await readDocument("docs/operations.md");
    const chapter = text.slice(text.indexOf("\n## Traces\n"));
    const [names, request] = [...chapter.matchAll(/^```\n(.*?)^```$/gms)]
      .map(([, block]) => block);
    const spans = collector.spans();
    assertEquals(
      tree(spans, SPAN).map((line) => line.split(" | ")[0]),
      names!.trimEnd().split("\n"),
    );
    const shown = readRequest(request!);
    assertEquals(shown.resource, collector.resource());
    const real = spans.find(({ name }) => name === shown.spans[0]!.name)!;
    const same = (span: ReceivedSpan) => ({
      ...span,
      ...{ spanId: "", parentSpanId: "", startTimeUnixNano: "" },
      endTimeUnixNano: "",
      attributes: Object.keys(span.attributes),
    });
    assertEquals(same(shown.spans[0]!), same(real));
  },
);

scenario(
  "traces take the way through a proxy that the environment names",
  A,
  async (s) => {
    await using proxy = startCollector();
    const { code, stderr } = await s.run("up", {
      env: {
        OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector.invalid:4318",
        HTTP_PROXY: proxy.url,
      },
    });
    assertEquals([code, stderr.includes("warning")], [0, false], stderr);
    assertEquals(proxy.requests.length, 1);
  },
);

scenario(
  "a run that cannot connect is a trace, too",
  A,
  async (s) => {
    await using collector = startCollector();
    const said =
      'Cannot connect to the database "x" at localhost:1: the connection was refused';
    const { code, stderr } = await s.run("up --wait-for-db 0", {
      url: "postgres://me:s3cr3t-password@localhost:1/x",
      env: to(collector),
    });
    assertEquals(code, 1);
    assertEquals(stderr.split("\n")[0], `error: ${said}`);
    assertEquals(tree(collector.spans()), [
      `battlescope-migrate up | rolled_back | ConnectionError | ${said}`,
    ]);
  },
);

scenario(
  "what a migration does to the globals reaches its traces as little as the output",
  {
    "0001_patch": upCode(`
  Object.assign(globalThis, { fetch: null, Headers: null, TextEncoder: null });
  JSON.stringify = () => "patched";
  await sql\`select 1\`.execute(db);`),
  },
  async (s) => {
    await using collector = startCollector();
    assertEquals((await s.run("up", { env: to(collector) })).code, 0);
    assertEquals(tree(collector.spans()), [
      "battlescope-migrate up | committed",
      "  transaction | committed",
      "    up 0001_patch | committed",
    ]);
  },
);

scenario(
  "a header may be a token of thousands of characters",
  {
    "0001_say": upCode(`
  throw new Error("no: " + decodeURIComponent(Deno.env.get("OTEL_EXPORTER_OTLP_HEADERS")!));`),
  },
  async (s) => {
    const token = "eyJhbGciOiJFUzI1NiJ9.".repeat(400);
    await using collector = startCollector();
    const { code, stdout, stderr } = await s.run("up --verbose", {
      env: {
        ...to(collector),
        OTEL_EXPORTER_OTLP_HEADERS: `authorization=Bearer%20${token}`,
      },
    });
    assertEquals([code, stdout], [1, ""]);
    assertStringIncludes(
      stderr,
      'error: Cannot apply "0001_say": no: authorization=***\n',
    );
    const [{ headers, text }] = collector.requests as [
      Collector["requests"][number],
    ];
    assertEquals(headers.get("authorization"), `Bearer ${token}`);
    assertEquals([stderr, text].map((one) => one.includes("eyJ")), [
      false,
      false,
    ]);
  },
);

scenario(
  "--format json: the summary is the last line all the same, and the warning is an event",
  A,
  async (s) => {
    await using collector = startCollector({
      answer: () => new Response("", { status: 500 }),
    });
    const { code, lines } = await s.json("up", { env: to(collector) });
    assertEquals(code, 0);
    assertEquals(lines.map(({ event }) => event), [
      "connected",
      "started",
      "applied",
      "warning",
      "summary",
    ]);
  },
);

scenario(
  "traces go over TLS to a collector whose authority is named, and to no other",
  A,
  async (s) => {
    const folder = await Deno.makeTempDir({ prefix: "traces-" });
    try {
      const authority = await makeAuthority(folder, "ca");
      const issue = async (alternatives: string) => {
        const { certificate, key } = await authority.issue({
          subject: "localhost",
          alternatives,
        });
        return {
          cert: await Deno.readTextFile(certificate),
          key: await Deno.readTextFile(key),
        };
      };
      await using collector = startCollector({
        tls: await issue("DNS:localhost"),
      });
      await using wrong = startCollector({ tls: await issue("DNS:elsewhere") });
      const trust = { OTEL_EXPORTER_OTLP_CERTIFICATE: authority.certificate };
      const said = async (env: Record<string, string>) => {
        const { code, stderr } = await s.run("up --quiet", { env });
        assertEquals(code, 0);
        return stderr;
      };
      assertEquals(await said({ ...to(collector), ...trust }), "");
      assertEquals(
        await said({
          ...to(collector),
          SSL_CERT_FILE: authority.certificate,
        }),
        "",
      );
      assertEquals(collector.requests.length, 2);
      assertStringIncludes(await said(to(collector)), "UnknownIssuer");
      assertStringIncludes(
        await said({ ...to(wrong), ...trust }),
        "not valid for name",
      );
      assertEquals(
        await said({
          ...to(collector),
          OTEL_EXPORTER_OTLP_CERTIFICATE: join(folder, "ca.key"),
        }),
        `warning: Cannot send traces to ${collector.place}: OTEL_EXPORTER_OTLP_CERTIFICATE: the file "${
          join(folder, "ca.key")
        }" has no certificate in PEM form\n`,
      );
      assertEquals([collector.requests.length, wrong.requests.length], [2, 0]);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
  { needs: ["openssl"] },
);
