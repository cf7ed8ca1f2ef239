import { binaryVersion, runBinary } from "../support/binary.ts";
import { tlsTests } from "../support/tls_tests.ts";

tlsTests(
  "executable: TLS",
  (env) => runBinary(["status"], { env }),
  async () => String((await binaryVersion()).deno),
);
