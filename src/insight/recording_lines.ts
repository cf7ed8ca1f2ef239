/**
 * A recording read line by line: of a schema of thousands of tables no more becomes a value than is asked for.
 *
 * @module
 */
import type { FoundObject } from "./differences.ts";
import {
  FORMAT,
  type Json,
  type RecordedMigration,
  RECORDING_FILE,
  type SchemaObject,
} from "./recording.ts";

/** What stands at the beginning of a recording. */
export interface RecordingHead {
  readonly format: number;
  readonly recordedOn: Readonly<Record<string, string>>;
}

/**
 * The version whose changes count on a server: its own, or the newest that was recorded where it is newer than all of them.
 *
 * @param major the version of the server, 18
 */
export function versionFor(
  { recordedOn }: RecordingHead,
  major: number,
): number {
  return Math.min(major, Math.max(...Object.keys(recordedOn).map(Number)));
}

/** What is said of a migration besides its changes. */
export type MigrationHead = Omit<RecordedMigration, "delta" | "versions">;

/** One change of one migration. */
export interface Entry {
  readonly migration: string;
  /** The version that it is true of; all of them when missing. */
  readonly version: number | undefined;
  readonly identity: string;
  /** What became of the object. */
  readonly change: Change;
}

/** Who is told what is in a recording. */
export interface RecordingReader {
  head?(head: RecordingHead): void;
  migration?(migration: MigrationHead): void;
  entry(entry: Entry): void;
}

const LINE_FEED = 0x0a;
const VERSION = /^"(\d+)":\{/;
const NAME = /^"(?:[^"\\]|\\.)*"/;
const HASH = '"hash":"';

/** So much becomes text at a time: text of megabytes, or of many small pieces, takes far more memory than it is long. */
const BLOCK = 256 * 1_024;

/** An object as it stands in a recording, read as far as is asked. */
export class Change {
  readonly #json: string;

  /** @param json the object, or `null` */
  constructor(json: string) {
    this.#json = json;
  }

  /** What it says of the object without its body; `undefined` when that is gone. */
  object(grants: boolean): FoundObject | undefined {
    if (grants) {
      const value = this.#whole();
      if (value === null) return undefined;
      const { body: _, ...object } = value;
      return object;
    }
    // Within a text a quote has a backslash before it.
    const at = this.#json.lastIndexOf(HASH);
    return at < 0
      ? undefined
      : JSON.parse(`{${this.#json.slice(at)}`) as FoundObject;
  }

  /** The body of the object; `undefined` when that is gone. */
  body(): Json | undefined {
    return this.#whole()?.body;
  }

  #whole(): SchemaObject | null {
    return JSON.parse(this.#json);
  }
}

/**
 * Reads a recording as `recordingText` writes it, in UTF-8.
 *
 * @throws {TypeError} when it is none, or was formatted by something else
 */
export function readLines(
  recording: Uint8Array,
  reader: RecordingReader,
): void {
  let isFirst = true;
  let migration = "";
  let version: number | undefined;
  for (const line of linesOf(recording)) {
    if (isFirst) {
      reader.head?.(readHead(line));
      isFirst = false;
    } else if (line.startsWith('{"')) {
      const head = JSON.parse(`${line.slice(0, -1)}}`) as MigrationHead;
      migration = head.name;
      version = undefined;
      reader.migration?.(head);
    } else {
      const [name] = NAME.exec(line) ?? [];
      if (name === undefined) continue;
      const identity: string = JSON.parse(name);
      // What is no object has a name without a space.
      if (!identity.includes(" ")) {
        const number = VERSION.exec(line)?.[1];
        version = number === undefined ? undefined : Number(number);
        continue;
      }
      const end = line.endsWith(",") ? -1 : line.length;
      const change = new Change(line.slice(name.length + 1, end));
      reader.entry({ migration, version, identity, change });
    }
  }
}

function* linesOf(bytes: Uint8Array): Generator<string> {
  const decoder = new TextDecoder();
  for (let begin = 0, end; begin < bytes.length; begin = end) {
    const last = bytes.subarray(begin, begin + BLOCK).lastIndexOf(LINE_FEED);
    const next = last < 0 ? bytes.indexOf(LINE_FEED, begin) : begin + last;
    end = next < 0 ? bytes.length : next + 1;
    yield* decoder.decode(bytes.subarray(begin, end)).split("\n");
  }
}

function readHead(line: string): RecordingHead {
  const fault = (why: string) =>
    new TypeError(
      `Cannot read "${RECORDING_FILE}": ${why}; run "deno task insight"`,
    );
  let head: RecordingHead;
  try {
    head = JSON.parse(`${line.slice(0, -1)}}`);
  } catch {
    throw fault("it is not as it was written");
  }
  if (head.format === FORMAT) return head;
  throw fault(`its format is ${JSON.stringify(head.format)}, not ${FORMAT}`);
}
