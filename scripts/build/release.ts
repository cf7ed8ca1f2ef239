// deno-lint-ignore-file no-console -- a script for the terminal
/**
 * Gathers what a release publishes, and nothing else:
 * `deno task release --digest sha256:… [--dist FOLDER] [--output FOLDER]`; `deno task release --check v0.1.0` only says
 * whether the checkout is ready to be released under that tag.
 *
 * `dist` holds executables, source maps, bundles and bill of materials already. The manifests and the chart are pinned to
 * the digest of the image; beside the files go their `SHA256SUMS`, and beside the folder the notes of the release.
 *
 * @module
 */
import { basename, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import config from "../../deno.json" with { type: "json" };
import {
  checkoutFile,
  checksums,
  folderFiles,
  writeArchive,
} from "./archive.ts";
import type { TarFile } from "./tar.ts";

interface Options {
  readonly digest: string;
  /** What was built. */
  readonly dist: string;
  /** A folder that is not there yet. */
  readonly output: string;
  /** The path of the changelog. */
  readonly changelog: string;
}

const NAME = "battlescope-migrate";
const IMAGE = `ghcr.io/battlescope/${NAME}`;
const { version: VERSION } = config;
const CHART = `infra/helm/${NAME}`;

/** What is published as it was built. */
const BUILT = [
  ...["linux-x64", "linux-arm64", "macos-x64", "macos-arm64"].map((platform) =>
    `${NAME}-${platform}`
  ),
  ...["linux-x64", "linux-arm64"].map((platform) =>
    `${NAME}-${VERSION}-${platform}-airgap.tar.gz`
  ),
  `${NAME}.cdx.json`,
];

/** What the archive of manifests holds. */
const MANIFESTS = ["infra/k8s", "infra/sql"];
const SCRIPTS = ["infra/ci/wait-for-job.sh"];

/** Fills the folder of the release, and writes the notes. Returns the names of the files, sorted. */
export async function gatherRelease(
  { digest, dist, output, changelog }: Options,
): Promise<string[]> {
  if (!/^sha256:[0-9a-f]{64}$/.test(digest)) {
    throw new TypeError(
      `Cannot pin the image to "${digest}": it is no digest such as sha256:…`,
    );
  }
  const changes = changesOf(await Deno.readTextFile(changelog));
  await Deno.mkdir(output);
  for (const name of BUILT) {
    await Deno.copyFile(join(dist, name), join(output, name));
  }
  const maps = await sourceMaps(dist);
  if (maps.length > 0) {
    await writeArchive(output, {
      name: `${NAME}-${VERSION}-source-maps.tar.gz`,
      root: `${NAME}-${VERSION}-source-maps`,
      files: maps,
    });
  }
  await writeArchive(output, {
    name: `${NAME}-${VERSION}-manifests.tar.gz`,
    root: `${NAME}-${VERSION}-manifests`,
    files: await pinnedManifests(digest),
  });
  // What "helm package" would make, with the digest in it.
  await writeArchive(output, {
    name: `${NAME}-${VERSION}.tgz`,
    root: NAME,
    files: await pinnedChart(digest),
  });
  await Deno.writeTextFile(join(output, "install.sh"), await pinnedInstaller());
  const names = (await Array.fromAsync(Deno.readDir(output)))
    .map(({ name }) => name).sort();
  const sums = await checksums(names.map((path) => ({
    path,
    content: pathToFileURL(resolve(output, path)),
  })));
  await Deno.writeTextFile(join(output, "SHA256SUMS"), sums);
  await Deno.writeTextFile(notesOf(output), releaseNotes(changes, digest));
  return [...names, "SHA256SUMS"].sort();
}

/** Throws when the checkout is not ready to be released under the tag. */
export async function refuseUnready(
  tag: string,
  changelog: string,
): Promise<void> {
  if (tag !== `v${VERSION}`) {
    throw new Error(
      `Cannot release "${tag}": deno.json says that the version is ${VERSION}`,
    );
  }
  changesOf(await Deno.readTextFile(changelog));
}

/** The section of the version in the changelog, without its title. */
export function changesOf(changelog: string): string {
  const sections = changelog.split(/^## /m).slice(1);
  const found = sections.find((section) =>
    section.replaceAll(/[[\]]/g, "").split(/\s/)[0] === VERSION
  );
  const text = found?.slice(found.indexOf("\n")).trim();
  if (text) return text;
  throw new Error(
    `Cannot release ${VERSION}: CHANGELOG.md says nothing under "## ${VERSION}"; rename "## Unreleased"`,
  );
}

function releaseNotes(changes: string, digest: string): string {
  return `${changes}

### Image

\`\`\`
${IMAGE}:${VERSION}
${IMAGE}@${digest}
\`\`\`

The manifests (\`${NAME}-${VERSION}-manifests.tar.gz\`) and the Helm chart
(\`${NAME}-${VERSION}.tgz\`) of this release are pinned to this digest.

### Executable

\`\`\`sh
curl -fsSL https://github.com/battlescope/${NAME}/releases/download/v${VERSION}/install.sh | sh
\`\`\`

\`SHA256SUMS\` lists every file, and is signed (\`SHA256SUMS.sigstore.json\`);
docs/operations.md, "Security", tells how to check it.
`;
}

/** The code inside the executables is minified: these tell what a stack trace of it means. One archive, not a file for each. */
async function sourceMaps(dist: string): Promise<TarFile[]> {
  const files: TarFile[] = [];
  for await (const { name } of Deno.readDir(dist)) {
    if (!name.endsWith(".js.map")) continue;
    files.push({ path: name, content: pathToFileURL(resolve(dist, name)) });
  }
  return files;
}

async function pinnedManifests(digest: string): Promise<TarFile[]> {
  const files: TarFile[] = SCRIPTS.map((path) => ({
    path,
    executable: true,
    content: checkoutFile(path),
  }));
  for (const folder of MANIFESTS) files.push(...await folderFiles(folder));
  return await pin(
    files,
    `image: ${IMAGE}:${VERSION}`,
    `image: ${IMAGE}@${digest} # ${VERSION}`,
  );
}

async function pinnedChart(digest: string): Promise<TarFile[]> {
  const files = (await folderFiles(CHART)).map((file) => ({
    ...file,
    path: file.path.slice(CHART.length + 1),
  }));
  return await pin(files, '  digest: ""', `  digest: ${digest}`);
}

/** An installer that comes with a release installs that release. */
async function pinnedInstaller(): Promise<string> {
  const [file] = await pin(
    [{ path: "install.sh", content: checkoutFile("infra/install.sh") }],
    "version=latest",
    `version=${VERSION}`,
  );
  return new TextDecoder().decode(file!.content as Uint8Array);
}

/** The files with one text in place of another, which must be in one of them at least. */
async function pin(
  files: readonly TarFile[],
  text: string,
  pinned: string,
): Promise<TarFile[]> {
  let found = false;
  const result = await Promise.all(files.map(async (file) => {
    const content = await Deno.readTextFile(file.content as URL);
    found ||= content.includes(text);
    return {
      ...file,
      content: new TextEncoder().encode(content.replaceAll(text, pinned)),
    };
  }));
  if (found) return result;
  throw new Error(`Cannot pin the release: "${text}" is in no file`);
}

function notesOf(output: string): string {
  return join(resolve(output, ".."), `${basename(output)}-notes.md`);
}

async function main(args: readonly string[]): Promise<void> {
  const { values: { check, digest, dist, output, changelog } } = parseArgs({
    args: [...args],
    options: {
      check: { type: "string" },
      digest: { type: "string" },
      dist: { type: "string", default: "dist" },
      output: { type: "string", default: "release" },
      changelog: { type: "string", default: "CHANGELOG.md" },
    },
  });
  if (check !== undefined) return await refuseUnready(check, changelog);
  if (digest === undefined) {
    throw new TypeError(
      "Usage: deno task release --digest sha256:… [--dist FOLDER] [--output FOLDER], or --check TAG",
    );
  }
  const files = await gatherRelease({ digest, dist, output, changelog });
  for (const name of files) {
    console.log(join(output, name));
  }
}

if (import.meta.main) {
  try {
    await main(Deno.args);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    Deno.exit(1);
  }
}
