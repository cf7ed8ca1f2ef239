import { assertEquals } from "@std/assert";
import { helpLines } from "../../src/cli/help.ts";
import { type CommandName, COMMANDS } from "../../src/cli/options.ts";
import { SETTINGS } from "../../src/cli/settings.ts";
import { LOCAL_COMMANDS } from "../../src/cli/arguments.ts";
import { TRACE_VARIABLES } from "../../src/cli/trace_variables.ts";
import { POSTGRES_VARIABLES, VARIABLES } from "../../src/cli/variables.ts";

const NAMES = Object.keys(COMMANDS) as CommandName[];

Deno.test("helpLines() shows the usage, the commands and the exit codes", () => {
  const lines = helpLines(undefined);

  assertEquals(
    lines.slice(0, lines.findIndex((line) => line.startsWith("Options"))).join(
      "\n",
    ),
    `\
Creates and evolves BattleScope's PostgreSQL schema.

Usage: battlescope-migrate [command] [options]

Commands:
  up           apply pending migrations (the default command)
  down         roll back, newest first (one step unless told)
  redo         roll back the last migration and apply it again
  status       show every migration and its state
  baseline     record migrations as applied without running them
  repair       settle a failed or edited migration
  backfill     pause, resume or set a backfill at work
  plan         what a run would do to this database: SQL, locks, times, risks
  verify       compare the schema with what the applied migrations make
  schema       print the schema that the migrations make; needs no database
  new NAME     create a migration file (source checkout only)
  completions  print what a shell needs to complete commands and options
  help         show this text, or the options of a command
  version      show the version and what it was built from
`,
  );
  assertEquals(
    lines.slice(-6).join("\n"),
    `\
Exit codes: 0 done, or nothing to do; 1 failed or refused; 2 usage or configuration error;
3 migrations are pending (status --check, status --wait), the schema differs (verify), or plan --strict has findings;
4 --time-limit ended a backfill with work left;
130 and 143 stopped by SIGINT and SIGTERM.

battlescope-migrate help COMMAND, or COMMAND --help, shows the options of a command.`,
  );
});

Deno.test("helpLines() shows the options of one command, and those of all", () => {
  const lines = helpLines("down");

  assertEquals(
    lines.slice(0, 12).join("\n"),
    `\
Roll back, newest first (one step unless told).

Usage: battlescope-migrate down [options]

Options:
  --to NAME  roll back everything after NAME; NAME stays applied
  --steps N  roll back at most N migrations
  --all      roll back every migration
  --dry-run  print what would be rolled back and change nothing
  --yes      do not ask; required without a terminal

Options of every command; an option wins over its environment variable:`,
  );
});

Deno.test("helpLines() is short for a command without options", () => {
  assertEquals(helpLines("new"), [
    "Create a migration file (source checkout only).",
    "",
    "Usage: battlescope-migrate new NAME",
  ]);
});

Deno.test("helpLines() shows no option of a database for commands that need none", () => {
  const short = NAMES.filter((name) =>
    !helpLines(name).join("\n").includes("--database-url")
  );

  assertEquals(short, LOCAL_COMMANDS);
});

Deno.test("helpLines() says of a setting its default and its variable", () => {
  const lines = helpLines(undefined).map((line) =>
    line.trim().replace(/ {2,}/, "  ")
  );

  for (
    const expected of [
      "--connect-timeout DURATION  limit of one connection attempt (default 10s; MIGRATE_CONNECT_TIMEOUT)",
      "--transaction all|each  one transaction for the whole run, or one for each migration (default all; MIGRATE_TRANSACTION)",
      "--schema NAME  schema for search_path and the history table; the connection's by default (MIGRATE_SCHEMA)",
      "--quiet  print results, warnings and errors only",
    ]
  ) assertEquals(lines.includes(expected), true, expected);
});

Deno.test("helpLines() names everything in the table of options", () => {
  const overview = helpLines(undefined).join("\n");
  for (const { flag } of SETTINGS) {
    assertEquals(overview.includes(`  --${flag} `), true, flag);
  }
  for (const { name } of [...POSTGRES_VARIABLES, ...TRACE_VARIABLES]) {
    assertEquals(overview.includes(`  ${name} `), true, name);
  }
  for (const name of NAMES) {
    const help = helpLines(name).join("\n");
    for (const { flag } of COMMANDS[name].options) {
      assertEquals(help.includes(`  --${flag} `), true, `${name} ${flag}`);
    }
  }
});

Deno.test("helpLines() is plain text without white space at the end of a line", () => {
  for (const lines of [undefined, ...NAMES].map(helpLines)) {
    assertEquals(lines.filter((line) => /\s$|[^ -~…]/.test(line)), []);
  }
});

Deno.test("VARIABLES lists every variable of the documentation once", () => {
  const documented = [
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
    "MIGRATE_CONNECT_TIMEOUT",
    "MIGRATE_WAIT_FOR_DB",
    "MIGRATE_LOCK_WAIT",
    "MIGRATE_LOCK_TIMEOUT",
    "MIGRATE_LOCK_RETRY",
    "MIGRATE_STATEMENT_TIMEOUT",
    "MIGRATE_TRANSACTION",
    "MIGRATE_SCHEMA",
    "MIGRATE_TRUST_HISTORY_OWNER",
    "MIGRATE_GRANT_STATUS",
    "MIGRATE_FORMAT",
    "NO_COLOR",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SDK_DISABLED",
    "OTEL_TRACES_EXPORTER",
    "TRACEPARENT",
    "TRACESTATE",
  ];

  assertEquals(documented.filter((name) => !VARIABLES.includes(name)), []);
  assertEquals(new Set(VARIABLES).size, VARIABLES.length);
});

Deno.test("COMMANDS and SETTINGS share no flag, and one flag means a value everywhere or nowhere", () => {
  const own = NAMES.flatMap((name) => COMMANDS[name].options);
  const settings = SETTINGS.map(({ flag }) => flag);

  assertEquals(own.filter(({ flag }) => settings.includes(flag)), []);
  assertEquals(new Set(settings).size, settings.length);
  for (const { flag, value } of own) {
    const same = own.filter((option) => option.flag === flag);
    assertEquals(same.every((option) => option.value === value), true, flag);
  }
});
