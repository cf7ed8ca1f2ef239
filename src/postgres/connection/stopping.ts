/**
 * What a request to stop ends on a connection.
 *
 * @module
 */
import { abortable } from "../../waits.ts";

/** How long a stopped migration has to end by itself, in milliseconds. */
const GRACE_MS = 1_000;

/** Whether a connection is stopped, and why. */
export class Stopping {
  #reason: Error | undefined;
  #grace = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** What every statement is refused with. */
  get reason(): Error | undefined {
    return this.#reason;
  }

  /** What `work` comes to, unless it does not end soon after the request. */
  orEnded<T>(work: Promise<T>): Promise<T> {
    return abortable(work, this.#grace.signal);
  }

  stop(reason: Error): void {
    this.#reason = reason;
    const grace = this.#grace;
    this.#timer = setTimeout(() => grace.abort(reason), GRACE_MS);
  }

  resume(): void {
    this.end();
    this.#reason = undefined;
    this.#grace = new AbortController();
  }

  /** Ends the time that is running: there is nothing more to be ended. */
  end(): void {
    clearTimeout(this.#timer);
  }
}
