/**
 * Flags and environment → one frozen configuration, or every fault at once.
 *
 * @module
 */
import { parseDuration } from "./duration.ts";
import { type Option, SETTINGS } from "./options.ts";
import { quote } from "./quote.ts";
import {
  type HostAndPort,
  parseConnectionString,
  parsePort,
  type SslMode,
} from "./url.ts";

/** How the server is proved to be the right one. Certificates and keys are PEM texts. */
export interface Tls {
  readonly mode: SslMode;
  /** The authority to trust; the system's authorities when missing. */
  readonly ca: string | undefined;
  readonly clientCertificate: string | undefined;
  readonly clientKey: string | undefined;
}

/** Where to connect and as whom. */
export interface Target {
  readonly hosts: readonly HostAndPort[];
  readonly user: string;
  readonly password: string | undefined;
  readonly database: string;
  readonly tls: Tls;
  readonly applicationName: string | undefined;
  readonly options: string | undefined;
}

export interface OutputConfig {
  readonly format: "text" | "json";
  readonly verbosity: "quiet" | "normal" | "verbose";
  readonly color: boolean;
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
  readonly schema: string | undefined;
  /** Whether definitions are sent ahead of the answers to those before them. */
  readonly pipeline: boolean;
}

export type Environment = Readonly<Record<string, string | undefined>>;
type Settings = Readonly<Record<string, string>>;

/** Reads a text file named by the configuration; rejects with the operating system's reason. */
export type ReadText = (path: string) => Promise<string>;

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

/** Reads everything that a command with a database needs. Adds to `faults`; the value is good when it added none. */
export async function readConfig(
  settings: Settings,
  env: Environment,
  readText: ReadText,
  faults: string[],
): Promise<Config> {
  const ms = (flag: string) => duration(flag, settings, env, faults);
  const output = readOutputConfig(settings, env, faults);
  const files = new Files(readText, faults);
  const { target, connectTimeoutMs } = await readTarget(
    settings,
    env,
    files,
    faults,
  );
  const schema = setting("schema", settings, env)?.text;
  if (
    schema !== undefined && (schema.includes("\0") || byteLength(schema) > 63)
  ) {
    faults.push(`Option --schema: ${quote(schema)} is longer than 63 bytes`);
  }
  const explicit = setting("connect-timeout", settings, env) !== undefined;
  const config: Config = {
    ...output,
    target,
    connectTimeoutMs: explicit || connectTimeoutMs === undefined
      ? ms("connect-timeout")
      : connectTimeoutMs,
    waitForDbMs: ms("wait-for-db"),
    lockWaitMs: ms("lock-wait"),
    lockTimeoutMs: ms("lock-timeout"),
    lockRetryMs: ms("lock-retry"),
    statementTimeoutMs: ms("statement-timeout"),
    transaction: oneOf("transaction", ["all", "each"], settings, env, faults),
    schema,
    pipeline: settings["no-pipeline"] === undefined,
  };
  if (config.connectTimeoutMs === 0) {
    faults.push("Option --connect-timeout must be longer than 0");
  }
  return Object.freeze(config);
}

/** Whether anything says which database to use. */
export function isDatabaseConfigured(
  settings: Settings,
  env: Environment,
): boolean {
  return settings["database-url"] !== undefined ||
    Object.entries(env).some(([name, value]) =>
      value !== undefined && value !== "" &&
      (name === "DATABASE_URL" || name === "DATABASE_URL_FILE" ||
        name.startsWith("POSTGRES_"))
    );
}

async function readTarget(
  settings: Settings,
  env: Environment,
  files: Files,
  faults: string[],
): Promise<{ target: Target; connectTimeoutMs: number | undefined }> {
  const flag = settings["database-url"];
  if (flag === undefined && env.DATABASE_URL && env.DATABASE_URL_FILE) {
    faults.push(
      "DATABASE_URL and DATABASE_URL_FILE are both set: unset one of them",
    );
  }
  const source = flag !== undefined
    ? "Option --database-url"
    : env.DATABASE_URL
    ? "DATABASE_URL"
    : "DATABASE_URL_FILE";
  const text = flag ??
    (env.DATABASE_URL || await files.read(env.DATABASE_URL_FILE, source));
  const ca = env.POSTGRES_SSL_CA || undefined;
  if (text === undefined) {
    const target = env.DATABASE_URL_FILE
      ? NOWHERE // the file could not be read; POSTGRES_* must not step in for it
      : await readPostgresVariables(env, ca, files, faults);
    return { target, connectTimeoutMs: undefined };
  }
  const url = parseConnectionString(text.trim());
  if (isFaults(url)) {
    faults.push(...url.map((fault) => `${source} cannot be used: ${fault}`));
    return { target: NOWHERE, connectTimeoutMs: undefined };
  }
  const system = url.sslRootCert === "system";
  const rootCert = system ? undefined : url.sslRootCert ?? ca;
  const mode = system
    ? "verify-full"
    // libpq: with an authority to check against, `require` is `verify-ca`.
    : url.sslMode === "require" && rootCert !== undefined
    ? "verify-ca"
    : url.sslMode;
  const target: Target = {
    hosts: url.hosts,
    user: url.user,
    password: url.password,
    database: url.database,
    tls: {
      mode,
      ca: rootCert !== undefined
        ? await files.readPem(
          rootCert,
          url.sslRootCert === undefined
            ? "POSTGRES_SSL_CA"
            : `${source}: sslrootcert`,
        )
        : await readAuthorities(mode, env, files),
      clientCertificate: await files.readPem(url.sslCert, `${source}: sslcert`),
      clientKey: await files.readPem(url.sslKey, `${source}: sslkey`),
    },
    applicationName: url.applicationName,
    options: url.options,
  };
  return { target, connectTimeoutMs: url.connectTimeoutMs };
}

