import { runMigrate } from "../support/cli.ts";
import { tlsTests } from "../support/tls_tests.ts";

tlsTests(
  "TLS",
  (env) => runMigrate(["status"], { env }),
  () => Promise.resolve(Deno.version.deno),
);
