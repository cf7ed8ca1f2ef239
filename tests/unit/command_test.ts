import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  type Arguments,
  type Command,
  parseArguments,
} from "../../src/cli/command.ts";
import { COMMANDS } from "../../src/cli/options.ts";
import { SETTINGS } from "../../src/cli/settings.ts";
import { hostile, isClean } from "../support/net/hostile.ts";

const KNOWN =
  "known are up, down, redo, status, baseline, repair, backfill, plan, verify, schema, new, completions, help, version";

/** Splits on spaces, as a shell does with words that need no quotes. */
function parse(line: string) {
  return parseArguments(line.split(" ").filter((word) => word !== ""));
}

Deno.test("parseArguments() reads every command", () => {
  const up = { kind: "up", request: {}, dryRun: false, verify: false } as const;
  const down = {
    kind: "down",
    request: {},
    dryRun: false,
    yes: false,
  } as const;
  const commands: Record<string, Command> = {
    "": up,
    "up": up,
    "up --to a --steps 2": { ...up, request: { to: "a", steps: 2 } },
    "up --allow-out-of-order --dry-run": {
      kind: "up",
      request: { allowOutOfOrder: true },
      dryRun: true,
      verify: false,
    },
    "up --verify": { ...up, verify: true },
    "down": down,
    "down --to a": { ...down, request: { to: "a" } },
    "down --steps 999999999": { ...down, request: { steps: 999_999_999 } },
    "down --all --yes": { ...down, request: { all: true }, yes: true },
    "down --dry-run": { ...down, dryRun: true },
    "redo": { kind: "redo", yes: false },
    "redo --yes": { kind: "redo", yes: true },
    "status": { kind: "status", check: false, waitMs: undefined },
    "status --check": { kind: "status", check: true, waitMs: undefined },
    "status --wait 2m": { kind: "status", check: false, waitMs: 120_000 },
    "status --wait 0": { kind: "status", check: false, waitMs: 0 },
    "plan": {
      kind: "plan",
      request: { direction: "up", up: {} },
      probe: false,
      strict: false,
      markdown: false,
    },
    "plan up --to a --steps 2 --allow-out-of-order --strict --probe": {
      kind: "plan",
      request: {
        direction: "up",
        up: { to: "a", steps: 2, allowOutOfOrder: true },
      },
      probe: true,
      strict: true,
      markdown: false,
    },
    "plan down --all --format markdown": {
      kind: "plan",
      request: { direction: "down", down: { all: true } },
      probe: false,
      strict: false,
      markdown: true,
    },
    "verify": { kind: "verify", grants: false, allowExtra: false, ignore: [] },
    "verify --to a --grants --allow-extra --ignore table:x --ignore=index:x.a:b":
      {
        kind: "verify",
        to: "a",
        grants: true,
        allowExtra: true,
        ignore: [
          { type: "table", object: "x" },
          { type: "index", object: "x.a:b" },
        ],
      },
    "schema": { kind: "schema", as: "markdown" },
    "schema --format types --to a": { kind: "schema", as: "types", to: "a" },
    "baseline --to a": { kind: "baseline", from: { to: "a" } },
    "baseline --from-kysely public.kysely_migration": {
      kind: "baseline",
      from: { kyselyTable: "public.kysely_migration" },
    },
    "repair --accept-checksum a": {
      kind: "repair",
      request: { action: "accept_checksum", name: "a" },
    },
    "repair --retry a": {
      kind: "repair",
      request: { action: "retry", name: "a" },
    },
    "repair --mark-applied a": {
      kind: "repair",
      request: { action: "mark_applied", name: "a" },
    },
    "new add_users": { kind: "new", name: "add_users" },
    "completions bash": { kind: "completions", shell: "bash" },
    "help": { kind: "help", topic: undefined },
    "help down": { kind: "help", topic: "down" },
    "--help": { kind: "help", topic: undefined },
    "-h": { kind: "help", topic: undefined },
    "down --help": { kind: "help", topic: "down" },
    "--help down": { kind: "help", topic: "down" },
    "help down --help": { kind: "help", topic: "down" },
    "version": { kind: "version" },
    "--version": { kind: "version" },
    "-V": { kind: "version" },
    "up --version": { kind: "version" },
  };

  for (const [line, command] of Object.entries(commands)) {
    assertEquals(parse(line), {
      command,
      kind: command.kind,
      settings: {},
      faults: [],
    }, line);
  }
});

