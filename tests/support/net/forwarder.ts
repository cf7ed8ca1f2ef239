/**
 * Leads TCP connections on to a server as they are, in pieces as small as one likes, from another address if need be.
 *
 * @module
 */

import { closeQuietly, type Listener, startListener } from "./listener.ts";

export interface Forwarder extends Listener {
  /** How many bytes have passed, in both directions. */
  readonly passed: number;
}

export interface ForwarderOptions {
  /** Where it listens. @default {"127.0.0.1"} */
  readonly hostname?: string;
  /** Bytes that are sent at once. @default {as many as come} */
  readonly piece?: number;
}

/** Starts one. @throws {Deno.errors.AddrNotAvailable} when the machine has no such address */
export function startForwarder(
  target: { readonly host: string; readonly port: number },
  { hostname = "127.0.0.1", piece = Infinity }: ForwarderOptions = {},
): Forwarder {
  let passed = 0;
  const listener = startListener(async (client, keep) => {
    const server = await Deno.connect({
      hostname: target.host,
      port: target.port,
    });
    keep(server);
    const directions = [[client, server], [server, client]] as const;
    await Promise.all(directions.map(async ([from, to]) => {
      from.setNoDelay(true);
      await lead(from, to).catch(() => {}).finally(() => closeQuietly(to));
    }));
  }, hostname);
  return {
    ...listener,
    get passed() {
      return passed;
    },
  };

  async function lead(from: Deno.TcpConn, to: Deno.TcpConn): Promise<void> {
    const buffer = new Uint8Array(65_536);
    for (;;) {
      const length = await from.read(buffer);
      if (length === null) return;
      for (let sent = 0; sent < length;) {
        const end = Math.min(length, sent + piece);
        sent += await to.write(buffer.subarray(sent, end));
      }
      passed += length;
    }
  }
}
