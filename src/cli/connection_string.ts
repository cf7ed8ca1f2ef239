/**
 * Connection strings as libpq writes them, read without the driver: a message never holds what may be a password.
 *
 * The rules are those of https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS.
 *
 * @module
 */
import { quote } from "../text.ts";
import {
  decodePart,
  mayHoldPassword,
  splitOnce,
  splitUrl,
  type UrlParts,
} from "./url_parts.ts";

export type SslMode =
  | "disable"
  | "prefer"
  | "require"
  | "verify-ca"
  | "verify-full";

export interface HostAndPort {
  /** A name, an IPv4 or IPv6 address without brackets, or the folder of a Unix socket, which begins with `/`. */
  readonly host: string;
  readonly port: number;
}

/** What a connection string says; paths are not read yet. */
export interface ConnectionString {
  /** At least one; they are tried in this order. */
  readonly hosts: readonly HostAndPort[];
  readonly user: string;
  readonly password: string | undefined;
  readonly database: string;
  readonly sslMode: SslMode;
  readonly sslRootCert: string | undefined;
  readonly sslCert: string | undefined;
  readonly sslKey: string | undefined;
  readonly applicationName: string | undefined;
  /** libpq's `options`, for example `-c work_mem=64MB`. */
  readonly options: string | undefined;
  /** Milliseconds. */
  readonly connectTimeoutMs: number | undefined;
}

const SSL_MODES: readonly string[] = [
  "disable",
  "prefer",
  "require",
  "verify-ca",
  "verify-full",
];

const PARAMETERS = [
  "application_name",
  "connect_timeout",
  "dbname",
  "host",
  "options",
  "password",
  "port",
  "sslcert",
  "sslkey",
  "sslmode",
  "sslrootcert",
  "user",
] as const;

type Parameters = { [name in (typeof PARAMETERS)[number]]?: string };

/** What else libpq knows, with the values that ask for nothing but what this program does anyway. */
const SATISFIED: Readonly<Record<string, readonly string[]>> = {
  channel_binding: ["disable", "prefer"],
  gssencmode: ["disable", "prefer"],
  load_balance_hosts: ["disable"],
  sslnegotiation: ["postgres"],
  target_session_attrs: ["any", "primary", "read-write"],
};

const SCHEMA = "is another tool's: leave it out, and pass --schema NAME";
const POOL =
  "is another tool's: leave it out, the program needs one or two connections";

/** Parameters that other tools know, and what to do here. */
const FOREIGN: Readonly<Record<string, string>> = {
  // Prisma
  schema: SCHEMA,
  connection_limit: POOL,
  pool_timeout: POOL,
  pgbouncer:
    "is another tool's: leave it out, a pooler is recognised by itself",
  sslaccept: "is another tool's: write sslmode, verify-full for strict",
  sslidentity: "is another tool's: write sslcert and sslkey, in PEM",
  // JDBC, pgx and others
  currentSchema: SCHEMA,
  search_path: SCHEMA,
  pool_max_conns: POOL,
  ApplicationName: "is another tool's: write application_name",
  statement_timeout: "is set otherwise: pass --statement-timeout DURATION",
  lock_timeout: "is set otherwise: pass --lock-timeout DURATION",
};

const NO_HOST = "its host is not a name or an address (IPv6 goes in brackets)";

/** Reads a connection string. Returns it, or the faults: what is wrong and where, never the text itself. */
export function parseConnectionString(
  text: string,
): ConnectionString | readonly string[] {
  const parts = splitUrl(text);
  if (typeof parts === "string") return [parts];
  const faults: string[] = [];
  // As in libpq a parameter replaces what stands before the "?".
  const given = {
    ...readAuthority(parts, faults),
    ...readParameters(parts, faults),
  };
  const { user = "", password = "", dbname = "", sslrootcert } = given;
  if (user === "") {
    faults.push("it names no user, as in postgres://USER@host/database");
  }
  if (dbname === "") {
    faults.push("it names no database, as in postgres://user@host/DATABASE");
  }
  if ((given.sslcert === undefined) !== (given.sslkey === undefined)) {
    faults.push("its sslcert and sslkey go together: only one is given");
  }
  const shown = (value: string) =>
    mayHoldPassword(parts) ? "" : ` ${quote(value)}`;
  const url: ConnectionString = {
    hosts: readHosts(given.host ?? "", given.port ?? "", faults),
    user,
    password: password === "" ? undefined : password,
    database: dbname,
    sslMode: readSslMode(given.sslmode, sslrootcert, shown, faults),
    sslRootCert: sslrootcert,
    sslCert: given.sslcert,
    sslKey: given.sslkey,
    applicationName: given.application_name,
    options: given.options,
    connectTimeoutMs: readSeconds(given.connect_timeout, shown, faults),
  };
  if (faults.length === 0) return url;
  if (parts.query.includes("@")) {
    faults.push(
      'it holds "?" before "@"; if that is part of a password, write it as %3F',
    );
  }
  return faults;
}

