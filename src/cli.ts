/**
 * Arguments → command.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { parseDuration } from "./duration.ts";
import type { DownRequest, RepairRequest, UpRequest } from "./plan.ts";
import { type CommandName, COMMANDS, SETTINGS } from "./options.ts";
import { quote, quoteArgument } from "./quote.ts";

export type Command =
  | {
    readonly kind: "up";
    readonly request: UpRequest;
    readonly dryRun: boolean;
  }
  | {
    readonly kind: "down";
    readonly request: DownRequest;
    readonly dryRun: boolean;
    readonly yes: boolean;
  }
  | { readonly kind: "redo"; readonly yes: boolean }
  | {
    readonly kind: "status";
    readonly check: boolean;
    readonly waitMs: number | undefined;
  }
  | {
    readonly kind: "baseline";
    readonly from: { readonly to: string } | { readonly kyselyTable: string };
  }
  | { readonly kind: "repair"; readonly request: RepairRequest }
  | { readonly kind: "new"; readonly name: string }
  | { readonly kind: "help"; readonly topic: CommandName | undefined }
  | { readonly kind: "version" };

/** What the arguments say. `command` is missing when faults made it unreadable. */
export interface Arguments {
  readonly command: Command | undefined;
  /** The values of the options that every command has, by flag without dashes; switches are `"true"`. */
  readonly settings: Readonly<Record<string, string>>;
  readonly faults: readonly string[];
}

const COMMAND_NAMES = Object.keys(COMMANDS) as CommandName[];
const HELP_FLAGS = ["help", "h"];
const VERSION_FLAGS = ["version", "V"];

/** Reads the arguments. Never throws: everything that is wrong is in `faults`. */
export function parseArguments(argv: readonly string[]): Arguments {
  const faults: string[] = [];
  const every = [
    ...SETTINGS,
    ...Object.values(COMMANDS).flatMap(({ options }) => options),
  ];
  const valued = [
    ...new Set(
      every.filter(({ value }) => value !== undefined).map(({ flag }) => flag),
    ),
  ];
  const switches = [
    ...new Set(
      every.filter(({ value }) => value === undefined).map(({ flag }) => flag),
    ),
  ];
  const end = argv.indexOf("--");
  for (const word of end < 0 ? argv : argv.slice(0, end)) {
    const flag = /^--([^=]+)=/s.exec(word)?.[1];
    if (flag !== undefined && switches.includes(flag)) {
      faults.push(`Option --${flag} takes no value`);
    }
  }
  const parsed: Record<string, unknown> & { _: string[] } = parseArgs(
    bindValues(argv, valued, switches),
    {
      boolean: [...switches, ...HELP_FLAGS, ...VERSION_FLAGS],
      string: ["_", ...valued],
      collect: [...valued, ...switches],
      unknown: (argument: string, key?: string) => {
        if (key === undefined) return true;
        faults.push(
          `Unknown option ${quoteArgument(argument.replace(/=.*/s, ""))}`,
        );
        return false;
      },
    },
  );

  const [word = "up", ...operands] = parsed._;
  const help = HELP_FLAGS.some((flag) => parsed[flag] === true);
  const version = VERSION_FLAGS.some((flag) => parsed[flag] === true);
  const kind = COMMAND_NAMES.find((name) => name === word);
  if (kind === undefined) {
    faults.push(
      `Unknown command ${quoteArgument(word)}: known are ${
        COMMAND_NAMES.join(", ")
      }`,
    );
  }

  const given = new Map<string, string>();
  for (const flag of valued) {
    const values = parsed[flag] as string[];
    if (values.length > 1) {
      faults.push(`Option --${flag} is given ${values.length} times`);
    } else if (values[0] === "" || values[0] === "\0") {
      faults.push(`Option --${flag} needs a value`);
    } else if (values[0] !== undefined) {
      given.set(flag, values[0].replace(PROTECTED, ""));
    }
  }
  for (const flag of switches) {
    if ((parsed[flag] as boolean[]).at(-1) === true) given.set(flag, "true");
  }

  const settings: Record<string, string> = {};
  for (const [flag, value] of given) {
    if (SETTINGS.some((option) => option.flag === flag)) settings[flag] = value;
    else if (
      kind !== undefined &&
      !COMMANDS[kind].options.some((option) => option.flag === flag)
    ) {
      faults.push(`Option --${flag} does not belong to the command ${kind}`);
    }
  }
  if (help) {
    return {
      command: { kind: "help", topic: parsed._.length > 0 ? kind : undefined },
      settings,
      faults,
    };
  }
  if (version) return { command: { kind: "version" }, settings, faults };
  const command = kind && readCommand(kind, given, operands, faults);
  return { command, settings, faults };
}

