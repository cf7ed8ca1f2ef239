import { runMigrate } from "../support/cli.ts";
import {
  type RunStatus,
  tlsFaultTests,
  tlsTests,
} from "../support/tls_tests.ts";

const run: RunStatus = (env) => runMigrate(["status"], { env });

tlsTests("TLS", run, () => Promise.resolve(Deno.version.deno));
tlsFaultTests("TLS", run);
