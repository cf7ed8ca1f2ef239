/**
 * Archives that hold files of this checkout, with their checksums. The same files give the same bytes.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { basename, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { buildTime } from "./build_time.ts";
import { tar, type TarFile } from "./tar.ts";

const CHECKOUT = fileURLToPath(new URL("../../", import.meta.url));

/** A file of this checkout. */
export function checkoutFile(path: string): URL {
  return pathToFileURL(join(CHECKOUT, path));
}

/** Every file below a folder of this checkout. */
export async function folderFiles(folder: string): Promise<TarFile[]> {
  const files: TarFile[] = [];
  for await (const entry of Deno.readDir(join(CHECKOUT, folder))) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) files.push(...await folderFiles(path));
    else files.push({ path, content: checkoutFile(path) });
  }
  return files;
}

/** Writes `<output>/<name>.tar.gz`, or under another ending, with everything in the folder `root`. Returns its path. */
export async function writeArchive(
  output: string,
  { name, root, files }: {
    readonly name: string;
    readonly root: string;
    readonly files: readonly TarFile[];
  },
): Promise<string> {
  const path = join(output, name);
  await Deno.mkdir(output, { recursive: true });
  const archive = tar(
    files.map((file) => ({ ...file, path: `${root}/${file.path}` })),
    await buildTime(),
  );
  // The gzip header of the platform's compressor holds neither a time nor a name.
  const compressed = ReadableStream.from(archive)
    .pipeThrough(new CompressionStream("gzip"));
  // Nobody finds half an archive under its name.
  const draft = `${path}.part`;
  try {
    await Deno.writeFile(draft, compressed);
    await Deno.rename(draft, path);
  } catch (error) {
    await Deno.remove(draft).catch(() => {});
    throw error;
  }
  return path;
}

/** `SHA256SUMS` as `sha256sum --check` reads it. */
export async function checksums(files: readonly TarFile[]): Promise<string> {
  const lines = [];
  for (const { path, content } of files) {
    lines.push(`${await sha256(content)}  ${path}\n`);
  }
  return lines.sort((a, b) => a.slice(66) < b.slice(66) ? -1 : 1).join("");
}

/** The line of one file of the disk, under its own name. */
export function checksumOf(path: string): Promise<string> {
  return checksums([{ path: basename(path), content: pathToFileURL(path) }]);
}

/** Web Crypto hashes no streams, and an image need not fit into memory. */
async function sha256(content: TarFile["content"]): Promise<string> {
  const hash = createHash("sha256");
  if (content instanceof URL) {
    using file = await Deno.open(content);
    for await (const chunk of file.readable) hash.update(chunk);
  } else {
    hash.update(content);
  }
  return hash.digest("hex");
}
