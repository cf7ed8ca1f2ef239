/**
 * Standard output holds the result: what a migration writes there, in whatever way, goes where progress goes.
 *
 * @module
 */
import process from "node:process";

/** What prints. `count`, `timeEnd` and the like lose their extras, which nobody will miss. */
const PRINTING = [
  ...["log", "info", "debug", "warn", "error", "trace", "dir", "dirxml"],
  ...["table", "count", "group", "groupCollapsed", "timeEnd", "timeLog"],
];

const encoder = new TextEncoder();

/** A line that does not end is printed in pieces of about this length, in characters. */
const LINE_LIMIT = 64 * 1_024;

/**
 * Takes standard output and standard error away from all code but the program's own, which has its way to them already.
 *
 * @returns what prints a line that was begun and has no end yet, so that what comes next has a line of its own
 */
export function divertOutput(print: (line: string) => void): () => void {
  const outputs = [Deno.stdout, Deno.stderr].map((stream) => {
    const lines = new Lines(print);
    divertStream(stream, lines);
    return lines;
  });
  const flush = () => outputs.forEach((lines) => lines.flush());
  divertConsole((text) => {
    flush();
    print(text);
  });
  divertNodeStream("stdout", outputs[0]!);
  divertNodeStream("stderr", outputs[1]!);
  // They would write to standard output and wait for a person, with everything else waiting for them.
  Object.assign(globalThis, {
    alert: print,
    confirm: () => false,
    prompt: () => null,
  });
  return flush;
}

/** Gathers what is written into whole lines: a secret may come in two pieces. */
class Lines {
  readonly #decoder = new TextDecoder();
  #open = "";

  constructor(readonly print: (line: string) => void) {}

  write(bytes: Uint8Array): void {
    const lines = (this.#open + this.#decoder.decode(bytes, { stream: true }))
      .split("\n");
    const last = lines.pop()!;
    this.#open = "";
    for (const line of lines) this.print(line.replace(/\r$/, ""));
    this.#open = last;
    if (last.length > LINE_LIMIT) this.flush();
  }

  flush(): void {
    const line = this.#open;
    this.#open = "";
    if (line !== "") this.print(line);
  }
}

function divertConsole(print: (text: string) => void): void {
  const printAll = (...values: readonly unknown[]) =>
    print(
      values.map((value) =>
        typeof value === "string" ? value : Deno.inspect(value)
      ).join(" "),
    );
  Object.assign(
    console,
    Object.fromEntries(PRINTING.map((name) => [name, printAll])),
    { clear: () => {} },
  );
}

function divertStream(
  stream: typeof Deno.stdout | typeof Deno.stderr,
  lines: Lines,
): void {
  const writeSync = (bytes: Uint8Array) => {
    lines.write(bytes);
    return bytes.length;
  };
  Object.defineProperties(stream, {
    writeSync: { value: writeSync, configurable: true },
    write: {
      value: (bytes: Uint8Array) => Promise.resolve(writeSync(bytes)),
      configurable: true,
    },
    close: { value: () => {}, configurable: true },
    writable: {
      configurable: true,
      // A new one each time: what one piece of code has closed, the next may still want.
      get: () =>
        new WritableStream<Uint8Array>({
          write: (bytes) => lines.write(bytes),
        }),
    },
  });
}

/** Node's streams write through Deno's, but for those to a terminal; to make them takes a while, so that is left until they are used. */
function divertNodeStream(name: "stdout" | "stderr", lines: Lines): void {
  const property = Object.getOwnPropertyDescriptor(process, name);
  let stream: typeof process.stdout | undefined;
  Object.defineProperty(process, name, {
    configurable: true,
    enumerable: true,
    get: () => {
      if (stream !== undefined) return stream;
      stream = property?.get?.call(process) ?? property?.value;
      Object.assign(stream!, {
        _write: (data: string | Uint8Array, _: string, done: () => void) => {
          lines.write(typeof data === "string" ? encoder.encode(data) : data);
          done();
        },
        _writev: null,
        end: (last?: unknown, ...rest: unknown[]) => {
          if (typeof last === "string" || last instanceof Uint8Array) {
            stream!.write(last);
          }
          [last, ...rest].find((one) => typeof one === "function")?.();
          return stream;
        },
        destroy: () => stream,
      });
      return stream;
    },
  });
}
