import process from "node:process";

/** The text of a compressed file beside the code. */
export function readCompressed(file: URL): string {
  const { gunzipSync } = process.getBuiltinModule("node:zlib");
  return new TextDecoder().decode(gunzipSync(Deno.readFileSync(file)));
}
