/**
 * Connection strings as libpq writes them, read without the driver: a message never holds what may be a password.
 *
 * The rules are those of https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS.
 *
 * @module
 */
import { quote } from "./quote.ts";

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

type Parameter = (typeof PARAMETERS)[number];

/** Reads a connection string. Returns it, or the faults: what is wrong and where, never the text itself. */
export function parseConnectionString(
  text: string,
): ConnectionString | readonly string[] {
  const faults: string[] = [];
  const scheme = /^postgres(?:ql)?:\/\//.exec(text)?.[0];
  if (scheme === undefined) {
    return [
      "it does not begin with postgres:// or postgresql://",
    ];
  }
  const rest = text.slice(scheme.length);
  if (/\s/.test(rest)) {
    return [
      "it holds a space or a line break; write a space in a password as %20",
    ];
  }
  if (rest.includes("#")) {
    return ['it holds "#"; write it in a password as %23'];
  }
  const [beforeQuery, query] = splitOnce(rest, "?");
  const slash = beforeQuery.indexOf("/");
  const authority = slash < 0 ? beforeQuery : beforeQuery.slice(0, slash);
  const path = slash < 0 ? "" : beforeQuery.slice(slash + 1);
  const at = authority.lastIndexOf("@");
  if (authority.indexOf("@") !== at || path.includes("@")) {
    return [
      'it holds "@" or "/" where none may stand; write them in a password as %40 and %2F',
    ];
  }
  const decode = (part: string, name: string): string => {
    try {
      const decoded = decodeURIComponent(part);
      if (!decoded.includes("\0")) return decoded;
      faults.push(`its ${name} holds a zero byte`);
    } catch {
      faults.push(
        `its ${name} has a "%" that no two hexadecimal digits follow; write "%" as %25`,
      );
    }
    return "";
  };
  if (path.includes("/")) {
    faults.push('its database name holds "/"; write it as %2F');
  }

  const parameters = readParameters(query, at >= 0, decode, faults);
  const [userPart, passwordPart] = splitOnce(
    at < 0 ? "" : authority.slice(0, at),
    ":",
  );
  const user = parameters.user ?? decode(userPart, "user");
  const password = parameters.password ??
    (passwordPart === undefined ? undefined : decode(passwordPart, "password"));
  const database = parameters.dbname ?? decode(path, "database name");
  if (user === "") {
    faults.push("it names no user, as in postgres://USER@host/database");
  }
  if (database === "") {
    faults.push("it names no database, as in postgres://user@host/DATABASE");
  }

  const hosts = parameters.host !== undefined
    ? readHostList(parameters.host, parameters.port, faults)
    : authority.slice(at + 1).split(",").map((part) =>
      readHost(part, parameters.port, decode, faults)
    );
  const sslMode = parameters.sslmode ?? "prefer";
  if (!SSL_MODES.includes(sslMode)) {
    faults.push(
      `its sslmode ${quote(sslMode)} is not one of ${SSL_MODES.join(", ")}`,
    );
  }
  const { sslrootcert, sslcert, sslkey } = parameters;
  if ((sslcert === undefined) !== (sslkey === undefined)) {
    faults.push("its sslcert and sslkey go together: only one is given");
  }
  const seconds = parameters.connect_timeout;
  if (seconds !== undefined && !/^[1-9]\d{0,5}$/.test(seconds)) {
    faults.push(
      `its connect_timeout ${quote(seconds)} is not a whole number of seconds`,
    );
  }
  if (faults.length > 0) return faults;
  return {
    hosts,
    user,
    password: password === "" ? undefined : password,
    database,
    // libpq: a root certificate makes `require` behave as `verify-ca`
    sslMode: sslMode === "require" && sslrootcert !== undefined
      ? "verify-ca"
      : sslMode as SslMode,
    sslRootCert: sslrootcert,
    sslCert: sslcert,
    sslKey: sslkey,
    applicationName: parameters.application_name,
    options: parameters.options,
    connectTimeoutMs: seconds === undefined
      ? undefined
      : Number(seconds) * 1000,
  };
}

/** Reads a port. Returns it, or `undefined` when it is none. */
export function parsePort(text: string): number | undefined {
  if (!/^\d{1,5}$/.test(text)) return undefined;
  const port = Number(text);
  return port >= 1 && port <= 65_535 ? port : undefined;
}

function readParameters(
  query: string | undefined,
  trusted: boolean,
  decode: (part: string, name: string) => string,
  faults: string[],
): Partial<Record<Parameter, string>> {
  const parameters: Partial<Record<Parameter, string>> = {};
  for (const pair of query === undefined ? [] : query.split("&")) {
    if (pair === "") continue;
    const [rawKey, rawValue] = splitOnce(pair, "=");
    const key = PARAMETERS.find((name) => name === rawKey);
    if (key === undefined) {
      // Without "@" before it the query may be half of a password that holds a raw "?".
      const shown = trusted ? ` ${quote(rawKey)}` : "";
      faults.push(
        `its parameter${shown} is not known; known are ${
          PARAMETERS.join(", ")
        }`,
      );
      continue;
    }
    if (rawValue === undefined || rawValue === "") {
      faults.push(`its parameter ${key} has no value`);
    } else if (parameters[key] !== undefined) {
      faults.push(`its parameter ${key} is given twice`);
    } else {
      parameters[key] = decode(rawValue, `parameter ${key}`);
    }
  }
  return parameters;
}

function readHost(
  part: string,
  defaultPort: string | undefined,
  decode: (part: string, name: string) => string,
  faults: string[],
): HostAndPort {
  const match = /^(\[[0-9a-f:.]+(?:%[\w.]+)?\]|[^:[\]]*)(?::(.*))?$/i.exec(
    part,
  );
  if (match === null) {
    faults.push("its host is not a name or an address (IPv6 goes in brackets)");
    return { host: "", port: 0 };
  }
  const name = decode(match[1]!.replace(/^\[|\]$/g, ""), "host");
  return {
    host: name === "" ? "localhost" : name,
    port: readPort(match[2] ?? defaultPort, faults),
  };
}

function readHostList(
  host: string,
  ports: string | undefined,
  faults: string[],
): HostAndPort[] {
  const names = host.split(",");
  const numbers = ports?.split(",") ?? [];
  if (numbers.length > 1 && numbers.length !== names.length) {
    faults.push(`it names ${names.length} hosts but ${numbers.length} ports`);
  }
  return names.map((name, i) => ({
    host: name === "" ? "localhost" : name,
    port: readPort(numbers.length > 1 ? numbers[i] : numbers[0], faults),
  }));
}

function readPort(text: string | undefined, faults: string[]): number {
  if (text === undefined || text === "") return 5432;
  const port = parsePort(text);
  // What stands where a port should be may be half of a password: it is not repeated.
  if (port === undefined) {
    faults.push(
      'its port is not a number from 1 to 65535; if that is part of a password, write ":" as %3A, "/" as %2F and "@" as %40',
    );
  }
  return port ?? 0;
}

function splitOnce(text: string, by: string): [string, string | undefined] {
  const at = text.indexOf(by);
  return at < 0
    ? [text, undefined]
    : [text.slice(0, at), text.slice(at + by.length)];
}
