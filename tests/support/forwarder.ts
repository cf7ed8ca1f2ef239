/**
 * Leads TCP connections on to a server as they are, in pieces as small as one likes, from another address if need be.
 *
 * @module
 */

export interface Forwarder extends AsyncDisposable {
  readonly port: number;
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
  const listener = Deno.listen({ hostname, port: 0 });
  const open = new Set<Deno.TcpConn>();
  let passed = 0;
  const serving = serve();
  return {
    port: listener.addr.port,
    get passed() {
      return passed;
    },
    async [Symbol.asyncDispose]() {
      listener.close();
      for (const connection of open) close(connection);
      await serving;
    },
  };

  async function serve(): Promise<void> {
    const lanes: Promise<void>[] = [];
    try {
      for await (const client of listener) {
        open.add(client);
        const server = await Deno.connect({
          hostname: target.host,
          port: target.port,
        });
        open.add(server);
        for (
          const [from, to] of [[client, server], [server, client]] as const
        ) {
          from.setNoDelay(true);
          lanes.push(lead(from, to).catch(() => {}).finally(() => close(to)));
        }
      }
    } catch {
      // The listener was closed while it waited.
    }
    await Promise.all(lanes);
  }

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

function close(connection: Deno.TcpConn): void {
  try {
    connection.close();
  } catch {
    // It was closed already.
  }
}
