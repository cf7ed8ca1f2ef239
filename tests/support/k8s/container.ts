/**
 * The image, built from the Dockerfile as it is, and containers that are as locked up as in the cluster.
 *
 * @module
 */
import { cp } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { makePrivateFolder } from "../../../scripts/dev/postgres_binaries.ts";
import { npmRuntime } from "../../../scripts/build/npm_runtime.ts";
import { executable, EXECUTABLE_SOURCES } from "../program/binary.ts";
import { buildOnce, builtCommit } from "../program/build_once.ts";
import { type RunningMigrate, startProcess } from "../program/cli.ts";
import { assertSaid } from "../program/needs.ts";

export interface ContainerOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Paths of this machine, mounted read-only: path inside → path outside. */
  readonly mounts?: Readonly<Record<string, string>>;
  /** `host` is the network that the test servers are on. @default {"host"} */
  readonly network?: "host" | "none";
  /** @default {"64m"} */
  readonly memory?: string;
  /** @default {LIMIT_MS} */
  readonly timeoutMs?: number;
}

/** A container at work. */
export interface RunningContainer extends RunningMigrate {
  /** Sends a signal to process 1, as the kubelet does. */
  signal(signal: "SIGTERM" | "SIGINT"): Promise<void>;
}

export interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The two ways in which the Dockerfile comes by the executable. */
export type ImageSource = "compile" | "dist";

const CHECKOUT = fileURLToPath(new URL("../../../", import.meta.url));
const STAND_INS = "scripts/build/image_stand_ins.sh";
const TITLE = "org.opencontainers.image.title=battlescope-migrate";
const IMAGE_SOURCES = [...EXECUTABLE_SOURCES, "scripts", "Dockerfile"];

/** Where the kernel mixes both generations of cgroups crun gives up; and limits may be lower than podman asks for. */
export const CONTAINERS_CONF = `[containers]
default_ulimits = ["nofile=20000:20000", "nproc=1000:1000"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
`;

/** As hard as `infra/k8s` makes it. */
const LOCKED_UP = [
  "--cpus=0.5",
  "--read-only",
  "--user=65532:65532",
  "--cap-drop=ALL",
  "--security-opt=no-new-privileges",
];

const images = new Map<ImageSource, Promise<string>>();
let storage: Promise<string> | undefined;

/** The name of the image. `compile` is built without a network, from the sources. */
export function image(source: ImageSource = "compile"): Promise<string> {
  const known = images.get(source) ?? buildImage(source);
  images.set(source, known);
  return known;
}

/** Starts a container and returns while it works. */
export async function startContainer(
  args: readonly string[],
  options: ContainerOptions = {},
): Promise<RunningContainer> {
  const { env = {}, mounts = {}, network = "host", memory = "64m" } = options;
  const name = `migrate-${crypto.randomUUID()}`;
  const command = await podmanCommand([
    ...["run", "--rm", "--pull=never", `--name=${name}`],
    ...[...LOCKED_UP, `--memory=${memory}`, `--network=${network}`],
    ...Object.entries(env).map(([key, value]) => `--env=${key}=${value}`),
    ...Object.entries(mounts).map(([inside, outside]) =>
      `--volume=${outside}:${inside}:ro`
    ),
    await image(),
    ...args,
  ]);
  const { timeoutMs } = options;
  const running = startProcess(
    command,
    timeoutMs === undefined ? {} : { timeoutMs },
  );
  return {
    ...running,
    signal: async (signal) => {
      await must(["kill", `--signal=${signal}`, name]);
    },
    async [Symbol.asyncDispose]() {
      await podman(["rm", "--force", "--ignore", name]);
      await running[Symbol.asyncDispose]();
    },
  };
}

/** Runs a container to its end. */
export async function runContainer(
  args: readonly string[],
  options: ContainerOptions = {},
): Promise<Output> {
  await using running = await startContainer(args, options);
  return await running.result;
}

/** Runs podman on the storage of the tests. */
export async function podman(args: readonly string[]): Promise<Output> {
  const command = await podmanCommand(args, "null");
  const { code, stdout, stderr } = await command.output();
  const decoder = new TextDecoder();
  return {
    code,
    stdout: decoder.decode(stdout),
    stderr: decoder.decode(stderr),
  };
}

/** Runs podman, and fails when it does. Returns what it says. */
export async function must(args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await podman(args);
  if (code === 0) return stdout.trim();
  throw new Error(`Cannot run podman ${args.join(" ")}: ${stderr.trim()}`);
}

