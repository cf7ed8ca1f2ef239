/** Whatever is wrong with the call is said in one message, with exit code 2, before any connection. */
import { assertEquals } from "@std/assert";
import { runMigrate } from "../support/program/cli.ts";
import { assertNoSecret } from "../support/program/scenario.ts";

const PASSWORD = "p4ss-w0rd&=x";
const ENCODED = encodeURIComponent(PASSWORD);
/** Nobody listens there: a connection would be another message. */
const NOWHERE_URL = `postgres://me:${ENCODED}@127.0.0.1:1/there`;

async function assertRefused(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  faults: readonly string[],
): Promise<void> {
  const result = await runMigrate(args, { env });
  assertNoSecret(result, [PASSWORD, ENCODED]);
  assertEquals(result, {
    code: 2,
    stdout: "",
    stderr: faults.map((fault) => `error: ${fault}\n`).join(""),
  });
}

const COMMANDS =
  "known are up, down, redo, status, baseline, repair, backfill, plan, verify, schema, new, completions, help, version";
const NOTHING_CONFIGURED =
  "No database is configured: set DATABASE_URL, DATABASE_URL_FILE or POSTGRES_USER (with POSTGRES_HOST, …), or pass --database-url";

Deno.test("an unknown command and an unknown option are named", async () => {
  const env = { DATABASE_URL: NOWHERE_URL };
  await assertRefused(["updown"], env, [
    `Unknown command "updown": ${COMMANDS}`,
  ]);
  await assertRefused(["up", "--frce"], env, ['Unknown option "--frce"']);
  await assertRefused(["status", "now"], env, ['Unexpected argument "now"']);
  await assertRefused(["help", "nothing"], env, [
    `Unknown command "nothing": ${COMMANDS}`,
  ]);
});

Deno.test("every fault of arguments and environment is in one message", async () => {
  await assertRefused(
    [
      ...["down", "--frce", "--steps", "0", "--all", "--yes", "--no-color=x"],
      ...["--lock-wait", "5", "--format", "xml", "--verbose", "--quiet"],
    ],
    {
      DATABASE_URL: `postgres://:${ENCODED}@127.0.0.1:70000`,
      MIGRATE_LOCK_TIMEOUT: "-1s",
      MIGRATE_TRANSACTION: "none",
    },
    [
      'Unknown option "--frce"',
      "Option --no-color takes no value",
      "Options --steps and --all exclude each other",
      'Option --steps: "0" is not a whole number from 1',
      "Options --verbose and --quiet exclude each other",
      'Option --format: "xml" is not one of text, json',
      "DATABASE_URL cannot be used: it names no user, as in postgres://USER@host/database",
      "DATABASE_URL cannot be used: it names no database, as in postgres://user@host/DATABASE",
      'DATABASE_URL cannot be used: its port is not a number from 1 to 65535; if that is part of a password, write ":" as %3A, "/" as %2F and "@" as %40',
      'Option --lock-wait: "5" is not a duration such as 500ms, 5s, 2m or 1h',
      'MIGRATE_LOCK_TIMEOUT: "-1s" is not a duration such as 500ms, 5s, 2m or 1h',
      'MIGRATE_TRANSACTION: "none" is not one of all, each',
    ],
  );
});

Deno.test("a name that the program does not carry and a missing --yes are faults among others", async () => {
  await assertRefused(["down", "--to", "nothing", "--lock-wait", "x"], {}, [
    NOTHING_CONFIGURED,
    'Option --lock-wait: "x" is not a duration such as 500ms, 5s, 2m or 1h',
    'Option --to: this program carries no migration "nothing"; status lists the migrations',
    "The command down asks before it rolls back: pass --yes where there is no terminal",
  ]);
});

Deno.test("without any configuration the program says what to set", async () => {
  for (const command of ["up", "status", "down"]) {
    await assertRefused(
      [command, ...(command === "down" ? ["--yes"] : [])],
      {},
      [
        NOTHING_CONFIGURED,
      ],
    );
  }
  // An empty variable, as compose files leave them, is none.
  await assertRefused([], { DATABASE_URL: "", POSTGRES_HOST: "" }, [
    NOTHING_CONFIGURED,
  ]);
});

