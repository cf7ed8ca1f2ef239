/**
 * The help texts, made from the table of options.
 *
 * @module
 */
import { type CommandName, COMMANDS, type Option } from "./options.ts";
import { SETTINGS } from "./settings.ts";
import { LOCAL_COMMANDS } from "./arguments.ts";
import { TRACE_VARIABLES } from "./trace_variables.ts";
import { POSTGRES_VARIABLES } from "./variables.ts";
import { PROGRAM } from "./version.ts";

/** The text of `help`, or of `help COMMAND`. */
export function helpLines(topic: CommandName | undefined): string[] {
  return topic === undefined ? overview() : commandHelp(topic);
}

function overview(): string[] {
  return [
    "Creates and evolves BattleScope's PostgreSQL schema.",
    "",
    `Usage: ${PROGRAM} [command] [options]`,
    "",
    "Commands:",
    ...columns(
      Object.entries(COMMANDS).map((
        [name, { text }],
      ) => [name === "new" ? "new NAME" : name, text]),
    ),
    "",
    ...settings(),
    "",
    "Exit codes: 0 done, or nothing to do; 1 failed or refused; 2 usage or configuration error;",
    "3 migrations are pending (status --check, status --wait), the schema differs (verify), or plan --strict has findings;",
    "4 --time-limit ended a backfill with work left;",
    "130 and 143 stopped by SIGINT and SIGTERM.",
    "",
    `${PROGRAM} help COMMAND, or COMMAND --help, shows the options of a command.`,
  ];
}

function commandHelp(name: CommandName): string[] {
  const { usage, text, options } = COMMANDS[name];
  return [
    `${text[0]!.toUpperCase()}${text.slice(1)}.`,
    "",
    `Usage: ${PROGRAM} ${usage}`,
    ...(options.length > 0 ? ["", "Options:", ...optionLines(options)] : []),
    ...(LOCAL_COMMANDS.includes(name) ? [] : ["", ...settings()]),
  ];
}

function settings(): string[] {
  return [
    "Options of every command; an option wins over its environment variable:",
    ...optionLines(SETTINGS),
    "",
    "Without a URL these variables are used:",
    ...columns(POSTGRES_VARIABLES.map(({ name, text }) => [name, text])),
    "",
    "What changes the database is traced where OpenTelemetry's variables say where to send that:",
    ...columns(TRACE_VARIABLES.map(({ name, text }) => [name, text])),
    "",
    "Durations read 500ms, 5s, 2m, 1h.",
  ];
}

function optionLines(options: readonly Option[]): string[] {
  return columns(options.map((option) => {
    const { flag, value, text, variable } = option;
    const notes = [
      ...(option.default === undefined ? [] : [`default ${option.default}`]),
      ...(variable === undefined ? [] : [variable]),
    ];
    return [
      `--${flag}${value === undefined ? "" : ` ${value}`}`,
      notes.length === 0 ? text : `${text} (${notes.join("; ")})`,
    ];
  }));
}

function columns(
  rows: readonly (readonly [string, string] | string[])[],
): string[] {
  const width = Math.max(...rows.map(([left]) => left!.length));
  return rows.map(([left, right]) => `  ${left!.padEnd(width)}  ${right}`);
}