Deno.test("parseArguments() takes options before and after the command, with a space or an equals sign", () => {
  const expected: Arguments = {
    kind: "down",
    command: {
      kind: "down",
      request: { to: "a" },
      dryRun: false,
      yes: true,
    },
    settings: { format: "json", quiet: "true" },
    faults: [],
  };

  for (
    const line of [
      "down --to a --yes --format json --quiet",
      "--to a --yes --format json --quiet down",
      "--quiet --format=json down --yes --to=a",
      "--quiet --to=a --yes --format=json -- down",
      "--yes --yes --quiet --quiet down --to a --format json",
    ]
  ) {
    assertEquals(parse(line), expected, line);
  }
});

Deno.test("parseArguments() returns every setting by its flag", () => {
  const words = SETTINGS.flatMap(({ flag, value }) =>
    value === undefined ? [`--${flag}`] : [`--${flag}`, `the ${flag}`]
  );

  assertEquals(
    parseArguments(words).settings,
    Object.fromEntries(
      SETTINGS.map(({ flag, value }) => [
        flag,
        value === undefined ? "true" : `the ${flag}`,
      ]),
    ),
  );
});

Deno.test("parseArguments() takes a value as it is", () => {
  const values = [
    "-1",
    "-x",
    "=",
    "a=b",
    "true",
    "0001",
    "1e3",
    "a.b",
    "é 😀",
    "a\nb",
  ];

  for (const value of values) {
    for (const words of [["--to", value], [`--to=${value}`]]) {
      assertEquals(parseArguments(words).command, {
        kind: "up",
        request: { to: value },
        dryRun: false,
        verify: false,
      }, JSON.stringify(words));
    }
  }
  assertEquals(parseArguments(["--to=--yes"]).command, {
    kind: "up",
    request: { to: "--yes" },
    dryRun: false,
    verify: false,
  });
});

Deno.test("parseArguments() reads what a backfill is told", () => {
  const name = "0002_fill";
  const request = (line: string) => parseArguments(line.split(" ")).command;
  assertEquals(request("backfill pause 0002_fill"), {
    kind: "backfill",
    name,
    request: { action: "pause" },
  });
  assertEquals(request("backfill set 0002_fill --rest 0.5 --aim=200ms"), {
    kind: "backfill",
    name,
    request: { action: "set", rest: 0.5, aimMs: 200 },
  });
  for (
    const [line, fault] of [
      [
        "backfill",
        "The command backfill needs pause NAME, resume NAME or set NAME",
      ],
      ["backfill resume", "The command backfill resume needs a NAME"],
      [
        "backfill set a",
        "The command backfill set needs --rest N or --aim DURATION",
      ],
      [
        "backfill set a --rest 101",
        'Option --rest: "101" is not a number from 0 to 100',
      ],
      [
        "backfill set a --aim 5ms",
        'Option --aim: "5ms" is not from 10ms to 60s',
      ],
      [
        "backfill pause a --rest 1",
        "Options --rest and --aim do not belong to backfill pause",
      ],
      ["backfill pause a b", 'Unexpected argument "b"'],
    ] as const
  ) assertEquals(parseArguments(line.split(" ")).faults, [fault], line);
});

