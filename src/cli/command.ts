/**
 * Arguments → command.
 *
 * @module
 */
import { COMMAND_NAMES, splitArguments } from "./arguments.ts";
import {
  onlyOne,
  type Options,
  readAim,
  readRest,
  readSteps,
  readWait,
} from "./command_values.ts";
import { quoteArgument } from "../text.ts";
import {
  type CommandName,
  COMMANDS,
  type Option,
  SETTINGS,
  type Shell,
  SHELLS,
} from "./options.ts";
import { nearest } from "./suggestion.ts";
import type { DownRequest, UpRequest } from "../plan/plan.ts";
import type { BackfillControl } from "../plan/backfill.ts";
import type { RepairRequest } from "../plan/repair.ts";

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
  | {
    readonly kind: "backfill";
    readonly name: string;
    readonly request: BackfillControl;
  }
  | { readonly kind: "new"; readonly name: string }
  | { readonly kind: "completions"; readonly shell: Shell }
  | { readonly kind: "help"; readonly topic: CommandName | undefined }
  | { readonly kind: "version" };

/** What the arguments say. `command` is missing when faults made it unreadable. */
export interface Arguments {
  readonly command: Command | undefined;
  /** Its name; missing when nobody knows it. */
  readonly kind: CommandName | undefined;
  /** The values of the options that every command has, by flag without dashes; switches are `"true"`. */
  readonly settings: Readonly<Record<string, string>>;
  readonly faults: readonly string[];
}

/** How many words of their own commands take. */
const OPERANDS: Readonly<Partial<Record<CommandName, number>>> = {
  backfill: 2,
  new: 1,
  completions: 1,
  help: 1,
};

/** Reads the arguments. Never throws: everything that is wrong is in `faults`. */
export function parseArguments(argv: readonly string[]): Arguments {
  const faults: string[] = [];
  const { operands: words, options } = splitArguments(argv, faults);
  const [word = "up", ...operands] = words;
  const kind = readName(word, faults);
  const settings = Object.fromEntries(
    [...options].filter(([flag]) => isIn(SETTINGS, flag)),
  );
  if (options.has("help")) {
    const topic = kind === "help" ? readName(operands[0], faults) : kind;
    const command: Command = {
      kind: "help",
      topic: words.length > 0 ? topic : undefined,
    };
    return { command, kind: "help", settings, faults };
  }
  if (options.has("version")) {
    const kind = "version";
    return { command: { kind }, kind, settings, faults };
  }
  const command = kind && readCommand(kind, options, operands, faults);
  return { command, kind, settings, faults };
}

function readCommand(
  kind: CommandName,
  options: Options,
  operands: readonly string[],
  faults: string[],
): Command | undefined {
  const limit = OPERANDS[kind] ?? 0;
  for (const extra of operands.slice(limit)) {
    faults.push(`Unexpected argument ${quoteArgument(extra)}`);
  }
  for (const flag of options.keys()) {
    if (!isIn(SETTINGS, flag) && !isIn(COMMANDS[kind].options, flag)) {
      faults.push(`Option --${flag} does not belong to the command ${kind}`);
    }
  }
  const dryRun = options.has("dry-run");
  const yes = options.has("yes");
  switch (kind) {
    case "up":
      return { kind, request: readUp(options, faults), dryRun };
    case "down":
      return { kind, request: readDown(options, faults), dryRun, yes };
    case "redo":
      return { kind, yes };
    case "status": {
      const waitMs = readWait(options.get("wait"), faults);
      return { kind, check: options.has("check"), waitMs };
    }
    case "baseline":
      return readBaseline(options, faults);
    case "repair":
      return readRepair(options, faults);
    case "backfill":
      return readBackfill(operands, options, faults);
    case "new": {
      const [name] = operands;
      if (name === undefined) faults.push("The command new needs a NAME");
      return name === undefined ? undefined : { kind, name };
    }
    case "completions":
      return readCompletions(operands[0], faults);
    case "help":
      return { kind, topic: readName(operands[0], faults) };
    case "version":
      return { kind };
  }
}

function readUp(options: Options, faults: string[]): UpRequest {
  const to = options.get("to");
  const steps = readSteps(options.get("steps"), faults);
  return {
    ...(to !== undefined && { to }),
    ...(steps !== undefined && { steps }),
    ...(options.has("allow-out-of-order") && { allowOutOfOrder: true }),
  };
}

