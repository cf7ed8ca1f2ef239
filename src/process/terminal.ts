/**
 * The terminal: lines out, a yes or no in.
 *
 * @module
 */
import type { Operator } from "../engine/ports.ts";
import type { Line } from "../report/report.ts";

// What a migration does to the globals must not reach the program's own output.
const { setTimeout } = globalThis;
const encoder = new TextEncoder();

/** How often a full pipe that does not block is tried again, in milliseconds. */
const RETRY_MS = 20;

/** The most bytes that wait for a reader. */
const WAITING_LIMIT = 8 * 1_024 * 1_024;

/** An output of this process. Nothing that happens to it is thrown at those who write. */
class Output {
  readonly #writeSync: (bytes: Uint8Array) => number;
  readonly #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #closed = false;
  #failure: string | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;

  constructor(stream: { writeSync(bytes: Uint8Array): number }) {
    this.#writeSync = stream.writeSync.bind(stream);
  }

  /** Why not everything was written, if so. A reader that went away (`| head`) wants no more: that is no failure. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** Writes a text as it is, whole and in order, at once or as soon as the reader has room. */
  write(text: string): void {
    if (this.#closed) return;
    const bytes = encoder.encode(text);
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    this.#write();
    if (this.#waitingBytes > WAITING_LIMIT) this.#close("nobody reads it");
  }

  /** Waits for a slow reader as long as it takes something within each time of this length, in milliseconds. */
  async drain(limitMs: number): Promise<void> {
    for (let left = 0, since = 0; this.#waitingBytes > 0;) {
      since = this.#waitingBytes === left ? since + RETRY_MS : 0;
      if (since > limitMs) return this.#close("nobody reads it");
      left = this.#waitingBytes;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  #write(): void {
    try {
      for (let next; (next = this.#waiting[0]) !== undefined;) {
        const written = this.#writeSync(next);
        this.#waitingBytes -= written;
        if (written === next.length) this.#waiting.shift();
        else this.#waiting[0] = next.subarray(written);
      }
    } catch (error) {
      if (error instanceof Deno.errors.WouldBlock) {
        this.#retry ??= setTimeout(() => {
          this.#retry = undefined;
          this.#write();
        }, RETRY_MS);
        return;
      }
      this.#close(
        error instanceof Deno.errors.BrokenPipe
          ? undefined
          : (error as Error).message,
      );
    }
  }

  /** What has begun with half a line would only be garbled by going on. */
  #close(failure: string | undefined): void {
    this.#closed = true;
    this.#failure = failure;
    this.#waiting.length = 0;
    this.#waitingBytes = 0;
  }
}

const OUTPUTS = {
  stdout: new Output(Deno.stdout),
  stderr: new Output(Deno.stderr),
};

let endOpenLine = () => {};

/** Has `act` called before each line is written: somebody else may have begun one. */
export function beforeEachLine(act: () => void): void {
  endOpenLine = act;
}

/** Writes a line as it is; never throws. */
export function writeLine({ stream, text }: Line): void {
  endOpenLine();
  OUTPUTS[stream].write(`${text}\n`);
}

/**
 * Waits until everything is written, as long as it is read.
 *
 * @param limitMs how long a reader may take nothing, in milliseconds
 * @returns why standard output is not complete, if so
 */
export async function drainOutput(
  limitMs: number,
): Promise<string | undefined> {
  endOpenLine();
  await OUTPUTS.stdout.drain(limitMs);
  await OUTPUTS.stderr.drain(limitMs);
  return OUTPUTS.stdout.failure;
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
      OUTPUTS.stderr.write(`${question} [y/N] `);
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
