import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import {
  binaryVersion,
  compiled,
  runCompile,
} from "../support/program/binary.ts";
import { builtCommit } from "../support/program/build_once.ts";
import { withCheckout } from "../support/program/checkout.ts";
import { testWith } from "../support/program/needs.ts";
import { bundle } from "../../scripts/build/bundle.ts";
import { npmRuntime } from "../../scripts/build/npm_runtime.ts";

const USAGE =
  "Usage: deno task compile [--all] [--runtime npm] [--output FOLDER]\n";

const REFUSED: readonly [string, string[], Record<string, string>, string][] = [
  [
    "an unknown option",
    ["--bogus"],
    {},
    "Unknown option '--bogus'",
  ],
  [
    "an unknown runtime",
    ["--runtime", "bun"],
    {},
    'Option --runtime: "bun" is not npm',
  ],
  [
    "npm's runtime for all targets",
    ["--all", "--runtime", "npm"],
    {},
    "Option --all: npm has the runtime of linux-x64 only",
  ],
  [
    "one given runtime for all targets",
    ["--all"],
    { DENORT_BIN: "/nonexistent" },
    "Option --all: DENORT_BIN is the runtime of one target; unset it, or leave --all out",
  ],
  [
    "two runtimes",
    ["--runtime", "npm"],
    { DENORT_BIN: "/nonexistent" },
    "Option --runtime: DENORT_BIN is set and says otherwise; unset it, or leave --runtime out",
  ],
];

for (const [what, args, env, message] of REFUSED) {
  Deno.test(`compile refuses ${what}`, async () => {
    const { code, stdout, stderr } = await runCompile(args, env);
    assertEquals([code, stdout], [2, ""]);
    assertStringIncludes(stderr, message);
    assertStringIncludes(stderr, USAGE);
  });
}

Deno.test("compile refuses a stale registry, and leaves nothing behind", async () => {
  await withCheckout(async ({ folder, task }) => {
    await Deno.writeTextFile(
      join(folder, "migrations", "20990101000000_new.ts"),
      "export async function up(): Promise<void> {}\n",
    );
    const { code, stdout, stderr } = await task(["compile"]).result;
    assertEquals({ code, stdout, stderr }, {
      code: 1,
      stdout: "",
      stderr: `Cannot compile with a stale registry:
  "20990101000000_new" is not in "mod.ts"
Run "deno task registry" first
`,
    });
    assertEquals(
      await names(folder).then((all) => all.includes("dist")),
      false,
    );
  });
});

Deno.test("compile says what to do where the runtime cannot be downloaded", async () => {
  // Everything of Deno's cache but the downloads of runtimes, and no way to get them.
  const folder = await Deno.makeTempDir();
  const [cache, output] = [join(folder, "cache"), join(folder, "output")];
  const nowhere = "http://127.0.0.1:1";
  try {
    // Brings what a compilation downloads before the runtime.
    await bundle(folder, "unknown", "deno");
    await Deno.mkdir(cache);
    const real = await denoDir();
    await Deno.mkdir(join(cache, "dl"));
    const inside = (await names(join(real, "dl"))).map((name) => `dl/${name}`);
    for (const name of [...await names(real), ...inside]) {
      if (name === "dl" || name === "dl/release") continue;
      await Deno.symlink(join(real, name), join(cache, name));
    }
    const { code, stdout, stderr } = await runCompile(
      ["--output", output],
      { DENO_DIR: cache, HTTPS_PROXY: nowhere, https_proxy: nowhere },
    );
    assertEquals([code, stdout], [1, ""]);
    const archive = `denort-${Deno.build.target}.zip`;
    const version = `v${Deno.version.deno}`;
    assertMatch(stderr, /^Cannot compile for \S+: error: /);
    assertStringIncludes(
      stderr,
      `\nDeno downloads its runtime once. Where it cannot, put ${archive} of Deno ${version} at ` +
        `${join(cache, "dl", "release", version, archive)}, or unpack it and ` +
        "set DENORT_BIN to the program; for tests there is also --runtime npm\n",
    );
    assertEquals(await names(output), []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

testWith("linux-x64")(
  "compile refuses a runtime of another version than Deno's",
  async () => {
    const output = await Deno.makeTempDir();
    try {
      const { denort } = await npmRuntime(() => {});
      const { code, stdout, stderr } = await runCompile(
        ["--output", output],
        { DENORT_BIN: denort },
      );
      assertEquals([code, stdout], [1, ""]);
      assertMatch(stderr, /^Cannot use the executable: /);
      assertStringIncludes(
        stderr,
        `; DENORT_BIN must be the runtime of Deno ${Deno.version.deno}\n`,
      );
      assertEquals(await names(output), []);
    } finally {
      await Deno.remove(output, { recursive: true });
    }
  },
);

Deno.test("compile makes the same of the same", async () => {
  const output = await Deno.makeTempDir();
  try {
    const { deno } = await binaryVersion();
    const runtime = deno === Deno.version.deno ? [] : ["--runtime=npm"];
    const { code, stderr } = await runCompile(
      [`--output=${output}`, ...runtime],
      { COMMIT: await builtCommit() },
    );
    assertEquals(code, 0, stderr);
    const sums = (folder: string) => Deno.readTextFile(`${folder}/SHA256SUMS`);
    assertEquals(await sums(output), await sums(await compiled()));
  } finally {
    await Deno.remove(output, { recursive: true });
  }
});

async function names(folder: string): Promise<string[]> {
  const entries = await Array.fromAsync(Deno.readDir(folder));
  return entries.map(({ name }) => name);
}

async function denoDir(): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json"],
  }).output();
  return JSON.parse(new TextDecoder().decode(stdout)).denoDir;
}
