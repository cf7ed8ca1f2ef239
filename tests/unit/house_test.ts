import { assertEquals, assertThrows } from "@std/assert";
import {
  firstSentence,
  housePicture,
  withHouse,
} from "../../scripts/dev/house.ts";

Deno.test("firstSentence() reads a file's first comment for readers", () => {
  const cases: [string, string][] = [
    [
      "// a\n/**\n * The lock: polled. More.\n *\n * @module\n */",
      "The lock: polled",
    ],
    ["/** One\n * {@link Thing}.\n */", "One Thing"],
    ["/**\n * No end\n *\n * More.\n */", "No end"],
    ["/** Reads `a.ts`. */", "Reads `a.ts`"],
    ["const a = 1;", ""],
  ];
  for (const [source, text] of cases) assertEquals(firstSentence(source), text);
});

Deno.test("housePicture() draws folders, leaves out what follows, and lists files", () => {
  const edge = (from: string, to: string) => ({ from, to, typeOnly: false });
  const picture = housePicture(
    [
      edge("src/main.ts", "src/a/x.ts"),
      edge("src/a/x.ts", "src/a/y.ts"),
      edge("src/a/x.ts", "src/b/c/z.ts"),
      edge("src/main.ts", "src/b/c/z.ts"),
      edge("src/main.ts", "src/errors.ts"),
      edge("src/main.ts", "npm:kysely@1.0.0"),
    ],
    new Map([
      ["src/a/x.ts", "/** X. */"],
      ["src/b/c/z.ts", "/** Z. */"],
      ["src/b/w.ts", "/** W. */"],
      ["src/main.ts", "/** Main. */"],
    ]),
  );

  assertEquals(
    picture,
    `\`\`\`mermaid
flowchart TD
  a --> b/c
  main --> a
  main --> ground
\`\`\`

\`\`\`
src/
  main.ts                     Main
  a/
    x.ts                      X
  b/
    w.ts                      W
    c/
      z.ts                    Z
\`\`\`
`,
  );
});

Deno.test("withHouse() replaces the picture and nothing else, and needs a place for it", () => {
  const begin = "<!-- house: written by `deno task layers --write` -->";
  const document = `a\n${begin}\nold\n<!-- /house -->\nb\n`;
  const drawn = withHouse(document, "new");

  assertEquals(drawn, `a\n${begin}\n\nnew\n<!-- /house -->\nb\n`);
  assertEquals(withHouse(drawn, "new"), drawn);
  assertThrows(
    () => withHouse("a", "new"),
    Error,
    `Cannot draw the house: no line "${begin}" … "<!-- /house -->"`,
  );
});