Deno.test("parseArguments() says what is wrong, all of it", () => {
  const faults: Record<string, string[]> = {
    "stauts": ['Unknown command "stauts": did you mean status?'],
    "-": [`Unknown command "-": ${KNOWN}`],
    "node dist/packages/database/src/cli/migrate.js": [
      'Unknown command "node": the program needs no node; leave out what the Node image was started with, and pass a command such as up, or nothing',
    ],
    "/bin/sh -c node": [
      'Unknown option "-c"',
      'Unknown command "/bin/sh": the program needs no sh; leave out what the Node image was started with, and pass a command such as up, or nothing',
    ],
    "plan sideways --all": [
      'The command plan takes up or down, not "sideways"',
      "Option --all does not belong to plan up",
    ],
    "plan down --allow-out-of-order --to a --steps 1": [
      "Options --to and --steps exclude each other",
      "Option --allow-out-of-order does not belong to plan down",
    ],
    "verify --ignore backup --ignore table:": [
      ...["backup", "table:"].map((word) =>
        `Option --ignore: "${word}" is not KIND:NAME; kinds are table, view, materialized view, sequence, enum, domain, type, range, function, procedure, aggregate, column, constraint, index, trigger, rule, policy`
      ),
    ],
    "UP": ['Unknown command "UP": did you mean up?'],
    "constructor": [`Unknown command "constructor": ${KNOWN}`],
    "--yes false": [
      `Unknown command "false": ${KNOWN}`,
    ],
    "-- --help": [`Unknown command "--help": ${KNOWN}`],
    "help me": [`Unknown command "me": ${KNOWN}`],
    "me --help": [`Unknown command "me": ${KNOWN}`],
    "up now": ['Unexpected argument "now"'],
    "up -- --dry-run": ['Unexpected argument "--dry-run"'],
    "status status": ['Unexpected argument "status"'],
    "help up down": ['Unexpected argument "down"'],
    "version 2": ['Unexpected argument "2"'],
    "new a b": ['Unexpected argument "b"'],
    "new": ["The command new needs a NAME"],
    "completions": [
      "The command completions needs the name of a shell: bash, zsh, fish",
    ],
    "completions csh": [
      'There are no completions for "csh": known are bash, zsh, fish',
    ],
    "completions bash zsh": ['Unexpected argument "zsh"'],
    "--dryrun": ['Unknown option "--dryrun": did you mean --dry-run?'],
    "--Dry-Run": ['Unknown option "--Dry-Run": did you mean --dry-run?'],
    "--no-yes": ['Unknown option "--no-yes"'],
    "--to.x a": ['Unknown option "--to.x"'],
    "--_ up": ['Unknown option "--_"'],
    "--_=up": ['Unknown option "--_"'],
    "--__proto__ a": ['Unknown option "--__proto__"'],
    "--=a": ['Unknown option "--"'],
    "---to a": ['Unknown option "---to"'],
    "--h": ['Unknown option "--h"'],
    "-y": ['Unknown option "-y"'],
    "-h3": ['Unknown option "-h…"'],
    "-hV": ['Unknown option "-h…"'],
    "-V=1": ['Unknown option "-V"'],
    "--help=false": ["Option --help takes no value"],
    "--version=0": ["Option --version takes no value"],
    "down --yes=true": ["Option --yes takes no value"],
    "down --yes=": ["Option --yes takes no value"],
    "--no-color=1": ["Option --no-color takes no value"],
    "--to": ["Option --to needs a value"],
    "--to=": ["Option --to needs a value"],
    "--to --steps 1": ["Option --to needs a value"],
    "--to --": ["Option --to needs a value"],
    "--database-url": ["Option --database-url needs a value"],
    "--to a --to a": ["Option --to is given 2 times"],
    "--format json --format=json --format json": [
      "Option --format is given 3 times",
    ],
    "--steps 0": ['Option --steps: "0" is not a whole number from 1'],
    "--steps -1": ['Option --steps: "-1" is not a whole number from 1'],
    "--steps +1": ['Option --steps: "+1" is not a whole number from 1'],
    "--steps 01": ['Option --steps: "01" is not a whole number from 1'],
    "--steps 1.0": ['Option --steps: "1.0" is not a whole number from 1'],
    "--steps 1e3": ['Option --steps: "1e3" is not a whole number from 1'],
    "--steps 0x1": ['Option --steps: "0x1" is not a whole number from 1'],
    "--steps ٣": ['Option --steps: "٣" is not a whole number from 1'],
    "--steps two": ['Option --steps: "two" is not a whole number from 1'],
    "--steps 1000000000": [
      'Option --steps: "1000000000" is not a whole number from 1',
    ],
    "status --wait long": [
      'Option --wait: "long" is not a duration such as 500ms, 5s, 2m or 1h',
    ],
    "status --wait 597h": [
      'Option --wait: "597h" is longer than the limit of 596h',
    ],
    "--yes": ["Option --yes does not belong to the command up"],
    "redo --dry-run": ["Option --dry-run does not belong to the command redo"],
    "version --check": [
      "Option --check does not belong to the command version",
    ],
    "down --to a --steps 1": ["Options --to and --steps exclude each other"],
    "down --all --steps 1 --to a": [
      "Options --to and --steps and --all exclude each other",
    ],
    "baseline": ["The command baseline needs --to NAME or --from-kysely TABLE"],
    "baseline --to a --from-kysely b": [
      "Options --to and --from-kysely exclude each other",
    ],
    "repair": [
      "The command repair needs --accept-checksum NAME, --retry NAME or --mark-applied NAME",
    ],
    "repair --retry a --mark-applied a": [
      "Options --retry and --mark-applied exclude each other",
    ],
    "repair --retry a --retry b": [
      "Option --retry is given 2 times",
      "The command repair needs --accept-checksum NAME, --retry NAME or --mark-applied NAME",
    ],
    "--bogus status --check extra --steps=x --to --format": [
      'Unknown option "--bogus"',
      "Option --format needs a value",
      "Option --to needs a value",
      'Unexpected argument "extra"',
      "Option --steps does not belong to the command status",
    ],
  };

  for (const [line, expected] of Object.entries(faults)) {
    assertEquals(parse(line).faults, expected, line);
  }
});

