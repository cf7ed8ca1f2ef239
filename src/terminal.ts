/**
 * The terminal: lines out, a yes or no in.
 *
 * @module
 */
import type { Operator } from "./ports.ts";
import type { Line } from "./report.ts";

/**
 * Writes lines as they are, whole and in order. A reader that went away (`| head`) is not an error of the migration.
 */
export function writeLine({ stream, text }: Line): void {
  const bytes = new TextEncoder().encode(`${text}\n`);
  const out = stream === "stdout" ? Deno.stdout : Deno.stderr;
  try {
    for (let written = 0; written < bytes.length;) {
      written += out.writeSync(bytes.subarray(written));
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

/** What prints. `count`, `timeEnd` and the like lose their extras, which nobody will miss. */
const PRINTING = [
  ...["log", "info", "debug", "warn", "error", "trace", "dir", "dirxml"],
  ...["table", "count", "group", "groupCollapsed", "timeEnd", "timeLog"],
];

/** Standard output holds the result: what a migration prints goes where progress goes, with its secrets hidden. */
export function divertConsole(hide: (text: string) => string): void {
  const print = (...values: readonly unknown[]) => {
    const text = values.map((value) =>
      typeof value === "string" ? value : Deno.inspect(value)
    ).join(" ");
    writeLine({ stream: "stderr", text: hide(text) });
  };
  Object.assign(
    console,
    Object.fromEntries(PRINTING.map((name) => [name, print])),
  );
}

/** The person at the terminal, if standard input is one. */
export function terminalOperator(stop: AbortSignal): Operator {
  const isTerminal = Deno.stdin.isTerminal();
  let askedMs = 0;
  return {
    isTerminal,
    get askedMs() {
      return askedMs;
    },
    confirm: async (question) => {
      if (!isTerminal) return false;
      Deno.stderr.writeSync(new TextEncoder().encode(`${question} [y/N] `));
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
