/**
 * A tar archive whose bytes depend on nothing but its files: sorted, of one time, owned by nobody in particular.
 *
 * @module
 */

export interface TarFile {
  /** Relative, with `/`. */
  readonly path: string;
  readonly executable?: boolean;
  /** A file of the disk, or the bytes themselves. */
  readonly content: URL | Uint8Array<ArrayBuffer>;
}

const BLOCK = 512;
/** The field for the size has eleven octal digits. */
const LONGEST = 8 ** 11 - 1;

/** The archive in the ustar format, in pieces. */
export async function* tar(
  files: readonly TarFile[],
  time: Date,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const sorted = files.toSorted((a, b) => a.path < b.path ? -1 : 1);
  for (const file of sorted) {
    const { content } = file;
    const size = content instanceof URL
      ? (await Deno.stat(content)).size
      : content.length;
    yield header(file, size, time);
    if (content instanceof URL) {
      yield* readExactly(content, size);
    } else {
      yield content;
    }
    yield new Uint8Array(-size & (BLOCK - 1));
  }
  // Two empty blocks are the end.
  yield new Uint8Array(2 * BLOCK);
}

/** A file that changes meanwhile would shift everything behind it. */
async function* readExactly(
  url: URL,
  size: number,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  using file = await Deno.open(url);
  let read = 0;
  for await (const chunk of file.readable) {
    read += chunk.length;
    if (read > size) break;
    yield chunk;
  }
  if (read !== size) {
    throw new Error(
      `Cannot pack "${url.pathname}": it changes while it is read`,
    );
  }
}

function header(
  { path, executable = false }: TarFile,
  size: number,
  time: Date,
): Uint8Array<ArrayBuffer> {
  if (size > LONGEST) {
    throw new RangeError(`Cannot pack "${path}": it is larger than 8 GiB`);
  }
  const { folder, name } = splitPath(path);
  const block = new Uint8Array(BLOCK);
  const write = (text: string, offset: number) =>
    block.set(new TextEncoder().encode(text), offset);
  const octal = (value: number, digits: number) =>
    value.toString(8).padStart(digits, "0") + "\0";
  write(name, 0);
  write(octal(executable ? 0o755 : 0o644, 7), 100);
  write(octal(0, 7), 108); // owner and
  write(octal(0, 7), 116); // group: root
  write(octal(size, 11), 124);
  write(octal(Math.floor(time.getTime() / 1_000), 11), 136);
  write(" ".repeat(8), 148); // the sum counts its own field as spaces
  write("0", 156); // an ordinary file
  write("ustar\x0000", 257);
  write("root", 265);
  write("root", 297);
  write(folder, 345);
  const sum = block.reduce((total, byte) => total + byte, 0);
  write(octal(sum, 6) + " ", 148);
  return block;
}

/** There are 100 bytes for a name and 155 for the folders before it. */
function splitPath(path: string): { folder: string; name: string } {
  const bytes = (text: string) => new TextEncoder().encode(text).length;
  for (let slash = -1;;) {
    const folder = path.slice(0, Math.max(slash, 0));
    const name = path.slice(slash + 1);
    if (bytes(name) <= 100 && bytes(folder) <= 155) return { folder, name };
    slash = path.indexOf("/", slash + 1);
    if (slash === -1) {
      throw new RangeError(`Cannot pack "${path}": its name is too long`);
    }
  }
}
