/**
 * Option and variables → where to connect and as whom.
 *
 * @module
 */
import type { NamedFiles } from "./named_files.ts";
import { POSTGRES_VARIABLES } from "./variables.ts";
import { NO_TEXT } from "../text.ts";
import {
  type ConnectionString,
  type HostAndPort,
  isHost,
  parseConnectionString,
  parsePort,
  type SslMode,
} from "./connection_string.ts";

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

export type Environment = Readonly<Record<string, string | undefined>>;

const VARIABLES: readonly string[] = [
  "DATABASE_URL",
  "DATABASE_URL_FILE",
  ...POSTGRES_VARIABLES.map(({ name }) => name),
  "POSTGRES_PASSWORD_FILE",
];

/** The sources of a target and of names that are not text in UTF-8; where one of them stands, nothing can be made of it. */
export function unreadableSources(
  settings: Readonly<Record<string, string>>,
  env: Environment,
): string[] {
  const flags = [
    "database-url",
    "schema",
    "trust-history-owner",
    "grant-status",
  ];
  const names = [
    ...VARIABLES,
    "MIGRATE_SCHEMA",
    "MIGRATE_TRUST_HISTORY_OWNER",
    "MIGRATE_GRANT_STATUS",
  ];
  return [
    ...flags.filter((flag) => settings[flag]?.includes(NO_TEXT))
      .map((flag) => `Option --${flag}`),
    ...names.filter((name) => env[name]?.includes(NO_TEXT)),
  ];
}

