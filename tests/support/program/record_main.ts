/** Records the migrations of a folder on the servers of the test run, as `deno task insight` does on its own. */
import { pathToFileURL } from "node:url";
import { Program } from "../../../scripts/insight/program.ts";
import { record } from "../../../scripts/insight/recorder.ts";
import { recordingText } from "../../../src/insight/recording.ts";
import { drainOutput } from "../../../src/process/output.ts";
import type { PostgresVersion } from "../../../scripts/dev/postgres_binaries.ts";
import { testServers } from "../server/postgres.ts";

const [folder = ""] = Deno.args;
const migrations = pathToFileURL(`${folder}/migrations/`);
const program = await Program.load(new URL("mod.ts", migrations));
const { recording, faults } = await record({
  servers: testServers().map(({ version, url }) => {
    const { port, password } = new URL(url);
    return {
      version: version as PostgresVersion,
      host: "127.0.0.1",
      port: Number(port),
      user: "postgres",
      password: decodeURIComponent(password),
      url: (database = "postgres") => url.replace(/[^/]*$/, database),
      stop: () => Promise.resolve(),
    };
  }),
  program,
  setup: "",
  say: () => {},
});
await Deno.writeTextFile(
  new URL("insight.json", migrations),
  recordingText(recording),
);
for (const fault of faults) {
  await Deno.stderr.write(new TextEncoder().encode(`${fault}\n`));
}
await drainOutput(5_000);
program[Symbol.dispose]();
Deno.exit(faults.length > 0 ? 1 : 0);
