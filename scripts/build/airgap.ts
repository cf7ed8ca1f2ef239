// deno-lint-ignore-file no-console -- a script for the terminal
/**
 * Packs everything that a place without a network needs into one file:
 * `deno task airgap --executable FILE [--image FILE] [--output FOLDER]`.
 *
 * The same inputs and the same commit give the same bytes.
 *
 * @module
 */
import { basename, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import config from "../../deno.json" with { type: "json" };
import {
  checkoutFile,
  checksumOf,
  checksums,
  folderFiles,
  writeArchive,
} from "./archive.ts";
import { sbom } from "./sbom.ts";
import type { TarFile } from "./tar.ts";

export interface AirgapOptions {
  /** A compiled program, named as `deno task compile` names it. */
  readonly executable: string;
  /** What `podman save` or `docker save` wrote. */
  readonly image?: string;
  /** The folder for the bundle. */
  readonly output: string;
}

const NAME = "battlescope-migrate";
/** Goes along as it is: the documents, and every file that they lead to. */
const FOLDERS = ["docs", "infra/ci", "infra/helm", "infra/k8s", "infra/sql"];
const FILES = [
  ".env.example",
  "CHANGELOG.md",
  "CONTRIBUTING.md",
  "README.md",
  "SECURITY.md",
  "infra/compose.yaml",
  "infra/install.sh",
];

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
      content: checkoutFile("infra/airgap-install.sh"),
    },
    {
      path: `${NAME}.cdx.json`,
      content: encode(await sbom(await runtimeOf(executable))),
    },
    ...FILES.map((path) => ({ path, content: checkoutFile(path) })),
  ];
  for (const folder of FOLDERS) files.push(...await folderFiles(folder));
  if (image !== undefined) {
    files.push({ path: "image.tar", content: pathToFileURL(resolve(image)) });
  }
  files.push({ path: "SHA256SUMS", content: encode(await checksums(files)) });
  const bundle = await writeArchive(output, {
    name: `${name}.tar.gz`,
    root: name,
    files,
  });
  await Deno.writeTextFile(`${bundle}.sha256`, await checksumOf(bundle));
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
