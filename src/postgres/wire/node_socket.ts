/**
 * Node's sockets, for what Deno's own connections cannot do: Unix sockets, and every mode of TLS.
 *
 * @module
 */
import net from "node:net";
import type { TLSSocket } from "node:tls";
import { ConnectionLostError } from "../../errors.ts";
import type { Tls } from "../../cli/target.ts";
import type { Channel } from "./channel_binding.ts";
import { NoTlsError } from "./connect_errors.ts";
import {
  afterHandshake,
  channelOf,
  handshakeFailure,
  startTls,
  type TlsOptions,
  tlsOptions,
} from "./tls.ts";
import type { HostAndPort } from "../../cli/connection_string.ts";

interface Connected {
  readonly socket: net.Socket;
  /** Missing where the connection is not encrypted. */
  readonly channel?: Channel;
}

/** `SSLRequest` of the protocol: length 8, code 80877103. */
const SSL_REQUEST = new Uint8Array([0, 0, 0, 8, 4, 210, 22, 47]);

/**
 * Connects, by TCP or to a Unix socket, and agrees on TLS where it is asked for.
 *
 * @throws {NoTlsError} when TLS is required and the server offers none
 * @throws {TlsError} when the handshake fails
 * @throws {Error} with a `code` of the operating system
 */
export async function openNodeSocket(
  at: HostAndPort,
  security: Tls,
  signal: AbortSignal,
): Promise<Connected> {
  if (security.mode === "disable") {
    return { socket: await openPlain(at, signal) };
  }
  const options = await tlsOptions(at.host, security);
  const socket = await openPlain(at, signal);
  try {
    const secure = await askForTls(socket, options, signal);
    if (secure !== undefined) return secure;
    if (security.mode === "prefer") return { socket };
    throw new NoTlsError("the server does not offer TLS");
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

function openPlain(at: HostAndPort, signal: AbortSignal): Promise<net.Socket> {
  const socket = at.host.startsWith("/")
    ? net.connect({ path: `${at.host}/.s.PGSQL.${at.port}` })
    : net.connect({ host: at.host, port: at.port, keepAlive: true });
  return settle(socket, signal, (on, resolve) => {
    on("connect", () => resolve(socket));
  });
}

/** Resolves to the encrypted socket, or to nothing when the server has no TLS. */
function askForTls(
  socket: net.Socket,
  options: TlsOptions,
  signal: AbortSignal,
): Promise<Connected | undefined> {
  return settle<Connected | undefined>(
    socket,
    signal,
    (on, resolve, reject) => {
      on("close", () => {
        reject(new ConnectionLostError("closed when asked for TLS"));
      });
      on("data", (data) => {
        const answer = data as Uint8Array;
        // More than the one byte would be injected before the encryption begins (CVE-2021-23222).
        if (answer.length === 1 && answer[0] === 0x53) {
          // Here and now: see `startTls`.
          resolve(handshake(startTls(socket, options), options, signal));
        } else if (answer.length === 1 && answer[0] === 0x4e) {
          resolve(undefined);
        } else {
          reject(
            new Error("the answer to the request for TLS is not PostgreSQL's"),
          );
        }
      });
      socket.write(SSL_REQUEST);
    },
  );
}

function handshake(
  secure: TLSSocket,
  options: TlsOptions,
  signal: AbortSignal,
): Promise<Connected> {
  return settle<Connected>(secure, signal, (on, resolve, reject) => {
    on(
      "secureConnect",
      () =>
        afterHandshake(() =>
          resolve({ socket: secure, channel: channelOf(secure) })
        ),
    );
    on("close", () => {
      reject(new ConnectionLostError("closed during the TLS handshake"));
    });
  }).catch((error) => {
    secure.destroy();
    throw signal.aborted ? error : handshakeFailure(error, options);
  });
}

type Listen = (event: string, listener: (argument: unknown) => void) => void;

/** Waits for the socket to get somewhere; its error or the end of the deadline ends the wait and the socket. */
function settle<T>(
  socket: net.Socket,
  signal: AbortSignal,
  start: (
    on: Listen,
    resolve: (value: T | Promise<T>) => void,
    reject: (error: unknown) => void,
  ) => void,
): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const listeners: [string, (argument: unknown) => void][] = [];
  const on: Listen = (event, listener) => {
    listeners.push([event, listener]);
    socket.on(event, listener);
  };
  const abort = () => {
    socket.destroy();
    reject(signal.reason);
  };
  signal.addEventListener("abort", abort, { once: true });
  // This listener stays: between two waits an error without one would end the process.
  socket.on("error", reject);
  if (signal.aborted) abort();
  else start(on, resolve, reject);
  return promise.finally(() => {
    signal.removeEventListener("abort", abort);
    for (const [event, listener] of listeners) socket.off(event, listener);
  });
}
