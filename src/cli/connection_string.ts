/**
 * Connection strings as libpq writes them, read without the driver: a message never holds what may be a password.
 *
 * The rules are those of https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS.
 *
 * @module
 */
import { quote } from "../text.ts";
import { type Checked, checked, together } from "./checked.ts";
import { FOREIGN_PARAMETERS } from "./foreign_urls.ts";
import {
  type ChannelBinding,
  readChannelBinding,
  readSslMode,
  type SslMode,
} from "./tls_parameters.ts";
import {
  decodePart,
  mayHoldPassword,
  splitOnce,
  splitUrl,
  type UrlParts,
} from "./url_parts.ts";

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
  readonly channelBinding: ChannelBinding;
  readonly applicationName: string | undefined;
  /** libpq's `options`, for example `-c work_mem=64MB`. */
  readonly options: string | undefined;
  /** Milliseconds. */
  readonly connectTimeoutMs: number | undefined;
}

const PARAMETERS = [
  "application_name",
  "channel_binding",
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
  gssencmode: ["disable", "prefer"],
  load_balance_hosts: ["disable"],
  sslnegotiation: ["postgres"],
  target_session_attrs: ["any", "primary", "read-write"],
};

const NO_USER = "it names no user, as in postgres://USER@host/database";
const NO_DATABASE = "it names no database, as in postgres://user@host/DATABASE";
const NO_HOST = "its host is not a name or an address (IPv6 goes in brackets)";

/** Reads a connection string. Returns it, or the faults: what is wrong and where, never the text itself. */
export function parseConnectionString(
  text: string,
): ConnectionString | string[] {
  const parts = splitUrl(text);
  if (typeof parts === "string") return [parts];
  const authority = readAuthority(parts);
  const parameters = readParameters(parts);
  // As in libpq a parameter replaces what stands before the "?".
  const given = { ...authority.value, ...parameters.value };
  const { user, password, dbname, sslrootcert, sslcert, sslkey } = given;
  const shown = (value: string) =>
    mayHoldPassword(parts) ? "" : ` ${quote(value)}`;
  const url = together<ConnectionString>({
    user: checked(user, user === "" && NO_USER),
    password: checked(password === "" ? undefined : password),
    database: checked(dbname, dbname === "" && NO_DATABASE),
    sslCert: checked(sslcert),
    sslKey: checked(
      sslkey,
      (sslcert === undefined) !== (sslkey === undefined) &&
        "its sslcert and sslkey go together: only one is given",
    ),
    hosts: readHosts(given.host, given.port),
    sslMode: readSslMode(given.sslmode, sslrootcert, shown),
    sslRootCert: checked(sslrootcert),
    channelBinding: readChannelBinding(
      given.channel_binding,
      given.sslmode,
      shown,
    ),
    applicationName: checked(given.application_name),
    options: checked(given.options),
    connectTimeoutMs: readSeconds(given.connect_timeout, shown),
  });
  const faults = [...authority.faults, ...parameters.faults, ...url.faults];
  if (faults.length === 0) return url.value;
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

function readAuthority({ userInfo = "", hosts, path }: UrlParts) {
  const [user, password = ""] = splitOnce(userInfo, ":");
  const list = hosts.split(",").map(readHost);
  const { value, faults } = together({
    user: decodePart(user, "user"),
    password: decodePart(password, "password"),
    dbname: decodePart(path, "database name"),
  });
  return checked(
    {
      ...value,
      host: list.map(({ value }) => value.host).join(","),
      port: list.map(({ value }) => value.port).join(","),
    },
    path.includes("/") && 'its database name holds "/"; write it as %2F',
    ...list.flatMap(({ faults }) => faults),
    ...faults,
  );
}

function readHost(text: string): Checked<{ host: string; port: string }> {
  const match =
    /^(?:\[([0-9a-f]*:[0-9a-f:.]*(?:%25[\w.]+)?)\]|([^:[\]]*))(?::(.*))?$/i
      .exec(text);
  const [, address, name = "", port = ""] = match ?? [];
  const host = decodePart(address ?? name, "host");
  return checked(
    { host: host.value, port },
    match === null && NO_HOST,
    ...host.faults,
  );
}

function readParameters(parts: UrlParts): Checked<Parameters> {
  const parameters: Parameters = {};
  const faults: string[] = [];
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
    } else if (Object.hasOwn(FOREIGN_PARAMETERS, name)) {
      faults.push(`its parameter ${name} ${FOREIGN_PARAMETERS[name]}`);
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
      const decoded = decodePart(value, `parameter ${key}`);
      parameters[key] = decoded.value;
      faults.push(...decoded.faults);
    }
  }
  return { value: parameters, faults };
}

function readHosts(
  host: string,
  port: string,
): Checked<readonly HostAndPort[]> {
  const names = host.split(",");
  const ports = port.split(",");
  const list = names.map((name, i) =>
    together({
      host: checked(name || "localhost"),
      port: readPort((ports.length > 1 ? ports[i] : ports[0]) ?? ""),
    })
  );
  return checked(
    list.map(({ value }) => value),
    ports.length > 1 && ports.length !== names.length &&
      `it names ${names.length} hosts but ${ports.length} ports`,
    names.some((name) => name !== "" && !isHost(name)) && NO_HOST,
    ...list.flatMap(({ faults }) => faults),
  );
}

function readPort(text: string): Checked<number> {
  const port = text === "" ? 5432 : parsePort(text);
  // What stands where a port should be may be half of a password: it is not repeated.
  return checked(
    port ?? 0,
    port === undefined &&
      'its port is not a number from 1 to 65535; if that is part of a password, write ":" as %3A, "/" as %2F and "@" as %40',
  );
}

/** Returns milliseconds. */
function readSeconds(
  text: string | undefined,
  shown: (value: string) => string,
): Checked<number | undefined> {
  if (text === undefined) return checked(undefined);
  return checked(
    Number(text) * 1_000,
    !/^[1-9]\d{0,5}$/.test(text) &&
      `its connect_timeout${
        shown(text)
      } is not a number of seconds from 1 to 999999`,
  );
}
