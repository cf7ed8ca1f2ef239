/**
 * Standard output and standard error: lines out, in order, without ever waiting for the reader.
 *
 * A write to a full pipe that blocks would hold up everything, signals too, were it not made by a thread of its own:
 * `Deno.stdout.write` does that, `writeSync` does not.
 *
 * @module
 */
import type { Line } from "../report/report.ts";
import type { HiddenText } from "../text.ts";

// What a migration does to the globals must not reach the program's own output.
const { Promise, setTimeout, setInterval, clearInterval } = globalThis;
const encoder = new TextEncoder();

/** How often a full pipe that does not block is tried again, in milliseconds. */
const RETRY_MS = 20;

/** How often a reader that takes nothing is looked at, in milliseconds. */
const LOOK_MS = 100;

/** After so many looks in a row the other output does not wait for it any more. */
const SLOW_LOOKS = 10;

/** After so many what waits for it may be thrown away. */
const GONE_LOOKS = 20;

/** The longest text that waits for a reader who takes nothing, in characters. */
const WAITING_LIMIT = 8 * 1_024 * 1_024;

/**
 * What is written at once, in bytes: that much a pipe takes whole or not at all, so that lines stay whole where both outputs
 * lead into one (https://man7.org/linux/man-pages/man7/pipe.7.html, PIPE_BUF).
 */
const PIECE = 4_096;

/** Why an output is not complete. */
const UNREAD = "nobody reads it";

/** A text that waits, with its place in the order of the texts of both outputs. */
interface Waiting {
  readonly text: string;
  readonly place: number;
}

let places = 0;

/** How many texts both outputs were given so far. */
export function textsGiven(): number {
  return places;
}

/** An output of this process. Nothing that happens to it is thrown at those who write. */
class Output {
  readonly #writeBytes: (bytes: Uint8Array) => Promise<number>;
  readonly #other: () => Output;
  readonly #buffer = new Uint8Array(PIECE);
  readonly #waiting: Waiting[] = [];
  /** The place in {@link #waiting} of the first text that is not taken yet. */
  #first = 0;
  #waitingLength = 0;
  /** How much of the first text is in the buffer already, in characters. */
  #begun = 0;
  /** The place of the first text in the buffer, while that is being written. */
  #inBuffer: number | undefined;
  #isWriting = false;
  #isSlow = false;
  /** When the reader took something, on `performance.now()`. */
  #takenAt = 0;
  #closed = false;
  #failure: string | undefined;
  /** Settles at the next change. */
  #change = Promise.withResolvers<void>();

  constructor(
    stream: { write(bytes: Uint8Array): Promise<number> },
    other: () => Output,
  ) {
    this.#writeBytes = stream.write.bind(stream);
    this.#other = other;
  }

