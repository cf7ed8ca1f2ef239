/**
 * The documents that are made from the recording: the schema for a reader, with a picture, and its types for the services.
 *
 * @module
 */
import { schemaLines, schemaOf } from "../../src/commands/schema.ts";
import { readRecording, RECORDING_FILE } from "../../src/insight/recording.ts";
import type { SchemaForm } from "../../src/cli/options.ts";
import { exists } from "../dev/server_data.ts";
import { picture } from "./picture.ts";
import { listFolder, MIGRATIONS_FOLDER } from "../build/registry.ts";

const DOCS = new URL("../../docs/", import.meta.url);

/** The name of each, and the form that it has. */
const DOCUMENTS: Readonly<Record<string, SchemaForm | "picture">> = {
  "schema.md": "markdown",
  "database.ts": "types",
  "schema.svg": "picture",
};

const MADE_BY = "Made by `deno task insight` from the migrations; do not edit.";

/** The names of those that are not as the recording of this checkout wants them. */
export async function staleDocuments(): Promise<string[]> {
  const stale: string[] = [];
  for (const [name, text] of await documents()) {
    const found = await Deno.readTextFile(new URL(name, DOCS)).catch(() => "");
    if (found !== text) stale.push(`docs/${name}`);
  }
  return stale;
}

export async function writeDocuments(): Promise<void> {
  for (const [name, text] of await documents()) {
    await Deno.writeTextFile(new URL(name, DOCS), text);
  }
}

async function documents(): Promise<[name: string, text: string][]> {
  // A copy that only runs the program has no documents.
  if (!await exists(DOCS)) return [];
  const migrations = await listFolder(MIGRATIONS_FOLDER);
  const recording = await Deno.readFile(
    new URL(RECORDING_FILE, MIGRATIONS_FOLDER),
  );
  const text = new TextDecoder().decode(recording);
  const isKnown = readRecording(text).migrations.every(({ status }) =>
    status === "recorded"
  );
  if (!isKnown) return [];
  return await Promise.all(
    Object.entries(DOCUMENTS).map(async ([name, as]): Promise<
      [string, string]
    > => {
      if (as === "picture") {
        const svg = await picture(schemaOf({}, migrations, recording));
        return [name, await formatted(name, svg)];
      }
      const [first = "", ...lines] = schemaLines(
        { as },
        "text",
        migrations,
        recording,
      );
      const text = as === "types"
        ? [`// ${MADE_BY}`, first, ...lines]
        : [first, "", MADE_BY, "", "![The tables](schema.svg)", ...lines];
      return [name, await formatted(name, `${text.join("\n")}\n`)];
    }),
  );
}

/** As the gate wants it. */
async function formatted(name: string, text: string): Promise<string> {
  const process = new Deno.Command(Deno.execPath(), {
    args: ["fmt", `--ext=${name.split(".").at(-1)}`, "-"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = process.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  const { success, stdout, stderr } = await process.output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(decoder.decode(stderr));
  return decoder.decode(stdout);
}
