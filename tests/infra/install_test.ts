/**
 * `infra/install.sh`, against a stand-in of the release page, in the shells and with the tools that machines have.
 */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { VERSION } from "../../src/cli/version.ts";
import { executable } from "../support/program/binary.ts";
import {
  type MigrateResult,
  type RunningMigrate,
  startProcess,
} from "../support/program/cli.ts";
import { testWith } from "../support/program/needs.ts";
import {
  publish,
  type Release,
  type ReleasePage,
  withRelease,
} from "../support/program/release.ts";

const SCRIPT = fileURLToPath(
  new URL("../../infra/install.sh", import.meta.url),
);

const test = testWith("curl");

/** What every machine has, besides a shell. */
const TOOLS = [
  ...["cat", "chmod", "mkdir", "mktemp", "mv", "rm", "sed", "uname"],
];

/** The stand-in that a release has for linux-x64 unless told otherwise. */
const SAYS = `battlescope-migrate ${VERSION}`;

interface Site {
  readonly page: ReleasePage;
  readonly release: Release;
  /** An empty folder; the executable goes into `bin` in it, which is not there yet. */
  readonly home: string;
  /** What is in `bin`, with the first line of each file. */
  installed(): Promise<Record<string, string>>;
  /** Runs the installer from standard input, as `curl … | sh` does. */
  install(options?: InstallOptions): Promise<MigrateResult>;
  start(options?: InstallOptions): Promise<RunningMigrate>;
}

interface InstallOptions {
  readonly args?: readonly string[];
  readonly shell?: readonly string[];
  /** Programs besides {@link TOOLS}. @default {["curl", "sha256sum"]} */
  readonly tools?: readonly string[];
  /** Programs of the test's own: their shell scripts by name. */
  readonly fakes?: Readonly<Record<string, string>>;
  /** The installer's text. @default {the checkout's} */
  readonly script?: string;
}

test("install.sh installs the real executable, which runs", async () => {
  const executables = { "linux-x64": pathToFileURL(await executable()) };
  await withSite(executables, async ({ install, home, page }) => {
    const { code, stdout, stderr } = await install();
    const path = `${home}/bin/battlescope-migrate`;
    assertEquals([code, stdout], [0, `Installed ${path}: ${SAYS}\n`], stderr);
    assertEquals(
      await Deno.readFile(path),
      await Deno.readFile(executables["linux-x64"]),
    );
    assertEquals((await Deno.stat(path)).mode! & 0o777, 0o755);
    assertEquals(page.requests, [
      "/latest/download/SHA256SUMS",
      `/download/v${VERSION}/SHA256SUMS`,
      "/latest/download/battlescope-migrate-linux-x64",
      `/download/v${VERSION}/battlescope-migrate-linux-x64`,
    ]);
    const version = await new Deno.Command(path, { args: ["version"] })
      .output();
    assertMatch(new TextDecoder().decode(version.stdout), /^migrations 12,/m);
  });
});

for (
  const [name, options, needs] of [
    ["dash", { shell: ["dash"] }, ["curl"]],
    ["bash as sh", { shell: ["bash", "--posix"] }, ["curl"]],
    ["zsh as sh", { shell: ["zsh", "--emulate", "sh"] }, ["curl", "zsh"]],
    ["wget", { tools: ["wget", "sha256sum"] }, ["wget"]],
    ["shasum", { tools: ["curl", "shasum"] }, ["curl", "shasum"]],
  ] as const
) {
  testWith(...needs)(
    `install.sh works with ${name}, says what it does, and leaves nothing else behind`,
    async () => {
      await withSite({}, async ({ install, home, page, installed }) => {
        assertEquals(await install(options), {
          code: 0,
          stdout: `Installed ${home}/bin/battlescope-migrate: ${SAYS}\n`,
          stderr:
            `Downloading ${page.url}/latest/download/battlescope-migrate-linux-x64
Add it to your PATH: export PATH="${home}/bin:$PATH"
`,
        });
        assertEquals(await installed(), { "battlescope-migrate": "#!/bin/sh" });
      });
    },
  );
}