Deno.test("missing and contradictory variables are named", async () => {
  await assertRefused(["up"], {
    POSTGRES_HOST: "db",
    POSTGRES_PASSWORD: PASSWORD,
  }, [
    "POSTGRES_USER is required",
  ]);
  await assertRefused(["up"], {
    POSTGRES_PORT: "0",
    POSTGRES_SSL: "yes",
    POSTGRES_PASSWORD: PASSWORD,
    POSTGRES_PASSWORD_FILE: "/run/secrets/password",
  }, [
    "POSTGRES_USER is required",
    "POSTGRES_PORT is not a number from 1 to 65535",
    "POSTGRES_PASSWORD and POSTGRES_PASSWORD_FILE are both set: unset one of them",
    "POSTGRES_SSL is not true or false",
  ]);
  await assertRefused(["up"], {
    DATABASE_URL: NOWHERE_URL,
    DATABASE_URL_FILE: "/run/secrets/url",
  }, [
    "DATABASE_URL and DATABASE_URL_FILE are both set: unset one of them",
  ]);
});

Deno.test("a file that cannot be read is named, and nothing steps in for it", async () => {
  await assertRefused(["up"], {
    DATABASE_URL_FILE: "/nowhere/url",
    POSTGRES_USER: "me",
  }, [
    'DATABASE_URL_FILE: cannot read the file "/nowhere/url": there is no such file',
  ]);
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(file, "no certificate");
    await assertRefused(["up"], {
      POSTGRES_USER: "me",
      POSTGRES_PASSWORD_FILE: "/dev/null",
      POSTGRES_SSL: "true",
      POSTGRES_SSL_CA: file,
    }, [
      'POSTGRES_PASSWORD_FILE: the file "/dev/null" is empty',
      `POSTGRES_SSL_CA: the file "${file}" has no certificate in PEM form`,
    ]);
  } finally {
    await Deno.remove(file);
  }
});

const MALFORMED: readonly (readonly [string, string])[] = [
  [
    `mysql://me:${ENCODED}@h/d`,
    "it does not begin with postgres:// or postgresql://",
  ],
  [`me:${ENCODED}@h/d`, "it does not begin with postgres:// or postgresql://"],
  [
    `postgres://me:${PASSWORD} x@h/d`,
    "it holds a space or a line break; write a space in a password as %20",
  ],
  [
    `postgres://me:${PASSWORD}#x@h/d`,
    'it holds "#"; write it in a password as %23',
  ],
  [
    `postgres://me:${PASSWORD}@x@h/d`,
    'it holds "@" or "/" where none may stand; write them in a password as %40 and %2F',
  ],
  [
    `postgres://me:${PASSWORD}/x@h/d`,
    'it holds "@" or "/" where none may stand; write them in a password as %40 and %2F',
  ],
  [
    `postgres://me:${PASSWORD}%zz@h/d`,
    'its password has a "%" that no two hexadecimal digits follow; write "%" as %25',
  ],
  [
    `postgres://me:${ENCODED}@h/d?sslmode=maybe`,
    'its sslmode "maybe" is not one of disable, prefer, require, verify-ca, verify-full',
  ],
  [
    `postgres://me:${ENCODED}@h/d?sslmod=require`,
    'its parameter "sslmod" is not known; known are application_name, channel_binding, connect_timeout, dbname, host, options, password, port, sslcert, sslkey, sslmode, sslrootcert, user',
  ],
  [
    `postgres://me:${ENCODED}@h/d?sslcert=/c`,
    "its sslcert and sslkey go together: only one is given",
  ],
  [
    `postgres://me:${ENCODED}@h:99999/d`,
    'its port is not a number from 1 to 65535; if that is part of a password, write ":" as %3A, "/" as %2F and "@" as %40',
  ],
];

Deno.test("a malformed URL is refused with the reason and without its secrets", async () => {
  // Many processes at once: each of them only reads its arguments.
  await Promise.all(
    MALFORMED.flatMap(([url, fault]) => [
      assertRefused(["up"], { DATABASE_URL: url }, [
        `DATABASE_URL cannot be used: ${fault}`,
      ]),
      assertRefused(["up", "--database-url", url], {}, [
        `Option --database-url cannot be used: ${fault}`,
      ]),
    ]),
  );
});

Deno.test("a URL in the wrong place is not repeated", async () => {
  await assertRefused(["up", NOWHERE_URL], {}, [
    'Unexpected argument "postgres://…"',
    NOTHING_CONFIGURED,
  ]);
  // Whether an unknown command needs a database nobody knows.
  await assertRefused([NOWHERE_URL], {}, [
    `Unknown command "postgres://…": ${COMMANDS}`,
  ]);
});

