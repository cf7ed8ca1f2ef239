/**
 * A pipe that has no room left and that nobody reads, as the log of a collector that hangs.
 *
 * @module
 */
import { join } from "node:path";

/** What a pipe holds on Linux unless told otherwise, in bytes. */
const CAPACITY = 64 * 1_024;

export interface FullPipe extends AsyncDisposable {
  /** Whoever opens it for writing has the full pipe. */
  readonly path: string;
}

/** Makes one; leaving the scope of `await using` removes it. */
export async function fullPipe(): Promise<FullPipe> {
  await using resources = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir();
  resources.defer(() => Deno.remove(folder, { recursive: true }));
  const path = join(folder, "pipe");
  await makePipe(path);
  const pipe = resources.use(
    await Deno.open(path, { read: true, write: true }),
  );
  await pipe.write(new Uint8Array(CAPACITY));
  const owned = resources.move();
  return { path, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Makes a named pipe. */
export async function makePipe(path: string): Promise<void> {
  const { success } = await new Deno.Command("mkfifo", { args: [path] })
    .output();
  if (!success) throw new Error(`Cannot make the pipe ${path}`);
}