for (
  const [system, machine, platform] of [
    ["Linux", "x86_64", "linux-x64"],
    ["Linux", "aarch64", "linux-arm64"],
    ["Darwin", "x86_64", "macos-x64"],
    ["Darwin", "arm64", "macos-arm64"],
  ] as const
) {
  test(`install.sh takes the executable of ${platform} on ${system} ${machine}`, async () => {
    await withSite({}, async ({ install, home }) => {
      const { code, stderr } = await install({ fakes: uname(system, machine) });
      assertEquals(code, 0, stderr);
      const text = await Deno.readTextFile(`${home}/bin/battlescope-migrate`);
      assertStringIncludes(text, `echo ${platform}\n`);
    });
  });
}

test("install.sh refuses systems and machines that there is no executable for, before any download", async () => {
  await withSite({}, async ({ install, page, installed }) => {
    for (
      const [system, machine, message] of [
        [
          "FreeBSD",
          "amd64",
          'Cannot install on "FreeBSD": there are executables for Linux and macOS',
        ],
        [
          "Linux",
          "riscv64",
          'Cannot install on "riscv64": there are executables for x86_64 and arm64',
        ],
      ] as const
    ) {
      assertEquals(await install({ fakes: uname(system, machine) }), {
        code: 1,
        stdout: "",
        stderr: `error: ${message}\n`,
      });
    }
    assertEquals([page.requests, await installed()], [[], {}]);
  });
});

test("install.sh of a release installs that release, and --version another", async () => {
  await withSite({}, async ({ install, page, release, installed }) => {
    const script = await Deno.readTextFile(`${release.folder}/install.sh`);
    const first = await install({ script });
    assertEquals(first.code, 0, first.stderr);
    assertEquals(
      page.requests[0],
      `/download/v${VERSION}/SHA256SUMS`,
    );
    const same = await install({ args: ["--version", `v${VERSION}`] });
    assertEquals(same.code, 0, same.stderr);

    const none = await install({ script, args: ["--version", "9.9.9"] });
    assertEquals(none.code, 1);
    assertStringIncludes(
      none.stderr,
      `error: Cannot download "${page.url}/download/v9.9.9/SHA256SUMS": is there a release of that version, and can this machine reach it?\n`,
    );
    assertEquals(Object.keys(await installed()), ["battlescope-migrate"]);
  });
});

test("install.sh does not install an executable of another version than it was asked for", async () => {
  const executables = {
    "linux-x64": "#!/bin/sh\necho battlescope-migrate 0.0.9\n",
  };
  await withSite(executables, async ({ install, installed }) => {
    const { code, stderr } = await install({ args: ["--version", VERSION] });
    assertEquals(code, 1);
    assertStringIncludes(
      stderr,
      `error: Cannot install "battlescope-migrate-linux-x64" as version ${VERSION}: it says that it is "battlescope-migrate 0.0.9"\n`,
    );
    assertEquals(await installed(), {});
  });
});

testWith("curl", "wget")(
  "install.sh leaves what is installed alone when anything is wrong with the download",
  async () => {
    const file = "battlescope-migrate-linux-x64";
    const cases: Record<string, [(page: ReleasePage) => void, RegExp]> = {
      "another content": [
        (page) => page.replace(file, "#!/bin/sh\necho hacked\n"),
        /^error: Cannot install "battlescope-migrate-linux-x64": its SHA-256 is [0-9a-f]{64}, not [0-9a-f]{64} as in SHA256SUMS; try again, or tell us$/m,
      ],
      "a list without it": [
        (page) =>
          page.replace("SHA256SUMS", `${"0".repeat(64)}  ${file}.old\n`),
        /^error: Cannot check "battlescope-migrate-linux-x64": ".*\/SHA256SUMS" does not list it$/m,
      ],
      "a page of a proxy": [
        (page) => page.replace("SHA256SUMS", "<html>Please log in</html>"),
        /^error: Cannot check "battlescope-migrate-linux-x64": /m,
      ],
      "half of it": [
        (page) => page.cut(file),
        /^error: Cannot download ".*\/battlescope-migrate-linux-x64": /m,
      ],
      "half a list": [
        (page) => page.cut("SHA256SUMS"),
        /^error: Cannot download ".*\/SHA256SUMS": /m,
      ],
    };
    for (const [name, [spoil, message]] of Object.entries(cases)) {
      for (const tool of ["curl", "wget"]) {
        await withSite({}, async ({ install, page, home, installed }) => {
          await Deno.mkdir(`${home}/bin`);
          await Deno.writeTextFile(
            `${home}/bin/battlescope-migrate`,
            "the old",
          );
          spoil(page);
          const { code, stdout, stderr } = await install({
            tools: [tool, "sha256sum"],
          });
          assertEquals([code, stdout], [1, ""], name);
          assertMatch(stderr, message);
          assertEquals(await installed(), { "battlescope-migrate": "the old" });
        });
      }
    }
  },
);

