/**
 * The socket that postgres.js is handed: a session that is open already.
 *
 * The driver begins with a log-in of its own. What it writes first is answered here, with the session that is open; from
 * then on it hears whole messages that were looked at. It is never asked to wait and never told that the connection is
 * closed, at which it would connect again: a loss is an error, after which it is ended.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { EventEmitter } from "node:events";

/** Emits "data" and "error". */
export class DriverSocket extends EventEmitter {
  readonly #write: (bytes: Uint8Array) => void;
  /** The server's part of the log-in, until the driver has begun its own. */
  #session: Uint8Array | undefined;
  #state: "open" | "closed" = "open";

  /**
   * @param session what a server says at the end of a log-in
   * @param write sends what the driver says after its log-in
   */
  constructor(session: Uint8Array, write: (bytes: Uint8Array) => void) {
    super();
    this.#session = session;
    this.#write = write;
  }

  get readyState(): "open" | "closed" {
    return this.#state;
  }

  write(bytes: Uint8Array): true {
    const session = this.#session;
    if (session === undefined) {
      if (this.#state === "open") this.#write(bytes);
    } else {
      this.#session = undefined;
      queueMicrotask(() => this.deliver(session));
    }
    return true;
  }

  /** Gives the driver whole messages of the server. */
  deliver(bytes: Uint8Array): void {
    if (this.#state === "closed") return;
    const { buffer, byteOffset, byteLength } = bytes;
    this.emit("data", Buffer.from(buffer, byteOffset, byteLength));
  }

  /** Ends everything that the driver has under way with this error. */
  fail(error: Error): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    // An error that nobody listens to would end the process.
    if (this.listenerCount("error") > 0) this.emit("error", error);
  }

  /** The session is not the driver's to end. */
  end(): void {}

  destroy(): void {}
}
