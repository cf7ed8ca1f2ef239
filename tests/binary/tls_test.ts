import { binaryVersion, runBinary } from "../support/binary.ts";
import {
  type RunStatus,
  tlsFaultTests,
  tlsTests,
} from "../support/tls_tests.ts";

const run: RunStatus = (env) => runBinary(["status"], { env });

tlsTests(
  "executable: TLS",
  run,
  async () => String((await binaryVersion()).deno),
);
tlsFaultTests("executable: TLS", run);
