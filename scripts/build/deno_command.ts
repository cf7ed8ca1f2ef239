/**
 * Deno's commands: those that we run, and those that we tell people to type, as they can type them.
 *
 * @module
 */

/** A task's command line: with `npx` for those who have come through it, for they may have no `deno`. */
export function taskCommand(...words: readonly string[]): string {
  // npm sets it for what it runs by "exec" or "npx".
  const deno = Deno.env.get("npm_command") === "exec"
    ? `npx -y deno@${Deno.version.deno}`
    : "deno";
  return [deno, "task", ...words.map(quote)].join(" ");
}

/** Runs the Deno that runs this, and returns what it prints. */
export async function denoOutput(
  args: readonly string[],
  cwd: URL | string,
  stdin?: string,
): Promise<{ success: boolean; stdout: string; stderr: string }> {
  await using child = new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd,
    env: { NO_COLOR: "1" },
    stdin: stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  if (stdin !== undefined) {
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(stdin));
    await writer.close();
  }
  const { success, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { success, stdout: text(stdout), stderr: text(stderr).trim() };
}

function quote(word: string): string {
  return /^[\w./:=@%+,-]+$/.test(word)
    ? word
    : `'${word.replaceAll("'", `'\\''`)}'`;
}
