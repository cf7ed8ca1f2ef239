/**
 * Files that somebody else names: read within limits of time and size. A pipe may have no writer, a device no end.
 *
 * @module
 */
import { FileError } from "../cli/named_files.ts";

/** How long it may take, in milliseconds: what fills a named pipe may have to fetch a secret first. */
const LIMIT_MS = 10_000;

/** The largest file, in bytes: many times the size of a bundle of all authorities. */
const LIMIT_BYTES = 4 * 1_024 * 1_024;

/**
 * Reads a text file.
 *
 * @throws {FileError} when it takes too long, is too large, or is no text in UTF-8
 * @throws {Error} of the operating system
 */
export async function readText(path: string): Promise<string> {
  const over = Promise.withResolvers<never>();
  const timer = setTimeout(
    () =>
      over.reject(
        new FileError(
          `nothing more came from it within ${LIMIT_MS / 1_000} s`,
        ),
      ),
    LIMIT_MS,
  );
  try {
    // What waits inside, waits in a thread of its own, which does not outlive the process.
    return await Promise.race([readAll(path), over.promise]);
  } finally {
    clearTimeout(timer);
  }
}

async function readAll(path: string): Promise<string> {
  using file = await Deno.open(path);
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const buffer = new Uint8Array(64 * 1_024);
  let text = "";
  for (let left = LIMIT_BYTES, length; (length = await file.read(buffer));) {
    if ((left -= length) < 0) {
      throw new FileError(
        `it is larger than ${LIMIT_BYTES / 1_024 / 1_024} MB`,
      );
    }
    text += decoded(decoder, buffer.subarray(0, length));
  }
  return text + decoded(decoder);
}

/** @throws {FileError} */
function decoded(decoder: TextDecoder, bytes?: Uint8Array): string {
  try {
    return decoder.decode(bytes, { stream: bytes !== undefined });
  } catch (error) {
    throw new FileError("it is no text in UTF-8", { cause: error });
  }
}
