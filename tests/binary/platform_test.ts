/** What the executable asks of a system, as the documents say it. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { executable } from "../support/program/binary.ts";
import { readDocument } from "../support/program/documents.ts";

/** The version that the documents name. */
const GLIBC = [2, 27] as const;

Deno.test("platforms: neither the executable nor the Deno of the checkout asks for a newer glibc than the documents say", async () => {
  const newest = await Promise.all(
    [await executable(), await Deno.realPath(Deno.execPath())].map(newestGlibc),
  );
  assertEquals(newest, [[...GLIBC], [...GLIBC]]);
  const text = `glibc ${GLIBC.join(".")} or newer`;
  for (const document of ["README.md", "docs/operations.md"]) {
    assertStringIncludes(await readDocument(document), text);
  }
  const installer = new URL("../../infra/install.sh", import.meta.url);
  assertStringIncludes(await Deno.readTextFile(installer), text);
});

Deno.test("platforms: besides glibc's own libraries the executable needs libgcc", async () => {
  const { stdout } = await new Deno.Command("ldd", {
    args: [await executable()],
  }).output();
  const libraries = new TextDecoder().decode(stdout).trim().split("\n")
    .map((line) => line.trim().split(" ")[0]!.replace(/^.*\//, ""))
    .filter((name) => !GLIBC_LIBRARIES.test(name));
  assertEquals(libraries, ["libgcc_s.so.1"]);
});

/** What the kernel and glibc bring. */
const GLIBC_LIBRARIES =
  /^(?:linux-vdso|ld-linux-.*|libc|libdl|libm|libpthread|librt)\.so/;

/** The newest version of glibc's symbols that a program names. */
async function newestGlibc(path: string): Promise<number[]> {
  const text = new TextDecoder("latin1").decode(await Deno.readFile(path));
  const versions = [...text.matchAll(/\0GLIBC_(\d+)\.(\d+)(?=\0)/g)]
    .map(([, major, minor]) => [Number(major), Number(minor)]);
  return versions.toSorted(([a, b], [c, d]) => a! - c! || b! - d!).at(-1)!;
}
