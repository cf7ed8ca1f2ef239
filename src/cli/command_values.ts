/**
 * What the operands and options of a command ask for.
 *
 * @module
 */
import { parseDuration, quoteArgument, quoteValue } from "../text.ts";
import { type Checked, checked, map, together } from "./checked.ts";
import { type Shell, SHELLS } from "./options.ts";
import type { DownRequest, UpRequest } from "../plan/plan.ts";
import type { BackfillControl } from "../plan/backfill.ts";
import type { RepairRequest } from "../plan/repair.ts";

/** Values by flag without dashes; a switch is `"true"`. */
export type Options = ReadonlyMap<string, string>;

/** Where a baseline has its names from. */
export type Origin = { readonly to: string } | { readonly kyselyTable: string };

export function readUp(options: Options): Checked<UpRequest> {
  const to = options.get("to");
  return map(readSteps(options), (steps) => ({
    ...(to !== undefined && { to }),
    ...(steps !== undefined && { steps }),
    ...(options.has("allow-out-of-order") && { allowOutOfOrder: true }),
  }));
}

export function readDown(options: Options): Checked<DownRequest> {
  const to = options.get("to");
  const { value: steps, faults } = readSteps(options);
  return checked(
    {
      ...(to !== undefined && { to }),
      ...(steps !== undefined && { steps }),
      ...(options.has("all") && { all: true }),
    },
    onlyOne(["to", "steps", "all"], options),
    ...faults,
  );
}

/** Returns milliseconds. */
export function readWait(options: Options): Checked<number | undefined> {
  const text = options.get("wait");
  if (text === undefined) return checked(undefined);
  const ms = parseDuration(text);
  if (typeof ms === "number") return checked(ms);
  return checked(undefined, `Option --wait: ${ms.message}`);
}

export function readBaseline(options: Options): Checked<Origin | undefined> {
  const to = options.get("to");
  const kyselyTable = options.get("from-kysely");
  if (to !== undefined) {
    return checked({ to }, onlyOne(["to", "from-kysely"], options));
  }
  if (kyselyTable !== undefined) return checked({ kyselyTable });
  return checked(
    undefined,
    "The command baseline needs --to NAME or --from-kysely TABLE",
  );
}

const REPAIR_ACTIONS = {
  "accept-checksum": "accept_checksum",
  "retry": "retry",
  "mark-applied": "mark_applied",
} as const;

export function readRepair(
  options: Options,
): Checked<RepairRequest | undefined> {
  for (const [flag, action] of Object.entries(REPAIR_ACTIONS)) {
    const name = options.get(flag);
    if (name !== undefined) {
      return checked(
        { action, name },
        onlyOne(Object.keys(REPAIR_ACTIONS), options),
      );
    }
  }
  return checked(
    undefined,
    "The command repair needs --accept-checksum NAME, --retry NAME or --mark-applied NAME",
  );
}

export function readBackfill(
  [action, name]: readonly string[],
  options: Options,
): Checked<{ name: string; request: BackfillControl } | undefined> {
  if (action !== "pause" && action !== "resume" && action !== "set") {
    return checked(
      undefined,
      "The command backfill needs pause NAME, resume NAME or set NAME",
    );
  }
  if (name === undefined) {
    return checked(name, `The command backfill ${action} needs a NAME`);
  }
  const { value: pace, faults } = together({
    rest: readRest(options),
    aimMs: readAim(options),
  });
  if (action === "set") {
    return checked({ name, request: { action, ...pace } }, ...faults);
  }
  const isSet = pace.rest !== undefined || pace.aimMs !== undefined;
  return checked(
    { name, request: { action } },
    ...faults,
    isSet && `Options --rest and --aim do not belong to backfill ${action}`,
  );
}

export function readShell(
  word: string | undefined,
): Checked<Shell | undefined> {
  const shell = SHELLS.find((known) => known === word);
  if (shell !== undefined) return checked(shell);
  const wanted = SHELLS.join(", ");
  return checked(
    shell,
    word === undefined
      ? `The command completions needs the name of a shell: ${wanted}`
      : `There are no completions for ${
        quoteArgument(word)
      }: known are ${wanted}`,
  );
}

function readSteps(options: Options): Checked<number | undefined> {
  const text = options.get("steps");
  if (text === undefined) return checked(undefined);
  if (/^[1-9][0-9]{0,8}$/.test(text)) return checked(Number(text));
  return checked(
    undefined,
    `Option --steps: ${quoteValue(text)} is not a whole number from 1`,
  );
}

/** A batch may rest a hundred times as long as it works: that is slow enough. */
function readRest(options: Options): Checked<number | undefined> {
  const text = options.get("rest");
  if (text === undefined) return checked(undefined);
  const rest = /^\d{1,3}(?:\.\d{1,3})?$/.test(text) ? Number(text) : NaN;
  if (rest <= 100) return checked(rest);
  return checked(
    undefined,
    `Option --rest: ${quoteValue(text)} is not a number from 0 to 100`,
  );
}

/** Returns milliseconds. */
function readAim(options: Options): Checked<number | undefined> {
  const text = options.get("aim");
  if (text === undefined) return checked(undefined);
  const ms = parseDuration(text);
  if (typeof ms !== "number") {
    return checked(undefined, `Option --aim: ${ms.message}`);
  }
  if (ms >= 10 && ms <= 60_000) return checked(ms);
  return checked(
    undefined,
    `Option --aim: ${quoteValue(text)} is not from 10ms to 60s`,
  );
}

/** The fault of options that exclude each other, if there is one. */
function onlyOne(
  flags: readonly string[],
  options: Options,
): string | undefined {
  const used = flags.filter((flag) => options.has(flag));
  if (used.length < 2) return undefined;
  const list = used.map((flag) => `--${flag}`).join(" and ");
  return `Options ${list} exclude each other`;
}
