/**
 * Arguments → command.
 *
 * @module
 */
import { readName, splitArguments } from "./arguments.ts";
import { type Checked, checked, map } from "./checked.ts";
import {
  type Options,
  type Origin,
  readBackfill,
  readBaseline,
  readDown,
  readRepair,
  readShell,
  readUp,
  readWait,
} from "./command_values.ts";
import { quoteArgument, quoteValue } from "../text.ts";
import {
  type CommandName,
  COMMANDS,
  FORMATS,
  type Option,
  type Shell,
} from "./options.ts";
import { SETTINGS } from "./settings.ts";
import type { Settings } from "./variables.ts";
import { type PlanCommand, readPlan } from "./plan_values.ts";
import { readSchema, type SchemaRequest } from "./schema_values.ts";
import { readVerify, type VerifyRequest } from "./verify_values.ts";
import type { DownRequest, UpRequest } from "../plan/plan.ts";
import type { BackfillControl } from "../plan/backfill.ts";
import type { RepairRequest } from "../plan/repair.ts";

export type Command =
  | {
    readonly kind: "up";
    readonly request: UpRequest;
    readonly dryRun: boolean;
    /** Whether what it makes of the schema is compared before the commit. */
    readonly verify: boolean;
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
  | { readonly kind: "baseline"; readonly from: Origin }
  | { readonly kind: "repair"; readonly request: RepairRequest }
  | {
    readonly kind: "backfill";
    readonly name: string;
    readonly request: BackfillControl;
  }
  | ({ readonly kind: "plan" } & PlanCommand)
  | ({ readonly kind: "verify" } & VerifyRequest)
  | ({ readonly kind: "schema" } & SchemaRequest)
  | { readonly kind: "new"; readonly name: string }
  | { readonly kind: "completions"; readonly shell: Shell }
  | { readonly kind: "help"; readonly topic: CommandName | undefined }
  | { readonly kind: "version" };

/** What the arguments say. `command` is missing when faults made it unreadable. */
export interface Arguments {
  readonly command: Command | undefined;
  /** Its name; missing when nobody knows it. */
  readonly kind: CommandName | undefined;
  readonly settings: Settings;
  readonly faults: readonly string[];
}

/** How many words of their own commands take. */
const OPERANDS: Readonly<Partial<Record<CommandName, number>>> = {
  plan: 1,
  backfill: 2,
  new: 1,
  completions: 1,
  help: 1,
};

/** Reads the arguments. Never throws: everything that is wrong is in `faults`. */
export function parseArguments(argv: readonly string[]): Arguments {
  const split = splitArguments(argv);
  const { operands: words, options } = split.value;
  const [word = "up", ...operands] = words;
  const name = readName(word);
  const kind = name.value;
  const form = readForm(kind, options.get("format"));
  const settings = Object.fromEntries(
    [...options].filter(([flag]) =>
      isIn(SETTINGS, flag) && !(flag === "format" && form.value)
    ),
  );
  if (options.has("help")) {
    const topic = kind === "help" ? readName(operands[0]) : name;
    const command: Command = {
      kind: "help",
      topic: words.length > 0 ? topic.value : undefined,
    };
    const faults = [...split.faults, ...topic.faults];
    return { command, kind: "help", settings, faults };
  }
  const faults = [...split.faults, ...name.faults, ...form.faults];
  if (options.has("version")) {
    const kind = "version";
    return { command: { kind }, kind, settings, faults };
  }
  if (kind === undefined) {
    return { command: undefined, kind, settings, faults };
  }
  const command = readCommand(kind, options, operands);
  faults.push(...misplaced(kind, options, operands), ...command.faults);
  // An option that could not be read may be the one that is missing.
  if (faults.length === 0) faults.push(...missing(command.value));
  return { command: command.value, kind, settings, faults };
}

/** Whether the form of the output is the command's to read: it has forms of its own, and this is none that all have. */
function readForm(
  kind: CommandName | undefined,
  value: string | undefined,
): Checked<boolean> {
  const own = kind === undefined ? undefined : FORMATS[kind];
  if (value === undefined || own === undefined || COMMON.includes(value)) {
    return checked(false);
  }
  return checked(
    true,
    !own.includes(value) &&
      `Option --format: ${quoteValue(value)} is not one of ${
        [...COMMON, ...own].join(", ")
      }`,
  );
}

/** The forms that all commands have. */
const COMMON: readonly string[] = ["text", "json"];

/** What does not belong to the command. */
function misplaced(
  kind: CommandName,
  options: Options,
  operands: readonly string[],
): string[] {
  const foreign = [...options.keys()].filter((flag) =>
    !isIn(SETTINGS, flag) && !isIn(COMMANDS[kind].options, flag)
  );
  return [
    ...operands.slice(OPERANDS[kind] ?? 0).map((extra) =>
      `Unexpected argument ${quoteArgument(extra)}`
    ),
    ...foreign.map((flag) =>
      `Option --${flag} does not belong to the command ${kind}`
    ),
  ];
}

/** What the command lacks, if nothing else is wrong. */
function missing(command: Command | undefined): string[] {
  if (command?.kind !== "backfill") return [];
  const { request } = command;
  return request.action === "set" && request.rest === undefined &&
      request.aimMs === undefined
    ? ["The command backfill set needs --rest N or --aim DURATION"]
    : [];
}

function readCommand(
  kind: CommandName,
  options: Options,
  operands: readonly string[],
): Checked<Command | undefined> {
  const dryRun = options.has("dry-run");
  const yes = options.has("yes");
  switch (kind) {
    case "up": {
      const verify = options.has("verify");
      return map(
        readUp(options),
        (request) => ({ kind, request, dryRun, verify }),
      );
    }
    case "down":
      return map(
        readDown(options),
        (request) => ({ kind, request, dryRun, yes }),
      );
    case "redo":
      return checked({ kind, yes });
    case "status": {
      const check = options.has("check");
      return map(readWait(options), (waitMs) => ({ kind, check, waitMs }));
    }
    case "baseline":
      return map(readBaseline(options), (from) => from && { kind, from });
    case "repair":
      return map(
        readRepair(options),
        (request) => request && { kind, request },
      );
    case "backfill":
      return map(
        readBackfill(operands, options),
        (control) => control && { kind, ...control },
      );
    case "plan":
      return map(readPlan(operands, options), (plan) => ({ kind, ...plan }));
    case "verify":
      return map(readVerify(options), (request) => ({ kind, ...request }));
    case "schema":
      return checked({ kind, ...readSchema(options) });
    case "new": {
      const [name] = operands;
      return name === undefined
        ? checked(name, "The command new needs a NAME")
        : checked({ kind, name });
    }
    case "completions":
      return map(readShell(operands[0]), (shell) => shell && { kind, shell });
    case "help":
      return map(readName(operands[0]), (topic) => ({ kind, topic }));
    case "version":
      return checked({ kind });
  }
}

function isIn(options: readonly Option[], flag: string): boolean {
  return options.some((option) => option.flag === flag);
}