Deno.test("options must belong to the command, have a value and stand once", async () => {
  const env = { DATABASE_URL: NOWHERE_URL };
  await assertRefused(["status", "--steps", "1", "--yes"], env, [
    "Option --steps does not belong to the command status",
    "Option --yes does not belong to the command status",
  ]);
  await assertRefused(["up", "--to"], env, ["Option --to needs a value"]);
  await assertRefused(["up", "--steps", "1", "--steps=2"], env, [
    "Option --steps is given 2 times",
  ]);
  await assertRefused(["baseline"], env, [
    "The command baseline needs --to NAME or --from-kysely TABLE",
  ]);
  await assertRefused(["repair"], env, [
    "The command repair needs --accept-checksum NAME, --retry NAME or --mark-applied NAME",
  ]);
  await assertRefused(["repair", "--retry", "a", "--mark-applied", "a"], env, [
    "Options --retry and --mark-applied exclude each other",
  ]);
  await assertRefused(["baseline", "--to", "none", "--from-kysely", "t"], env, [
    "Options --to and --from-kysely exclude each other",
    'Option --to: this program carries no migration "none"; status lists the migrations',
  ]);
});

Deno.test("numbers and durations out of range are refused", async () => {
  const env = { DATABASE_URL: NOWHERE_URL };
  await assertRefused(["up", "--steps", "-1"], env, [
    'Option --steps: "-1" is not a whole number from 1',
  ]);
  await assertRefused(["up", "--steps=1.5"], env, [
    'Option --steps: "1.5" is not a whole number from 1',
  ]);
  await assertRefused(["status", "--wait", "soon"], env, [
    'Option --wait: "soon" is not a duration such as 500ms, 5s, 2m or 1h',
  ]);
  await assertRefused(
    ["up", "--lock-wait", "9999999h", "--connect-timeout", "0"],
    env,
    [
      "Option --connect-timeout: 0 leaves no time to connect",
      'Option --lock-wait: "9999999h" is longer than the limit of 596h',
    ],
  );
  await assertRefused(["up", "--schema", "s".repeat(64)], env, [
    `Option --schema: "${"s".repeat(64)}" is longer than 63 bytes`,
  ]);
});

Deno.test("new is refused where there is no checkout", async () => {
  await assertRefused(["new", "add_x"], { DATABASE_URL: NOWHERE_URL }, [
    "The command new works in a source checkout only: deno task new NAME",
  ]);
});

Deno.test("faults with --format json are JSON on stdout, and told on stderr all the same", async () => {
  const cases: [string[], Record<string, string>, string[]][] = [
    [["up", "--format=json", "--steps=x"], { DATABASE_URL: NOWHERE_URL }, [
      'Option --steps: "x" is not a whole number from 1',
    ]],
    [["status", "--lock-wait=x"], { MIGRATE_FORMAT: "json" }, [
      NOTHING_CONFIGURED,
      'Option --lock-wait: "x" is not a duration such as 500ms, 5s, 2m or 1h',
    ]],
    [["stauts", "--format", "json"], {}, [
      'Unknown command "stauts": did you mean status?',
    ]],
  ];
  for (const [args, env, faults] of cases) {
    const { code, stdout, stderr } = await runMigrate(args, { env });
    assertEquals(code, 2);
    assertEquals(stderr, faults.map((fault) => `error: ${fault}\n`).join(""));
    const { at, ...rest } = JSON.parse(stdout);
    assertEquals(rest, { event: "failed", message: faults.join("\n") });
    assertEquals(Number.isNaN(Date.parse(at)), false);
  }
});

Deno.test("a variable that looks like one of the program's is named, and no Service of Kubernetes", async () => {
  const { code, stderr } = await runMigrate(["up", "--wait-for-db=0"], {
    env: {
      DATABASE_URL: NOWHERE_URL,
      MIGRATE_LOCK_TIMOUT: "1s",
      MIGRATE_SERVICE_HOST: "10.0.0.1",
      MIGRATE_PORT: "tcp://10.0.0.1:80",
    },
  });
  assertEquals(code, 1, stderr);
  assertEquals(stderr.match(/^warning: .*/gm), [
    "warning: MIGRATE_LOCK_TIMOUT is no variable of this program: did you mean MIGRATE_LOCK_TIMEOUT?",
  ]);
});
