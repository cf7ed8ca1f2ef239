/**
 * Option and variables → where to connect and as whom.
 *
 * @module
 */
import { type Checked, checked, map, together } from "./checked.ts";
import type { Environment } from "./environment.ts";
import { NamedFiles, type ReadText } from "./named_files.ts";
import {
  isDatabaseConfigured,
  type Settings,
  unreadableSources,
} from "./variables.ts";
import {
  type ConnectionString,
  type HostAndPort,
  isHost,
  parseConnectionString,
  parsePort,
} from "./connection_string.ts";
import type { ChannelBinding, SslMode } from "./tls_parameters.ts";

/** How the server is proved to be the right one. Certificates and keys are PEM texts. */
export interface Tls {
  readonly mode: SslMode;
  /** The authority to trust; the system's authorities when missing. */
  readonly ca: string | undefined;
  readonly clientCertificate: string | undefined;
  readonly clientKey: string | undefined;
  readonly channelBinding: ChannelBinding;
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
    channelBinding: "prefer",
  },
  applicationName: undefined,
  options: undefined,
};

/** A target, and the limit of a connection attempt that its connection string sets, in milliseconds. */
export interface Destination {
  readonly target: Target;
  readonly connectTimeoutMs?: number | undefined;
}

/** Reads where to connect: the option wins over a connection string of the environment, and that over `POSTGRES_*`. */
export async function readDestination(
  settings: Settings,
  env: Environment,
  readText: ReadText,
): Promise<Checked<Destination>> {
  const unreadable = unreadableSources(settings, env);
  if (unreadable.length > 0) {
    const faults = unreadable.map((source) => `${source} is no text in UTF-8`);
    return checked({ target: NOWHERE }, ...faults);
  }
  const files = new NamedFiles(readText);
  const option = settings["database-url"];
  const { DATABASE_URL: variable, DATABASE_URL_FILE: path } = env;
  if (option !== undefined) {
    return await readUrl(option, "Option --database-url", env, files);
  }
  if (variable) {
    const url = await readUrl(variable, "DATABASE_URL", env, files);
    const both =
      "DATABASE_URL and DATABASE_URL_FILE are both set: unset one of them";
    return checked(url.value, path && both, ...url.faults);
  }
  if (!path) {
    return map(await readVariables(env, files), (target) => ({ target }));
  }
  const source = "DATABASE_URL_FILE";
  const text = await files.read(path, source);
  return text.value === undefined
    ? map(text, () => ({ target: NOWHERE })) // POSTGRES_* must not step in for the file
    : await readUrl(text.value, source, env, files);
}

async function readUrl(
  text: string,
  source: string,
  env: Environment,
  files: NamedFiles,
): Promise<Checked<Destination>> {
  const url = parseConnectionString(text.trim());
  if (Array.isArray(url)) {
    const faults = url.map((fault) => `${source} cannot be used: ${fault}`);
    return checked({ target: NOWHERE }, ...faults);
  }
  const { hosts, user, password, database, applicationName, options } = url;
  const named = { hosts, user, password, database, applicationName, options };
  return map(await readUrlTls(url, source, env, files), (tls) => ({
    target: { ...named, tls },
    connectTimeoutMs: url.connectTimeoutMs,
  }));
}

async function readUrlTls(
  url: ConnectionString,
  source: string,
  env: Environment,
  files: NamedFiles,
): Promise<Checked<Tls>> {
  const own = url.sslRootCert;
  const rootCert = own === "system" ? undefined : own ?? env.POSTGRES_SSL_CA;
  // libpq: with an authority to check against, `require` is `verify-ca`.
  const mode = url.sslMode === "require" && rootCert
    ? "verify-ca"
    : url.sslMode;
  const from = own === undefined ? "POSTGRES_SSL_CA" : `${source}: sslrootcert`;
  return together({
    mode: checked(mode),
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
    channelBinding: checked(url.channelBinding),
  });
}