Deno.test("parseArguments() gives no command but up when none is typed, and none when a fault hides it", () => {
  assertEquals(parse("stauts").command, undefined);
  assertEquals(parse("baseline").command, undefined);
  assertEquals(parse("repair").command, undefined);
  assertEquals(parse("new").command, undefined);
});

Deno.test("parseArguments() does not repeat what may be a password", () => {
  const faults: Record<string, string[]> = {
    "--password hunter2": ['Unknown option "--password"'],
    "--password hunter2 status": ['Unknown option "--password"'],
    "--password=hunter2": ['Unknown option "--password"'],
    "-phunter2": ['Unknown option "-p…"'],
    "-p hunter2": ['Unknown option "-p"'],
    "postgres://app:hunter2@db/app": [
      `Unknown command "postgres://…": ${KNOWN}`,
    ],
    "up postgres://app:hunter2@db/app": ['Unexpected argument "postgres://…"'],
    "up POSTGRES_PASSWORD=hunter2": [
      'Unexpected argument "POSTGRES_PASSWORD=…"',
    ],
    "up app:hunter2@db": ['Unexpected argument "…"'],
    "--postgres://app:hunter2@db/app": ['Unknown option "…"'],
    "--steps postgres://app:hunter2@db/app": [
      'Option --steps: "postgres://…" is not a whole number from 1',
    ],
    "status --wait postgres://app:hunter2@db/app": [
      'Option --wait: "postgres://…" is not a duration such as 500ms, 5s, 2m or 1h',
    ],
  };

  for (const [line, expected] of Object.entries(faults)) {
    assertEquals(parse(line).faults, expected, line);
  }
});

