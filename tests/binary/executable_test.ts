import { assertEquals, assertMatch } from "@std/assert";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import config from "../../deno.json" with { type: "json" };
import { completionLines } from "../../src/cli/completions.ts";
import { VARIABLES } from "../../src/cli/variables.ts";
import {
  binaryVersion,
  compiled,
  executable,
  runBinary,
  startBinary,
} from "../support/program/binary.ts";
import { builtCommit } from "../support/program/build_once.ts";
import { battlescope } from "../../scripts/dev/kysely.ts";
import {
  releasedTests,
  type Start,
} from "../support/program/released_tests.ts";

/** As the kubelet does it: the paths are the program's, the files are anywhere. */
const start: Start = async (args, { env = {}, files = {}, network = true }) => {
  const folder = await Deno.makeTempDir({ prefix: "secrets-" });
  await Deno.chmod(folder, 0o755);
  const place = (text: string) =>
    Object.keys(files).reduce(
      (text, path) => text.replaceAll(path, join(folder, basename(path))),
      text,
    );
  for (const [path, content] of Object.entries(files)) {
    await Deno.writeTextFile(place(path), content);
  }
  const running = await startBinary(args, {
    env: Object.fromEntries(
      Object.entries(env).map(([name, value]) => [name, place(value)]),
    ),
    network,
  });
  return {
    ...running,
    signal: (signal) => Promise.resolve(running.kill(signal)),
    async [Symbol.asyncDispose]() {
      await running[Symbol.asyncDispose]();
      await Deno.remove(folder, { recursive: true });
    },
  };
};

releasedTests("executable", start, { withoutNetwork: ["namespaces"] });

Deno.test("executable: version names what it was built from", async () => {
  const { code, stdout, stderr } = await runBinary(["version"]);
  const { deno } = await binaryVersion();
  assertEquals({ code, stderr, stdout }, {
    code: 0,
    stderr: "",
    stdout: `battlescope-migrate ${config.version}
commit ${await builtCommit()}
deno ${deno}
kysely ${config.imports.kysely.replace(/^.*@/, "")}
migrations ${battlescope.length}, the last is ${battlescope.at(-1)!.name}
`,
  });
});

Deno.test("executable: version as JSON names the same", async () => {
  const { deno, ...rest } = await binaryVersion();
  assertMatch(String(deno), /^2\.\d+\.\d+$/);
  assertEquals(rest, {
    name: "battlescope-migrate",
    version: config.version,
    commit: await builtCommit(),
    kysely: config.imports.kysely.replace(/^.*@/, ""),
    migrations: {
      count: battlescope.length,
      last: battlescope.at(-1)!.name,
    },
  });
});

Deno.test("executable: completions are loaded when they are asked for", async () => {
  const { code, stdout, stderr } = await runBinary(["completions", "fish"]);
  assertEquals([code, stderr], [0, ""]);
  assertEquals(stdout, completionLines("fish").join("\n") + "\n");
});

Deno.test("executable: is allowed the network, files to read, PostgreSQL's sockets, and the variables that help lists", async () => {
  const permissions = await readPermissions();
  // To import from a list of hosts is Deno's default; to deny every import overrules it.
  const { allow_import: _, ...others } = permissions;
  const allowed = Object.entries(others)
    .filter(([, value]) => value !== null && value !== false);
  assertEquals(Object.fromEntries(allowed), {
    allow_env: VARIABLES,
    allow_net: [],
    allow_read: [],
    // Deno opens a Unix socket only where one may write.
    allow_write: ["/run/postgresql", "/var/run/postgresql"],
    deny_import: [],
  });
});

Deno.test("executable: holds the program, the migrations and four packages", async () => {
  const folder = await compiled();
  const sources = new Set<string>();
  for await (const { name } of Deno.readDir(folder)) {
    if (!name.endsWith(".map")) continue;
    const map = JSON.parse(await Deno.readTextFile(join(folder, name)));
    for (const source of map.sources as string[]) {
      sources.add(
        /^npm\/([^/]+)\//.exec(source)?.[1] ?? source.replace(/\/.*/, ""),
      );
    }
  }
  assertEquals([...sources].sort(), [
    "deno-std",
    "kysely",
    "kysely-postgres-js",
    "migrations",
    "postgres",
    "src",
  ]);
});

Deno.test("executable: SHA256SUMS lists every file that was built", async () => {
  const folder = await compiled();
  const { code, stdout } = await new Deno.Command("sha256sum", {
    args: ["--check", "--strict", "SHA256SUMS"],
    cwd: folder,
  }).output();
  const checked = new TextDecoder().decode(stdout).trim().split("\n").sort();
  const files = await Array.fromAsync(Deno.readDir(folder));
  assertEquals([code, checked], [
    0,
    files.map(({ name }) => name).filter((name) => name !== "SHA256SUMS")
      .map((name) => `${name}: OK`).sort(),
  ]);
  assertEquals(checked.includes(`${basename(await executable())}: OK`), true);
});

Deno.test("executable: ignores the configuration and the lock of the folder it runs in", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(join(folder, "deno.json"), "this is no JSON");
    await Deno.writeTextFile(join(folder, ".env"), "MIGRATE_FORMAT=bogus\n");
    const { code, stderr } = await new Deno.Command(await executable(), {
      args: ["version"],
      cwd: folder,
      clearEnv: true,
    }).output();
    assertEquals([code, new TextDecoder().decode(stderr)], [0, ""]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** What `deno compile` has written at the end of the executable. */
async function readPermissions(): Promise<Record<string, unknown>> {
  const path = await executable();
  using file = await Deno.open(path);
  const { size } = await file.stat();
  await file.seek(-Math.min(size, 2_000_000), Deno.SeekMode.End);
  const end = new TextDecoder().decode(
    await new Response(file.readable).arrayBuffer(),
  );
  const found = /"permissions":(\{[^}]*\})/.exec(end);
  if (found) return JSON.parse(found[1]!);
  throw new Error(`No permissions in "${fileURLToPath(dirname(path))}"`);
}
