/**
 * An interactive shell on a terminal, and somebody who types.
 *
 * @module
 */
import { join } from "node:path";
import type { Shell } from "../../../src/cli/options.ts";
import { waitFor } from "./wait.ts";

/** Nobody's configuration, and the script with the completions read. */
const SHELLS: Readonly<Record<Shell, { start: string; read: string }>> = {
  bash: { start: "bash --norc --noprofile -i", read: "source" },
  zsh: {
    start: "zsh -f -i",
    read: "autoload -U compinit; compinit -u -D; source",
  },
  fish: { start: "fish --no-config --interactive", read: "source" },
};

const TAB = "\t";
const TO_BEGIN = "\x01";
const TO_END = "\x05";

export interface TypingSession extends AsyncDisposable {
  /** Types the text and the Tab key. Returns what the line is then, without a space at its end. */
  complete(text: string): Promise<string>;
}

/** Starts a shell that has read `script`. */
export async function startShell(
  shell: Shell,
  script: string,
): Promise<TypingSession> {
  const folder = await Deno.makeTempDir({ prefix: "shell-" });
  const [completions, lines] = [join(folder, "script"), join(folder, "lines")];
  await Deno.writeTextFile(completions, script);
  await Deno.writeTextFile(lines, "");
  const { start, read } = SHELLS[shell];
  const child = new Deno.Command("script", {
    // -q no banner, -e the command's exit code, -c the command; it writes a record of its own, which nobody wants
    args: ["-qec", start, "/dev/null"],
    // The program is not asked: an empty folder for its name keeps shells from saying that there is none.
    cwd: folder,
    clearEnv: true,
    env: {
      HOME: folder,
      PATH: Deno.env.get("PATH") ?? "",
      SHELL: "/bin/sh",
      TERM: "xterm",
      LANG: "C.UTF-8",
    },
    stdin: "piped",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const keys = child.stdin.getWriter();
  const type = (text: string) => keys.write(new TextEncoder().encode(text));
  let count = 0;
  // The line is not run but written to a file, which needs no reading of a screen.
  const written = async (text: string) => {
    await type(
      `${text}${TO_BEGIN}printf '%s\\n' '${TO_END}' >>${lines}\n`,
    );
    const all = () => Deno.readTextFileSync(lines).split("\n").slice(0, -1);
    count++;
    await waitFor(
      `${shell} to write the line of "${text}"`,
      () => Promise.resolve(all().length >= count),
    );
    return all().at(-1)!.trimEnd();
  };
  await type(`${read} ${completions}\n`);
  await written("ready");
  return {
    complete: (text) => written(`${text}${TAB}`),
    async [Symbol.asyncDispose]() {
      // The shell itself has to end, and not only the terminal before it: it writes into its home until then.
      await type("exit\n");
      await keys.close();
      await child.status;
      await Deno.remove(folder, { recursive: true });
    },
  };
}
