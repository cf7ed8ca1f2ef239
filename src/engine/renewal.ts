/**
 * A session that is made anew when it is lost.
 *
 * A lost connection fails a run, since no statement may run outside of the transaction that it belongs to. The batches of a
 * backfill are transactions of their own, and its position tells which of them were committed: the next one may have
 * another session.
 *
 * @module
 */
import { connectToPrimary } from "./commit.ts";
import type { Ports, Session } from "./ports.ts";

/** The session of a run. */
export class RenewableSession implements AsyncDisposable {
  readonly #ports: Ports;
  readonly #given: Session;
  #current: Session;

  constructor(ports: Ports, given: Session) {
    this.#ports = ports;
    this.#given = given;
    this.#current = given;
  }

  get current(): Session {
    return this.#current;
  }

  /** Connects anew, for at most so many milliseconds. The process of the lost session is ended if it waits for its client. */
  async renew(limitMs: number): Promise<void> {
    const { backend } = this.#current;
    const deadline = this.#ports.clock.now() + limitMs;
    await this[Symbol.asyncDispose]();
    this.#current = await connectToPrimary(this.#ports, deadline, backend);
  }

  /** Closes what was made here. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#current !== this.#given) await this.#current.close();
    this.#current = this.#given;
  }
}