function readCommand(
  kind: CommandName,
  given: ReadonlyMap<string, string>,
  operands: readonly string[],
  faults: string[],
): Command | undefined {
  const limit = kind === "new" || kind === "help" ? 1 : 0;
  for (const extra of operands.slice(limit)) {
    faults.push(`Unexpected argument ${quoteArgument(extra)}`);
  }
  const has = (flag: string) => given.has(flag);
  const only = (flags: readonly string[]) => {
    const used = flags.filter(has);
    if (used.length > 1) {
      faults.push(
        `Options ${
          used.map((flag) => `--${flag}`).join(" and ")
        } exclude each other`,
      );
    }
    return used;
  };
  const to = given.get("to");
  const steps = readSteps(given.get("steps"), faults);
  switch (kind) {
    case "up":
      return {
        kind,
        request: {
          ...(to !== undefined && { to }),
          ...(steps !== undefined && { steps }),
          ...(has("allow-out-of-order") && { allowOutOfOrder: true }),
        },
        dryRun: has("dry-run"),
      };
    case "down":
      only(["to", "steps", "all"]);
      return {
        kind,
        request: {
          ...(to !== undefined && { to }),
          ...(steps !== undefined && { steps }),
          ...(has("all") && { all: true }),
        },
        dryRun: has("dry-run"),
        yes: has("yes"),
      };
    case "redo":
      return { kind, yes: has("yes") };
    case "status": {
      const wait = given.get("wait");
      const waitMs = wait === undefined ? undefined : parseDuration(wait);
      if (waitMs instanceof Error) {
        faults.push(`Option --wait: ${waitMs.message}`);
      }
      return {
        kind,
        check: has("check"),
        waitMs: waitMs instanceof Error ? undefined : waitMs,
      };
    }
    case "baseline": {
      const [used] = only(["to", "from-kysely"]);
      if (used === undefined) {
        faults.push(
          "The command baseline needs --to NAME or --from-kysely TABLE",
        );
        return undefined;
      }
      return {
        kind,
        from: to !== undefined
          ? { to }
          : { kyselyTable: given.get("from-kysely")! },
      };
    }
    case "repair": {
      const [used] = only(["accept-checksum", "retry", "mark-applied"]);
      if (used === undefined) {
        faults.push(
          "The command repair needs --accept-checksum NAME, --retry NAME or --mark-applied NAME",
        );
        return undefined;
      }
      const action = used.replace("-", "_") as RepairRequest["action"];
      return { kind, request: { action, name: given.get(used)! } };
    }
    case "new": {
      const [name] = operands;
      if (name === undefined) faults.push("The command new needs a NAME");
      return name === undefined ? undefined : { kind, name };
    }
    case "help": {
      const [word] = operands;
      const topic = COMMAND_NAMES.find((name) => name === word);
      if (word !== undefined && topic === undefined) {
        faults.push(
          `Unknown command ${quoteArgument(word)}: known are ${
            COMMAND_NAMES.join(", ")
          }`,
        );
      }
      return { kind, topic };
    }
    case "version":
      return { kind };
  }
}

function readSteps(
  text: string | undefined,
  faults: string[],
): number | undefined {
  if (text === undefined) return undefined;
  if (/^[1-9][0-9]{0,8}$/.test(text)) return Number(text);
  faults.push(`Option --steps: ${quote(text)} is not a whole number from 1`);
  return undefined;
}

/** Stands before a value so that the library takes it as it is, whatever it begins with; no argument of a process can hold it. */
const PROTECTED = /^\0/;

/**
 * Binds each option to its value with `=`. The library takes a word that begins with a dash for the next option and a
 * `true` or `false` after a switch for its value; here `--steps -1` is a bad number, `--to --yes` a missing value and
 * `--yes false` an unexpected argument.
 */
function bindValues(
  argv: readonly string[],
  valued: readonly string[],
  switches: readonly string[],
): string[] {
  const result: string[] = [];
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i]!;
    if (word === "--") return [...result, ...argv.slice(i)];
    const flag = word.startsWith("--") ? word.slice(2) : "";
    const next = argv[i + 1];
    if (switches.includes(flag)) {
      result.push(`${word}=true`);
    } else if (!valued.includes(flag)) {
      result.push(word);
    } else if (next === undefined || next.startsWith("--")) {
      result.push(`${word}=`);
    } else {
      result.push(`${word}=\0${next}`);
      i++;
    }
  }
  return result;
}
