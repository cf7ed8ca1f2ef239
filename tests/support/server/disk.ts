/**
 * A disk that is soon full.
 *
 * @module
 */

import { assertSaid } from "../program/needs.ts";

/** Mounts a small file system that belongs to the owner of `like`, and unmounts it afterwards. Only root can. */
export async function withSmallDisk<T>(
  megabytes: number,
  like: string,
  use: (folder: string) => Promise<T>,
): Promise<T> {
  assertSaid("namespaces");
  const { uid, gid } = await Deno.stat(like);
  const folder = await Deno.makeTempDir({ prefix: "disk-" });
  try {
    await system("mount", [
      ...["-t", "tmpfs"],
      ...["-o", `size=${megabytes}m,uid=${uid},gid=${gid},mode=0700`],
      ...["tmpfs", folder],
    ]);
    try {
      return await use(folder);
    } finally {
      await system("umount", ["--lazy", folder]);
    }
  } finally {
    await Deno.remove(folder);
  }
}

async function system(command: string, args: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, {
    args: [...args],
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr).trim());
}