test("install.sh does not install what cannot run here, and says what it needs", async () => {
  // As the kernel says it of an executable whose loader is missing, which is what Alpine is to ours.
  const executables = { "linux-x64": "#!/lib64/no-such-loader\n" };
  await withSite(executables, async ({ install, home, installed }) => {
    const { code, stderr } = await install();
    assertEquals(code, 1);
    assertMatch(
      stderr,
      /^error: Cannot run "battlescope-migrate-linux-x64" on this machine: .*not found$/m,
    );
    assertStringIncludes(
      stderr,
      `It needs glibc 2.27 or newer on Linux, which Alpine does not have: use the image there. And programs must be allowed to run in "${home}/bin"\n`,
    );
    assertEquals(await installed(), {});
  });
});

test("install.sh leaves nothing behind when it is stopped", async () => {
  for (const [signal, code] of [["SIGTERM", 143], ["SIGINT", 130]] as const) {
    await withSite({}, async ({ start, page, installed }) => {
      const { begun } = page.stall("battlescope-migrate-linux-x64");
      await using running = await start();
      await begun;
      assertEquals(Object.keys(await installed()).length, 1);
      running.kill(signal);
      assertEquals((await running.result).code, code);
      assertEquals(await installed(), {});
    });
  }
});

test("install.sh that was cut off on its way does nothing, wherever it was cut", async () => {
  const script = await Deno.readTextFile(SCRIPT);
  const lines = script.split("\n");
  await withSite({}, async ({ install, page, home }) => {
    // Up to the last line but one: with the last the script is whole.
    for (let count = 1; count < lines.length - 2; count += 4) {
      await install({ script: lines.slice(0, count).join("\n") });
    }
    await install({ script: script.trimEnd().replace(/main "\$@"$/, "") });
    assertEquals(page.requests, []);
    assertEquals(await Array.fromAsync(Deno.readDir(home)), []);
  });
});

test("install.sh says what it lacks", async () => {
  await withSite({}, async ({ install, page, home, installed }) => {
    const said = async (options: InstallOptions) => {
      const { code, stdout, stderr } = await install(options);
      assertEquals(stdout, "");
      return [code, stderr.split("\n").find((line) => /^error: /.test(line))];
    };
    const file = `${page.url}/latest/download`;
    assertEquals(await said({ tools: ["sha256sum"] }), [
      1,
      `error: Cannot download "${file}/SHA256SUMS": there is neither curl nor wget here`,
    ]);
    const [code, message] = await said({ tools: ["curl"] });
    assertEquals(code, 1);
    assertMatch(
      `${message}`,
      /^error: Cannot check ".*\/battlescope-migrate-linux-x64": there is neither sha256sum nor shasum here$/,
    );
    assertEquals(await said({ args: ["--signature"] }), [
      1,
      "error: Cannot check the signature: there is no cosign here; leave --signature out",
    ]);
    assertEquals(await said({ args: ["--to"] }), [
      2,
      "error: Option --to needs a value",
    ]);
    assertEquals(await said({ args: ["--too", "x"] }), [
      2,
      'error: Unknown argument "--too"',
    ]);
    assertEquals(await installed(), {});

    assertEquals(await said({ fakes: { mktemp: "exit 1" } }), [
      1,
      `error: Cannot install into "${home}/bin": it cannot be written to; pass --to FOLDER`,
    ]);
    await Deno.remove(`${home}/bin`, { recursive: true });
    await Deno.writeTextFile(`${home}/bin`, "a file");
    assertEquals(await said({}), [
      1,
      `error: Cannot install into "${home}/bin": it cannot be made; pass --to FOLDER`,
    ]);
  });
});

