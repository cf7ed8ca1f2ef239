import { binaryVersion, runBinary } from "../support/program/binary.ts";
import {
  type RunStatus,
  tlsFaultTests,
  tlsTests,
} from "../support/program/tls_tests.ts";

const run: RunStatus = (env) => runBinary(["status"], { env });

tlsTests(
  "executable: TLS",
  run,
  async () => String((await binaryVersion()).deno),
);
tlsFaultTests("executable: TLS", run);
