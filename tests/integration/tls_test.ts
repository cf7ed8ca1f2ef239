import { runMigrate } from "../support/program/cli.ts";
import {
  type RunStatus,
  tlsFaultTests,
  tlsTests,
} from "../support/program/tls_tests.ts";

const run: RunStatus = (env) => runMigrate(["status"], { env });

tlsTests("TLS", run, () => Promise.resolve(Deno.version.deno));
tlsFaultTests("TLS", run);
