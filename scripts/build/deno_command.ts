/**
 * The commands that we tell people to type, as they can type them.
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

function quote(word: string): string {
  return /^[\w./:=@%+,-]+$/.test(word)
    ? word
    : `'${word.replaceAll("'", `'\\''`)}'`;
}
