/**
 * News that are told again only after a while.
 *
 * @module
 */
import type { Event } from "../report/events.ts";

/** How often the same news is repeated, in milliseconds. */
const REPEAT_MS = 10_000;

/** Tells events, of the same kind one after the other not too many. */
export class News {
  readonly #report: (event: Event) => void;
  #told: { readonly what: string; readonly at: number } | undefined;

  constructor(report: (event: Event) => void) {
    this.#report = report;
  }

  /** @param what what is the same for events that say the same */
  tell(what: string, event: Event): void {
    const now = performance.now();
    if (this.#told?.what === what && now - this.#told.at < REPEAT_MS) return;
    this.#told = { what, at: now };
    this.#report(event);
  }

  /** What comes next is new. */
  forget(): void {
    this.#told = undefined;
  }
}
