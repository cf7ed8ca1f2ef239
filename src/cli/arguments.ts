/**
 * Arguments → operands and options, by the table of options.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { type CommandName, COMMANDS, type Option } from "./options.ts";
import { SETTINGS } from "./settings.ts";
import { type Checked, checked } from "./checked.ts";
import { nearest } from "./suggestion.ts";
import { quoteArgument } from "../text.ts";

export interface SplitArguments {
  readonly operands: readonly string[];
  /** Values by flag without dashes; a switch is `"true"`, several of one option are lines. */
  readonly options: ReadonlyMap<string, string>;
}

/** What images that hold Node are started with; this one is the program and nothing else. */
const INTERPRETERS = ["node", "npm", "npx", "pnpm", "yarn", "sh", "bash"];

export const COMMAND_NAMES = Object.keys(COMMANDS) as CommandName[];

/** The commands that need no database. */
export const LOCAL_COMMANDS: readonly CommandName[] = [
  "schema",
  "new",
  "completions",
  "help",
  "version",
];

const OPTIONS: readonly Option[] = [
  ...SETTINGS,
  ...Object.values(COMMANDS).flatMap(({ options }) => options),
  { flag: "help", text: "as the command help" },
  { flag: "version", text: "as the command version" },
];
const VALUED = flags(({ value }) => value !== undefined);
const MANY = flags(({ many }) => many === true);
const SWITCHES = flags(({ value }) => value === undefined);
const SHORT: Readonly<Record<string, string>> = {
  "-h": "--help",
  "-V": "--version",
};

/** Splits the arguments. Never throws. */
export function splitArguments(
  argv: readonly string[],
): Checked<SplitArguments> {
  const bound = bindValues(argv);
  const parsed: Record<string, unknown> & { _: string[] } = parseArgs(
    bound.value,
    { boolean: SWITCHES, string: ["_", ...VALUED], collect: VALUED },
  );
  const options = new Map<string, string>();
  const faults = [...bound.faults];
  for (const flag of VALUED) {
    const values = parsed[flag] as string[];
    if (values.length > 1 && MANY.includes(flag) && !values.includes("")) {
      options.set(flag, values.join("\n"));
    } else if (values.length > 1 && !MANY.includes(flag)) {
      faults.push(`Option --${flag} is given ${values.length} times`);
    } else if (values.includes("")) {
      faults.push(`Option --${flag} needs a value`);
    } else if (values[0] !== undefined) {
      options.set(flag, values[0]);
    }
  }
  for (const flag of SWITCHES) {
    if (parsed[flag] === true) options.set(flag, "true");
  }
  return { value: { operands: parsed._, options }, faults };
}

/** Reads the name of a command, if there is a word for it. */
export function readName(
  word: string | undefined,
): Checked<CommandName | undefined> {
  const name = COMMAND_NAMES.find((name) => name === word);
  if (word === undefined || name !== undefined) return checked(name);
  const unknown = `Unknown command ${quoteArgument(word)}`;
  const interpreter = INTERPRETERS.find((known) =>
    word === known || word.endsWith(`/${known}`)
  );
  if (interpreter !== undefined) {
    return checked(
      name,
      `${unknown}: the program needs no ${interpreter}; leave out what the Node image was ` +
        "started with, and pass a command such as up, or nothing",
    );
  }
  const meant = nearest(word, COMMAND_NAMES);
  const hint = meant === undefined
    ? `known are ${COMMAND_NAMES.join(", ")}`
    : `did you mean ${meant}?`;
  return checked(name, `${unknown}: ${hint}`);
}

/**
 * Binds every option to its value with `=`, takes unknown ones out and puts the operands last. The library would guess:
 * it takes `-h3` and `--help=false` for no help at all, a `false` after a switch for its value, and the `-1` after
 * `--steps` for an option.
 */
function bindValues(argv: readonly string[]): Checked<string[]> {
  const end = argv.indexOf("--");
  const words = end < 0 ? argv : argv.slice(0, end);
  const bound: string[] = [];
  const operands: string[] = [];
  const faults: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    const next = words[i + 1];
    const [, flag = "", value] =
      /^--([^=]*)(=.*)?$/s.exec(SHORT[word] ?? word) ?? [];
    if (!word.startsWith("-") || word === "-") {
      operands.push(word);
    } else if (VALUED.includes(flag)) {
      const missing = next === undefined || next.startsWith("--");
      if (value === undefined && !missing) i++;
      bound.push(`--${flag}${value ?? (missing ? "=" : `=${next}`)}`);
    } else if (!SWITCHES.includes(flag)) {
      faults.push(unknownOption(word.replace(/=.*/s, "")));
      if (value === undefined && isValue(next)) i++;
    } else if (value !== undefined) {
      faults.push(`Option --${flag} takes no value`);
    } else {
      bound.push(`--${flag}`);
    }
  }
  const rest = end < 0 ? [] : argv.slice(end + 1);
  return { value: [...bound, "--", ...operands, ...rest], faults };
}

function unknownOption(word: string): string {
  const meant = word.startsWith("--")
    ? nearest(word.slice(2), [...VALUED, ...SWITCHES])
    : undefined;
  return `Unknown option ${quoteArgument(word)}${
    meant === undefined ? "" : `: did you mean --${meant}?`
  }`;
}

/** Whether the word after an unknown option is taken for its value. It may be a secret: `--password hunter2`. */
function isValue(word: string | undefined): boolean {
  return word !== undefined && !word.startsWith("-") &&
    !COMMAND_NAMES.some((name) => name === word);
}

function flags(condition: (option: Option) => boolean): string[] {
  return [...new Set(OPTIONS.filter(condition).map(({ flag }) => flag))];
}
