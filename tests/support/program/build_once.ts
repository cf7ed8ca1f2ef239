/**
 * What several test processes need and one of them builds.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { currentCommit } from "../../../scripts/build/bundle.ts";
import { makePrivateFolder } from "../../../scripts/dev/postgres_binaries.ts";

const CHECKOUT = fileURLToPath(new URL("../../../", import.meta.url));

/** What was not built for the sources of this hour may be in nobody's use. */
const KEEP_MS = 60 * 60_000;

export interface Build {
  readonly name: string;
  /** Files and folders of the checkout: a change in one of them makes another build. */
  readonly sources: readonly string[];
  /** Anything else that does. */
  readonly key?: string;
  /** Puts the result into the folder. */
  readonly build: (folder: string) => Promise<void>;
}

let commit: Promise<string> | undefined;

/** The commit that everything in this process is built from, also when somebody commits in between. */
export function builtCommit(): Promise<string> {
  return commit ??= currentCommit();
}

/** Returns the folder of the result. It is complete: an interrupted build leaves none. */
export async function buildOnce(
  { name, sources, key = "", build }: Build,
): Promise<string> {
  const parent = join(await makePrivateFolder(), "test-builds");
  await Deno.mkdir(parent, { recursive: true });
  const folder = join(parent, `${name}-${await fingerprint(sources, key)}`);
  using lock = await Deno.open(join(parent, `${name}.lock`), {
    create: true,
    write: true,
  });
  await lock.lock(true);
  if (await modified(folder) !== undefined) return folder;
  await removeOld(parent, name);
  const draft = await Deno.makeTempDir({ dir: parent, prefix: ".draft-" });
  await Deno.chmod(draft, 0o755);
  try {
    await build(draft);
    await Deno.rename(draft, folder);
  } catch (error) {
    await Deno.remove(draft, { recursive: true });
    throw error;
  }
  return folder;
}

async function removeOld(parent: string, name: string): Promise<void> {
  for await (const entry of Deno.readDir(parent)) {
    const path = join(parent, entry.name);
    const time = await modified(path);
    const ours = entry.isDirectory && entry.name.startsWith(`${name}-`);
    if (ours && time !== undefined && Date.now() - time > KEEP_MS) {
      await Deno.remove(path, { recursive: true });
    }
  }
}

async function modified(path: string): Promise<number | undefined> {
  try {
    return (await Deno.stat(path)).mtime?.getTime() ?? 0;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

async function fingerprint(
  sources: readonly string[],
  key: string,
): Promise<string> {
  const hash = createHash("sha256").update(key);
  for (const source of sources) await add(join(CHECKOUT, source), hash);
  return hash.digest("hex").slice(0, 16);
}

async function add(
  path: string,
  hash: ReturnType<typeof createHash>,
): Promise<void> {
  if ((await Deno.stat(path)).isFile) {
    hash.update(`${path}\0`).update(await Deno.readFile(path));
    return;
  }
  const entries = await Array.fromAsync(Deno.readDir(path));
  for (const name of entries.map(({ name }) => name).sort()) {
    await add(join(path, name), hash);
  }
}