/** A command of podman on the storage of the tests, which no image of this machine gets into. */
export async function podmanCommand(
  args: readonly string[],
  stdin: "piped" | "null" = "piped",
): Promise<Deno.Command> {
  storage ??= makeStorage();
  return commandIn(await storage, ["podman", ...args], stdin);
}

async function buildImage(source: ImageSource): Promise<string> {
  storage ??= makeStorage();
  const folder = await storage;
  const commit = await builtCommit();
  const build = await buildOnce({
    name: `image-${source}`,
    sources: IMAGE_SOURCES,
    key: commit,
    build: async (draft) => {
      await removeOldImages();
      const name = `localhost/battlescope-migrate:${crypto.randomUUID()}`;
      const context = join(draft, "context");
      await Deno.mkdir(context);
      await fillContext(context, source);
      await buildFrom(context, { source, commit, name, folder });
      await Deno.remove(context, { recursive: true });
      await Deno.writeTextFile(join(draft, "name"), name);
    },
  });
  return await Deno.readTextFile(join(build, "name"));
}

/** A copy of the checkout as git has it, with `dist/` where it is wanted. */
async function fillContext(
  context: string,
  source: ImageSource,
): Promise<void> {
  const parts = ["Dockerfile", ".dockerignore", "deno.json", "deno.lock"];
  for (const part of [...parts, "migrations", "scripts", "src"]) {
    await cp(join(CHECKOUT, part), join(context, part), { recursive: true });
  }
  if (source === "dist") {
    const dist = dirname(await executable());
    await cp(dist, join(context, "dist"), { recursive: true });
  }
}

async function buildFrom(
  context: string,
  { source, commit, name, folder }: {
    source: ImageSource;
    commit: string;
    name: string;
    folder: string;
  },
): Promise<void> {
  const arch = Deno.build.arch === "x86_64" ? "amd64" : "arm64";
  const command = commandIn(folder, [
    ...["buildah", "bud", "--pull-never", "--network=none", `--tag=${name}`],
    // This old buildah sees no stage that is chosen by a default.
    ...[`--platform=linux/${arch}`, `--build-arg=EXECUTABLE=${source}`],
    ...[`--build-arg=COMMIT=${commit}`],
    ...["--build-arg=COMPILE_OPTIONS=--runtime npm", context],
  ], "null");
  const { success, stderr, stdout } = await command.output();
  if (success) return;
  const said = [stdout, stderr].map((text) => new TextDecoder().decode(text));
  throw new Error(`Cannot build the image:\n${said.join("\n")}`);
}

/** A storage with the two images that the Dockerfile builds on. */
async function makeStorage(): Promise<string> {
  assertSaid("podman");
  // podman writes the path of its storage into it: it cannot be made in one place and moved to another.
  const folder = join(await makePrivateFolder(), "test-storage");
  await buildOnce({
    name: "stand-ins",
    sources: ["deno.json", "deno.lock", STAND_INS],
    key: Deno.version.deno,
    build: async () => {
      await Deno.mkdir(folder, { recursive: true });
      await Deno.writeTextFile(configuration(folder), CONTAINERS_CONF);
      const { deno } = await npmRuntime(() => {});
      const command = new Deno.Command(join(CHECKOUT, STAND_INS), {
        args: [Deno.execPath(), dirname(deno), ...storageOptions(folder)],
        env: { CONTAINERS_CONF: configuration(folder) },
      });
      const { success, stderr } = await command.output();
      if (success) return;
      throw new Error(
        `Cannot make the stand-ins: ${new TextDecoder().decode(stderr)}`,
      );
    },
  });
  return folder;
}

/** Removes what earlier runs have left; what is younger may be in use by another run. */
async function removeOldImages(): Promise<void> {
  const old = ["--force", "--filter=until=1h"];
  await must(["image", "prune", ...old]);
  await must(["image", "prune", "--all", ...old, `--filter=label=${TITLE}`]);
}

function commandIn(
  folder: string,
  [program = "", ...args]: readonly string[],
  stdin: "piped" | "null",
): Deno.Command {
  return new Deno.Command(program, {
    args: [...storageOptions(folder), ...args],
    env: { CONTAINERS_CONF: configuration(folder) },
    stdin,
    stdout: "piped",
    stderr: "piped",
  });
}

/** Given as options, not by the environment: what podman starts to clean up after a container has only these. */
function storageOptions(folder: string): string[] {
  // What it knows of running containers must not outlive them: /run is gone after a restart.
  return [
    `--root=${join(folder, "images")}`,
    "--runroot=/run/battlescope-migrate-test-storage",
  ];
}

function configuration(folder: string): string {
  return join(folder, "containers.conf");
}
