/**
 * What functions leave to themselves: errors that nobody waits for, and timers.
 *
 * Who has set a timer is told by the context in which it was set, which goes with every `await`:
 * https://nodejs.org/api/async_context.html
 *
 * @module
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { causeOf, causesOf, ExitError, STRAY } from "../errors.ts";
import type { Background, Watch } from "../engine/ports.ts";

/** `setTimeout` or `setInterval`. */
type TimerFunction = (
  act: (...args: unknown[]) => void,
  ms?: number,
  ...args: unknown[]
) => unknown;

/** One call that is watched. */
interface Call {
  readonly onError: (error: unknown) => void;
}

/** A timer that has been set, has not come and has not been cleared. */
interface Timer {
  readonly call: Call;
  readonly text: string;
}

/** The {@link Background} of this process. */
export interface ProcessBackground extends Background, Disposable {
  /** The first error that nobody waited for while nothing was watched. */
  readonly failure: Error | undefined;
  /** Has `act` told of the first such error. */
  onFailure(act: (error: Error) => void): void;
  /** Tells of an error in the function whose code is running, whatever is made of it there. */
  blame(error: unknown): void;
  /** Adds to what was thrown what is known of it. */
  describe: (thrown: unknown) => unknown;
}

/** Watches this process until it is disposed of. */
export function processBackground(): ProcessBackground {
  let failure: Error | undefined;
  let act: ((error: Error) => void) | undefined;
  const fail = (error: Error) => {
    failure ??= error;
    act?.(failure);
  };
  const tell = (call: Call | undefined, error: unknown) => {
    if (call !== undefined) call.onError(error);
    else if (causeOf(error, ExitError) !== undefined) fail(error as Error);
    else fail(new Error(STRAY, { cause: error }));
  };
  const blamed = new WeakSet<Error>();
  const calls: Call[] = [];
  const timers = new Map<unknown, Timer>();
  let context: AsyncLocalStorage<Call | undefined> | undefined;
  let restore = () => {};
  const listener = (event: ErrorEvent | PromiseRejectionEvent) => {
    event.preventDefault();
    const thrown = "reason" in event ? event.reason : event.error;
    if (causesOf(thrown).some((one) => blamed.has(one))) return;
    // The context of a promise is known where the runtime tells it.
    tell(context?.getStore() ?? calls.at(-1), background.describe(thrown));
  };
  addEventListener("error", listener);
  addEventListener("unhandledrejection", listener);
  const outside = <T>(work: () => T): T =>
    context === undefined ? work() : context.run(undefined, work);
  const background: ProcessBackground = {
    get failure() {
      return failure;
    },
    onFailure(listener) {
      act = listener;
      if (failure !== undefined) act(failure);
    },
    blame: (error) => {
      for (const one of causesOf(error)) blamed.add(one);
      tell(context?.getStore(), error);
    },
    describe: (thrown) => thrown,
    watch<T>(work: () => T, onError: (error: unknown) => void): Watch<T> {
      if (context === undefined) {
        const calls = context = new AsyncLocalStorage();
        restore = trackTimers(timers, () => calls.getStore());
      }
      const call: Call = { onError };
      calls.push(call);
      return {
        result: context.run(call, work),
        timers: () => pendingOf(timers, call),
        end: () => {
          calls.splice(calls.indexOf(call), 1);
          for (const [id, timer] of timers) {
            if (timer.call === call) timers.delete(id);
          }
        },
      };
    },
    outside,
    fail: (error) => outside(() => fail(error)),
    [Symbol.dispose]() {
      restore();
      removeEventListener("error", listener);
      removeEventListener("unhandledrejection", listener);
    },
  };
  return background;
}

/** The timers of a call that keep a process alive, in words. */
function pendingOf(timers: ReadonlyMap<unknown, Timer>, call: Call): string[] {
  return [...timers]
    .filter(([id, timer]) =>
      timer.call === call &&
      ((id as { hasRef?: () => boolean } | null)?.hasRef?.() ?? true)
    )
    .map(([, { text }]) => text);
}

/** Notes every timer with the call that has set it. @returns what ends that */
function trackTimers(
  timers: Map<unknown, Timer>,
  currentCall: () => Call | undefined,
): () => void {
  const { setTimeout, setInterval, clearTimeout, clearInterval } = globalThis;
  const { unrefTimer } = Deno;
  const setter = (set: TimerFunction, name: string): TimerFunction => {
    const tracked = (
      act: (...args: unknown[]) => void,
      ms?: number,
      ...args: unknown[]
    ) => {
      const call = currentCall();
      if (call === undefined || typeof act !== "function") {
        return set(act, ms, ...args);
      }
      const id = set(
        (...args: unknown[]) => {
          if (name === "setTimeout") timers.delete(id);
          act(...args);
        },
        ms,
        ...args,
      );
      timers.set(id, { call, text: `a timer (${name}, ${ms ?? 0} ms)` });
      return id;
    };
    return Object.assign(tracked, set);
  };
  const clearer = (clear: typeof clearTimeout): typeof clearTimeout => (id) => {
    timers.delete(id);
    clear(id);
  };
  Object.assign(globalThis, {
    setTimeout: setter(setTimeout, "setTimeout"),
    setInterval: setter(setInterval, "setInterval"),
    clearTimeout: clearer(clearTimeout),
    clearInterval: clearer(clearInterval),
  });
  Object.assign(Deno, {
    unrefTimer: (id: number) => {
      timers.delete(id);
      unrefTimer(id);
    },
  });
  return () => {
    Object.assign(globalThis, {
      setTimeout,
      setInterval,
      clearTimeout,
      clearInterval,
    });
    Object.assign(Deno, { unrefTimer });
  };
}
