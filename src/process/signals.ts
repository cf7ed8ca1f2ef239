/**
 * What makes the process stop before its work is done: signals, and what `work` itself finds.
 *
 * @module
 */
import { ExitCode, InterruptedError, UsageError } from "../errors.ts";

/** A process that was asked to stop is gone after this time, in milliseconds, whatever the server does. */
const STOP_LIMIT_MS = 4_300;

/** Two signals within this time, in milliseconds, are one request. */
const SAME_SIGNAL_MS = 300;

/**
 * Runs `work` with a signal that aborts on SIGINT, on SIGTERM, and when `work` calls `fail`. Then there is a limit to how long it may take; a second signal ends it at once.
 * As process 1 of a container there is no default action: without a listener nothing would stop.
 */
export async function withStop(
  work: (stop: AbortSignal, fail: (error: Error) => void) => Promise<number>,
): Promise<number> {
  const controller = new AbortController();
  const hurried = Promise.withResolvers<number>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stoppedAt = 0;
  const stop = (reason: Error) => {
    stoppedAt = performance.now();
    timer = setTimeout(
      () => hurried.resolve(exitCodeOf(reason)),
      STOP_LIMIT_MS,
    );
    controller.abort(reason);
  };
  const done = work(controller.signal, (error) => {
    if (!controller.signal.aborted) stop(error);
  });
  // First of all it connects: that is under way while the listeners are made.
  let ignore: readonly (() => void)[] = [];
  const listening = setTimeout(() =>
    ignore = (["SIGINT", "SIGTERM"] as const).map((signal) =>
      onSignal(signal, (error) => {
        if (!controller.signal.aborted) return stop(error);
        // `deno task` passes on what the terminal has sent to the whole group: one Ctrl-C arrives twice.
        const again = performance.now() - stoppedAt >= SAME_SIGNAL_MS;
        if (again) hurried.resolve(exitCodeOf(error));
      })
    )
  );
  try {
    return await Promise.race([done, hurried.promise]);
  } finally {
    clearTimeout(timer);
    clearTimeout(listening);
    for (const remove of ignore) remove();
  }
}

/** @returns what ends the listening */
function onSignal(
  signal: "SIGINT" | "SIGTERM",
  act: (error: InterruptedError) => void,
): () => void {
  const listener = () => act(new InterruptedError(signal));
  Deno.addSignalListener(signal, listener);
  return () => Deno.removeSignalListener(signal, listener);
}

/** What the process returns when this ended the work. */
export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof UsageError) return ExitCode.usage;
  if (error instanceof InterruptedError) {
    return error.signal === "SIGINT"
      ? ExitCode.interrupted
      : ExitCode.terminated;
  }
  return ExitCode.failed;
}
