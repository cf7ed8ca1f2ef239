import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  type Config,
  type OutputConfig,
  readConfig,
  readOutputConfig,
} from "../../src/cli/config.ts";
import { SETTINGS } from "../../src/cli/settings.ts";
import type { Target } from "../../src/cli/target.ts";
import type { Environment } from "../../src/cli/environment.ts";
import { isDatabaseConfigured } from "../../src/cli/variables.ts";
import { hostile, isClean } from "../support/net/hostile.ts";

const CERTIFICATE =
  "-----BEGIN CERTIFICATE-----\nMII…\n-----END CERTIFICATE-----";
const KEY = "-----BEGIN PRIVATE KEY-----\nMII…\n-----END PRIVATE KEY-----";

const FILES: Record<string, string> = {
  "/ca.pem": `${CERTIFICATE}\n`,
  "/cert.pem": CERTIFICATE,
  "/key.pem": `${KEY}\r\n`,
  "/url": " postgres://file:hunter2@db/db\n",
  "/password": "hunter2\n",
  "/windows-password": "hunter2\r\n",
  "/two-lines": "hunter2\n\n",
  "/empty": "",
  "/blank": "\n",
  "/spaces": "  \n",
  "./relative": "hunter2",
};

/** Why the other files cannot be read, as Deno names it. */
const ERRORS: Record<string, string> = {
  "/folder": "IsADirectory",
  "/locked": "PermissionDenied",
  "/cert.pem/x": "NotADirectory",
  "/loop": "FilesystemLoop",
};

function fileError(name: string, path: string): Error {
  const error = new Error(`${name} (os error 2): readfile '${path}'`);
  error.name = name;
  return error;
}

function readText(path: string): Promise<string> {
  const content = FILES[path];
  return content !== undefined ? Promise.resolve(content) : Promise.reject(
    fileError(ERRORS[path] ?? "NotFound", path),
  );
}

async function read(
  env: Environment,
  settings: Record<string, string> = {},
): Promise<{ config: Config; faults: readonly string[] }> {
  const { value: config, faults } = await readConfig(settings, env, readText);
  return { config, faults };
}

async function readTarget(
  env: Environment,
  settings: Record<string, string> = {},
): Promise<Target> {
  const { config, faults } = await read(env, settings);
  assertEquals(faults, []);
  return config.target;
}

const NO_TLS = {
  mode: "disable",
  ca: undefined,
  clientCertificate: undefined,
  clientKey: undefined,
  channelBinding: "prefer",
} as const;

const TARGET: Target = {
  hosts: [{ host: "localhost", port: 5432 }],
  user: "app",
  password: undefined,
  database: "battlescope",
  tls: NO_TLS,
  applicationName: undefined,
  options: undefined,
};

const URL = { DATABASE_URL: "postgres://app@db/db" };

const FILL = {
  timeLimitMs: undefined,
  maxLagBytes: 67_108_864,
  holdQuery: undefined,
};

Deno.test("readConfig() has the defaults of the documentation", async () => {
  assertEquals(await read({ POSTGRES_USER: "app" }), {
    config: {
      format: "text",
      verbosity: "normal",
      color: true,
      target: TARGET,
      secrets: [],
      connectTimeoutMs: 10_000,
      waitForDbMs: 30_000,
      lockWaitMs: 60_000,
      lockTimeoutMs: 5_000,
      lockRetryMs: 300_000,
      statementTimeoutMs: 0,
      transaction: "all",
      phase: "all",
      fill: FILL,
      schema: undefined,
      trustedOwner: undefined,
      statusRole: undefined,
      pipeline: true,
    },
    faults: [],
  });
});

