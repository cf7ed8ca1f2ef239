/**
 * `completions`, tried in the shells themselves by somebody who types and presses Tab.
 */
import { assertEquals } from "@std/assert";
import {
  type CommandName,
  COMMANDS,
  type Shell,
  SHELLS,
} from "../../src/cli/options.ts";
import { SETTINGS } from "../../src/cli/settings.ts";
import { LOCAL_COMMANDS } from "../../src/cli/arguments.ts";
import { runMigrate } from "../support/program/cli.ts";
import { testWith } from "../support/program/needs.ts";
import { startShell, type TypingSession } from "../support/program/shell.ts";

const NAMES = Object.keys(COMMANDS) as CommandName[];

for (const shell of SHELLS) {
  // bash is where the other scripts are run.
  const test = shell === "bash" ? testWith() : testWith(shell);
  test(`completions ${shell}: every command and every option completes, and nothing that is none`, async () => {
    await using session = await startShell(shell, await completions(shell));
    const typed = (text: string) => complete(session, text);

    for (const name of NAMES) {
      assertEquals(
        await typed(shortest(name, NAMES)),
        name,
      );
      const flags = [
        ...COMMANDS[name].options,
        ...(LOCAL_COMMANDS.includes(name) ? [] : SETTINGS),
      ].map(({ flag }) => `--${flag}`);
      for (const flag of flags) {
        assertEquals(
          await typed(`${name} ${shortest(flag, flags)}`),
          `${name} ${flag}`,
        );
      }
    }
    // Without a command it is up, whose options may come first.
    assertEquals(await typed("--dr"), "--dry-run");
    assertEquals(
      await typed("--quiet --lock-wait 5m st"),
      "--quiet --lock-wait 5m status",
    );
    // What belongs to another command, and names that only the user knows.
    for (
      const text of [
        "redo --chec",
        "version --quie",
        "up --to scri",
        "new scri",
      ]
    ) {
      assertEquals(await typed(text), text);
    }
  });

  test(`completions ${shell}: values that are a choice complete`, async () => {
    await using session = await startShell(shell, await completions(shell));
    for (
      const [text, line] of [
        ["up --format j", "up --format json"],
        ["up --format=j", "up --format=json"],
        ["--transaction e", "--transaction each"],
        ["status --check --format t", "status --check --format text"],
        ["help bas", "help baseline"],
        ["completions z", "completions zsh"],
      ] as const
    ) {
      assertEquals(await complete(session, text), line);
    }
  });
}

async function completions(shell: Shell): Promise<string> {
  const { code, stdout, stderr } = await runMigrate(["completions", shell]);
  assertEquals([code, stderr], [0, ""]);
  return stdout;
}

/** What a line of the program's becomes. An option that takes a value may have its equals sign. */
async function complete(
  session: TypingSession,
  text: string,
): Promise<string> {
  const line = await session.complete(`battlescope-migrate ${text}`);
  return line.replace(/^battlescope-migrate /, "").replace(/=$/, "");
}

/** The shortest beginning that no other word has, with its dashes; the whole word where it begins another one. */
function shortest(word: string, words: readonly string[]): string {
  const others = words.filter((other) => other !== word);
  for (
    let length = word.startsWith("--") ? 3 : 1;
    length < word.length;
    length++
  ) {
    const begin = word.slice(0, length);
    if (!others.some((other) => other.startsWith(begin))) return begin;
  }
  return word;
}
