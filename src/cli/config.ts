/**
 * Flags and environment → one frozen configuration, or every fault at once.
 *
 * @module
 */
import { parseDuration, quoteValue } from "../text.ts";
import {
  type Checked,
  checked,
  type Given,
  parsed,
  together,
} from "./checked.ts";
import type { ReadText } from "./named_files.ts";
import { type Option } from "./options.ts";
import { SETTINGS } from "./settings.ts";
import { readDestination, type Target } from "./target.ts";
import { traceSecrets } from "./trace_variables.ts";
import type { Environment } from "./environment.ts";
import type { Settings } from "./variables.ts";

export interface OutputConfig {
  readonly format: "text" | "json";
  readonly verbosity: "quiet" | "normal" | "verbose";
  readonly color: boolean;
}

/** How large tables are filled. */
export interface FillConfig {
  /** Milliseconds. */
  readonly timeLimitMs: number | undefined;
  readonly maxLagBytes: number;
  readonly holdQuery: string | undefined;
}

/** All times are milliseconds. */
export interface Config extends OutputConfig {
  readonly target: Target;
  /** What must not be printed, beside the password. */
  readonly secrets: readonly string[];
  readonly connectTimeoutMs: number;
  readonly waitForDbMs: number;
  readonly lockWaitMs: number;
  readonly lockTimeoutMs: number;
  readonly lockRetryMs: number;
  readonly statementTimeoutMs: number;
  readonly transaction: "all" | "each";
  readonly phase: "all" | "pre" | "post";
  readonly fill: FillConfig;
  readonly schema: string | undefined;
  /** The role that may own the history although the user is no member of it. */
  readonly trustedOwner: string | undefined;
  /** The role that `up` lets read the history. */
  readonly statusRole: string | undefined;
  /** Whether definitions are sent ahead of the answers to those before them. */
  readonly pipeline: boolean;
}

/** Reads what decides the form of the output. */
export function readOutputConfig(
  settings: Settings,
  env: Environment,
): Checked<OutputConfig> {
  const { valued } = lookUp(settings, env);
  const { value: format, faults } = oneOf(valued("format"), ["text", "json"]);
  const verbosity = settings.quiet
    ? "quiet"
    : settings.verbose
    ? "verbose"
    : "normal";
  const color = settings["no-color"] === undefined && !env.NO_COLOR;
  return checked(
    Object.freeze({ format, verbosity, color }),
    settings.verbose && settings.quiet &&
      "Options --verbose and --quiet exclude each other",
    ...faults,
  );
}

/** How to work, whatever the database. */
export type SettingsConfig = Omit<
  Config,
  keyof OutputConfig | "target" | "secrets" | "connectTimeoutMs"
>;

/** Reads how to work, whatever the database. */
export function readSettings(
  settings: Settings,
  env: Environment,
): Checked<SettingsConfig> {
  const { given, valued } = lookUp(settings, env);
  const ms = (flag: string) => parsed(valued(flag), parseDuration, 0);
  const schema = given("schema");
  return together({
    waitForDbMs: ms("wait-for-db"),
    lockWaitMs: ms("lock-wait"),
    lockTimeoutMs: ms("lock-timeout"),
    lockRetryMs: ms("lock-retry"),
    statementTimeoutMs: ms("statement-timeout"),
    transaction: oneOf(valued("transaction"), ["all", "each"]),
    phase: oneOf(valued("phase"), ["all", "pre", "post"]),
    fill: together({
      timeLimitMs: given("time-limit") ? ms("time-limit") : checked(undefined),
      maxLagBytes: parsed(valued("max-lag"), parseSize, 0),
      holdQuery: checked(given("hold-query")?.text),
    }),
    schema: schema ? parsed(schema, parseSchema, "") : checked(schema),
    trustedOwner: checked(given("trust-history-owner")?.text),
    statusRole: checked(given("grant-status")?.text),
    pipeline: checked(settings["no-pipeline"] === undefined),
  });
}

/** Reads everything that a command with a database needs. */
export async function readConfig(
  settings: Settings,
  env: Environment,
  readText: ReadText,
): Promise<Checked<Config>> {
  const output = readOutputConfig(settings, env);
  const destination = await readDestination(settings, env, readText);
  const { target, connectTimeoutMs } = destination.value;
  const { given, valued } = lookUp(settings, env);
  const timeout = given("connect-timeout") || connectTimeoutMs === undefined
    ? parsed(valued("connect-timeout"), parseLimit, 0)
    : checked(connectTimeoutMs);
  const rest = readSettings(settings, env);
  return checked(
    Object.freeze({
      ...output.value,
      target,
      secrets: traceSecrets(env),
      connectTimeoutMs: timeout.value,
      ...rest.value,
    }),
    ...[output, destination, timeout, rest].flatMap(({ faults }) => faults),
  );
}

function parseSchema(text: string): string | Error {
  // PostgreSQL cuts longer names off and would work in another schema.
  if (new TextEncoder().encode(text).length > 63) {
    return new Error(`${quoteValue(text)} is longer than 63 bytes`);
  }
  // Quoted, too, it stands for the schema of the user's name wherever the search path is set to it.
  return text === "$user"
    ? new Error('PostgreSQL cannot search the schema "$user"')
    : text;
}

function parseLimit(text: string): number | Error {
  const ms = parseDuration(text);
  return ms === 0 ? new Error("0 leaves no time to connect") : ms;
}

/** Looks up what was `given` for an option, and what holds for one that is `valued`: that has a default. */
function lookUp(settings: Settings, env: Environment) {
  const given = (flag: string): Given | undefined => {
    const value = settings[flag];
    if (value !== undefined) return { text: value, source: `Option --${flag}` };
    const { variable } = optionOf(flag);
    const text = variable === undefined ? undefined : env[variable];
    return text ? { text, source: variable! } : undefined;
  };
  const valued = (flag: string): Given =>
    given(flag) ?? { text: optionOf(flag).default!, source: "default" };
  return { given, valued };
}

function optionOf(flag: string): Option {
  return SETTINGS.find((option) => option.flag === flag)!;
}

const UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
};

function parseSize(text: string): number | Error {
  const [, number, unit = ""] = /^(\d+(?:\.\d+)?)(B|KiB|MiB|GiB)$/.exec(text) ??
    [];
  return number === undefined
    ? new Error(
      `${quoteValue(text)} is not a size, such as 512KiB, 64MiB or 1GiB`,
    )
    : Number(number) * UNITS[unit]!;
}

function oneOf<T extends string>(
  given: Given,
  allowed: readonly T[],
): Checked<T> {
  return parsed(
    given,
    (text) =>
      allowed.find((value) => value === text) ??
        new Error(`${quoteValue(text)} is not one of ${allowed.join(", ")}`),
    allowed[0]!,
  );
}