Deno.test("readConfig() reads every setting from its variable, and the option beats it", async () => {
  const keys: Record<string, [keyof Config, string, unknown, string, unknown]> =
    {
      "connect-timeout": ["connectTimeoutMs", "1s", 1_000, "2s", 2_000],
      "wait-for-db": ["waitForDbMs", "1s", 1_000, "0", 0],
      "lock-wait": ["lockWaitMs", "1m", 60_000, "1h", 3_600_000],
      "lock-timeout": ["lockTimeoutMs", "0", 0, "500ms", 500],
      "lock-retry": ["lockRetryMs", "1s", 1_000, "0", 0],
      "statement-timeout": ["statementTimeoutMs", "1s", 1_000, "0s", 0],
      "transaction": ["transaction", "each", "each", "all", "all"],
      "phase": ["phase", "pre", "pre", "post", "post"],
      "time-limit": [
        "fill",
        "50m",
        { ...FILL, timeLimitMs: 3_000_000 },
        "0",
        { ...FILL, timeLimitMs: 0 },
      ],
      "max-lag": [
        "fill",
        "512KiB",
        { ...FILL, maxLagBytes: 524_288 },
        "1.5GiB",
        { ...FILL, maxLagBytes: 1_610_612_736 },
      ],
      "hold-query": [
        "fill",
        "select true",
        { ...FILL, holdQuery: "select true" },
        "select false",
        { ...FILL, holdQuery: "select false" },
      ],
      "schema": ["schema", "a", "a", "B c", "B c"],
      "trust-history-owner": ["trustedOwner", "a", "a", "B c", "B c"],
      "grant-status": ["statusRole", "a", "a", "B c", "B c"],
      "format": ["format", "json", "json", "text", "text"],
    };
  const variables = SETTINGS.filter(({ flag, variable }) =>
    variable !== undefined && flag !== "database-url" && flag !== "no-color"
  );
  assertEquals(Object.keys(keys).sort(), variables.map((o) => o.flag).sort());

  for (const { flag, variable } of variables) {
    const [key, inVariable, expected, inOption, beating] = keys[flag]!;
    const env = { ...URL, [variable!]: inVariable };
    const byVariable = await read(env);
    assertEquals([byVariable.config[key], byVariable.faults], [expected, []]);
    const byOption = await read(env, { [flag]: inOption });
    assertEquals([byOption.config[key], byOption.faults], [beating, []]);
  }
});

Deno.test("readConfig() refuses what is no size", async () => {
  const { faults } = await read(URL, { "max-lag": "64 MB" });
  assertEquals(faults, [
    'Option --max-lag: "64 MB" is not a size, such as 512KiB, 64MiB or 1GiB',
  ]);
});

Deno.test("readConfig() takes an empty variable for one that is not set", async () => {
  const env = Object.fromEntries(
    SETTINGS.flatMap(({ variable }) => variable ?? []).map((
      name,
    ) => [name, ""]),
  );
  const postgres = {
    DATABASE_URL_FILE: "",
    POSTGRES_HOST: "",
    POSTGRES_PORT: "",
    POSTGRES_DB: "",
    POSTGRES_PASSWORD: "",
    POSTGRES_PASSWORD_FILE: "",
    POSTGRES_SSL: "",
    POSTGRES_SSL_CA: "",
    SSL_CERT_FILE: "",
  };

  assertEquals(
    await read({ ...env, ...postgres, POSTGRES_USER: "app" }),
    await read({ POSTGRES_USER: "app" }),
  );
});

