/**
 * Why there is no connection, in words, and whether waiting may help.
 *
 * @module
 */
import type { Target } from "../cli/target.ts";
import { addressText, formatDuration } from "../text.ts";
import {
  ConnectionError,
  ConnectionLostError,
  DatabaseError,
} from "../errors.ts";
import {
  ChannelBindingError,
  NoTlsError,
  TlsError,
} from "./wire/connect_errors.ts";
import { quoteIdentifier } from "../sql/quote.ts";
import type { HostAndPort } from "../cli/connection_string.ts";

interface Reason {
  readonly text: string;
  readonly transient: boolean;
  readonly hint?: string;
}

/** Codes of the operating system: the server may be starting, or the network coming up. */
const NETWORK: Readonly<Record<string, string>> = {
  ECONNREFUSED: "the connection was refused",
  ENOTFOUND: "the host name cannot be resolved",
  EAI_AGAIN: "the host name cannot be resolved",
  EAI_NONAME: "the host name cannot be resolved",
  ECONNRESET: "the connection was reset",
  EPIPE: "the connection was reset",
  ENOTCONN: "the connection was reset",
  ETIMEDOUT: "the host does not answer",
  EHOSTUNREACH: "the host cannot be reached",
  ENETUNREACH: "the network cannot be reached",
  EADDRNOTAVAIL: "the network cannot be reached",
  ENOENT: "there is no such socket",
};

/** Turns whatever ended an attempt into a {@link ConnectionError}; `timeoutMs` says that our own deadline did. */
export function connectionFailure(
  error: unknown,
  at: HostAndPort,
  target: Target,
  timeoutMs: number | undefined,
): ConnectionError {
  const reason = timeoutMs !== undefined
    ? { text: `no answer within ${formatDuration(timeoutMs)}`, transient: true }
    : reasonOf(error, at, target);
  return new ConnectionError(
    `Cannot connect to the database "${target.database}" at ${
      addressText(at)
    }: ${reason.text}`,
    {
      transient: reason.transient,
      timedOut: timeoutMs !== undefined,
      hint: reason.hint,
      cause: error,
    },
  );
}

function reasonOf(error: unknown, at: HostAndPort, target: Target): Reason {
  if (error instanceof DatabaseError) return serverReason(error, target);
  if (error instanceof ConnectionLostError) {
    const code = (error.cause as { code?: unknown } | undefined)?.code;
    const text = typeof code === "string" ? NETWORK[code] : undefined;
    return {
      text: text ?? "the server closed the connection",
      transient: true,
    };
  }
  const code = (error as { code?: unknown })?.code;
  const network = typeof code === "string" ? NETWORK[code] : undefined;
  if (network !== undefined) return { text: network, transient: true };
  if (at.host.startsWith("/") && isForbidden(error)) {
    return {
      text: "this program may open no Unix socket there",
      transient: false,
      hint:
        "Connect by TCP, or make the socket in /run/postgresql, where every build may open it",
    };
  }
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof ChannelBindingError) {
    return { text: message, transient: false, hint: error.hint };
  }
  if (error instanceof NoTlsError) {
    return {
      text: message,
      transient: false,
      hint:
        `sslmode=${target.tls.mode} requires it; switch TLS on in the server, or look for what strips it on the way`,
    };
  }
  if (error instanceof TlsError) {
    return {
      text: `TLS failed: ${message}`,
      transient: false,
      hint:
        `sslmode=${target.tls.mode} checks the certificate of "${at.host}"; name the authority with sslrootcert ` +
        "or POSTGRES_SSL_CA, and the host as the certificate does",
    };
  }
  return { text: message, transient: false };
}

/** The runtime lets a program open a socket where it may write; the executable says so without a word that helps. */
function isForbidden(error: unknown): boolean {
  const { code, name } = error as { code?: unknown; name?: unknown };
  return code === "UNKNOWN" || name === "NotCapable";
}

function serverReason(error: DatabaseError, target: Target): Reason {
  const { code, message: text } = error.server;
  switch (code) {
    case "57P03": // cannot_connect_now: starting up, shutting down, recovering
    case "53300": // too_many_connections
    case "57P01": // admin_shutdown
    case "57P02": // crash_shutdown
      return { text, transient: true };
    case "28P01":
      return {
        text,
        transient: false,
        hint: `Check the password of the role "${target.user}"`,
      };
    case "28000":
      return {
        text,
        transient: false,
        hint:
          `Check that the role "${target.user}" exists and that pg_hba.conf lets it in from here`,
      };
    case "3D000":
      return {
        text,
        transient: false,
        hint: `Create it first: create database "${
          target.database.replaceAll('"', '""')
        }"`,
      };
    case "42501":
      return {
        text,
        transient: false,
        hint: `As the owner of the database: grant connect on database ${
          quoteIdentifier(target.database)
        } to ${quoteIdentifier(target.user)}`,
      };
    case "08P01": // protocol_violation: PgBouncer's answer to what it does not pass on
      return {
        text,
        transient: false,
        ...(target.options !== undefined && /startup parameter/.test(text) && {
          hint:
            "Leave options out of the connection string: a pooler does not pass them on; or list options in its ignore_startup_parameters",
        }),
      };
    default:
      return { text, transient: false };
  }
}
