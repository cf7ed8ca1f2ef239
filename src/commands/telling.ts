import type { Event } from "../events.ts";

/** What happened, told to a stream that may fail. */
export interface Telling {
  /** Never throws: what is done stays done when nobody can be told. */
  readonly report: (event: Event) => void;
  /** Why something could not be told; `undefined` while everything was. */
  readonly failure: () => Error | undefined;
}

/** Tells each event, also after one that could not be told: the other stream may still be read. */
export function keepTelling(report: (event: Event) => void): Telling {
  let failure: Error | undefined;
  return {
    failure: () => failure,
    report: (event) => {
      try {
        report(event);
      } catch (cause) {
        failure ??= new Error("Cannot write all of the output", { cause });
      }
    },
  };
}