Deno.test("readConfig() reads the POSTGRES_ variables", async () => {
  const variables: [Environment, Partial<Target>][] = [
    [{
      POSTGRES_HOST: "db",
      POSTGRES_PORT: "6432",
      POSTGRES_DB: "Battle Scope",
      POSTGRES_PASSWORD: " p@ss/word#% ",
    }, {
      hosts: [{ host: "db", port: 6432 }],
      database: "Battle Scope",
      password: " p@ss/word#% ",
    }],
    [{ POSTGRES_HOST: "a,b", POSTGRES_PORT: "1" }, {
      hosts: [{ host: "a", port: 1 }, { host: "b", port: 1 }],
    }],
    [{ POSTGRES_HOST: "/run/pg" }, {
      hosts: [{ host: "/run/pg", port: 5432 }],
    }],
    [{ POSTGRES_HOST: "::1" }, { hosts: [{ host: "::1", port: 5432 }] }],
    [{ POSTGRES_PASSWORD_FILE: "/password" }, { password: "hunter2" }],
    [{ POSTGRES_PASSWORD_FILE: "/windows-password" }, { password: "hunter2" }],
    [{ POSTGRES_SSL: "false" }, {}],
    [{ POSTGRES_SSL: "false", POSTGRES_SSL_CA: "/nowhere" }, {}],
    [{ POSTGRES_SSL: "true" }, { tls: { ...NO_TLS, mode: "verify-full" } }],
    [{ POSTGRES_SSL: "true", POSTGRES_SSL_CA: "/ca.pem" }, {
      tls: { ...NO_TLS, mode: "verify-full", ca: CERTIFICATE },
    }],
    [{ POSTGRES_SSL: "true", SSL_CERT_FILE: "/ca.pem" }, {
      tls: { ...NO_TLS, mode: "verify-full", ca: CERTIFICATE },
    }],
    [{
      POSTGRES_SSL: "true",
      POSTGRES_SSL_CA: "/ca.pem",
      SSL_CERT_FILE: "/nowhere",
    }, { tls: { ...NO_TLS, mode: "verify-full", ca: CERTIFICATE } }],
    [{ SSL_CERT_FILE: "/nowhere" }, {}],
  ];

  for (const [env, expected] of variables) {
    assertEquals(
      await readTarget({ POSTGRES_USER: "app", ...env }),
      { ...TARGET, ...expected },
      JSON.stringify(env),
    );
  }
});

Deno.test("readConfig() takes the connection string from the option, the variable or the file", async () => {
  const user = async (
    env: Environment,
    settings: Record<string, string> = {},
  ) => (await readTarget(env, settings)).user;
  const flag = { "database-url": "postgres://flag@db/db" };
  const variable = { DATABASE_URL: " postgres://variable@db/db\n" };
  const file = { DATABASE_URL_FILE: "/url" };
  const parts = { POSTGRES_USER: "parts" };

  assertEquals(await user(parts), "parts");
  assertEquals(await user({ ...file, ...parts }), "file");
  assertEquals(await user({ ...variable, ...parts }), "variable");
  assertEquals(await user({ ...variable, ...file, ...parts }, flag), "flag");
});

Deno.test("readConfig() lets nothing but the authority of the POSTGRES_ variables into a connection string", async () => {
  const env = {
    POSTGRES_HOST: "other",
    POSTGRES_PORT: "nonsense",
    POSTGRES_DB: "other",
    POSTGRES_USER: "other",
    POSTGRES_PASSWORD: "hunter2",
    POSTGRES_SSL: "nonsense",
  };

  assertEquals(await readTarget({ ...URL, ...env }), {
    ...TARGET,
    hosts: [{ host: "db", port: 5432 }],
    database: "db",
    tls: { ...NO_TLS, mode: "prefer" },
  });
});

