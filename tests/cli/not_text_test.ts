/** Variables and arguments that are no text in UTF-8: named, never shown. */
import { assertEquals } from "@std/assert";
import { programArguments, startProcess } from "../support/program/cli.ts";

/** The program with a variable that only a shell can set: Deno's own `env` takes text. */
async function run(setUp: string, args: readonly string[]) {
  const command = new Deno.Command("sh", {
    args: [
      "-c",
      `unset DATABASE_URL; ${setUp}; exec "$@"`,
      "sh",
      Deno.execPath(),
      ...programArguments(args),
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  });
  await using running = startProcess(command);
  return await running.result;
}

const BYTES = `$(printf 'postgres://me:s3cr\\377et@127.0.0.1:1/there')`;

Deno.test("a variable that is not UTF-8 is named, not shown", async () => {
  for (
    const name of ["DATABASE_URL", "POSTGRES_PASSWORD", "MIGRATE_SCHEMA"]
  ) {
    const setUp =
      `export DATABASE_URL=postgres://me@127.0.0.1:1/there ${name}="${BYTES}"`;
    assertEquals(await run(setUp, ["status"]), {
      code: 2,
      stdout: "",
      stderr: `error: ${name} is no text in UTF-8\n`,
    });
    assertEquals((await run(setUp, ["help"])).code, 0);
  }
});

Deno.test("a connection string as an argument that is not UTF-8 is not shown", async () => {
  assertEquals(
    await run(`set -- "$@" --database-url "${BYTES}"`, ["status"]),
    {
      code: 2,
      stdout: "",
      stderr: "error: Option --database-url is no text in UTF-8\n",
    },
  );
});
