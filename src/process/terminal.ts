/**
 * The person at the terminal: a yes or no.
 *
 * @module
 */
import type { Operator } from "../engine/ports.ts";
import type { Hide } from "../text.ts";
import { writeQuestion } from "./output.ts";

/** The person at the terminal, if standard input is one. */
export function terminalOperator(stop: AbortSignal, hide: Hide): Operator {
  const isTerminal = Deno.stdin.isTerminal();
  let askedMs = 0;
  return {
    isTerminal,
    get askedMs() {
      return askedMs;
    },
    confirm: async (question) => {
      if (!isTerminal) return false;
      writeQuestion(hide(`${question} [y/N]`));
      const askedAt = performance.now();
      const answer = await readAnswer(stop).finally(() =>
        askedMs += performance.now() - askedAt
      );
      return /^y(?:es)?$/i.test(answer.trim());
    },
  };
}

/** One line of standard input; empty at its end. Rejects when the process is asked to stop. */
async function readAnswer(stop: AbortSignal): Promise<string> {
  const stopped = Promise.withResolvers<never>();
  const abort = () => stopped.reject(stop.reason);
  stop.addEventListener("abort", abort, { once: true });
  if (stop.aborted) abort();
  try {
    const buffer = new Uint8Array(1_024);
    const length = await Promise.race([
      Deno.stdin.read(buffer),
      stopped.promise,
    ]);
    return new TextDecoder().decode(buffer.subarray(0, length ?? 0));
  } finally {
    stop.removeEventListener("abort", abort);
  }
}
