import { assertEquals } from "@std/assert";
import { readConfig } from "../../src/cli/config.ts";
import { TRACE_NAMES } from "../../src/cli/trace_variables.ts";
import { isDatabaseConfigured, VARIABLES } from "../../src/cli/variables.ts";

/** Between them they lead the reader everywhere. */
const ENVIRONMENTS: readonly Record<string, string>[] = [
  {},
  { DATABASE_URL: "postgres://me@host/db?sslmode=verify-full" },
  { DATABASE_URL_FILE: "/url" },
  { POSTGRES_USER: "me", POSTGRES_SSL: "true" },
];

Deno.test("VARIABLES lists every variable that the configuration asks for", async () => {
  const asked = new Set<string>();
  for (const variables of ENVIRONMENTS) {
    const env = new Proxy(variables, {
      get: (target, name) => {
        asked.add(String(name));
        return target[String(name)];
      },
    });
    await readConfig(
      {},
      env,
      () => Promise.resolve("postgres://me@host/db"),
    );
    isDatabaseConfigured({}, env);
  }
  // What is read elsewhere: the program's name for itself, by the driver on its own account, and for traces.
  const others = ["HOSTNAME", "PGAPPNAME", "PGTARGETSESSIONATTRS"];
  const all = new Set([...asked, ...others, ...TRACE_NAMES]);
  assertEquals([...all].sort(), [...VARIABLES].sort());
});
