/**
 * The documents for those who operate the program: they name what exists, and their commands are commands.
 */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { parseArguments } from "../../src/cli/command.ts";
import { SETTINGS } from "../../src/cli/settings.ts";
import { VARIABLES } from "../../src/cli/variables.ts";
import {
  allDocuments,
  anchorOf,
  CHECKOUT,
  filesNamedIn,
  linksOf,
  readDocument as read,
} from "../support/program/documents.ts";

const OPERATIONS = "docs/operations.md";
/** Those that show how the program is used. */
const GUIDES = ["README.md", OPERATIONS];

/** In the text on purpose, to show the message. */
const WRONG = "up --bogus --lock-wait 5x";

Deno.test("every link of every document leads somewhere", async () => {
  const documents = await allDocuments();
  assertEquals(GUIDES.every((guide) => documents.includes(guide)), true);
  for (const document of documents) {
    for (const { target, anchor } of linksOf(document, await read(document))) {
      await Deno.stat(join(CHECKOUT, target));
      if (anchor === undefined) continue;
      const headings = [...(await read(target)).matchAll(/^#+ (.*)$/gm)];
      const anchors = headings.map(([, title]) => anchorOf(title!));
      assertEquals(anchors.includes(anchor), true, `${document}: #${anchor}`);
    }
  }
});

Deno.test("every file that a document names is there", async () => {
  for (const document of await allDocuments()) {
    for (const name of filesNamedIn(await read(document))) {
      await Deno.stat(join(CHECKOUT, name));
    }
  }
});

for (const document of GUIDES) {
  Deno.test(`${document}: says how one gets deno before it asks for it`, async () => {
    const text = await read(document);
    const first = text.indexOf("deno task");
    const paragraph = text.indexOf("\n\n", first);
    assertStringIncludes(text.slice(0, paragraph), "npx -y deno@");
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
