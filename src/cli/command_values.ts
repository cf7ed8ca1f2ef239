/**
 * What the operands and options of a command ask for.
 *
 * @module
 */
import { parseDuration, quoteArgument, quoteValue } from "../text.ts";
import { type Checked, checked, parsed, together } from "./checked.ts";
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
  const { value: steps, faults } = readSteps(options);
  return checked(
    {
      ...(to !== undefined && { to }),
      ...(steps !== undefined && { steps }),
      ...(options.has("allow-out-of-order") && { allowOutOfOrder: true }),
    },
    onlyOne(["dry-run", "verify"], options),
    ...faults,
  );
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
  return readNumber("wait", options, parseDuration);
}

export function readBaseline(options: Options): Checked<Origin | undefined> {
  const to = options.get("to");
  const kyselyTable = options.get("from-kysely");
  const table = kyselyTable === undefined ? undefined : { kyselyTable };
  const from = to === undefined ? table : { to };
  return checked(
    from,
    onlyOne(["to", "from-kysely"], options),
    from === undefined &&
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
  const [request] = Object.entries(REPAIR_ACTIONS).flatMap(
    ([flag, action]) => {
      const name = options.get(flag);
      return name === undefined ? [] : { action, name };
    },
  );
  return checked(
    request,
    onlyOne(Object.keys(REPAIR_ACTIONS), options),
    request === undefined &&
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
    rest: readNumber("rest", options, parseRest),
    aimMs: readNumber("aim", options, parseAim),
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
  const wanted = SHELLS.join(", ");
  const fault = word === undefined
    ? `The command completions needs the name of a shell: ${wanted}`
    : `There are no completions for ${
      quoteArgument(word)
    }: known are ${wanted}`;
  return checked(shell, shell === undefined && fault);
}

function readSteps(options: Options): Checked<number | undefined> {
  return readNumber(
    "steps",
    options,
    (text) =>
      /^[1-9][0-9]{0,8}$/.test(text)
        ? Number(text)
        : new Error(`${quoteValue(text)} is not a whole number from 1`),
  );
}

/** A batch may rest a hundred times as long as it works: that is slow enough. */
function parseRest(text: string): number | Error {
  const rest = /^\d{1,3}(?:\.\d{1,3})?$/.test(text) ? Number(text) : NaN;
  return rest <= 100
    ? rest
    : new Error(`${quoteValue(text)} is not a number from 0 to 100`);
}

function parseAim(text: string): number | Error {
  const ms = parseDuration(text);
  return typeof ms === "number" && (ms < 10 || ms > 60_000)
    ? new Error(`${quoteValue(text)} is not from 10ms to 60s`)
    : ms;
}

function readNumber(
  flag: string,
  options: Options,
  parse: (text: string) => number | Error,
): Checked<number | undefined> {
  const text = options.get(flag);
  return text === undefined
    ? checked(text)
    : parsed({ text, source: `Option --${flag}` }, parse, undefined);
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
