/**
 * The program in a small container: a memory limit, and nothing in the page cache.
 *
 * Linux lets root make such a group of processes; the limit counts the program's own pages and the file's alike, as that
 * of a container does.
 *
 * @module
 */
import { join } from "node:path";
import { run } from "./process.ts";

/** What came of a run within a limit. */
export interface Confined {
  readonly limitMiB: number;
  readonly wallMs: number;
  /** The most that was in use; at the limit the kernel takes pages of files back, which is no failure. */
  readonly peakMiB: number;
}

/** A memory controller: what its files are called in the two versions of Linux's control groups. */
interface Controller {
  readonly root: string;
  readonly limit: string;
  readonly swap: string;
  readonly peak: string;
}

const CONTROLLERS: readonly Controller[] = [
  {
    root: "/sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    swap: "memory.memsw.limit_in_bytes",
    peak: "memory.max_usage_in_bytes",
  },
  {
    root: "/sys/fs/cgroup",
    limit: "memory.max",
    swap: "memory.swap.max",
    peak: "memory.peak",
  },
];

/** A run that takes longer is thrashing. */
const LIMIT_S = 60;

/** Runs a command within a limit, its executable read from the disk. @throws {Error} when the machine cannot, or the run fails */
export async function runConfined(
  command: readonly string[],
  limitMiB: number,
  env: Readonly<Record<string, string>>,
): Promise<Confined> {
  const controller = await findController();
  const group = join(controller.root, `bench-${crypto.randomUUID()}`);
  await Deno.mkdir(group);
  try {
    const bytes = `${limitMiB * 1_024 * 1_024}`;
    await Deno.writeTextFile(join(group, controller.limit), bytes);
    const swap = controller.swap === "memory.swap.max" ? "0" : bytes;
    await Deno.writeTextFile(join(group, controller.swap), swap).catch(
      () => {},
    );
    await forget(command[0]!);
    const script = 'echo $$ >"$0/cgroup.procs" && exec "$@"';
    const start = performance.now();
    await run([
      ...["timeout", `${LIMIT_S}`, "sh", "-c", script, group],
      ...command,
    ], { env });
    const wallMs = performance.now() - start;
    const peak = await Deno.readTextFile(join(group, controller.peak));
    return { limitMiB, wallMs, peakMiB: Number(peak) / 1_024 / 1_024 };
  } finally {
    await Deno.remove(group);
  }
}

async function findController(): Promise<Controller> {
  for (const controller of CONTROLLERS) {
    const probe = join(controller.root, `bench-${crypto.randomUUID()}`);
    try {
      await Deno.mkdir(probe);
    } catch {
      continue;
    }
    const found = await Deno.stat(join(probe, controller.limit))
      .then(() => true, () => false);
    await Deno.remove(probe);
    if (found) return controller;
  }
  throw new Error("control groups for memory are not to be had here");
}

/** Drops a file from the page cache. */
async function forget(path: string): Promise<void> {
  await run(["sync", path]);
  await run(["dd", `if=${path}`, "iflag=nocache", "count=0", "status=none"]);
}
