/**
 * What Deno 2.4, the runtime of `deno task compile --runtime npm`, does otherwise than the driver needs it: stands in the
 * place of `src/postgres/wire/runtime_of_driver.ts` in such a build.
 *
 * @module
 */
import process from "node:process";

/**
 * Deno 2.4's `setImmediate` is a timer of more than a millisecond, and the driver waits for one before nearly everything
 * it sends. The end of the running task will do, a hundred times in a row: then timers, the network and signals get their
 * turn, for which somebody may be waiting.
 */
export function mendRuntime(): void {
  // It says on standard error that parts of itself, which we do not call, are deprecated.
  Object.assign(process, { noDeprecation: true });
  const { clearImmediate, setImmediate } = globalThis;
  let ticks = 0;
  class Tick {
    cleared = false;
  }
  Object.assign(globalThis, {
    setImmediate: (
      call: (...args: unknown[]) => void,
      ...args: unknown[]
    ): Tick | ReturnType<typeof setImmediate> => {
      if (ticks === 0) setImmediate(() => ticks = 0);
      if (++ticks > MOST_TICKS) return setImmediate(call, ...args);
      const tick = new Tick();
      process.nextTick(() => tick.cleared || call(...args));
      return tick;
    },
    clearImmediate: (one: Tick | Parameters<typeof clearImmediate>[0]) => {
      if (one instanceof Tick) one.cleared = true;
      else clearImmediate(one);
    },
  });
}

/** How many ends of tasks may follow each other before anything else gets its turn. */
const MOST_TICKS = 100;
