// deno-lint-ignore-file no-console -- a script for the terminal
/**
 * Packs everything that a place without a network needs into one file:
 * `deno task airgap --executable FILE [--image FILE] [--output FOLDER]`.
 *
 * The same inputs and the same commit give the same bytes.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { basename, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import config from "../deno.json" with { type: "json" };
import { buildTime } from "./build_time.ts";
import { sbom } from "./sbom.ts";
import { tar, type TarFile } from "./tar.ts";

export interface AirgapOptions {
  /** A compiled program, named as `deno task compile` names it. */
  readonly executable: string;
  /** What `podman save` or `docker save` wrote. */
  readonly image?: string;
  /** The folder for the bundle. */
  readonly output: string;
}

const CHECKOUT = fileURLToPath(new URL("..", import.meta.url));
const NAME = "battlescope-migrate";
/** Goes along as it is. */
const FOLDERS = ["docs", "infra/k8s", "infra/sql"];
const FILES = ["infra/compose.yaml"];

/** Writes the bundle, and its checksum beside it. Returns its path. */
export async function pack(
  { executable, image, output }: AirgapOptions,
): Promise<string> {
  const target = basename(executable).replace(`${NAME}-`, "");
  const name = `${NAME}-${config.version}-${target}-airgap`;
  const files: TarFile[] = [
    {
      path: NAME,
      executable: true,
      content: pathToFileURL(resolve(executable)),
    },
    {
      path: "install.sh",
      executable: true,
      content: checkout("infra/airgap-install.sh"),
    },
    {
      path: `${NAME}.cdx.json`,
      content: encode(await sbom(await runtimeOf(executable))),
    },
    ...FILES.map((path) => ({ path, content: checkout(path) })),
  ];
  for (const folder of FOLDERS) files.push(...await folderFiles(folder));
  if (image !== undefined) {
    files.push({ path: "image.tar", content: pathToFileURL(resolve(image)) });
  }
  files.push({ path: "SHA256SUMS", content: encode(await checksums(files)) });
  const bundle = join(output, `${name}.tar.gz`);
  await Deno.mkdir(output, { recursive: true });
  const archive = tar(
    files.map((file) => ({ ...file, path: `${name}/${file.path}` })),
    await buildTime(),
  );
  // The gzip header of the platform's compressor holds neither a time nor a name.
  const compressed = ReadableStream.from(archive)
    .pipeThrough(new CompressionStream("gzip"));
  // Nobody finds half a bundle under its name.
  const draft = `${bundle}.part`;
  try {
    await Deno.writeFile(draft, compressed);
    await Deno.rename(draft, bundle);
  } catch (error) {
    await Deno.remove(draft).catch(() => {});
    throw error;
  }
  const sum = await sha256(pathToFileURL(resolve(bundle)));
  await Deno.writeTextFile(
    `${bundle}.sha256`,
    `${sum}  ${basename(bundle)}\n`,
  );
  return bundle;
}

/** The Deno inside, which only the executable knows. One for another platform was made by the Deno that runs us. */
async function runtimeOf(executable: string): Promise<string> {
  const command = new Deno.Command(resolve(executable), {
    args: ["version", "--format", "json"],
    clearEnv: true,
  });
  try {
    const { success, stdout } = await command.output();
    if (success) return JSON.parse(new TextDecoder().decode(stdout)).deno;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw error;
  }
  return Deno.version.deno;
}

/** `SHA256SUMS` as `sha256sum --check` reads it. */
async function checksums(files: readonly TarFile[]): Promise<string> {
  const lines = [];
  for (const { path, content } of files) {
    lines.push(`${await sha256(content)}  ${path}\n`);
  }
  return lines.sort((a, b) => a.slice(66) < b.slice(66) ? -1 : 1).join("");
}

async function folderFiles(folder: string): Promise<TarFile[]> {
  const files: TarFile[] = [];
  for await (const entry of Deno.readDir(join(CHECKOUT, folder))) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) files.push(...await folderFiles(path));
    else files.push({ path, content: checkout(path) });
  }
  return files;
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

function checkout(path: string): URL {
  return pathToFileURL(join(CHECKOUT, path));
}

function encode(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

function parseOptions(args: readonly string[]): AirgapOptions {
  const { values: { executable, image, output } } = parseArgs({
    args: [...args],
    options: {
      executable: { type: "string" },
      image: { type: "string" },
      output: { type: "string", default: "dist" },
    },
  });
  if (executable === undefined) {
    throw new TypeError(
      "Usage: deno task airgap --executable FILE [--image FILE] [--output FOLDER]",
    );
  }
  return { executable, output, ...(image === undefined ? {} : { image }) };
}

if (import.meta.main) {
  try {
    console.log(await pack(parseOptions(Deno.args)));
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    Deno.exit(1);
  }
}
