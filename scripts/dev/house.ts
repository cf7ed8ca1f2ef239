/**
 * The picture of the house in CONTRIBUTING: the folders with their arrows, and every file with what it says of itself.
 *
 * @module
 */
import type { Import } from "./imports.ts";

const BEGIN = "<!-- house: written by `deno task layers --write` -->";
const END = "<!-- /house -->";

/** The document with the picture in the place of the one that it has. @throws {Error} when it has no place for it */
export function withHouse(document: string, picture: string): string {
  const begin = document.indexOf(BEGIN);
  const end = document.indexOf(END);
  if (begin < 0 || end < begin) {
    throw new Error(`Cannot draw the house: no line "${BEGIN}" … "${END}"`);
  }
  return `${document.slice(0, begin)}${BEGIN}\n\n${picture}\n${
    document.slice(end)
  }`;
}

/**
 * The picture, in Markdown.
 *
 * @param imports the imports of the program, by paths from the root of the checkout
 * @param sources the text of each file of `src/`, by its path
 */
export function housePicture(
  imports: readonly Import[],
  sources: ReadonlyMap<string, string>,
): string {
  return `${arrows(imports)}\n${files(sources)}`;
}

/** What a file says of itself: the first sentence of its first comment for readers. */
export function firstSentence(source: string): string {
  const comment = /\/\*\*([^]*?)\*\//.exec(source)?.[1] ?? "";
  const text = comment.replaceAll(/^\s*\* ?/gm, "").trim()
    .split(/\n\s*\n|\n@/)[0]!.replaceAll(/\s+/g, " ")
    .replaceAll(/\{@link (\w+)\}/g, "$1");
  return /^[^]*?(?=[.](?:\s|$))/.exec(text)?.[0] ?? text;
}

/** A flowchart of the folders. What follows from other arrows is left out. */
function arrows(imports: readonly Import[]): string {
  const targets = new Map<string, Set<string>>();
  for (const { from, to } of imports) {
    const [a, b] = [folderOf(from), folderOf(to)];
    if (a === undefined || b === undefined || a === b) continue;
    if (!targets.has(a)) targets.set(a, new Set());
    targets.get(a)!.add(b);
  }
  const reaches = (from: string, to: string): boolean =>
    [...targets.get(from) ?? []].some((next) =>
      next === to || reaches(next, to)
    );
  const lines = [...targets].flatMap(([from, all]) =>
    [...all].filter((to) =>
      ![...all].some((other) => other !== to && reaches(other, to))
    ).map((to) => `  ${from} --> ${to}`)
  ).sort();
  return ["```mermaid", "flowchart TD", ...lines, "```", ""].join("\n");
}

/** The folder as a name in the flowchart; the files that lie flat are main's, or the ground that all stand on. */
function folderOf(path: string): string | undefined {
  const [top, ...rest] = path.split("/");
  if (top === "migrations") return top;
  if (top !== "src") return undefined;
  if (rest.length > 1) return rest.slice(0, -1).join("/");
  return /^(?:main|execute|embedded)\.ts$/.test(rest[0]!) ? "main" : "ground";
}

function files(sources: ReadonlyMap<string, string>): string {
  const paths = [...sources.keys()].map((path) => path.split("/").slice(1));
  // Files before folders, as far as they lie in the same one.
  const key = (path: readonly string[]) =>
    path.map((part, i) => i === path.length - 1 ? ` ${part}` : part).join("/");
  paths.sort((a, b) => key(a) < key(b) ? -1 : 1);
  const lines = ["```", "src/"];
  let open: readonly string[] = [];
  for (const path of paths) {
    const folders = path.slice(0, -1);
    for (const [depth, folder] of folders.entries()) {
      if (
        folders.slice(0, depth + 1).join() === open.slice(0, depth + 1).join()
      ) {
        continue;
      }
      lines.push(`${"  ".repeat(depth + 1)}${folder}/`);
    }
    open = folders;
    const name = `${"  ".repeat(path.length)}${path.at(-1)}`;
    const text = firstSentence(sources.get(["src", ...path].join("/"))!);
    lines.push(`${name.padEnd(30)}${text}`.trimEnd());
  }
  return [...lines, "```", ""].join("\n");
}