/** Faults do not repeat the values: they come out of the same secret as the password, and keys get mixed up. */
async function readVariables(
  env: Environment,
  files: NamedFiles,
): Promise<Checked<Target>> {
  if (!isDatabaseConfigured({}, env)) {
    return checked(
      NOWHERE,
      "No database is configured: set DATABASE_URL, DATABASE_URL_FILE or POSTGRES_USER (with POSTGRES_HOST, …), " +
        "or pass --database-url",
    );
  }
  const broken = ["POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PASSWORD"].filter(
    (name) => /[\r\n]/.test(env[name] ?? ""),
  );
  const { value, faults } = together({
    hosts: readHosts(env),
    password: await readPassword(env, files),
    tls: await readVariablesTls(env, files),
  });
  return checked(
    {
      ...value,
      user: env.POSTGRES_USER ?? "",
      database: env.POSTGRES_DB || "battlescope",
      applicationName: undefined,
      options: undefined,
    },
    !env.POSTGRES_USER && "POSTGRES_USER is required",
    ...broken.map((name) =>
      `${name} holds a line break; was it encoded with echo instead of printf?`
    ),
    ...faults,
  );
}

function readHosts(env: Environment): Checked<HostAndPort[]> {
  const hosts = (env.POSTGRES_HOST || "localhost").split(",");
  const port = parsePort(env.POSTGRES_PORT || "5432");
  const hint = env.POSTGRES_PORT?.startsWith("tcp://")
    ? "; Kubernetes sets it for a Service named postgres: set it yourself, or enableServiceLinks: false"
    : "";
  return checked(
    hosts.map((host) => ({ host, port: port ?? 0 })),
    !hosts.every(isHost) &&
      "POSTGRES_HOST is not a name, an address or the folder of a socket; a port goes into POSTGRES_PORT",
    port === undefined &&
      `POSTGRES_PORT is not a number from 1 to 65535${hint}`,
  );
}

async function readPassword(
  env: Environment,
  files: NamedFiles,
): Promise<Checked<string | undefined>> {
  const { POSTGRES_PASSWORD: password, POSTGRES_PASSWORD_FILE: path } = env;
  if (password) {
    return checked(
      password,
      path &&
        "POSTGRES_PASSWORD and POSTGRES_PASSWORD_FILE are both set: unset one of them",
    );
  }
  const { value, faults } = await files.read(path, "POSTGRES_PASSWORD_FILE");
  return checked(
    value,
    ...faults,
    /[\r\n]/.test(value ?? "") &&
      "POSTGRES_PASSWORD_FILE: the file has several lines",
  );
}

async function readVariablesTls(
  env: Environment,
  files: NamedFiles,
): Promise<Checked<Tls>> {
  const { POSTGRES_SSL: ssl, POSTGRES_SSL_CA: path } = env;
  const { tls } = NOWHERE;
  if (ssl === "true") {
    const mode = "verify-full";
    return map(
      path
        ? await files.readPem(path, "POSTGRES_SSL_CA", "certificate")
        : await readAuthorities(mode, env, files),
      (ca) => ({ ...tls, mode, ca }),
    );
  }
  return checked(
    tls,
    ssl && ssl !== "false" && "POSTGRES_SSL is not true or false",
    !ssl && path &&
      "POSTGRES_SSL_CA is set but POSTGRES_SSL is not: set it to true to verify the server, or to false to go without TLS",
  );
}

/** OpenSSL's and Go's way to name the system's authorities; without it the adapter looks where systems keep them. */
function readAuthorities(
  mode: SslMode,
  env: Environment,
  files: NamedFiles,
): Promise<Checked<string | undefined>> {
  const verifies = mode === "verify-ca" || mode === "verify-full";
  return files.readPem(
    verifies ? env.SSL_CERT_FILE : undefined,
    "SSL_CERT_FILE",
    "certificate",
  );
}