  /** Why not everything was written, if so. A reader that went away (`| head`) wants no more: that is no failure. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** Writes a text as it is, whole and in order, as soon as the reader has room. */
  write(text: string): void {
    if (this.#closed) return;
    this.#waiting.push({ text, place: places++ });
    this.#waitingLength += text.length;
    if (!this.#isWriting) void this.#writeAll();
  }

  /**
   * Waits for a slow reader as long as it takes something within each time of this length, in milliseconds.
   *
   * @param stop gives it up, too
   */
  async drain(limitMs: number, stop?: AbortSignal): Promise<void> {
    const wake = () => this.#changed();
    stop?.addEventListener("abort", wake, { once: true });
    const since = performance.now();
    while (this.#isWriting && !stop?.aborted) {
      const waited = performance.now() - Math.max(since, this.#takenAt);
      if (waited >= limitMs) return this.#close(UNREAD);
      // While it waits, it is woken again and again.
      await this.#change.promise;
    }
  }

  async #writeAll(): Promise<void> {
    this.#isWriting = true;
    const other = this.#other();
    for (let first; (first = this.#waiting[this.#first]) !== undefined;) {
      await other.#reaches(first.place);
      this.#inBuffer = first.place;
      await this.#writePiece(this.#fill(other.#next));
      this.#inBuffer = undefined;
      this.#changed();
    }
    this.#isWriting = false;
    this.#changed();
  }

  /** The place of the first text that is not written. */
  get #next(): number {
    return this.#inBuffer ?? this.#waiting[this.#first]?.place ?? Infinity;
  }

  /** Until what comes before this place is written here, or its reader is slow. */
  async #reaches(place: number): Promise<void> {
    while (!this.#isSlow && this.#next < place) await this.#change.promise;
  }

  /**
   * Takes into the buffer what comes before this place, and in any case something.
   *
   * @returns how many bytes that is: whole lines, unless one is longer than the buffer
   */
  #fill(before: number): number {
    let length = 0;
    for (let first; (first = this.#waiting[this.#first]) !== undefined;) {
      if (length > 0 && first.place > before) break;
      const rest = first.text.slice(this.#begun);
      const room = this.#buffer.subarray(length);
      const { read, written } = encoder.encodeInto(rest, room);
      // What does not fit goes into the next piece, if this one is whole without it.
      if (read < rest.length && length > 0) break;
      length += written;
      this.#begun += read;
      this.#waitingLength -= read;
      if (read < rest.length) break;
      this.#first++;
      this.#begun = 0;
    }
    // To move all that waits for each text would take long when much waits.
    if (this.#first > this.#waiting.length / 2) {
      this.#waiting.splice(0, this.#first);
      this.#first = 0;
    }
    return length;
  }

  async #writePiece(length: number): Promise<void> {
    let looks = 0;
    const watch = setInterval(() => {
      if (this.#closed) return clearInterval(watch);
      this.#isSlow = ++looks >= SLOW_LOOKS;
      if (looks >= GONE_LOOKS && this.#waitingLength > WAITING_LIMIT) {
        this.#close(UNREAD);
      } else this.#changed();
    }, LOOK_MS);
    for (let begin = 0; begin < length && !this.#closed;) {
      try {
        begin += await this.#writeBytes(this.#buffer.subarray(begin, length));
        looks = 0;
        this.#takenAt = performance.now();
        this.#isSlow = false;
        this.#changed();
      } catch (error) {
        if (error instanceof Deno.errors.WouldBlock) {
          await new Promise<void>((resolve) => setTimeout(resolve, RETRY_MS));
        } else {
          const hasGone = error instanceof Deno.errors.BrokenPipe;
          this.#close(hasGone ? undefined : (error as Error).message);
        }
      }
    }
    clearInterval(watch);
  }

  /** What has begun with half a line would only be garbled by going on. */
  #close(failure: string | undefined): void {
    this.#closed = true;
    this.#failure = failure;
    this.#waiting.length = 0;
    this.#first = 0;
    this.#waitingLength = 0;
    this.#inBuffer = undefined;
    this.#isWriting = false;
    this.#changed();
  }

  #changed(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers();
  }
}

const OUTPUTS: Readonly<Record<Line["stream"], Output>> = {
  stdout: new Output(Deno.stdout, () => OUTPUTS.stderr),
  stderr: new Output(Deno.stderr, () => OUTPUTS.stdout),
};

let endOpenLine = () => {};

/** Has `act` called before each line is written: somebody else may have begun one. */
export function beforeEachLine(act: () => void): void {
  endOpenLine = act;
}

/** Writes a line as it is; never throws, and never waits. */
export function writeLine({ stream, text }: Line): void {
  endOpenLine();
  OUTPUTS[stream].write(`${text}\n`);
}

/** Writes a question, whose answer is given on the same line. */
export function writeQuestion(text: HiddenText): void {
  OUTPUTS.stderr.write(`${text} `);
}

/**
 * Waits until everything is written, as long as it is read.
 *
 * @param limitMs how long a reader may take nothing, in milliseconds
 * @param stop ends the wait before its time
 * @returns why standard output is not complete, if so
 */
export async function drainOutput(
  limitMs: number,
  stop?: AbortSignal,
): Promise<string | undefined> {
  endOpenLine();
  await OUTPUTS.stdout.drain(limitMs, stop);
  await OUTPUTS.stderr.drain(limitMs, stop);
  return OUTPUTS.stdout.failure;
}
