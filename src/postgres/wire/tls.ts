/**
 * TLS over a connected socket, on every Deno that the program runs on.
 *
 * Checked by experiment, by `tests/integration/tls_test.ts` and on the compiled program by `tests/binary/tls_test.ts`:
 *
 * - Deno 2.9 does all of it.
 * - Deno 2.4, the runtime of `deno task compile --runtime npm`, can only upgrade a socket that nobody reads from: where
 *   a read is under way, the handshake never begins and no event says so. So {@link startTls} has to be called within
 *   the listener that hears the server's answer. It says "secureConnect" for a refused certificate too; the error
 *   follows at once. Four things are beyond it: to present a certificate of the client (refused), to tell that of the
 *   server (`channel_binding=require` is refused), to leave the name unchecked while checking the authority (`verify-ca`
 *   is as strict as `verify-full`), and to trust the given authority alone (the public ones that Deno carries stay
 *   trusted beside it).
 *
 * @module
 */
import net from "node:net";
import tls from "node:tls";
import { SYSTEM_AUTHORITIES } from "../../cli/named_files.ts";
import type { Tls } from "../../cli/target.ts";
import { ConnectionLostError } from "../../errors.ts";
import type { Channel } from "./channel_binding.ts";
import { TlsError } from "./connect_errors.ts";
import { IS_DENO_2_4 } from "./runtime.ts";

/** What {@link startTls} needs to know. */
export interface TlsOptions extends Tls {
  /** The host as the configuration names it. */
  readonly host: string;
}

/**
 * Makes the options for one host.
 *
 * @throws {Error} when the runtime cannot do what they ask for
 */
export async function tlsOptions(
  host: string,
  security: Tls,
): Promise<TlsOptions> {
  if (IS_DENO_2_4 && security.clientCertificate !== undefined) {
    throw new Error(
      `this build runs on Deno ${Deno.version.deno}, whose TLS cannot present a client certificate (sslcert); ` +
        "use a release build",
    );
  }
  const trusted = verifies(security)
    ? security.ca ?? await systemAuthorities()
    : undefined;
  return { ...security, ca: trusted, host };
}

/** Starts the handshake. Must be called while nobody reads from the socket. */
export function startTls(
  socket: net.Socket,
  options: TlsOptions,
): tls.TLSSocket {
  const { host, mode, ca, clientCertificate, clientKey } = options;
  return tls.connect({
    socket,
    // The identity is checked against `host`; SNI carries names only.
    host,
    ...(net.isIP(host) === 0 && { servername: host }),
    rejectUnauthorized: verifies(options),
    ...(ca !== undefined && { ca }),
    ...(clientCertificate !== undefined && {
      cert: clientCertificate,
      key: clientKey,
    }),
    ...(mode !== "verify-full" && { checkServerIdentity: () => undefined }),
  });
}

/** What a log-in through the socket can be bound to. */
export function channelOf(socket: tls.TLSSocket): Channel {
  return {
    tellsCertificate: !IS_DENO_2_4,
    certificate: () => socket.getPeerCertificate().raw,
  };
}

/** Calls `done` when the handshake is known to have succeeded, unless an error comes first. */
export function afterHandshake(done: () => void): void {
  if (IS_DENO_2_4) setTimeout(done);
  else done();
}

/** What ended the handshake: the network, which may recover, or TLS itself. */
export function handshakeFailure(error: unknown, options: TlsOptions): unknown {
  if (!(error instanceof Error) || error instanceof ConnectionLostError) {
    return error;
  }
  if (error instanceof Deno.errors.UnexpectedEof) {
    const { message } = error;
    return new ConnectionLostError(message, { cause: error });
  }
  const { code } = error as { code?: unknown };
  if (typeof code === "string" && /^E[A-Z]+$/.test(code) && code !== "EPROTO") {
    return error;
  }
  return new TlsError(error.message + explanation(error, options), {
    cause: error,
  });
}

/** What the runtime's own words leave out. */
function explanation(error: Error, { mode }: TlsOptions): string {
  if (
    IS_DENO_2_4 && mode === "verify-ca" &&
    /not valid for name/.test(error.message)
  ) {
    return `; this build runs on Deno ${Deno.version.deno}, which checks the name under verify-ca too`;
  }
  // Deno 2.9 says the same of both.
  return (error as { code?: unknown }).code ===
      "UNABLE_TO_VERIFY_LEAF_SIGNATURE"
    ? "; its authority is not trusted, or it has expired"
    : "";
}

function verifies({ mode }: Tls): boolean {
  return mode === "verify-ca" || mode === "verify-full";
}

/** The machine's own list; `undefined`, which means the public authorities that Deno carries, where there is none. */
async function systemAuthorities(): Promise<string | undefined> {
  for (const path of SYSTEM_AUTHORITIES) {
    const text = await Deno.readTextFile(path).catch(() => undefined);
    if (text !== undefined) return text;
  }
  return undefined;
}
