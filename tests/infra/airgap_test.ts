/**
 * The bundle for a place without a network: packed, carried there, checked and used.
 */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { createHash } from "node:crypto";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { VERSION } from "../../src/cli/version.ts";
import { type MigrateResult, startProcess } from "../support/program/cli.ts";
import { executable } from "../support/program/binary.ts";
import { CONTAINERS_CONF, image, must } from "../support/k8s/container.ts";
import { filesNamedIn, linksOf } from "../support/program/documents.ts";
import { testWith } from "../support/program/needs.ts";
import { withOfflineSite } from "../support/program/offline.ts";

const CHECKOUT = fileURLToPath(new URL("../../", import.meta.url));
const NAME = `battlescope-migrate-${VERSION}-linux-x64-airgap`;

testWith("podman", "namespaces", "git")(
  "airgap bundle: works from the first check to the last migration without a network",
  async () => {
    await withFolder(async (folder) => {
      const archive = join(folder, "image.tar");
      await must(["save", "--quiet", `--output=${archive}`, await image()]);
      const { code, stdout, stderr } = await task(
        ...["airgap", `--executable=${await executable()}`],
        ...[`--image=${archive}`, `--output=${folder}`],
      );
      assertEquals(code, 0, stderr);
      const bundle = stdout.trim();
      assertEquals(bundle, join(folder, `${NAME}.tar.gz`));
      await withOfflineSite(async ({ folder: site, url, run }) => {
        const ok = async (command: string, env = {}): Promise<string> => {
          const result = await run(command, env);
          assertEquals(result.code, 0, `${command}\n${result.stderr}`);
          return result.stdout;
        };
        // There is no way out: not a route, not an address but the loopback's.
        assertEquals(await ok("ip route; ip -6 route show default"), "");
        assertEquals(await ok("ip -o link | wc -l"), "1\n");

        await ok(`cp ${bundle} ${bundle}.sha256 .`);
        assertEquals(
          await ok(`sha256sum --check ${NAME}.tar.gz.sha256`),
          `${NAME}.tar.gz: OK\n`,
        );
        await ok(`tar -xzf ${NAME}.tar.gz && mkdir bin`);
        assertEquals(
          await ok(`sh ${NAME}/install.sh install ${site}/bin`),
          `Every file is as it was packed\nInstalled ${site}/bin/battlescope-migrate\n`,
        );
        const env = { DATABASE_URL: url };
        const program = "bin/battlescope-migrate";
        assertStringIncludes(await ok(`${program} version`), VERSION);
        assertStringIncludes(
          await ok(`${program} up`, env),
          "20260105105000_audit_logs",
        );
        assertStringIncludes(
          await ok(`${program} status --check`, env),
          "12 applied, 0 pending",
        );
        await ok(`${program} down --all --yes`, env);
        const pending = await run(`${program} status --check`, env);
        assertEquals(pending.code, 3, pending.stderr);

        const engine = await containerEngine(site);
        const loaded = await ok(`sh ${NAME}/install.sh load podman`, engine);
        const name = /^Loaded image: (.*)$/m.exec(loaded)?.[1];
        assertStringIncludes(
          await ok(
            `podman run --rm --read-only --network=host --env=DATABASE_URL ${name}`,
            { ...engine, ...env },
          ),
          "Applied 12 migrations in ",
        );
      });
    });
  },
);

