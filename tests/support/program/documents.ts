/**
 * What a document shows: blocks of code, the commands in them, and what those print.
 *
 * @module
 */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export interface Block {
  /** Of the last title before it. */
  readonly heading: string;
  readonly language: string;
  readonly text: string;
  /** Counted from 1, of its first line. */
  readonly line: number;
}

export interface ShownCommand {
  readonly command: string;
  /** The lines that it prints; a block of commands alone shows none. */
  readonly output: readonly string[] | undefined;
}

export const CHECKOUT = fileURLToPath(new URL("../../../", import.meta.url));

export async function readDocument(path: string): Promise<string> {
  return await Deno.readTextFile(`${CHECKOUT}${path}`);
}

/** Every document of the checkout. */
export async function allDocuments(): Promise<readonly string[]> {
  const found: string[] = [];
  for (const folder of ["", "docs/"]) {
    for await (const { name } of Deno.readDir(`${CHECKOUT}${folder}`)) {
      if (name.endsWith(".md")) found.push(`${folder}${name}`);
    }
  }
  return found.sort();
}

/** Where the links of a document lead within the checkout: the path of the file, and a title in it. */
export function linksOf(
  document: string,
  text: string,
): readonly { readonly target: string; readonly anchor?: string }[] {
  const links = [...text.matchAll(/\]\(([^)]+)\)/g)].map(([, to]) => to!);
  return links.filter((link) => !/^https?:/.test(link)).map((link) => {
    const [path = "", anchor] = link.split("#");
    const target = path === "" ? document : join(dirname(document), path);
    return { target, ...(anchor === undefined ? {} : { anchor }) };
  });
}

/** What the old image's guide named, and what the release of it has no more. */
const OLD_FILES = ["infra/k8s/db-migrate-job.yaml"];

/** The files of those that operate the program which a text names, in links or commands or by the way. */
export function filesNamedIn(text: string): readonly string[] {
  const names = text.matchAll(
    /(?<![\w/.-])(?:infra|scripts|docs)\/[\w./-]*\w/g,
  );
  return [...names].map(([name]) => name)
    .filter((name) => !OLD_FILES.includes(name));
}

/** The anchor of a title, as GitHub makes it. */
export function anchorOf(title: string): string {
  return title.toLowerCase().replaceAll(/[^\w -]/g, "").replaceAll(" ", "-");
}

/** The blocks of a document in its order. */
export function blocksOf(markdown: string): readonly Block[] {
  const blocks: Block[] = [];
  let heading = "";
  let open: { language: string; line: number; lines: string[] } | undefined;
  for (const [i, line] of markdown.split("\n").entries()) {
    const fence = /^```(\w*)$/.exec(line);
    if (fence === null) {
      if (open !== undefined) open.lines.push(line);
      else heading = /^#+ (.*)$/.exec(line)?.[1] ?? heading;
    } else if (open === undefined) {
      open = { language: fence[1]!, line: i + 2, lines: [] };
    } else {
      const { lines, ...rest } = open;
      blocks.push({ heading, ...rest, text: lines.join("\n") });
      open = undefined;
    }
  }
  return blocks;
}

/** The commands of a block of `sh`, or of a `console` with its prompts and answers; none of any other block. */
export function commandsOf({ language, text }: Block): readonly ShownCommand[] {
  const lines = text.replaceAll(/ *\\\n */g, " ").split("\n");
  if (language === "sh") {
    return lines.map(withoutComment).filter((line) => line !== "")
      .map((command) => ({ command, output: undefined }));
  }
  if (language !== "console") return [];
  const commands: { command: string; output: string[] }[] = [];
  for (const line of lines) {
    const command = /^\$ (.*)$/.exec(line)?.[1];
    if (command !== undefined) commands.push({ command, output: [] });
    else commands.at(-1)!.output.push(line);
  }
  return commands;
}

function withoutComment(line: string): string {
  return line.replace(/(?:^|\s+)# .*$/, "").trim();
}

/** Lines that are left out, any number of them. */
const CUT = "…";

/**
 * What is wrong with the lines that are shown, compared with those that were printed; `undefined` when nothing is.
 *
 * Shapes are compared: what differs from run to run and from machine to machine counts as the same, and so do several
 * lines of one shape, one after the other.
 */
export function differenceOf(
  shown: readonly string[],
  printed: readonly string[],
): string | undefined {
  const wanted = squeeze(shown.map(shapeOf));
  const given = squeeze(printed.map(shapeOf));
  if (matches(wanted, given)) return undefined;
  return `It shows:\n${indent(shown)}\nIt prints:\n${indent(printed)}`;
}

function matches(wanted: readonly string[], given: readonly string[]): boolean {
  const [first, ...rest] = wanted;
  if (first === undefined) return given.length === 0;
  if (first !== CUT) {
    return first === given[0] && matches(rest, given.slice(1));
  }
  return given.some((_, i) => matches(rest, given.slice(i))) ||
    matches(rest, []);
}

/** A line without what is different each time: times, addresses, numbers of processes, checksums, versions, columns. */
export function shapeOf(line: string): string {
  return line
    .replaceAll(/\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?Z/g, "WHEN")
    .replaceAll(/\b\d+(?:\.\d+)? (?:ms|s|min|h)\b(?: \d+ (?:s|min))?/g, "TIME")
    .replaceAll(/\b\d+(?:\.\d+)? [KMG]iB\b/g, "SIZE")
    .replaceAll(/127\.0\.0\.1:\d+/g, "ADDRESS")
    .replaceAll(/\bbackend \d+/g, "backend NUMBER")
    .replaceAll(/\b[0-9a-f]{12}…/g, "CHECKSUM")
    .replaceAll(/\(PostgreSQL \d+\.\d+\)/g, "(PostgreSQL VERSION)")
    .replaceAll(/(?<=\S) +/g, " ")
    .replaceAll(/^ +\^$/g, "  ^");
}

/** Once where a line of the same shape follows: how often somebody waits is another number each time. */
function squeeze(lines: readonly string[]): string[] {
  return lines.filter((line, i) => line !== lines[i - 1]);
}

/** The names of an object's members and the kinds of their values, for JSON that is shown. */
export function jsonShape(text: string): Record<string, string> {
  const value: Record<string, unknown> = JSON.parse(text);
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [
      name,
      one === null ? "null" : typeof one,
    ]),
  );
}

function indent(lines: readonly string[]): string {
  return lines.map((line) => `  ${line}`).join("\n");
}
