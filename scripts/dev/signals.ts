/**
 * Signals as a wish to end: noted, so that what is open can be closed.
 *
 * @module
 */

export interface SignalWatch extends Disposable {
  /** 128 + the number of the first signal that came. */
  readonly code: number | undefined;
  /** Settles when the first signal comes. */
  readonly signalled: Promise<void>;
}

const CODES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/** A Ctrl-C reaches a task twice: from the terminal, and passed on by `deno task`. */
const ECHO_MS = 300;

/** What closing may take after a second signal. */
const PATIENCE_MS = 2_000;

/** Notes the first signal instead of dying of it. A second one has its usual effect in the end, should the closing hang. */
export function watchSignals(
  ...signals: (keyof typeof CODES)[]
): SignalWatch {
  let code: number | undefined;
  let first = 0;
  const { promise, resolve } = Promise.withResolvers<void>();
  const listeners = signals.map((signal) => {
    const listener = () => {
      if (code === undefined) {
        code = CODES[signal];
        first = performance.now();
        resolve();
      } else if (performance.now() - first > ECHO_MS) {
        Deno.unrefTimer(setTimeout(() => {
          stop();
          Deno.kill(Deno.pid, signal);
        }, PATIENCE_MS));
      }
    };
    Deno.addSignalListener(signal, listener);
    return [signal, listener] as const;
  });
  const stop = () => {
    for (const [signal, listener] of listeners) {
      Deno.removeSignalListener(signal, listener);
    }
  };
  return {
    get code() {
      return code;
    },
    signalled: promise,
    [Symbol.dispose]: stop,
  };
}
