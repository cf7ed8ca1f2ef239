/**
 * Channel binding: the proof of the password is good on one TLS connection only, so that nobody who ends TLS on the way can pass it on.
 *
 * RFC 5802, section 6, and RFC 5929, section 4. What is chosen and what is refused is as in libpq:
 * https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-CHANNEL-BINDING
 *
 * @module
 */
import type { Tls } from "../../cli/target.ts";
import { DatabaseError } from "../../errors.ts";
import { readSignature } from "./certificate.ts";
import { ChannelBindingError } from "./connect_errors.ts";
import { type Binding, UNBOUND } from "./scram.ts";

/** The TLS connection that a log-in goes through. */
export interface Channel {
  /** Whether the runtime tells the server's certificate. */
  readonly tellsCertificate: boolean;
  /** The server's certificate, in DER. */
  certificate(): Uint8Array | undefined;
}

/** What the configuration says of it. */
export type BindingRules = Pick<Tls, "mode" | "channelBinding">;

/** The name of the mechanism that binds. */
export const MECHANISM_PLUS = "SCRAM-SHA-256-PLUS";

/** "I could bind, and you do not offer it": a server that does offer it knows then that somebody has taken the offer away. */
const NOT_OFFERED: Binding = { ...UNBOUND, header: "y,," };

/** invalid_authorization_specification: PostgreSQL's answer to a binding that is not its own, within an exchange of SCRAM. */
const REFUSED = "28000";

/** What Web Crypto calls the usual hashes: Node's cryptography, which knows the others too, takes milliseconds to load. */
const WEB_CRYPTO: Readonly<Record<string, string>> = {
  sha256: "SHA-256",
  sha384: "SHA-384",
  sha512: "SHA-512",
};

const PROXY =
  "if it is a proxy that you know, write channel_binding=disable into the URL, with sslmode=verify-full";

/** @throws {ChannelBindingError} when a log-in must be bound, and cannot be bound to this connection */
export function assertBindable(
  { channelBinding }: BindingRules,
  channel: Channel | undefined,
): void {
  if (channelBinding !== "require" || channel?.tellsCertificate) return;
  throw channel === undefined
    ? new ChannelBindingError(
      "channel_binding=require needs TLS, and this connection has none",
      "Switch TLS on in the server, or look for what strips it on the way; a Unix socket has none",
    )
    : new ChannelBindingError(
      `channel_binding=require needs the server's certificate, which the TLS of Deno ${Deno.version.deno}, on which this ` +
        "build runs, does not tell",
      "Use a release build, or write channel_binding=prefer, with sslmode=verify-full",
    );
}

/**
 * Chooses what a log-in by SCRAM is bound to.
 *
 * @param offered the mechanisms that the server offers
 * @param channel missing where the connection is not encrypted
 * @throws {ChannelBindingError} when it must be bound, and cannot be
 */
export async function chooseBinding(
  offered: readonly string[],
  rules: BindingRules,
  channel: Channel | undefined,
): Promise<Binding> {
  const { mode, channelBinding } = rules;
  assertBindable(rules, channel);
  if (channelBinding === "disable") return UNBOUND;
  const isOffered = offered.includes(MECHANISM_PLUS);
  if (isOffered && channel === undefined) {
    throw new ChannelBindingError(
      `the server offers ${MECHANISM_PLUS}, which is for TLS, and this connection has none`,
      "Look for who ends or strips TLS on the way; if it is a tunnel that you know, write channel_binding=disable into the URL",
    );
  }
  if (!isOffered && channelBinding === "require") {
    throw new ChannelBindingError(
      `the server does not offer ${MECHANISM_PLUS}, which channel_binding=require demands`,
      "A pooler or a proxy that ends TLS cannot offer it: connect to the server itself, or write " +
        "channel_binding=prefer with sslmode=verify-full; where there is none, look for who strips the offer on the way",
    );
  }
  if (!channel?.tellsCertificate) return UNBOUND;
  if (!isOffered) return NOT_OFFERED;
  const data = await serverEndPoint(channel);
  if (data !== undefined) {
    return {
      mechanism: MECHANISM_PLUS,
      header: "p=tls-server-end-point,,",
      data,
    };
  }
  // Anybody can show such a certificate; only one that is verified with its name proves the server by itself.
  if (mode === "verify-full" && channelBinding === "prefer") return UNBOUND;
  throw new ChannelBindingError(
    "the log-in cannot be bound to the server's certificate: how that is signed names no hash that is known",
    "Give the server a certificate that is signed with RSA or ECDSA, or write channel_binding=disable into the URL, with sslmode=verify-full",
  );
}

/** @throws {ChannelBindingError} when a log-in must be bound, and the server wants one that is not */
export function assertNotRequired(
  { channelBinding }: BindingRules,
  what: string,
): void {
  if (channelBinding !== "require") return;
  throw new ChannelBindingError(
    `the server ${what}, and channel_binding=require demands ${MECHANISM_PLUS}`,
    "Have pg_hba.conf ask for scram-sha-256, and set the password again if it is kept as md5; or leave channel_binding out",
  );
}

/** A server's refusal in the midst of an exchange, with what it means for the binding. */
export function exchangeRefusal(error: DatabaseError, binding: Binding): Error {
  if (error.server.code !== REFUSED || binding === UNBOUND) return error;
  return new ChannelBindingError(
    error.server.message,
    `PostgreSQL refuses like this when somebody on the way ends TLS, and ${
      binding.mechanism === MECHANISM_PLUS
        ? "shows another certificate than its own"
        : "strips its offer of channel binding"
    }; ${PROXY}`,
    { cause: error },
  );
}

/**
 * `tls-server-end-point`: the certificate, hashed as it is signed, and with SHA-256 where that is MD5 or SHA-1. Nothing
 * where no hash can be determined.
 */
async function serverEndPoint(
  channel: Channel,
): Promise<Uint8Array | undefined> {
  let certificate: Uint8Array | undefined;
  let hash: string | undefined;
  try {
    certificate = channel.certificate();
    if (certificate !== undefined) hash = readSignature(certificate).hash;
  } catch {
    // What cannot be read names no hash either.
  }
  if (certificate === undefined || hash === undefined) return undefined;
  const strong = hash === "md5" || hash === "sha1" ? "sha256" : hash;
  const quick = WEB_CRYPTO[strong];
  if (quick !== undefined) {
    const bytes = new Uint8Array(certificate);
    return new Uint8Array(await crypto.subtle.digest(quick, bytes));
  }
  const { createHash } = await import("node:crypto");
  return createHash(strong).update(certificate).digest();
}
