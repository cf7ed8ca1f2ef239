/**
 * Whether the recording of a folder of migrations fits them. It takes no server to tell.
 *
 * @module
 */
import {
  readRecording,
  RECORDING_FILE,
  recordingText,
} from "../../src/insight/recording.ts";
import { listFolder } from "./registry.ts";

/** In what way the recording does not fit the migrations beside it; `undefined` when there is none. */
export async function staleRecording(
  folder: URL,
): Promise<string[] | undefined> {
  let text: string;
  try {
    text = await Deno.readTextFile(new URL(RECORDING_FILE, folder));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  const recording = readRecording(text);
  const recorded = new Map(
    recording.migrations.map((
      { name, checksum },
    ) => [name, checksum]),
  );
  const differences: string[] = [];
  for (const { name, checksum } of await listFolder(folder)) {
    const known = recorded.get(name);
    recorded.delete(name);
    if (known === undefined) differences.push(`"${name}" is not in it`);
    else if (known !== checksum) {
      differences.push(`"${name}" has changed since it was recorded`);
    }
  }
  for (const name of recorded.keys()) {
    differences.push(`"${name}" is in it, but its file is gone`);
  }
  return differences.length > 0 || text === recordingText(recording)
    ? differences
    : ["it was edited, or another version wrote it"];
}
