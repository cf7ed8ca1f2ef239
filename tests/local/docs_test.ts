import { assertEquals } from "@std/assert";

const ROOT = new URL("../../", import.meta.url);

Deno.test("docs/guarantees.md names files and tests that exist", async () => {
  const page = await Deno.readTextFile(new URL("docs/guarantees.md", ROOT));
  // The formatter breaks long lines of a list.
  const text = page.replace(/\n {2}(?=\S)/g, " ");
  const named = [...text.matchAll(/^- `(tests\/[^`]+)`(?:: (.+))?$/gm)];
  const missing: string[] = [];
  for (const [, file, test] of named) {
    const source = await Deno.readTextFile(new URL(file!, ROOT)).catch(() =>
      ""
    );
    // Long names may be put together from parts on several lines.
    const joined = source.replace(/["`]\s*\+\s*["`]/g, "");
    if (source === "" || (test !== undefined && !joined.includes(test))) {
      missing.push(`${file}: ${test ?? "the file"}`);
    }
  }

  assertEquals(missing, []);
  assertEquals(named.length > 20, true);
});