test("install.sh --signature has cosign check the list before anything else is downloaded", async () => {
  const file = "battlescope-migrate-linux-x64";
  const options = (exit: number) => ({
    args: ["--signature"],
    // cosign itself, and whom it asks, cannot be had here.
    fakes: {
      cosign: `for word; do echo "$word" >>"$LOG"; done; exit ${exit}`,
    },
  });
  await withSite({}, async ({ install, page, home, installed }) => {
    page.replace("SHA256SUMS.sigstore.json", "{}");
    const bad = await install(options(1));
    assertEquals(bad.code, 1);
    assertStringIncludes(
      bad.stderr,
      `error: Cannot trust "${page.url}/latest/download/SHA256SUMS": it is not signed by the release workflow of battlescope-migrate\n`,
    );
    assertEquals(page.requests.some((path) => path.endsWith(file)), false);
    assertEquals(await installed(), {});

    const good = await install(options(0));
    assertEquals(good.code, 0, good.stderr);
    const words = (await Deno.readTextFile(`${home}/log`)).split("\n");
    assertEquals(words.slice(0, 2), ["verify-blob", "--bundle"]);
    const documents = await Deno.readTextFile(
      new URL("../../docs/operations.md", import.meta.url),
    );
    // The identity is the one that the documents tell to check.
    const identity = words[words.indexOf("--certificate-identity-regexp") + 1]!;
    assertStringIncludes(documents, `'${identity}'`);
  });
});

async function withSite(
  executables: Readonly<Record<string, string | URL>>,
  use: (site: Site) => Promise<void>,
): Promise<void> {
  await withRelease(executables, async (release) => {
    await using page = publish(release);
    const work = await Deno.makeTempDir({ prefix: "install-" });
    const home = join(work, "home");
    await Deno.chmod(work, 0o755);
    await Deno.mkdir(home);
    let runs = 0;
    const start = async (
      {
        args = [],
        shell = ["sh"],
        tools = ["curl", "sha256sum"],
        fakes = {},
        script,
      }: InstallOptions = {},
    ) => {
      const path = join(work, `tools-${++runs}`);
      await gatherTools(path, [...TOOLS, ...tools], fakes);
      const [program, ...words] = [
        ...[await locate(shell[0]!), ...shell.slice(1), "-s", "--"],
        ...[`--from`, page.url, `--to`, `${home}/bin`, ...args],
      ];
      return startProcess(
        new Deno.Command(program!, {
          args: words,
          clearEnv: true,
          env: { PATH: path, LOG: join(home, "log") },
          stdin: "piped",
          stdout: "piped",
          stderr: "piped",
          detached: true,
        }),
        {
          stdin: script ?? await Deno.readTextFile(SCRIPT),
          // As a terminal does it: what the shell waits for gets the signal too.
          group: true,
        },
      );
    };
    try {
      await use({
        page,
        release,
        home,
        start,
        async install(options) {
          await using running = await start(options);
          return await running.result;
        },
        async installed() {
          const files: Record<string, string> = {};
          const bin = join(home, "bin");
          const entries = await Array.fromAsync(Deno.readDir(bin))
            .catch(() => []);
          for (const { name, isFile } of entries) {
            files[name] = isFile
              ? (await Deno.readTextFile(join(bin, name))).split("\n")[0]!
              : "";
          }
          return files;
        },
      });
    } finally {
      await Deno.remove(work, { recursive: true });
    }
  });
}

/** A folder that holds these programs and no others. */
async function gatherTools(
  folder: string,
  names: readonly string[],
  fakes: Readonly<Record<string, string>>,
): Promise<void> {
  await Deno.mkdir(folder);
  for (const name of names) {
    if (name in fakes) continue;
    await Deno.symlink(await locate(name), join(folder, name));
  }
  for (const [name, script] of Object.entries(fakes)) {
    await Deno.writeTextFile(join(folder, name), `#!/bin/sh\n${script}\n`);
    await Deno.chmod(join(folder, name), 0o755);
  }
}

async function locate(name: string): Promise<string> {
  for (const folder of (Deno.env.get("PATH") ?? "").split(":")) {
    const path = join(folder, name);
    const found = await Deno.stat(path).then(
      (info) => info.isFile,
      () => false,
    );
    if (found) return path;
  }
  throw new Error(`There is no "${name}" here`);
}

function uname(system: string, machine: string): Record<string, string> {
  return {
    uname: `case $1 in -s) echo ${system} ;; -m) echo ${machine} ;; esac`,
  };
}