/** Words that are often almost right. */
const words = fc.array(
  fc.oneof(
    fc.constantFrom(...Object.keys(COMMANDS), "--", "-", "-h", "-V", "--help"),
    fc.constantFrom(
      ...[...SETTINGS, ...Object.values(COMMANDS).flatMap((c) => c.options)]
        .flatMap(({ flag }) => [`--${flag}`, `--${flag}=`, `--${flag}=1`]),
    ),
    fc.constantFrom("1", "0", "-1", "5s", "a", "json", "true", "false"),
    hostile,
    hostile.map((text) => `--${text}`),
    hostile.map((text) => `-${text}`),
  ),
  { maxLength: 8 },
);

Deno.test("parseArguments() never throws, and accepts only what its types promise", () => {
  fc.assert(
    fc.property(words, (words) => {
      const { command, settings, faults } = parseArguments(words);

      for (const fault of faults) assertEquals(isClean(fault), true, fault);
      for (const flag of Object.keys(settings)) {
        assertEquals(SETTINGS.some((option) => option.flag === flag), true);
        assertEquals(settings[flag] === "", false);
      }
      if (faults.length === 0) assertEquals(whyImpossible(command), undefined);
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("parseArguments() never takes a word that begins with a dash for nothing", () => {
  const flags = SETTINGS.concat(COMMANDS.up.options).map(({ flag }) => flag);
  const dashed = fc.oneof(
    hostile.map((text) => `-${text}`),
    fc.tuple(fc.constantFrom("-", "--"), fc.string()).map((two) =>
      two.join("")
    ),
    fc.tuple(
      fc.constantFrom("-h", "-V", "--help", "--version", "--yes", "--dry-run"),
      fc.string({ minLength: 1 }),
    ).map((two) => two.join("")),
  ).filter((word) => !["--", "-h", "-V", "--help", "--version"].includes(word));

  fc.assert(
    fc.property(dashed, (word) => {
      const { faults } = parseArguments([word]);
      const flag = word.replace(/^--|=.*/gs, "");
      assertEquals(faults.length > 0 || flags.includes(flag), true);
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("parseArguments() never shows the password of a connection string, wherever it stands", () => {
  const secret = "hunter2";
  const holders = fc.constantFrom(
    `postgres://app:${secret}@db/app`,
    `postgres://app@corp:${secret}@db/app`,
    `postgres://app:pass=${secret}@db/app?sslmode=require`,
    `app:${secret}@db`,
    `POSTGRES_PASSWORD=${secret}`,
    `-p${secret}`,
    `--password=${secret}`,
  );
  const flags = fc.constantFrom(
    "--to",
    "--steps",
    "--wait",
    "--format",
    "--x",
    "-x",
    "up",
    "--",
  );

  fc.assert(
    fc.property(fc.array(fc.oneof(holders, flags)), holders, (words, last) => {
      const { faults } = parseArguments([...words, last]);
      assertEquals(faults.filter((fault) => fault.includes(secret)), []);
    }),
  );
});

/** What no accepted command may be; `undefined` when all is well. */
function whyImpossible(command: Command | undefined): string | undefined {
  switch (command?.kind) {
    case undefined:
      return "nothing is wrong and yet there is no command";
    case "up":
    case "down": {
      const { request } = command;
      const { steps = 1 } = request;
      const bounds = Object.values(request).filter((value) => value !== false);
      return !Number.isInteger(steps) || steps < 1
        ? "steps"
        : command.kind === "down" && bounds.length > 1
        ? "more than one bound"
        : undefined;
    }
    case "status":
      return command.waitMs === undefined || command.waitMs >= 0
        ? undefined
        : "waitMs";
    case "baseline":
      return Object.values(command.from).length === 1 ? undefined : "from";
    case "repair":
      return command.request.name === "" ? "name" : undefined;
    default:
      return undefined;
  }
}
