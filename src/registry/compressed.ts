import process from "node:process";

/** The bytes of a compressed file beside the code. */
export function readCompressed(file: URL): Uint8Array {
  const { gunzipSync } = process.getBuiltinModule("node:zlib");
  const bytes = Deno.readFileSync(file);
  // The last four bytes say how long it will be: with room for all of it no copy is made.
  const length = new DataView(bytes.buffer).getUint32(bytes.length - 4, true);
  return gunzipSync(bytes, { chunkSize: length + 64 });
}
