/**
 * The values of the options that some commands have.
 *
 * @module
 */
import { parseDuration, quoteValue } from "../text.ts";

/** Values by flag without dashes; a switch is `"true"`. */
export type Options = ReadonlyMap<string, string>;

export function readSteps(
  text: string | undefined,
  faults: string[],
): number | undefined {
  if (text === undefined) return undefined;
  if (/^[1-9][0-9]{0,8}$/.test(text)) return Number(text);
  faults.push(
    `Option --steps: ${quoteValue(text)} is not a whole number from 1`,
  );
  return undefined;
}

export function readWait(
  text: string | undefined,
  faults: string[],
): number | undefined {
  if (text === undefined) return undefined;
  const ms = parseDuration(text);
  if (typeof ms === "number") return ms;
  faults.push(`Option --wait: ${ms.message}`);
  return undefined;
}

export function readRest(
  text: string | undefined,
  faults: string[],
): number | undefined {
  if (text === undefined) return undefined;
  const rest = /^\d{1,3}(?:\.\d{1,3})?$/.test(text) ? Number(text) : NaN;
  if (rest <= 100) return rest;
  faults.push(
    `Option --rest: ${quoteValue(text)} is not a number from 0 to 100`,
  );
  return undefined;
}

export function readAim(
  text: string | undefined,
  faults: string[],
): number | undefined {
  if (text === undefined) return undefined;
  const ms = parseDuration(text);
  if (typeof ms !== "number") faults.push(`Option --aim: ${ms.message}`);
  else if (ms < 10 || ms > 60_000) {
    faults.push(`Option --aim: ${quoteValue(text)} is not from 10ms to 60s`);
  } else return ms;
  return undefined;
}

export function onlyOne(
  flags: readonly string[],
  options: Options,
  faults: string[],
): void {
  const used = flags.filter((flag) => options.has(flag));
  if (used.length < 2) return;
  const list = used.map((flag) => `--${flag}`).join(" and ");
  faults.push(`Options ${list} exclude each other`);
}