/** Stands for a target that faults made unreadable; nothing connects to it. */
export const NOWHERE: Target = {
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

/** Whether anything says which database to use. */
export function isDatabaseConfigured(
  settings: Readonly<Record<string, string>>,
  env: Environment,
): boolean {
  return settings["database-url"] !== undefined ||
    VARIABLES.some((name) => env[name]);
}

/**
 * Reads the target. Adds to the faults of `files`; the value is good when it added none.
 *
 * @param flag the value of `--database-url`
 * @returns the target, and the URL's own limit of a connection attempt in milliseconds
 */
export async function readTarget(
  flag: string | undefined,
  env: Environment,
  files: NamedFiles,
): Promise<{ target: Target; connectTimeoutMs: number | undefined }> {
  if (flag === undefined && env.DATABASE_URL && env.DATABASE_URL_FILE) {
    files.faults.push(
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
  if (text === undefined) {
    const target = env.DATABASE_URL_FILE
      ? NOWHERE // the file could not be read; POSTGRES_* must not step in for it
      : await readVariables(env, files);
    return { target, connectTimeoutMs: undefined };
  }
  const url = parseConnectionString(text.trim());
  if (isFaults(url)) {
    files.faults.push(
      ...url.map((fault) => `${source} cannot be used: ${fault}`),
    );
    return { target: NOWHERE, connectTimeoutMs: undefined };
  }
  const target: Target = {
    hosts: url.hosts,
    user: url.user,
    password: url.password,
    database: url.database,
    tls: await readUrlTls(url, source, env, files),
    applicationName: url.applicationName,
    options: url.options,
  };
  return { target, connectTimeoutMs: url.connectTimeoutMs };
}

async function readUrlTls(
  url: ConnectionString,
  source: string,
  env: Environment,
  files: NamedFiles,
): Promise<Tls> {
  const own = url.sslRootCert;
  const rootCert = own === "system" ? undefined : own ?? env.POSTGRES_SSL_CA;
  // libpq: with an authority to check against, `require` is `verify-ca`.
  const mode = url.sslMode === "require" && rootCert
    ? "verify-ca"
    : url.sslMode;
  const from = own === undefined ? "POSTGRES_SSL_CA" : `${source}: sslrootcert`;
  return {
    mode,
    ca: rootCert
      ? await files.readPem(rootCert, from, "certificate")
      : await readAuthorities(mode, env, files),
    clientCertificate: await files.readPem(
      url.sslCert,
      `${source}: sslcert`,
      "certificate",
    ),
    clientKey: await files.readPem(
      url.sslKey,
      `${source}: sslkey`,
      "private key",
    ),
  };
}

/** Faults do not repeat the values: they come out of the same secret as the password, and keys get mixed up. */
async function readVariables(
  env: Environment,
  files: NamedFiles,
): Promise<Target> {
  const { faults } = files;
  if (!isDatabaseConfigured({}, env)) {
    faults.push(
      "No database is configured: set DATABASE_URL, DATABASE_URL_FILE or POSTGRES_USER (with POSTGRES_HOST, …), " +
        "or pass --database-url",
    );
    return NOWHERE;
  }
  if (!env.POSTGRES_USER) faults.push("POSTGRES_USER is required");
  for (const name of ["POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PASSWORD"]) {
    if (/[\r\n]/.test(env[name] ?? "")) {
      faults.push(
        `${name} holds a line break; was it encoded with echo instead of printf?`,
      );
    }
  }
  return {
    hosts: readHosts(env, faults),
    user: env.POSTGRES_USER ?? "",
    password: await readPassword(env, files),
    database: env.POSTGRES_DB || "battlescope",
    tls: await readVariablesTls(env, files),
    applicationName: undefined,
    options: undefined,
  };
}

function readHosts(env: Environment, faults: string[]): HostAndPort[] {
  const hosts = (env.POSTGRES_HOST || "localhost").split(",");
  if (!hosts.every(isHost)) {
    faults.push(
      "POSTGRES_HOST is not a name, an address or the folder of a socket; a port goes into POSTGRES_PORT",
    );
  }
  const port = parsePort(env.POSTGRES_PORT || "5432");
  if (port === undefined) {
    const hint = env.POSTGRES_PORT?.startsWith("tcp://")
      ? "; Kubernetes sets it for a Service named postgres: set it yourself, or enableServiceLinks: false"
      : "";
    faults.push(`POSTGRES_PORT is not a number from 1 to 65535${hint}`);
  }
  return hosts.map((host) => ({ host, port: port ?? 0 }));
}

async function readPassword(
  env: Environment,
  files: NamedFiles,
): Promise<string | undefined> {
  const { POSTGRES_PASSWORD: password, POSTGRES_PASSWORD_FILE: path } = env;
  if (password && path) {
    files.faults.push(
      "POSTGRES_PASSWORD and POSTGRES_PASSWORD_FILE are both set: unset one of them",
    );
  }
  if (password) return password;
  const content = await files.read(path, "POSTGRES_PASSWORD_FILE");
  if (/[\r\n]/.test(content ?? "")) {
    files.faults.push("POSTGRES_PASSWORD_FILE: the file has several lines");
  }
  return content;
}

async function readVariablesTls(
  env: Environment,
  files: NamedFiles,
): Promise<Tls> {
  const { POSTGRES_SSL: ssl, POSTGRES_SSL_CA: ca } = env;
  const tls = { ...NOWHERE.tls };
  if (ssl === "true") {
    const mode = "verify-full";
    return {
      ...tls,
      mode,
      ca: ca
        ? await files.readPem(ca, "POSTGRES_SSL_CA", "certificate")
        : await readAuthorities(mode, env, files),
    };
  }
  if (ssl && ssl !== "false") {
    files.faults.push("POSTGRES_SSL is not true or false");
  } else if (!ssl && ca) {
    files.faults.push(
      "POSTGRES_SSL_CA is set but POSTGRES_SSL is not: set it to true to verify the server, or to false to go without TLS",
    );
  }
  return tls;
}

/** OpenSSL's and Go's way to name the system's authorities; without it the adapter looks where systems keep them. */
function readAuthorities(
  mode: SslMode,
  env: Environment,
  files: NamedFiles,
): Promise<string | undefined> {
  const verifies = mode === "verify-ca" || mode === "verify-full";
  return files.readPem(
    verifies ? env.SSL_CERT_FILE : undefined,
    "SSL_CERT_FILE",
    "certificate",
  );
}

function isFaults<T>(value: T | readonly string[]): value is readonly string[] {
  return Array.isArray(value);
}
