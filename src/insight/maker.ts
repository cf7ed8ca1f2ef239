/**
 * Which migration has made what is different.
 *
 * @module
 */
import { belongsTo } from "./differences.ts";
import type { Json } from "./recording.ts";
import { readLines } from "./recording_lines.ts";
import { bodyDifferences, type Difference, splitIdentity } from "./snapshot.ts";

/**
 * The migration that differences are put down to: of each the last one that was recorded to make, change or drop what is
 * different, or the object that it is in; and of these the first.
 *
 * @param recording as `recordingText` writes it, in UTF-8
 * @param run.names of the migrations that may be it
 * @param run.version of the server, 18
 * @returns `undefined` when none of them was recorded to change any of it
 * @throws {TypeError} when the recording cannot be read
 */
export function makerOf(
  recording: Uint8Array,
  { names, version }: {
    readonly names: ReadonlySet<string>;
    readonly version: number;
  },
  differences: readonly Difference[],
): string | undefined {
  const order: string[] = [];
  const makers = new Map<Difference, string>();
  const bodies = new Map<string, Json | undefined>();
  readLines(recording, {
    migration: ({ name }) => void order.push(name),
    entry: ({ migration, version: only, identity, change }) => {
      if (only !== undefined && only !== version) return;
      const [type, object] = splitIdentity(identity);
      const inside = differences.filter((one) =>
        belongsTo(one, { type, object })
      );
      if (inside.length === 0) return;
      const [was, is] = [bodies.get(identity), change.body()];
      bodies.set(identity, is);
      if (!names.has(migration)) return;
      const made = was === undefined || is === undefined
        ? undefined
        : bodyDifferences(identity, was, is);
      for (const one of inside) {
        const isMade = made === undefined ||
          made.some((change) =>
            change.type === one.type && change.object === one.object
          );
        if (isMade || !makers.has(one)) makers.set(one, migration);
      }
    },
  });
  const named = new Set(makers.values());
  return order.find((name) => named.has(name));
}