Deno.test("readConfig() verifies as the connection string says", async () => {
  const urls: [string, Environment, Partial<Target["tls"]>][] = [
    ["", {}, { mode: "prefer" }],
    ["sslmode=disable", { SSL_CERT_FILE: "/nowhere" }, { mode: "disable" }],
    ["sslmode=require", { SSL_CERT_FILE: "/nowhere" }, { mode: "require" }],
    ["sslmode=require&sslrootcert=/ca.pem", {}, {
      mode: "verify-ca",
      ca: CERTIFICATE,
    }],
    ["sslmode=require", { POSTGRES_SSL_CA: "/ca.pem" }, {
      mode: "verify-ca",
      ca: CERTIFICATE,
    }],
    ["sslmode=verify-full", {}, { mode: "verify-full" }],
    ["sslmode=verify-full", { SSL_CERT_FILE: "/ca.pem" }, {
      mode: "verify-full",
      ca: CERTIFICATE,
    }],
    ["sslmode=verify-ca&sslrootcert=/ca.pem", { POSTGRES_SSL_CA: "/nowhere" }, {
      mode: "verify-ca",
      ca: CERTIFICATE,
    }],
    ["sslrootcert=system", { POSTGRES_SSL_CA: "/nowhere" }, {
      mode: "verify-full",
    }],
    ["sslrootcert=system", { SSL_CERT_FILE: "/ca.pem" }, {
      mode: "verify-full",
      ca: CERTIFICATE,
    }],
    ["sslmode=require&sslcert=/cert.pem&sslkey=/key.pem", {}, {
      mode: "require",
      clientCertificate: CERTIFICATE,
      clientKey: KEY,
    }],
  ];

  for (const [query, env, tls] of urls) {
    const target = await readTarget({
      DATABASE_URL: `postgres://app@db/db?${query}`,
      ...env,
    });
    assertEquals(target.tls, { ...NO_TLS, ...tls }, query);
  }
});

Deno.test("readConfig() takes the limit of a connection attempt from the option, the variable, the connection string", async () => {
  const ms = async (env: Environment, settings: Record<string, string> = {}) =>
    (await read({ ...URL, ...env }, settings)).config.connectTimeoutMs;
  const url = { DATABASE_URL: "postgres://app@db/db?connect_timeout=3" };
  const variable = { MIGRATE_CONNECT_TIMEOUT: "2s" };

  assertEquals(await ms({}), 10_000);
  assertEquals(await ms(url), 3_000);
  assertEquals(await ms({ ...url, ...variable }), 2_000);
  assertEquals(
    await ms({ ...url, ...variable }, { "connect-timeout": "1s" }),
    1_000,
  );
});