function readDown(options: Options, faults: string[]): DownRequest {
  onlyOne(["to", "steps", "all"], options, faults);
  const to = options.get("to");
  const steps = readSteps(options.get("steps"), faults);
  return {
    ...(to !== undefined && { to }),
    ...(steps !== undefined && { steps }),
    ...(options.has("all") && { all: true }),
  };
}

function readBaseline(
  options: Options,
  faults: string[],
): Command & { kind: "baseline" } | undefined {
  onlyOne(["to", "from-kysely"], options, faults);
  const to = options.get("to");
  const kyselyTable = options.get("from-kysely");
  if (to !== undefined) return { kind: "baseline", from: { to } };
  if (kyselyTable !== undefined) {
    return { kind: "baseline", from: { kyselyTable } };
  }
  faults.push("The command baseline needs --to NAME or --from-kysely TABLE");
  return undefined;
}

const REPAIR_ACTIONS = {
  "accept-checksum": "accept_checksum",
  "retry": "retry",
  "mark-applied": "mark_applied",
} as const;

function readRepair(
  options: Options,
  faults: string[],
): Command & { kind: "repair" } | undefined {
  onlyOne(Object.keys(REPAIR_ACTIONS), options, faults);
  for (const [flag, action] of Object.entries(REPAIR_ACTIONS)) {
    const name = options.get(flag);
    if (name !== undefined) {
      return { kind: "repair", request: { action, name } };
    }
  }
  faults.push(
    "The command repair needs --accept-checksum NAME, --retry NAME or --mark-applied NAME",
  );
  return undefined;
}

function readBackfill(
  [action, name]: readonly string[],
  options: Options,
  faults: string[],
): Command & { kind: "backfill" } | undefined {
  if (action !== "pause" && action !== "resume" && action !== "set") {
    faults.push(
      "The command backfill needs pause NAME, resume NAME or set NAME",
    );
    return undefined;
  }
  if (name === undefined) {
    faults.push(`The command backfill ${action} needs a NAME`);
    return undefined;
  }
  const rest = readRest(options.get("rest"), faults);
  const aimMs = readAim(options.get("aim"), faults);
  const isSet = rest !== undefined || aimMs !== undefined;
  if (action === "set") {
    if (!isSet && faults.length === 0) {
      faults.push("The command backfill set needs --rest N or --aim DURATION");
    }
    return { kind: "backfill", name, request: { action, rest, aimMs } };
  }
  if (isSet) {
    faults.push(
      `Options --rest and --aim do not belong to backfill ${action}`,
    );
  }
  return { kind: "backfill", name, request: { action } };
}

/** A batch may rest a hundred times as long as it works: that is slow enough. */
function readCompletions(
  word: string | undefined,
  faults: string[],
): Command | undefined {
  const shell = SHELLS.find((known) => known === word);
  if (shell !== undefined) return { kind: "completions", shell };
  const wanted = SHELLS.join(", ");
  faults.push(
    word === undefined
      ? `The command completions needs the name of a shell: ${wanted}`
      : `There are no completions for ${
        quoteArgument(word)
      }: known are ${wanted}`,
  );
  return undefined;
}

/** What images that hold Node are started with; this one is the program and nothing else. */
const INTERPRETERS = ["node", "npm", "npx", "pnpm", "yarn", "sh", "bash"];

/** The name of a command; an unknown one is a fault. */
function readName(
  word: string | undefined,
  faults: string[],
): CommandName | undefined {
  const name = COMMAND_NAMES.find((name) => name === word);
  if (word !== undefined && name === undefined) {
    const interpreter = INTERPRETERS.find((known) =>
      word === known || word.endsWith(`/${known}`)
    );
    const meant = nearest(word, COMMAND_NAMES);
    faults.push(
      interpreter === undefined
        ? `Unknown command ${quoteArgument(word)}: ${
          meant === undefined
            ? `known are ${COMMAND_NAMES.join(", ")}`
            : `did you mean ${meant}?`
        }`
        : `Unknown command ${
          quoteArgument(word)
        }: the program needs no ${interpreter}; leave out what the Node image was ` +
          "started with, and pass a command such as up, or nothing",
    );
  }
  return name;
}

function isIn(options: readonly Option[], flag: string): boolean {
  return options.some((option) => option.flag === flag);
}
