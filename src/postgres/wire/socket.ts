/**
 * Opens one socket to PostgreSQL: TCP or Unix, TLS where it is asked for, under a deadline of our own.
 *
 * The driver is handed a finished socket, exactly once. So it cannot reconnect behind our back, and a peer that accepts
 * and closes cannot send it into an endless loop (https://github.com/porsager/postgres/issues/1193).
 *
 * @module
 */
import type { Channel } from "./channel_binding.ts";
import { concat, uint32 } from "./protocol.ts";
import type { Tls } from "../../cli/target.ts";
import { connectTcp } from "./tcp_socket.ts";
import type { HostAndPort } from "../../cli/connection_string.ts";

/** A connected byte stream, encrypted or not, in the form of Node's sockets. */
export interface Socket {
  /** "open" while both sides may speak. */
  readonly readyState: string;
  // deno-lint-ignore no-explicit-any -- each event has a listener of its own form
  on(event: string, listener: (...parts: any[]) => void): unknown;
  // deno-lint-ignore no-explicit-any -- see above
  off(event: string, listener: (...parts: any[]) => void): unknown;
  write(data: Uint8Array): boolean;
  /** Sends the last data; "finish" says when they are sent. */
  end(data: Uint8Array): unknown;
  destroy(): unknown;
}

/** A socket, and the TLS that it goes through. */
export interface Connected {
  readonly socket: Socket;
  /** Missing where the connection is not encrypted. */
  readonly channel?: Channel;
}

/** The code of `CancelRequest`, in the place of a version. */
const CANCEL = 80_877_102;

/**
 * Opens a socket.
 *
 * @throws {NoTlsError} when TLS is required and the server offers none
 * @throws {TlsError} when the handshake fails
 * @throws {Error} with a `code` of the operating system
 */
export async function openSocket(
  at: HostAndPort,
  security: Tls,
  signal: AbortSignal,
): Promise<Connected> {
  const connected = await connect(at, security, signal);
  // An error that nobody listens to would end the process.
  connected.socket.on("error", () => {});
  return connected;
}

async function connect(
  at: HostAndPort,
  security: Tls,
  signal: AbortSignal,
): Promise<Connected> {
  // A Unix socket does not leave the machine; libpq ignores sslmode there too.
  const local = at.host.startsWith("/");
  if (security.mode === "disable" && !local) {
    return { socket: await connectTcp(at, signal) };
  }
  const { openNodeSocket } = await import("./node_socket.ts");
  return await openNodeSocket(
    at,
    local ? { ...security, mode: "disable" } : security,
    signal,
  );
}

/** Asks the server to cancel what the session runs; resolves when the server has taken the request. */
export async function sendCancel(
  at: HostAndPort,
  security: Tls,
  session: { readonly pid: number; readonly secret: number },
  signal: AbortSignal,
): Promise<void> {
  const { socket } = await openSocket(at, security, signal);
  const { promise, resolve } = Promise.withResolvers<void>();
  signal.addEventListener("abort", () => resolve(), { once: true });
  if (signal.aborted) resolve();
  socket.on("data", () => {}); // Node's sockets do not notice the end before they are read
  socket.on("close", () => resolve());
  const { pid, secret } = session;
  socket.write(
    concat([uint32(16), uint32(CANCEL), uint32(pid), uint32(secret)]),
  );
  await promise;
  socket.destroy();
}