Deno.test("readConfig() says what is wrong, all of it", async () => {
  const app = { POSTGRES_USER: "app" };
  const noDatabase =
    "No database is configured: set DATABASE_URL, DATABASE_URL_FILE or POSTGRES_USER (with POSTGRES_HOST, …), or pass --database-url";
  const lineBreak =
    "holds a line break; was it encoded with echo instead of printf?";
  const host =
    "POSTGRES_HOST is not a name, an address or the folder of a socket; a port goes into POSTGRES_PORT";
  const cases: [Environment, string[]][] = [
    [{}, [noDatabase]],
    [{ POSTGRES_SERVICE_HOST: "10.0.0.1", PGHOST: "db" }, [noDatabase]],
    [{ POSTGRES_HOST: "db" }, ["POSTGRES_USER is required"]],
    [{ ...app, POSTGRES_PORT: "0" }, [
      "POSTGRES_PORT is not a number from 1 to 65535",
    ]],
    [{ ...app, POSTGRES_PORT: "5432\n" }, [
      "POSTGRES_PORT is not a number from 1 to 65535",
    ]],
    [{ ...app, POSTGRES_PORT: "tcp://10.0.0.1:5432" }, [
      "POSTGRES_PORT is not a number from 1 to 65535; Kubernetes sets it for a Service named postgres: " +
      "set it yourself, or enableServiceLinks: false",
    ]],
    [{ ...app, POSTGRES_HOST: "db:5432" }, [host]],
    [{ ...app, POSTGRES_HOST: "db\n" }, [host]],
    [{ ...app, POSTGRES_HOST: "a,,b" }, [host]],
    [{
      POSTGRES_USER: "app\n",
      POSTGRES_DB: "db\r\n",
      POSTGRES_PASSWORD: "x\n",
    }, [
      `POSTGRES_DB ${lineBreak}`,
      `POSTGRES_USER ${lineBreak}`,
      `POSTGRES_PASSWORD ${lineBreak}`,
    ]],
    [{ ...app, POSTGRES_SSL: "TRUE" }, ["POSTGRES_SSL is not true or false"]],
    [{ ...app, POSTGRES_SSL_CA: "/ca.pem" }, [
      "POSTGRES_SSL_CA is set but POSTGRES_SSL is not: set it to true to verify the server, or to false to go without TLS",
    ]],
    [{ ...app, POSTGRES_SSL: "true", POSTGRES_SSL_CA: "/nowhere" }, [
      'POSTGRES_SSL_CA: cannot read the file "/nowhere": there is no such file',
    ]],
    [{ ...app, POSTGRES_SSL: "true", POSTGRES_SSL_CA: "/folder" }, [
      'POSTGRES_SSL_CA: cannot read the file "/folder": it is a folder',
    ]],
    [{ ...app, POSTGRES_PASSWORD_FILE: "/locked" }, [
      'POSTGRES_PASSWORD_FILE: cannot read the file "/locked": permission denied',
    ]],
    [{ ...app, POSTGRES_PASSWORD_FILE: "/cert.pem/x" }, [
      'POSTGRES_PASSWORD_FILE: cannot read the file "/cert.pem/x": a part of its path is not a folder',
    ]],
    [{ ...app, POSTGRES_PASSWORD_FILE: "/loop" }, [
      'POSTGRES_PASSWORD_FILE: cannot read the file "/loop": FilesystemLoop',
    ]],
    [{ ...URL, MIGRATE_SCHEMA: "x".repeat(63) }, []],
    [{ ...app, POSTGRES_SSL: "true", POSTGRES_SSL_CA: "/key.pem" }, [
      'POSTGRES_SSL_CA: the file "/key.pem" has no certificate in PEM form',
    ]],
    [{ ...app, POSTGRES_SSL: "true", SSL_CERT_FILE: "/nowhere" }, [
      'SSL_CERT_FILE: cannot read the file "/nowhere": there is no such file',
    ]],
    [{ ...app, POSTGRES_PASSWORD: "a", POSTGRES_PASSWORD_FILE: "/password" }, [
      "POSTGRES_PASSWORD and POSTGRES_PASSWORD_FILE are both set: unset one of them",
    ]],
    [{ ...app, POSTGRES_PASSWORD_FILE: "/empty" }, [
      'POSTGRES_PASSWORD_FILE: the file "/empty" is empty',
    ]],
    [{ ...app, POSTGRES_PASSWORD_FILE: "/blank" }, [
      'POSTGRES_PASSWORD_FILE: the file "/blank" is empty',
    ]],
    [{ ...app, POSTGRES_PASSWORD_FILE: "/two-lines" }, [
      "POSTGRES_PASSWORD_FILE: the file has several lines",
    ]],
    [{ DATABASE_URL_FILE: "/nowhere", ...app }, [
      'DATABASE_URL_FILE: cannot read the file "/nowhere": there is no such file',
    ]],
    [{ DATABASE_URL_FILE: "/spaces" }, [
      "DATABASE_URL_FILE cannot be used: it does not begin with postgres:// or postgresql://",
    ]],
    [{ ...URL, DATABASE_URL_FILE: "/url" }, [
      "DATABASE_URL and DATABASE_URL_FILE are both set: unset one of them",
    ]],
    [{ DATABASE_URL: "postgres://db" }, [
      "DATABASE_URL cannot be used: it names no user, as in postgres://USER@host/database",
      "DATABASE_URL cannot be used: it names no database, as in postgres://user@host/DATABASE",
    ]],
    [{ DATABASE_URL: "postgres://app@db/db?sslcert=/key.pem&sslkey=/ca.pem" }, [
      'DATABASE_URL: sslcert: the file "/key.pem" has no certificate in PEM form',
      'DATABASE_URL: sslkey: the file "/ca.pem" has no private key in PEM form',
    ]],
    [{ ...URL, POSTGRES_SSL_CA: "/nowhere" }, [
      'POSTGRES_SSL_CA: cannot read the file "/nowhere": there is no such file',
    ]],
    [{ ...URL, MIGRATE_CONNECT_TIMEOUT: "0" }, [
      "MIGRATE_CONNECT_TIMEOUT: 0 leaves no time to connect",
    ]],
    [{ ...URL, MIGRATE_CONNECT_TIMEOUT: "soon" }, [
      'MIGRATE_CONNECT_TIMEOUT: "soon" is not a duration such as 500ms, 5s, 2m or 1h',
    ]],
    [{ ...URL, MIGRATE_SCHEMA: "é".repeat(32) }, [
      `MIGRATE_SCHEMA: "${"é".repeat(32)}" is longer than 63 bytes`,
    ]],
    [{
      ...URL,
      MIGRATE_FORMAT: "xml",
      MIGRATE_TRANSACTION: "ALL",
      MIGRATE_LOCK_WAIT: "60",
      MIGRATE_STATEMENT_TIMEOUT: "-1s",
    }, [
      'MIGRATE_FORMAT: "xml" is not one of text, json',
      'MIGRATE_LOCK_WAIT: "60" is not a duration such as 500ms, 5s, 2m or 1h',
      'MIGRATE_STATEMENT_TIMEOUT: "-1s" is not a duration such as 500ms, 5s, 2m or 1h',
      'MIGRATE_TRANSACTION: "ALL" is not one of all, each',
    ]],
  ];

  for (const [env, faults] of cases) {
    assertEquals((await read(env)).faults, faults, JSON.stringify(env));
  }
});

