/**
 * What every stand-in for a server does: takes connections until it is disposed of, and closes what is open then.
 *
 * @module
 */

export interface Listener extends AsyncDisposable {
  readonly port: number;
}

/**
 * Starts one.
 *
 * @param serve what becomes of a connection; `keep` names others that it opens. A connection that breaks is no failure
 * @throws {Deno.errors.AddrNotAvailable} when the machine has no such address
 */
export function startListener(
  serve: (
    connection: Deno.TcpConn,
    keep: (connection: Deno.Conn) => void,
  ) => Promise<void>,
  hostname = "127.0.0.1",
): Listener {
  const listener = Deno.listen({ hostname, port: 0 });
  const open = new Set<Deno.Conn>();
  const accepting = accept();
  return {
    port: listener.addr.port,
    async [Symbol.asyncDispose]() {
      listener.close();
      for (const connection of open) closeQuietly(connection);
      await accepting;
    },
  };

  async function accept(): Promise<void> {
    const served: Promise<void>[] = [];
    const keep = (connection: Deno.Conn) => void open.add(connection);
    try {
      for await (const connection of listener) {
        keep(connection);
        served.push(serve(connection, keep).catch(() => {}));
      }
    } catch {
      // The listener was closed while it waited.
    }
    await Promise.all(served);
  }
}

/** Closes a connection, unless it is closed already. */
export function closeQuietly(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // It was closed already.
  }
}
