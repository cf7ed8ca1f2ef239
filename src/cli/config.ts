/**
 * Flags and environment → one frozen configuration, or every fault at once.
 *
 * @module
 */
import { parseDuration, quoteValue } from "../text.ts";
import { NamedFiles, type ReadText } from "./named_files.ts";
import { type Option, SETTINGS } from "./options.ts";
import {
  type Environment,
  NOWHERE,
  readTarget,
  type Target,
  unreadableSources,
} from "./target.ts";

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

type Settings = Readonly<Record<string, string>>;

/** Reads what decides the form of the output; a wrong value is a fault. */
export function readOutputConfig(
  settings: Settings,
  env: Environment,
  faults: string[],
): OutputConfig {
  if (settings.verbose && settings.quiet) {
    faults.push("Options --verbose and --quiet exclude each other");
  }
  return Object.freeze({
    format: oneOf("format", ["text", "json"], settings, env, faults),
    verbosity: settings.quiet
      ? "quiet"
      : settings.verbose
      ? "verbose"
      : "normal",
    color: settings["no-color"] === undefined && !env.NO_COLOR,
  });
}

/** How to work, whatever the database. */
export type SettingsConfig = Omit<
  Config,
  keyof OutputConfig | "target" | "connectTimeoutMs"
>;

/** Reads how to work, whatever the database. Adds to `faults`; the value is good when it added none. */
export function readSettings(
  settings: Settings,
  env: Environment,
  faults: string[],
): SettingsConfig {
  const ms = (flag: string) => duration(flag, settings, env, faults);
  return {
    waitForDbMs: ms("wait-for-db"),
    lockWaitMs: ms("lock-wait"),
    lockTimeoutMs: ms("lock-timeout"),
    lockRetryMs: ms("lock-retry"),
    statementTimeoutMs: ms("statement-timeout"),
    transaction: oneOf("transaction", ["all", "each"], settings, env, faults),
    phase: oneOf("phase", ["all", "pre", "post"], settings, env, faults),
    fill: {
      timeLimitMs: setting("time-limit", settings, env) === undefined
        ? undefined
        : ms("time-limit"),
      maxLagBytes: size("max-lag", settings, env, faults),
      holdQuery: setting("hold-query", settings, env)?.text,
    },
    schema: readSchema(settings, env, faults),
    trustedOwner: setting("trust-history-owner", settings, env)?.text,
    statusRole: setting("grant-status", settings, env)?.text,
    pipeline: settings["no-pipeline"] === undefined,
  };
}

/** Reads everything that a command with a database needs. Adds to `faults`; the value is good when it added none. */
export async function readConfig(
  settings: Settings,
  env: Environment,
  readText: ReadText,
  faults: string[],
): Promise<Config> {
  const output = readOutputConfig(settings, env, faults);
  const unreadable = unreadableSources(settings, env);
  faults.push(...unreadable.map((source) => `${source} is no text in UTF-8`));
  const { target, connectTimeoutMs } = unreadable.length > 0
    ? { target: NOWHERE, connectTimeoutMs: undefined }
    : await readTarget(
      settings["database-url"],
      env,
      new NamedFiles(readText, faults),
    );
  const explicit = setting("connect-timeout", settings, env) !== undefined;
  return Object.freeze({
    ...output,
    target,
    connectTimeoutMs: explicit || connectTimeoutMs === undefined
      ? duration("connect-timeout", settings, env, faults)
      : connectTimeoutMs,
    ...readSettings(settings, env, faults),
  });
}

function readSchema(
  settings: Settings,
  env: Environment,
  faults: string[],
): string | undefined {
  const given = setting("schema", settings, env);
  // PostgreSQL cuts longer names off and would work in another schema.
  if (given !== undefined && new TextEncoder().encode(given.text).length > 63) {
    faults.push(
      `${given.source}: ${quoteValue(given.text)} is longer than 63 bytes`,
    );
  }
  // Quoted, too, it stands for the schema of the user's name wherever the search path is set to it.
  if (given?.text === "$user") {
    faults.push(`${given.source}: PostgreSQL cannot search the schema "$user"`);
  }
  return given?.text;
}

/** What was given for an option, and where. */
interface Setting {
  readonly text: string;
  readonly source: string;
}

/** For an option that has a default. */
function settingOrDefault(
  flag: string,
  settings: Settings,
  env: Environment,
): Setting {
  return setting(flag, settings, env) ??
    { text: optionOf(flag).default!, source: "default" };
}

function optionOf(flag: string): Option {
  return SETTINGS.find((option) => option.flag === flag)!;
}

function setting(
  flag: string,
  settings: Settings,
  env: Environment,
): Setting | undefined {
  const option = optionOf(flag);
  const value = settings[flag];
  if (value !== undefined) return { text: value, source: `Option --${flag}` };
  const variable = option.variable === undefined
    ? undefined
    : env[option.variable];
  return variable ? { text: variable, source: option.variable! } : undefined;
}

function duration(
  flag: string,
  settings: Settings,
  env: Environment,
  faults: string[],
): number {
  const given = settingOrDefault(flag, settings, env);
  const ms = parseDuration(given.text);
  if (ms instanceof Error) {
    faults.push(`${given.source}: ${ms.message}`);
    return 0;
  }
  if (ms === 0 && flag === "connect-timeout") {
    faults.push(`${given.source}: 0 leaves no time to connect`);
  }
  return ms;
}

const UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
};

function size(
  flag: string,
  settings: Settings,
  env: Environment,
  faults: string[],
): number {
  const given = settingOrDefault(flag, settings, env);
  const [, number, unit = ""] = /^(\d+(?:\.\d+)?)(B|KiB|MiB|GiB)$/.exec(
    given.text,
  ) ?? [];
  if (number !== undefined) return Number(number) * UNITS[unit]!;
  faults.push(
    `${given.source}: ${
      quoteValue(given.text)
    } is not a size, such as 512KiB, 64MiB or 1GiB`,
  );
  return 0;
}

function oneOf<T extends string>(
  flag: string,
  allowed: readonly T[],
  settings: Settings,
  env: Environment,
  faults: string[],
): T {
  const given = settingOrDefault(flag, settings, env);
  const value = allowed.find((value) => value === given.text);
  if (value !== undefined) return value;
  faults.push(
    `${given.source}: ${quoteValue(given.text)} is not one of ${
      allowed.join(", ")
    }`,
  );
  return allowed[0]!;
}
