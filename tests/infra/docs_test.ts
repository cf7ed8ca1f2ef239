/**
 * The documents for those who operate the program: they name what exists, and their commands are commands.
 */
import { assertEquals } from "@std/assert";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArguments } from "../../src/cli.ts";
import { SETTINGS, VARIABLES } from "../../src/options.ts";

const CHECKOUT = fileURLToPath(new URL("../../", import.meta.url));
const OPERATIONS = "docs/operations.md";
const DOCUMENTS = [OPERATIONS];

/** In the text on purpose, to show the message. */
const WRONG = "up --bogus --lock-wait 5x";

for (const document of DOCUMENTS) {
  Deno.test(`${document}: every link leads somewhere`, async () => {
    const text = await read(document);
    const links = [...text.matchAll(/\]\(([^)]+)\)/g)].map(([, to]) => to!);
    assertEquals(links.length > 0, true);
    for (const link of links) {
      if (/^https?:/.test(link)) continue;
      const [path = "", anchor] = link.split("#");
      const target = path === "" ? document : join(dirname(document), path);
      await Deno.stat(join(CHECKOUT, target));
      if (anchor === undefined) continue;
      const headings = [...(await read(target)).matchAll(/^#+ (.*)$/gm)];
      const anchors = headings.map(([, title]) => anchorOf(title!));
      assertEquals(anchors.includes(anchor), true, link);
    }
  });

  Deno.test(`${document}: every file that it names is there`, async () => {
    const names = (await read(document)).matchAll(
      /(?<![\w/.-])(?:infra|scripts|docs)\/[\w./-]*\w/g,
    );
    for (const [name] of names) await Deno.stat(join(CHECKOUT, name));
  });

  Deno.test(`${document}: every command of the program is one`, async () => {
    const commands = [...(await read(document)).matchAll(
      /^(?:\$ )?(?:\.\/)?battlescope-migrate(?:-linux-x64)?( [^|#\n]*)?(?:$|\||#)/gm,
    )].map(([, words = ""]) => words.trim());
    assertEquals(commands.length > 3, true);
    for (const command of commands) {
      // A synopsis, not a command.
      if (command.startsWith("[")) continue;
      const { faults } = parseArguments(command.split(/\s+/).filter(Boolean));
      assertEquals(
        faults.length > 0,
        command === WRONG,
        `${command}: ${faults}`,
      );
    }
  });
}

Deno.test(`${OPERATIONS}: the variables exist, with these defaults`, async () => {
  const text = await read(OPERATIONS);
  const names = new Set(
    [...text.matchAll(/\b(?:MIGRATE|POSTGRES|DATABASE)_[A-Z_]+\b/g)]
      .map(([name]) => name),
  );
  for (const name of names) {
    assertEquals(VARIABLES.includes(name), true, name);
  }
  const rows = [...text.matchAll(/^\| `(MIGRATE_\w+)` +\| `(\w+)` +\|/gm)];
  assertEquals(rows.length > 3, true);
  for (const [, variable, value] of rows) {
    const option = SETTINGS.find((known) => known.variable === variable);
    assertEquals(option?.default, value, variable);
  }
});

Deno.test(`${OPERATIONS}: every chapter is in the list, in order`, async () => {
  const text = await read(OPERATIONS);
  const chapters = [...text.matchAll(/^## (.*)$/gm)].map(([, title]) => title);
  const listed = [...text.matchAll(/^- \[(.*)\]\(#.*\)$/gm)]
    .map(([, title]) => title);
  assertEquals(listed, chapters);
});

/** As GitHub makes them. */
function anchorOf(title: string): string {
  return title.toLowerCase().replaceAll(/[^\w -]/g, "").replaceAll(" ", "-");
}

async function read(path: string): Promise<string> {
  return await Deno.readTextFile(join(CHECKOUT, path));
}
