/** The executable with a reader that does not read, and a variable that is no text. */
import { assertEquals } from "@std/assert";
import { executable } from "../support/program/binary.ts";
import { startProcess } from "../support/program/cli.ts";
import { fullPipe } from "../support/program/full_pipe.ts";
import { delay } from "../support/program/wait.ts";

/** Starts the executable as the command `"$@"` of a shell's script. */
async function start(script: string, ...args: readonly string[]) {
  const command = new Deno.Command("sh", {
    args: ["-c", script, "sh", await executable(), ...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  });
  return startProcess(command);
}

Deno.test("executable: SIGTERM ends it although nobody reads", async () => {
  await using pipe = await fullPipe();
  await using running = await start(
    `exec "$@" > ${pipe.path} 2> ${pipe.path}`,
    "help",
  );
  await delay(2_000);
  running.kill("SIGTERM");
  assertEquals((await running.result).code, 143);
});

Deno.test("executable: it ends although nobody reads", async () => {
  await using pipe = await fullPipe();
  await using running = await start(`exec "$@" > ${pipe.path}`, "help");
  assertEquals(await running.result, {
    code: 1,
    stdout: "",
    stderr: "error: Cannot write to standard output: nobody reads it\n",
  });
});

Deno.test("executable: a variable that is not UTF-8 is named, not shown", async () => {
  await using running = await start(
    `export DATABASE_URL="$(printf 'postgres://me:s3cr\\377et@127.0.0.1:1/there')"; exec "$@"`,
    "status",
  );
  assertEquals(await running.result, {
    code: 2,
    stdout: "",
    stderr: "error: DATABASE_URL is no text in UTF-8\n",
  });
});
