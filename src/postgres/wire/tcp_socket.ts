/**
 * A TCP connection of Deno's own in the form of Node's socket, as far as the driver and the log-in use one.
 *
 * Node's would take longer to load than the whole check for pending migrations lasts.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { EventEmitter } from "node:events";
import { abortable } from "../../waits.ts";
import { silenceDeprecations } from "./runtime.ts";
import type { HostAndPort } from "../../cli/connection_string.ts";

/** How long the first address of a host is tried alone, in milliseconds: that of RFC 8305. */
const HEAD_START_MS = 250;

const READ_BYTES = 65_536;

/** Emits "data", "finish", "error" and "close". Writing never blocks: what cannot be sent yet is kept. */
export class TcpSocket extends EventEmitter {
  readonly #connection: Deno.TcpConn;
  #state: "open" | "ended" | "closed" = "open";
  #unsent: Promise<void> = Promise.resolve();

  constructor(connection: Deno.TcpConn) {
    super();
    this.#connection = connection;
    connection.setNoDelay(true);
    connection.setKeepAlive(true);
    void this.#receive();
  }

  get readyState(): "open" | "closed" {
    return this.#state === "open" ? "open" : "closed";
  }

  write(data: Uint8Array): boolean {
    if (this.#state !== "open") return false;
    this.#unsent = this.#unsent.then(() => this.#send(data));
    return true;
  }

  /** Sends the last data; says "finish" when they are sent. */
  end(data: Uint8Array): void {
    if (this.#state !== "open") return;
    this.#unsent = this.#unsent.then(() => this.#send(data))
      .then(() => void this.emit("finish"));
    this.#state = "ended";
  }

  destroy(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#connection.close();
    queueMicrotask(() => this.emit("close"));
  }

  async #receive(): Promise<void> {
    const buffer = new Uint8Array(READ_BYTES);
    try {
      for (;;) {
        const length = await this.#connection.read(buffer);
        if (length === null) break;
        if (this.#state === "closed") return;
        this.emit("data", Buffer.from(buffer.subarray(0, length)));
      }
    } catch (error) {
      await this.#settle();
      this.#fail(error);
    }
    await this.#settle();
    this.destroy();
  }

  /** What came last is understood before the end is news: the server says why it ends in its last message. */
  async #settle(): Promise<void> {
    if (this.#state === "closed") return;
    await new Promise((resolve) => setTimeout(resolve));
  }

  async #send(data: Uint8Array): Promise<void> {
    try {
      for (let sent = 0; sent < data.length && this.#state !== "closed";) {
        sent += await this.#connection.write(data.subarray(sent));
      }
    } catch (error) {
      this.#fail(error);
      this.destroy();
    }
  }

  #fail(error: unknown): void {
    // After `destroy` it is ours.
    if (this.#state !== "closed") this.emit("error", error);
  }
}

/**
 * Connects to a host: to the first of its addresses, and when that fails or takes long, to whichever answers first.
 *
 * @throws {Error} with the `code` of the operating system, or the signal's reason
 */
export async function connectTcp(
  { host, port }: HostAndPort,
  signal: AbortSignal,
): Promise<TcpSocket> {
  const first = attempt(host, port, signal);
  const isAddress = host.includes(":") || /^[\d.]+$/.test(host);
  if (isAddress || await succeedsSoon(first)) {
    return new TcpSocket(await first);
  }
  silenceDeprecations();
  const attempts = [first];
  let connection: Deno.TcpConn | undefined;
  const tryOthers = async () => {
    // Like the system, and unlike Deno.resolveDns, it looks into /etc/hosts. It cannot be called off.
    const { lookup } = await import("node:dns/promises");
    const addresses = await lookup(host, { all: true });
    if (connection !== undefined) return connection;
    const others = addresses.map(({ address }) =>
      attempt(address, port, signal)
    );
    attempts.push(...others);
    return await Promise.any(others);
  };
  try {
    connection = await abortable(Promise.any([first, tryOthers()]), signal);
    return new TcpSocket(connection);
  } catch (error) {
    throw lastOf(error);
  } finally {
    for (const one of attempts) {
      one.then((late) => late !== connection && late.close(), () => {});
    }
  }
}

/** Of several failures the last: that of the look-up, or of the last address. */
function lastOf(error: unknown): unknown {
  return error instanceof AggregateError ? lastOf(error.errors.at(-1)) : error;
}

/** One attempt at one address. It cannot be called off: a connection that comes too late is closed. */
function attempt(
  hostname: string,
  port: number,
  signal: AbortSignal,
): Promise<Deno.TcpConn> {
  const connecting = Deno.connect({ hostname, port });
  connecting.then((late) => signal.aborted && late.close(), () => {});
  const result = abortable(connecting, signal);
  result.catch(() => {}); // it may be one of several
  return result;
}

async function succeedsSoon(connecting: Promise<unknown>): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<false>();
  const timer = setTimeout(() => resolve(false), HEAD_START_MS);
  try {
    return await Promise.race([
      connecting.then(() => true, () => false),
      promise,
    ]);
  } finally {
    clearTimeout(timer);
  }
}