testWith("git")(
  "airgap bundle: the same inputs give the same bytes, and every file is listed",
  async () => {
    await withFolder(async (folder) => {
      const executable = join(folder, "battlescope-migrate-macos-arm64");
      const image = join(folder, "some.tar");
      await Deno.writeTextFile(executable, "an executable");
      await Deno.writeTextFile(image, "an image");
      const bundles = [];
      for (const output of ["first", "second"]) {
        const { code, stdout, stderr } = await task(
          "airgap",
          `--executable=${executable}`,
          `--image=${image}`,
          `--output=${join(folder, output)}`,
        );
        assertEquals(code, 0, stderr);
        bundles.push(stdout.trim());
        // A later time, and another order of the disk, must not show.
        await Deno.utime(executable, new Date(), new Date());
      }
      const [first, second] = bundles as [string, string];
      const name = `battlescope-migrate-${VERSION}-macos-arm64-airgap`;
      assertEquals(basename(first), `${name}.tar.gz`);
      assertEquals(
        await Deno.readFile(first),
        await Deno.readFile(second),
      );
      const sum = createHash("sha256").update(await Deno.readFile(first));
      assertEquals(
        await Deno.readTextFile(`${first}.sha256`),
        `${sum.digest("hex")}  ${name}.tar.gz\n`,
      );

      const listed = await shell(`tar -tzf ${first}`);
      const paths = listed.stdout.trim().split("\n")
        .map((path) => path.replace(`${name}/`, ""));
      assertEquals(paths, paths.toSorted());
      for (
        const path of [
          "battlescope-migrate",
          "battlescope-migrate.cdx.json",
          "CHANGELOG.md",
          "README.md",
          "SECURITY.md",
          "docs/operations.md",
          "image.tar",
          "infra/compose.yaml",
          "infra/k8s/base/db-migrate-job.yaml",
          "infra/sql/1-roles.sql",
          "install.sh",
        ]
      ) {
        assertEquals(paths.includes(path), true, path);
      }
      await shell(`tar -xzf ${first} -C ${folder}`);
      assertEquals(await missingFrom(join(folder, name), paths), []);
      const sums = await Deno.readTextFile(join(folder, name, "SHA256SUMS"));
      assertEquals(
        sums.trim().split("\n").map((line) => line.slice(66)),
        paths.filter((path) => path !== "SHA256SUMS"),
      );
      const long = await shell(`tar -tvzf ${first}`);
      const modes = new Map(
        long.stdout.trim().split("\n").map((line) => {
          const [mode, owner] = line.split(/\s+/);
          return [line.replace(/^.*airgap\//, ""), `${mode} ${owner}`];
        }),
      );
      assertEquals(modes.get("battlescope-migrate"), "-rwxr-xr-x root/root");
      assertEquals(modes.get("docs/operations.md"), "-rw-r--r-- root/root");
    });
  },
);

testWith("git")(
  "airgap bundle: a changed file is found before anything is installed",
  async () => {
    await withFolder(async (folder) => {
      const executable = join(folder, "battlescope-migrate-linux-x64");
      await Deno.writeTextFile(executable, "an executable");
      const { stdout } = await task(
        ...["airgap", `--executable=${executable}`, `--output=${folder}`],
      );
      await shell(`tar -xzf ${stdout.trim()} -C ${folder}`);
      const unpacked = join(folder, NAME);
      const installed = join(folder, "bin");
      await Deno.mkdir(installed);
      await Deno.writeTextFile(
        join(unpacked, "battlescope-migrate"),
        "another",
      );
      const install = await shell(
        `sh ${unpacked}/install.sh install ${installed}`,
      );
      assertEquals([install.code, install.stdout], [
        1,
        "battlescope-migrate: FAILED\n",
      ]);
      assertEquals(await Array.fromAsync(Deno.readDir(installed)), []);

      const load = await shell(`sh ${unpacked}/install.sh load`);
      assertEquals([load.code, load.stdout, load.stderr], [
        1,
        "",
        "Cannot load the image: this bundle was packed without one\n",
      ]);
      const wrong = await shell(`sh ${unpacked}/install.sh instal`);
      assertEquals([wrong.code, wrong.stdout], [2, ""]);
      assertMatch(wrong.stderr, /^Usage: sh install.sh verify/);
    });
  },
);

Deno.test("airgap bundle: a missing executable is named", async () => {
  await withFolder(async (folder) => {
    const none = await task("airgap");
    assertEquals([none.code, none.stdout, none.stderr], [
      1,
      "",
      "Usage: deno task airgap --executable FILE [--image FILE] [--output FOLDER]\n",
    ]);
    const executable = join(folder, "battlescope-migrate-linux-x64");
    const missing = await task(
      ...["airgap", `--executable=${executable}`, `--output=${folder}`],
    );
    assertEquals([missing.code, missing.stdout], [1, ""]);
    assertStringIncludes(missing.stderr, executable);
    assertEquals(await Array.fromAsync(Deno.readDir(folder)), []);
  });
});

/** The files that the documents of a bundle lead to or name, and that are not in it. */
async function missingFrom(
  folder: string,
  paths: readonly string[],
): Promise<string[]> {
  const has = (file: string) =>
    paths.some((path) => path === file || path.startsWith(`${file}/`));
  const missing: string[] = [];
  const documents = paths.filter((path) => path.endsWith(".md"));
  assertEquals(documents.length >= 5, true);
  for (const document of documents) {
    const text = await Deno.readTextFile(join(folder, document));
    const files = [
      ...linksOf(document, text).map(({ target }) => target),
      // Scripts are of use in a checkout only, which the document says.
      ...filesNamedIn(text).filter((name) => !name.startsWith("scripts/")),
    ];
    missing.push(
      ...files.filter((file) => !has(file))
        .map((file) => `${document}: ${file}`),
    );
  }
  return missing;
}

/** A storage of the place's own, without mounts that would outlive the test. */
async function containerEngine(
  folder: string,
): Promise<Record<string, string>> {
  const storage = join(folder, "storage.conf");
  await Deno.writeTextFile(
    storage,
    `[storage]
driver = "vfs"
graphroot = "${folder}/images"
runroot = "${folder}/run"
`,
  );
  const containers = join(folder, "containers.conf");
  await Deno.writeTextFile(containers, CONTAINERS_CONF);
  return { CONTAINERS_STORAGE_CONF: storage, CONTAINERS_CONF: containers };
}

async function withFolder(
  use: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "airgap-" });
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function task(...args: readonly string[]): Promise<MigrateResult> {
  return run(Deno.execPath(), ["task", "--quiet", ...args]);
}

function shell(command: string): Promise<MigrateResult> {
  return run("sh", ["-c", command]);
}

async function run(
  program: string,
  args: readonly string[],
): Promise<MigrateResult> {
  await using running = startProcess(
    new Deno.Command(program, {
      args: [...args],
      cwd: CHECKOUT,
      env: { NO_COLOR: "1" },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }),
    { timeoutMs: 300_000 },
  );
  return await running.result;
}
