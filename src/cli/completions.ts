/**
 * The completions of shells, made from the table of options.
 *
 * @module
 */
import {
  type CommandName,
  COMMANDS,
  type Option,
  type Shell,
  SHELLS,
} from "./options.ts";
import { SETTINGS } from "./settings.ts";
import { LOCAL_COMMANDS } from "./arguments.ts";

const PROGRAM = "battlescope-migrate";
const NAMES = Object.keys(COMMANDS) as CommandName[];

/** Every option by its flag: several commands have some of them. */
const OPTIONS: readonly Option[] = [
  ...new Map(
    [...NAMES.flatMap((name) => COMMANDS[name].options), ...SETTINGS]
      .map((option) => [option.flag, option]),
  ).values(),
];

/** The script that the shell is to read: `source <(battlescope-migrate completions bash)`. */
export function completionLines(shell: Shell): string[] {
  switch (shell) {
    case "bash":
      return bash();
    case "zsh":
      return zsh();
    case "fish":
      return fish();
  }
}

/** The words that a command takes; most take none. */
function operandsOf(name: CommandName): readonly string[] {
  return name === "help" ? NAMES : name === "completions" ? SHELLS : [];
}

/** `all|each` → the words; a value of the user's own, such as `NAME`, has none. */
function choices({ value = "" }: Option): readonly string[] {
  return value.includes("|") ? value.split("|") : [];
}

function bash(): string[] {
  const valued = OPTIONS.filter(({ value }) => value !== undefined);
  const chosen = valued.filter((option) => choices(option).length > 0);
  const free = valued.filter((option) => !chosen.includes(option));
  const cases = (names: readonly CommandName[], last: string) =>
    names.map((name) => {
      const words = [...operandsOf(name), ...flags(COMMANDS[name].options)];
      return `    ${name}) words="${[...words, last].join(" ").trim()}" ;;`;
    });
  return [
    "_battlescope_migrate() {",
    "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command='' words='' i",
    `  local settings="${flags(SETTINGS).join(" ")}"`,
    "  # bash takes --format=json apart at the equals sign.",
    "  if [[ $cur == = ]]; then cur=''; elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi",
    "  for ((i = 1; i < COMP_CWORD; i++)); do",
    "    case ${COMP_WORDS[i]} in",
    "    # Its value is no command.",
    `    ${flags(valued).join(" | ")})`,
    "      i=$((i + 1))",
    "      if [[ ${COMP_WORDS[i]} == = ]]; then i=$((i + 1)); fi ;;",
    "    -*) ;;",
    "    *) command=${command:-${COMP_WORDS[i]}} ;;",
    "    esac",
    "  done",
    "  # Without a command it is up.",
    "  if [[ -z $command && $cur == -* ]]; then command=up; fi",
    "  case $prev in",
    ...chosen.map((option) =>
      `  --${option.flag}) words="${choices(option).join(" ")}" ;;`
    ),
    `  ${flags(free).join(" | ")}) return ;;`,
    "  *)",
    "    case $command in",
    `    "") words="${NAMES.join(" ")}" ;;`,
    ...cases(NAMES.filter((name) => !isLocal(name)), "$settings"),
    ...cases(NAMES.filter(isLocal), ""),
    "    esac ;;",
    "  esac",
    '  COMPREPLY=($(compgen -W "$words" -- "$cur"))',
    "}",
    `complete -F _battlescope_migrate ${PROGRAM}`,
  ];
}

function zsh(): string[] {
  const spec = (option: Option) => {
    const { flag, value, text } = option;
    const explained = `[${text.replaceAll(/[[\]\\]/g, "\\$&")}]`;
    if (value === undefined) return zshQuote(`--${flag}${explained}`);
    const words = choices(option);
    return zshQuote(
      words.length === 0
        ? `--${flag}=${explained}:${value}:`
        : `--${flag}=${explained}:${flag}:(${words.join(" ")})`,
    );
  };
  const argumentsOf = (name: CommandName) => {
    const operands = operandsOf(name);
    return [
      ...COMMANDS[name].options.map(spec),
      ...(operands.length === 0
        ? []
        : [zshQuote(`1:${name}:(${operands.join(" ")})`)]),
      ...(isLocal(name) ? [] : ["$settings"]),
    ];
  };
  const call = (words: readonly string[]) => `_arguments ${words.join(" ")}`;
  return [
    `#compdef ${PROGRAM}`,
    "_battlescope_migrate() {",
    "  local line state",
    "  local -a commands settings",
    "  commands=(",
    ...NAMES.map((name) => `    ${zshQuote(`${name}:${COMMANDS[name].text}`)}`),
    "  )",
    "  settings=(",
    ...SETTINGS.map((option) => `    ${spec(option)}`),
    "  )",
    "  # Without a command it is up.",
    `  ${
      call([
        "-C",
        ...argumentsOf("up"),
        "'1:command:->command'",
        "'*::argument:->argument'",
      ])
    }`,
    "  case $state in",
    "  command) _describe -t commands command commands ;;",
    "  argument)",
    "    case $line[1] in",
    ...NAMES.filter((name) => argumentsOf(name).length > 0)
      .map((name) => `    ${name}) ${call(argumentsOf(name))} ;;`),
    "    esac ;;",
    "  esac",
    "}",
    "# Read by source, or put into a folder of $fpath as _battlescope-migrate.",
    `if [[ $funcstack[1] == _${PROGRAM} ]]; then _battlescope_migrate "$@"; else compdef _battlescope_migrate ${PROGRAM}; fi`,
  ];
}

function fish(): string[] {
  const seen = (names: readonly string[]) =>
    `__fish_seen_subcommand_from ${names.join(" ")}`;
  const complete = (condition: string, rest: string) =>
    `complete -c ${PROGRAM} -n ${fishQuote(condition)} ${rest}`;
  const option = (condition: string, option: Option) => {
    const words = choices(option);
    const value = option.value === undefined
      ? ""
      : words.length === 0
      ? "-x "
      : `-x -a ${fishQuote(words.join(" "))} `;
    return complete(
      condition,
      `-l ${option.flag} ${value}-d ${fishQuote(option.text)}`,
    );
  };
  return [
    `complete -c ${PROGRAM} -f`,
    ...NAMES.map((name) =>
      complete(
        `not ${seen(NAMES)}`,
        `-a ${name} -d ${fishQuote(COMMANDS[name].text)}`,
      )
    ),
    ...NAMES.flatMap((name) => {
      // Without a command it is up.
      const others = NAMES.filter((other) => other !== "up");
      const condition = name === "up" ? `not ${seen(others)}` : seen([name]);
      return [
        ...COMMANDS[name].options.map((one) => option(condition, one)),
        ...operandsOf(name).map((word) => complete(seen([name]), `-a ${word}`)),
      ];
    }),
    ...SETTINGS.map((one) => option(`not ${seen(LOCAL_COMMANDS)}`, one)),
  ];
}

function flags(options: readonly Option[]): string[] {
  return options.map(({ flag }) => `--${flag}`);
}

function isLocal(name: CommandName): boolean {
  return LOCAL_COMMANDS.includes(name);
}

function zshQuote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function fishQuote(text: string): string {
  return `'${text.replaceAll(/['\\]/g, "\\$&")}'`;
}