Deno.test("readConfig() names the option that is wrong", async () => {
  const settings = {
    "database-url": "db",
    "connect-timeout": "0",
    "lock-wait": "soon",
    "schema": "x".repeat(64),
    "transaction": "none",
    "format": "yaml",
    "verbose": "true",
    "quiet": "true",
  };

  assertEquals((await read({}, settings)).faults, [
    "Options --verbose and --quiet exclude each other",
    'Option --format: "yaml" is not one of text, json',
    "Option --database-url cannot be used: it does not begin with postgres:// or postgresql://",
    "Option --connect-timeout: 0 leaves no time to connect",
    'Option --lock-wait: "soon" is not a duration such as 500ms, 5s, 2m or 1h',
    'Option --transaction: "none" is not one of all, each',
    `Option --schema: "${"x".repeat(64)}" is longer than 63 bytes`,
  ]);
});

Deno.test("readConfig() does not repeat a secret that stands where the path of its file should", async () => {
  const cases: [Environment, string[]][] = [
    [{ POSTGRES_USER: "app", POSTGRES_PASSWORD_FILE: "hunter2" }, [
      "POSTGRES_PASSWORD_FILE: cannot read the file: there is no such file",
    ]],
    [{ DATABASE_URL_FILE: "postgres://app:hunter2@db/db" }, [
      "DATABASE_URL_FILE: cannot read the file: there is no such file",
    ]],
  ];

  for (const [env, faults] of cases) {
    assertEquals((await read(env)).faults, faults);
  }
});

Deno.test("readOutputConfig() reads the form of the output", () => {
  const cases: [Record<string, string>, Environment, Partial<OutputConfig>][] =
    [
      [{}, {}, {}],
      [{ quiet: "true" }, {}, { verbosity: "quiet" }],
      [{ verbose: "true" }, {}, { verbosity: "verbose" }],
      [{ format: "json" }, {}, { format: "json" }],
      [{}, { NO_COLOR: "" }, { color: true }],
      [{}, { NO_COLOR: "0" }, { color: false }],
      [{ "no-color": "true" }, {}, { color: false }],
    ];

  for (const [settings, env, expected] of cases) {
    assertEquals(readOutputConfig(settings, env), {
      value: {
        format: "text",
        verbosity: "normal",
        color: true,
        ...expected,
      },
      faults: [],
    });
  }
});