/** Reads a port. Returns it, or `undefined` when it is none. */
export function parsePort(text: string): number | undefined {
  if (!/^\d{1,5}$/.test(text)) return undefined;
  const port = Number(text);
  return port >= 1 && port <= 65_535 ? port : undefined;
}

/** Whether the text can be a host: a name, an address without brackets, or the folder of a Unix socket. */
export function isHost(text: string): boolean {
  return text.startsWith("/") ||
    /^[\w.-]+$/.test(text) || // nearly all of them, and the quickest to tell
    /^(?=.*:.*:)[0-9a-f:.]+(?:%[\w.]+)?$/i.test(text) ||
    /^[^\s\p{Cc}:/@?#,[\]\\"'`]+$/u.test(text);
}

function readAuthority(
  { userInfo = "", hosts, path }: UrlParts,
  faults: string[],
): Parameters {
  const [user, password] = splitOnce(userInfo, ":");
  if (path.includes("/")) {
    faults.push('its database name holds "/"; write it as %2F');
  }
  const list = hosts.split(",").map((part) => {
    const match =
      /^(?:\[([0-9a-f]*:[0-9a-f:.]*(?:%25[\w.]+)?)\]|([^:[\]]*))(?::(.*))?$/i
        .exec(part);
    if (match === null) faults.push(NO_HOST);
    const [, address, name = "", port = ""] = match ?? [];
    return { host: decodePart(address ?? name, "host", faults), port };
  });
  return {
    user: decodePart(user, "user", faults),
    ...(password !== undefined &&
      { password: decodePart(password, "password", faults) }),
    host: list.map(({ host }) => host).join(","),
    port: list.map(({ port }) => port).join(","),
    dbname: decodePart(path, "database name", faults),
  };
}

function readParameters(parts: UrlParts, faults: string[]): Parameters {
  const parameters: Parameters = {};
  for (const pair of parts.query.split("&")) {
    if (pair === "") continue;
    // libpq does the same for the sake of JDBC
    const [name, value = ""] = splitOnce(
      pair === "ssl=true" ? "sslmode=require" : pair,
      "=",
    );
    const satisfied = Object.hasOwn(SATISFIED, name)
      ? SATISFIED[name]
      : undefined;
    const key = PARAMETERS.find((key) => key === name);
    if (satisfied?.includes(value)) continue;
    if (satisfied !== undefined) {
      faults.push(`its ${name} is none of ${satisfied.join(", ")}`);
    } else if (Object.hasOwn(FOREIGN, name)) {
      faults.push(`its parameter ${name} ${FOREIGN[name]}`);
    } else if (key === undefined) {
      const shown = mayHoldPassword(parts) ? "" : ` ${quote(name)}`;
      faults.push(
        `its parameter${shown} is not known; known are ${
          PARAMETERS.join(", ")
        }`,
      );
    } else if (value === "") {
      faults.push(`its parameter ${key} has no value`);
    } else if (parameters[key] !== undefined) {
      faults.push(`its parameter ${key} is given twice`);
    } else {
      parameters[key] = decodePart(value, `parameter ${key}`, faults);
    }
  }
  return parameters;
}

function readHosts(
  host: string,
  port: string,
  faults: string[],
): readonly HostAndPort[] {
  const hosts = host.split(",");
  const ports = port.split(",");
  if (ports.length > 1 && ports.length !== hosts.length) {
    faults.push(`it names ${hosts.length} hosts but ${ports.length} ports`);
  }
  if (hosts.some((name) => name !== "" && !isHost(name))) faults.push(NO_HOST);
  return hosts.map((name, i) => ({
    host: name === "" ? "localhost" : name,
    port: readPort((ports.length > 1 ? ports[i] : ports[0]) ?? "", faults),
  }));
}

function readPort(text: string, faults: string[]): number {
  const port = text === "" ? 5432 : parsePort(text);
  // What stands where a port should be may be half of a password: it is not repeated.
  if (port === undefined) {
    faults.push(
      'its port is not a number from 1 to 65535; if that is part of a password, write ":" as %3A, "/" as %2F and "@" as %40',
    );
  }
  return port ?? 0;
}

function readSslMode(
  text: string | undefined,
  rootCert: string | undefined,
  shown: (value: string) => string,
  faults: string[],
): SslMode {
  if (text !== undefined && !SSL_MODES.includes(text)) {
    faults.push(
      `its sslmode${shown(text)} is not one of ${SSL_MODES.join(", ")}`,
    );
  }
  if (rootCert !== "system") return (text ?? "prefer") as SslMode;
  if (text !== undefined && text !== "verify-full") {
    faults.push("its sslrootcert=system needs sslmode=verify-full");
  }
  return "verify-full";
}

/** Returns milliseconds. */
function readSeconds(
  text: string | undefined,
  shown: (value: string) => string,
  faults: string[],
): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[1-9]\d{0,5}$/.test(text)) {
    faults.push(
      `its connect_timeout${
        shown(text)
      } is not a number of seconds from 1 to 999999`,
    );
  }
  return Number(text) * 1_000;
}
