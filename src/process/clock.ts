import type { Clock } from "../engine/ports.ts";

/** The clock of this process; a sleep ends early, with the signal's reason, when the process is asked to stop. */
export function processClock(stop: AbortSignal): Clock {
  return {
    now: () => performance.now(),
    sleep: (ms) => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const abort = () => reject(stop.reason);
      const timer = setTimeout(resolve, ms);
      stop.addEventListener("abort", abort, { once: true });
      if (stop.aborted) abort();
      return promise.finally(() => {
        clearTimeout(timer);
        stop.removeEventListener("abort", abort);
      });
    },
  };
}
