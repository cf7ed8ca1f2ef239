import { assertEquals, assertMatch } from "@std/assert";
import { runMigrate } from "../support/program/cli.ts";
import { battlescope } from "../../scripts/dev/kysely.ts";

const COMMANDS = ["up", "down", "redo", "status", "baseline", "repair", "new"];
const SETTINGS = [
  ["--database-url URL", "DATABASE_URL"],
  ["--connect-timeout DURATION", "default 10s; MIGRATE_CONNECT_TIMEOUT"],
  ["--wait-for-db DURATION", "default 30s; MIGRATE_WAIT_FOR_DB"],
  ["--lock-wait DURATION", "default 60s; MIGRATE_LOCK_WAIT"],
  ["--lock-timeout DURATION", "default 5s; MIGRATE_LOCK_TIMEOUT"],
  ["--lock-retry DURATION", "default 5m; MIGRATE_LOCK_RETRY"],
  ["--statement-timeout DURATION", "default 0; MIGRATE_STATEMENT_TIMEOUT"],
  ["--transaction all|each", "default all; MIGRATE_TRANSACTION"],
  ["--schema NAME", "MIGRATE_SCHEMA"],
  ["--trust-history-owner ROLE", "MIGRATE_TRUST_HISTORY_OWNER"],
  ["--grant-status ROLE", "MIGRATE_GRANT_STATUS"],
  ["--format text|json", "default text; MIGRATE_FORMAT"],
  ["--verbose", ""],
  ["--quiet", ""],
  ["--no-color", "NO_COLOR"],
] as const;

Deno.test("help lists every command, option, variable and exit code", async () => {
  const { code, stdout, stderr } = await runMigrate(["help"]);
  assertEquals([code, stderr], [0, ""]);
  for (const command of COMMANDS) {
    assertMatch(stdout, new RegExp(`^  ${command}( NAME)?  +\\S`, "m"));
  }
  for (const [option, notes] of SETTINGS) {
    const escaped = option.replace("|", "\\|");
    assertMatch(stdout, new RegExp(`^  ${escaped}  +\\S.*${notes}`, "m"));
  }
  for (
    const name of ["HOST", "PORT", "DB", "USER", "PASSWORD", "SSL", "SSL_CA"]
  ) {
    assertMatch(stdout, new RegExp(`^  POSTGRES_${name}  +\\S`, "m"));
  }
  for (const exit of ["0 done", "1 failed", "2 usage", "130 and 143"]) {
    assertMatch(stdout, new RegExp(exit));
  }
  for (const line of stdout.split("\n")) {
    assertEquals(line, line.trimEnd());
  }
});

Deno.test("help and --help say the same, with or without a database", async () => {
  const { stdout } = await runMigrate(["help"]);
  for (const args of [["--help"], ["-h"]]) {
    const env = { DATABASE_URL: "nonsense", MIGRATE_FORMAT: "nonsense" };
    assertEquals(await runMigrate(args, { env }), {
      code: 0,
      stdout,
      stderr: "",
    });
  }
});

Deno.test("help COMMAND shows the options of the command", async () => {
  for (const command of [...COMMANDS, "version"]) {
    const [first, second] = await Promise.all([
      runMigrate(["help", command]),
      runMigrate([command, "--help"]),
    ]);
    assertEquals([first.code, first.stderr], [0, ""]);
    assertEquals(second, first);
    assertMatch(first.stdout, /^[A-Z].*\.\n\nUsage: battlescope-migrate /);
  }
  const { stdout } = await runMigrate(["help", "down"]);
  assertEquals(
    stdout.split("\n\n").slice(0, 3).join("\n\n"),
    `\
Roll back, newest first (one step unless told).

Usage: battlescope-migrate down [options]

Options:
  --to NAME  roll back everything after NAME; NAME stays applied
  --steps N  roll back at most N migrations
  --all      roll back every migration
  --dry-run  print what would be rolled back and change nothing
  --yes      do not ask; required without a terminal`,
  );
});

Deno.test("version says what the program is built from", async () => {
  const last = battlescope.at(-1)?.name;
  const result = {
    code: 0,
    stdout: `\
battlescope-migrate 0.1.0
commit none: running from source
deno ${Deno.version.deno}
kysely 0.29.9
migrations ${battlescope.length}, the last is ${last}
`,
    stderr: "",
  };
  for (
    const args of [["version"], ["--version"], ["-V"], ["up", "--version"]]
  ) {
    assertEquals(await runMigrate(args), result);
  }
  const json = await runMigrate(["version", "--format", "json"]);
  assertEquals([json.code, json.stderr], [0, ""]);
  assertEquals(JSON.parse(json.stdout), {
    name: "battlescope-migrate",
    version: "0.1.0",
    commit: null,
    deno: Deno.version.deno,
    kysely: "0.29.9",
    migrations: { count: battlescope.length, last },
  });
});

Deno.test("help and version write whole lines into a closed pipe without a fuss", async () => {
  const { code, stderr } = await new Deno.Command("sh", {
    args: [
      "-c",
      `"$0" run --quiet --no-prompt --allow-env --allow-read src/main.ts help | head -n 1 >/dev/null`,
      Deno.execPath(),
    ],
    cwd: new URL("../../", import.meta.url),
  }).output();
  assertEquals([code, new TextDecoder().decode(stderr)], [0, ""]);
});