async function readPostgresVariables(
  env: Environment,
  ca: string | undefined,
  files: Files,
  faults: string[],
): Promise<Target> {
  if (!isDatabaseConfigured({}, env)) {
    faults.push(
      "No database is configured: set DATABASE_URL, DATABASE_URL_FILE or POSTGRES_USER (with POSTGRES_HOST, …), " +
        "or pass --database-url",
    );
    return NOWHERE;
  }
  if (!env.POSTGRES_USER) faults.push("POSTGRES_USER is required");
  const port = parsePort(env.POSTGRES_PORT || "5432");
  if (port === undefined) {
    faults.push(
      `POSTGRES_PORT ${
        quote(env.POSTGRES_PORT ?? "")
      } is not a number from 1 to 65535`,
    );
  }
  const ssl = env.POSTGRES_SSL || "false";
  if (ssl !== "true" && ssl !== "false") {
    faults.push(`POSTGRES_SSL ${quote(ssl)} is not true or false`);
  }
  if (env.POSTGRES_PASSWORD && env.POSTGRES_PASSWORD_FILE) {
    faults.push(
      "POSTGRES_PASSWORD and POSTGRES_PASSWORD_FILE are both set: unset one of them",
    );
  }
  const password = env.POSTGRES_PASSWORD ||
    await files.read(env.POSTGRES_PASSWORD_FILE, "POSTGRES_PASSWORD_FILE");
  return {
    hosts: [{ host: env.POSTGRES_HOST || "localhost", port: port ?? 0 }],
    user: env.POSTGRES_USER ?? "",
    password,
    database: env.POSTGRES_DB || "battlescope",
    tls: {
      mode: ssl === "true" ? "verify-full" : "disable",
      ca: ssl === "true"
        ? await files.readPem(ca, "POSTGRES_SSL_CA") ??
          (ca === undefined
            ? await readAuthorities("verify-full", env, files)
            : undefined)
        : undefined,
      clientCertificate: undefined,
      clientKey: undefined,
    },
    applicationName: undefined,
    options: undefined,
  };
}

/** OpenSSL's and Go's way to name the system's authorities; without it the adapter looks where systems keep them. */
function readAuthorities(
  mode: SslMode,
  env: Environment,
  files: Files,
): Promise<string | undefined> {
  const verifies = mode === "verify-ca" || mode === "verify-full";
  return files.readPem(
    verifies ? env.SSL_CERT_FILE : undefined,
    "SSL_CERT_FILE",
  );
}

/** Stands for a target that faults made unreadable; nothing connects to it. */
const NOWHERE: Target = {
  hosts: [],
  user: "",
  password: undefined,
  database: "",
  tls: {
    mode: "disable",
    ca: undefined,
    clientCertificate: undefined,
    clientKey: undefined,
  },
  applicationName: undefined,
  options: undefined,
};

/** Files named by the configuration: one that cannot be used is a fault that names the path, never the content. */
class Files {
  constructor(readonly readText: ReadText, readonly faults: string[]) {}

  /** The content without the line break that editors and `echo` add at the end. */
  async read(
    path: string | undefined,
    source: string,
  ): Promise<string | undefined> {
    if (!path) return undefined;
    try {
      const content = (await this.readText(path)).replace(/\r?\n$/, "");
      if (content !== "") return content;
      this.faults.push(`${source}: the file ${quote(path)} is empty`);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.faults.push(
        `${source}: cannot read the file ${quote(path)}: ${reason}`,
      );
    }
    return undefined;
  }

  async readPem(
    path: string | undefined,
    source: string,
  ): Promise<string | undefined> {
    const content = await this.read(path, source);
    if (content === undefined || content.includes("-----BEGIN ")) {
      return content;
    }
    this.faults.push(`${source}: the file ${quote(path!)} is not in PEM form`);
    return undefined;
  }
}

function setting(
  flag: string,
  settings: Settings,
  env: Environment,
): { text: string; source: string } | undefined {
  const option = SETTINGS.find((option) => option.flag === flag) as Option;
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
  const given = setting(flag, settings, env) ??
    { text: defaultOf(flag), source: "default" };
  const ms = parseDuration(given.text);
  if (ms instanceof Error) faults.push(`${given.source}: ${ms.message}`);
  return ms instanceof Error ? 0 : ms;
}

function oneOf<T extends string>(
  flag: string,
  allowed: readonly T[],
  settings: Settings,
  env: Environment,
  faults: string[],
): T {
  const given = setting(flag, settings, env) ??
    { text: defaultOf(flag), source: "default" };
  const value = allowed.find((value) => value === given.text);
  if (value !== undefined) return value;
  faults.push(
    `${given.source}: ${quote(given.text)} is not one of ${allowed.join(", ")}`,
  );
  return allowed[0]!;
}

function defaultOf(flag: string): string {
  return SETTINGS.find((option) => option.flag === flag)!.default!;
}

function isFaults<T>(value: T | readonly string[]): value is readonly string[] {
  return Array.isArray(value);
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}
