/** Traces of the executable: nothing of Deno's own goes with them, and they fit into its memory. */
import { assertEquals } from "@std/assert";
import { join } from "node:path";
import config from "../../deno.json" with { type: "json" };
import { MOST_SPANS } from "../../src/report/spans.ts";
import { startCollector } from "../support/net/collector.ts";
import {
  binaryVersion,
  executable,
  runBinary,
  runCompile,
  withExecutable,
} from "../support/program/binary.ts";
import { upCode } from "../support/program/migrations.ts";
import { pgTest } from "../support/server/postgres.ts";

pgTest(
  "executable: sends nothing of Deno's own, although Deno was told to when it was built",
  async (db) => {
    const output = await Deno.makeTempDir({ prefix: "executable-" });
    try {
      const { deno } = await binaryVersion();
      const runtime = deno === Deno.version.deno ? [] : ["--runtime=npm"];
      const built = await runCompile([`--output=${output}`, ...runtime], {
        OTEL_DENO: "true",
      });
      assertEquals(built.code, 0, built.stderr);
      await Deno.chmod(output, 0o755);
      const name = (await executable()).split("/").at(-1)!;
      await using collector = startCollector();
      const { code, stderr } = await runBinary(["up"], {
        path: join(output, name),
        env: {
          DATABASE_URL: db.url,
          OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
        },
      });
      assertEquals(code, 0, stderr);
      assertEquals(
        collector.requests.map(({ path, headers }) => [
          path,
          headers.get("user-agent"),
        ]),
        [["/v1/traces", `battlescope-migrate/${config.version}`]],
      );
    } finally {
      await Deno.remove(output, { recursive: true });
    }
  },
);

pgTest(
  "executable: traces of very many statements need little memory",
  async (db) => {
    const migrations = {
      "0001_many": upCode(`
  await sql\`create table t (id integer)\`.execute(db);
  for (let i = 0; i < 20_000; i++) {
    await sql\`insert into t values (\${i})\`.execute(db);
  }`),
    };
    await using collector = startCollector();
    await withExecutable(migrations, async (path) => {
      const { code, stderr } = await runBinary(["up", "--verbose"], {
        path,
        env: {
          DATABASE_URL: db.url,
          OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
          DENO_V8_FLAGS: "--max-old-space-size=28",
        },
      });
      assertEquals(code, 0, stderr.slice(-500));
    });
    const spans = collector.spans();
    assertEquals(spans.length, MOST_SPANS);
    assertEquals(
      spans[0]!.attributes["battlescope.migrate.dropped_spans"],
      // The run, the transaction, the migration and two statements more.
      20_000 + 5 - MOST_SPANS,
    );
  },
);