Deno.test("isDatabaseConfigured() looks for what the program reads, and for nothing else", () => {
  assertEquals(isDatabaseConfigured({ "database-url": "x" }, {}), true);
  assertEquals(isDatabaseConfigured({}, { DATABASE_URL_FILE: "/x" }), true);
  assertEquals(isDatabaseConfigured({}, { POSTGRES_HOST: "db" }), true);
  assertEquals(isDatabaseConfigured({}, { POSTGRES_PASSWORD_FILE: "x" }), true);
  assertEquals(isDatabaseConfigured({}, {}), false);
  assertEquals(isDatabaseConfigured({}, { DATABASE_URL: "" }), false);
  assertEquals(
    isDatabaseConfigured({ format: "json" }, { PGHOST: "db" }),
    false,
  );
  assertEquals(
    isDatabaseConfigured({}, { POSTGRES_SERVICE_HOST: "10.0.0.1" }),
    false,
  );
});

const TARGET_VARIABLES = [
  "DATABASE_URL",
  "DATABASE_URL_FILE",
  "POSTGRES_HOST",
  "POSTGRES_PORT",
  "POSTGRES_DB",
  "POSTGRES_USER",
  "POSTGRES_PASSWORD",
  "POSTGRES_PASSWORD_FILE",
  "POSTGRES_SSL",
  "POSTGRES_SSL_CA",
];
const MIGRATE_VARIABLES = SETTINGS.flatMap(({ variable }) => variable ?? [])
  .filter((name) => name !== "DATABASE_URL");

/** An environment in which some variables are set to `values`. */
function environments(
  names: readonly string[],
  values: fc.Arbitrary<string>,
): fc.Arbitrary<Record<string, string>> {
  return fc.dictionary(fc.constantFrom(...names), values, { maxKeys: 5 });
}

Deno.test("readConfig() never rejects, and accepts only what a run can be made of", async () => {
  const values = fc.oneof(
    fc.constantFrom(...Object.keys(FILES), "/folder", "/nowhere"),
    fc.constantFrom("true", "false", "5432", "0", "5s", "app", "db", "all"),
    fc.constantFrom(
      "postgres://app@db/db",
      "postgres://app@db/db?sslmode=require",
    ),
    hostile,
  );
  const names = [...TARGET_VARIABLES, ...MIGRATE_VARIABLES];

  await fc.assert(
    fc.asyncProperty(environments(names, values), async (env) => {
      const { config, faults } = await read(env);

      for (const fault of faults) assertEquals(isClean(fault), true, fault);
      if (faults.length > 0) return;
      const { target } = config;
      assertEquals(target.user !== "" && target.database !== "", true);
      assertEquals(target.password !== "", true);
      assertEquals(target.hosts.length > 0, true);
      for (const { host, port } of target.hosts) {
        assertEquals(host !== "" && port > 0 && port < 65_536, true);
      }
      assertEquals(config.connectTimeoutMs > 0, true);
      assertEquals(["all", "each"].includes(config.transaction), true);
      assertEquals(["text", "json"].includes(config.format), true);
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("readConfig() never repeats a secret, in whatever variable it stands", async () => {
  const secret = "hunter2";
  const urls = fc.constantFrom(
    `postgres://app:${secret}@db/db`,
    `postgres://app:${secret}@db:x/db?sslmode=no`,
    `postgres://app:a@${secret}@db`,
    `postgres://app:a?${secret}@db`,
    `host=db password=${secret}`,
  );
  const inTarget = environments(
    TARGET_VARIABLES,
    fc.oneof(fc.constant(secret), urls, fc.constantFrom("db", "/url")),
  );

  await fc.assert(
    fc.asyncProperty(
      inTarget,
      environments(MIGRATE_VARIABLES, urls),
      async (target, rest) => {
        const { faults } = await read({ ...rest, ...target });
        assertEquals(faults.filter((fault) => fault.includes(secret)), []);
      },
    ),
    { numRuns: 1_000 },
  );
});
