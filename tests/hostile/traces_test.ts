/** A collector that hangs, floods or is out of reach, and signals: what a run does for its traces ends soon, whatever it comes to. */
import { assertEquals, assertMatch } from "@std/assert";
import { closeGate, GATE, waitForStatement } from "../support/program/gate.ts";
import { migration, table } from "../support/program/migrations.ts";
import { startListener } from "../support/net/listener.ts";
import { CONNECTED, scenario } from "../support/program/scenario.ts";
import { waitFor } from "../support/program/wait.ts";

const A = { "0001_a": table("a") };
const encoder = new TextEncoder();

/** Takes what comes and does no more, until the client is gone. */
async function silence(connection: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(4_096);
  while (await connection.read(buffer) !== null);
}

/** Takes the request, as far as it comes at once, and begins to answer. */
async function answer(connection: Deno.TcpConn, text: string): Promise<void> {
  await connection.read(new Uint8Array(64 * 1_024));
  await connection.write(encoder.encode(text));
}

/** Writes the text again and again until the client has had enough. */
async function flood(connection: Deno.TcpConn, text: string): Promise<void> {
  const bytes = encoder.encode(text.repeat(1_000));
  for (;;) await connection.write(bytes);
}

const HEAD = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";

/** Collectors that do not come to an end, and what the run says of them. */
const ENDLESS: Readonly<
  Record<
    string,
    readonly [(connection: Deno.TcpConn) => Promise<void>, said: RegExp]
  >
> = {
  "says nothing": [
    silence,
    /^warning: Cannot send traces to PLACE: it takes longer than 2 s$/,
  ],
  "never ends its answer's head": [
    (connection) => flood(connection, "HTTP/1.1 200 OK\r\nx: y\r\n"),
    /^warning: Cannot send traces to PLACE: /,
  ],
  "says no more than that all is well": [
    async (connection) => {
      await answer(connection, `${HEAD}content-length: 9\r\n\r\n`);
      await silence(connection);
    },
    /^warning: Cannot send traces to PLACE: it takes longer than 2 s$/,
  ],
  "answers endless bytes": [
    async (connection) => {
      await answer(connection, `${HEAD}\r\n`);
      await flood(connection, '{"partialSuccess":');
    },
    /^$/,
  ],
  "answers a failure of endless bytes": [
    async (connection) => {
      await answer(connection, "HTTP/1.1 503 no\r\n\r\n");
      await flood(connection, " ");
    },
    /^warning: Cannot send traces to PLACE: it answers 503$/,
  ],
  "breaks off": [
    (connection) => Promise.resolve(connection.close()),
    /^warning: Cannot send traces to PLACE: /,
  ],
  "does not speak HTTP": [
    async (connection) => {
      await connection.write(encoder.encode("SSH-2.0-OpenSSH_9.7\r\n"));
      await silence(connection);
    },
    /^warning: Cannot send traces to PLACE: /,
  ],
};

for (const [what, [serve, said]] of Object.entries(ENDLESS)) {
  scenario(
    `a collector that ${what} neither holds up a run nor changes its end`,
    A,
    async (s) => {
      await using collector = startListener(serve);
      const place = `127.0.0.1:${collector.port}`;
      const { code, stdout, stderr } = await s.run("up", {
        env: { OTEL_EXPORTER_OTLP_ENDPOINT: `http://${place}` },
      });
      assertEquals([code, stdout], [
        0,
        "Applied 0001_a (T)\nApplied 1 migration in T\n",
      ]);
      const rest = stderr.replace(CONNECTED, "").replaceAll(place, "PLACE")
        .replace("Applying 0001_a (1 of 1)\n", "");
      assertMatch(rest.trimEnd(), said);
      assertEquals(rest.trimEnd().split("\n").length, 1);
    },
  );
}

scenario(
  "a collector behind a black hole neither holds up a run nor changes its end",
  A,
  async (s) => {
    // For documents: nobody is there (https://www.rfc-editor.org/rfc/rfc5737).
    const { code, stderr } = await s.run("up", {
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: "http://192.0.2.1:4318" },
    });
    assertEquals(code, 0);
    assertMatch(
      stderr,
      /\nwarning: Cannot send traces to 192\.0\.2\.1:4318: [^\n]+\n$/,
    );
  },
);

scenario(
  "SIGTERM during the work: the traces of a collector that hangs do not keep the process",
  { "0001_wait": migration({ up: GATE }) },
  async (s) => {
    await using collector = startListener(silence);
    await closeGate(s.db);
    await using up = s.start("up", {
      env: {
        OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector.port}`,
      },
    });
    await waitForStatement(s.db, /gate\.opened/);
    up.kill("SIGTERM");
    const { code, stdout, stderr } = await up.result;
    assertEquals([code, stdout], [143, ""]);
    assertMatch(
      stderr,
      /\nerror: Cannot apply "0001_wait": Stopped by SIGTERM\n(?:.*\n)*warning: Cannot send traces to [^\n]+: it takes longer than 500 ms\nFailed in [^\n]+\n$/,
    );
  },
);

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  scenario(
    `${signal} while the traces are sent ends that, and not what was done`,
    A,
    async (s) => {
      let asked = false;
      await using collector = startListener((connection) => {
        asked = true;
        return silence(connection);
      });
      await using up = s.start("up", {
        env: {
          OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector.port}`,
        },
      });
      await waitFor("it sends traces", () => asked);
      up.kill(signal);
      const { code, stdout, stderr } = await up.result;
      assertEquals([code, stdout], [
        0,
        "Applied 0001_a (T)\nApplied 1 migration in T\n",
      ]);
      assertMatch(
        stderr,
        new RegExp(
          `\nwarning: Cannot send traces to [^\n]+: Stopped by ${signal}\n$`,
        ),
      );
      assertEquals(await s.history(), ["0001_a applied"]);
    },
  );
}
