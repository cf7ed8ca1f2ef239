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

Deno.test("docs/json.md names every event and every field of the schemas", async () => {
  const read = (name: string) =>
    Deno.readTextFile(new URL(`docs/${name}`, ROOT));
  const document = await read("json.md");
  const missing: string[] = [];
  const look = (schema: Record<string, unknown>) => {
    for (const [key, value] of Object.entries(schema)) {
      if (key === "properties") {
        for (const name of Object.keys(value as object)) {
          const named = new RegExp(`\`(?:[\\w.[\\]]+\\.)?${name}\``);
          if (!named.test(document)) missing.push(name);
        }
      }
      if (key === "event") {
        const { const: one, enum: several } = value as {
          const?: string;
          enum?: string[];
        };
        for (const name of several ?? [one]) {
          if (!document.includes(`\`${name}\``)) missing.push(`${name}`);
        }
      }
      if (typeof value === "object" && value !== null) {
        look(value as Record<string, unknown>);
      }
    }
  };
  for (const name of ["events", "status", "plan", "verify", "version"]) {
    look(JSON.parse(await read(`schemas/${name}.json`)));
  }
  assertEquals(missing, []);
});
