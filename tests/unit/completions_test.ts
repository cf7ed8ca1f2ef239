import { assertEquals } from "@std/assert";
import { completionLines } from "../../src/cli/completions.ts";
import { COMMANDS, SHELLS } from "../../src/cli/options.ts";
import { SETTINGS } from "../../src/cli/settings.ts";

Deno.test("completionLines() has every command and every option, for every shell", () => {
  const flags = [
    ...SETTINGS,
    ...Object.values(COMMANDS).flatMap(({ options }) => options),
  ].map(({ flag }) => flag);
  for (const shell of SHELLS) {
    const text = completionLines(shell).join("\n");
    const missing = [...Object.keys(COMMANDS), ...flags].filter((word) =>
      !new RegExp(`(?<![\\w-])(?:--)?${word}(?![\\w-])`).test(text)
    );
    assertEquals(missing, [], shell);
  }
});
