/**
 * What a release publishes: `deno task release`, and the parts of the workflow around it.
 */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { parse } from "@std/yaml";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { VERSION } from "../../src/cli/version.ts";
import { helmTemplate } from "../support/k8s/helm.ts";
import { runKubeTool } from "../support/k8s/kube_tools.ts";
import { type Manifest, parseManifests } from "../support/k8s/kubernetes.ts";
import { testWith } from "../support/program/needs.ts";
import { DIGEST, runRelease, withRelease } from "../support/program/release.ts";

const IMAGE = "ghcr.io/battlescope/battlescope-migrate";
const NAME = `battlescope-migrate-${VERSION}`;

const WORKFLOW = fileURLToPath(
  new URL("../../.github/workflows/release.yml", import.meta.url),
);

Deno.test("a release holds these files and no others, each in SHA256SUMS", async () => {
  await withRelease({}, async ({ folder }) => {
    const names = (await Array.fromAsync(Deno.readDir(folder)))
      .map(({ name }) => name).sort();
    assertEquals(names, [
      "SHA256SUMS",
      `${NAME}-linux-arm64-airgap.tar.gz`,
      `${NAME}-linux-x64-airgap.tar.gz`,
      `${NAME}-manifests.tar.gz`,
      `${NAME}-source-maps.tar.gz`,
      `${NAME}.tgz`,
      "battlescope-migrate-linux-arm64",
      "battlescope-migrate-linux-x64",
      "battlescope-migrate-macos-arm64",
      "battlescope-migrate-macos-x64",
      "battlescope-migrate.cdx.json",
      "install.sh",
    ]);
    const sums = await shell("sha256sum --check SHA256SUMS", folder);
    assertEquals(
      sums.trim().split("\n"),
      names.slice(1).map((name) => `${name}: OK`),
    );
    assertEquals(
      await shell(`tar -tzf ${NAME}-source-maps.tar.gz`, folder),
      `${NAME}-source-maps/battlescope-migrate.js.map\n` +
        `${NAME}-source-maps/chunk-2UAZXDFL.js.map\n`,
    );
  });
});

testWith("kubectl")(
  "the manifests of a release run the image of that release, by its digest",
  async () => {
    await withRelease({}, async ({ folder }) => {
      await shell(`tar -xzf ${NAME}-manifests.tar.gz`, folder);
      const root = join(folder, `${NAME}-manifests`);
      const render = async (kustomization: string) => {
        const { code, stdout } = await runKubeTool("kubectl", [
          "kustomize",
          join(root, "infra/k8s", kustomization),
        ]);
        assertEquals(code, 0);
        return parseManifests(stdout).flatMap(imagesOf);
      };
      const pinned = `${IMAGE}@${DIGEST}`;
      assertEquals(await render("base"), [pinned]);
      assertEquals(await render("overlays/rollback"), [pinned]);
      const [init] = await render("examples/service");
      assertEquals(init, pinned);
      // A name of one's own still goes in by the same way.
      await Deno.writeTextFile(
        join(root, "kustomization.yaml"),
        `resources: [infra/k8s/base]\nimages: [{ name: ${IMAGE}, newName: registry.internal/migrate }]\n`,
      );
      assertEquals(await render("../.."), [
        `registry.internal/migrate@${DIGEST}`,
      ]);
      await Deno.stat(join(root, "infra/ci/wait-for-job.sh"));
      await Deno.stat(join(root, "infra/sql/1-roles.sql"));
    });
  },
);

testWith("kubectl")(
  "the chart of a release is one to Helm, and runs the image of that release, by its digest",
  async () => {
    await withRelease({}, async ({ folder }) => {
      const chart = join(folder, `${NAME}.tgz`);
      const lint = await runKubeTool("helm", ["lint", "--strict", chart]);
      assertEquals(lint.code, 0, lint.stdout);
      const { Job } = await helmTemplate({}, chart);
      assertEquals(imagesOf(Job), [`${IMAGE}@${DIGEST}`]);
      const show = await runKubeTool("helm", ["show", "chart", chart]);
      assertEquals((parse(show.stdout) as Manifest).version, VERSION);
    });
  },
);

Deno.test("the notes of a release say what is new, the image with its digest, and how to install", async () => {
  await withRelease({}, ({ notes }) => {
    assertEquals(
      notes,
      `### Added

- This and that.

### Image

\`\`\`
${IMAGE}:${VERSION}
${IMAGE}@${DIGEST}
\`\`\`

The manifests (\`${NAME}-manifests.tar.gz\`) and the Helm chart
(\`${NAME}.tgz\`) of this release are pinned to this digest.

### Executable

\`\`\`sh
curl -fsSL https://github.com/battlescope/battlescope-migrate/releases/download/v${VERSION}/install.sh | sh
\`\`\`

\`SHA256SUMS\` lists every file, and is signed (\`SHA256SUMS.sigstore.json\`);
docs/operations.md, "Security", tells how to check it.
`,
    );
    return Promise.resolve();
  });
});

Deno.test("deno task release refuses another tag, an unknown version, a digest that is none, and what was not built", async () => {
  const folder = await Deno.makeTempDir({ prefix: "release-" });
  const changelog = join(folder, "CHANGELOG.md");
  try {
    const said = async (...args: string[]) => {
      const { code, stdout, stderr } = await runRelease(
        ...args,
        `--changelog=${changelog}`,
      );
      assertEquals(stdout, "");
      return [code, stderr.trim()];
    };
    await Deno.writeTextFile(changelog, "# Changelog\n\n## Unreleased\n\nA\n");
    assertEquals(await said("--check=v9.9.9"), [
      1,
      `Cannot release "v9.9.9": deno.json says that the version is ${VERSION}`,
    ]);
    assertEquals(await said(`--check=v${VERSION}`), [
      1,
      `Cannot release ${VERSION}: CHANGELOG.md says nothing under "## ${VERSION}"; rename "## Unreleased"`,
    ]);
    await Deno.writeTextFile(changelog, `## ${VERSION} - 2026-11-28\n\nA\n`);
    assertEquals(await said(`--check=v${VERSION}`), [0, ""]);
    assertEquals(await said("--digest=latest"), [
      1,
      'Cannot pin the image to "latest": it is no digest such as sha256:…',
    ]);
    const [code, message] = await said(
      `--digest=${DIGEST}`,
      `--dist=${folder}`,
      `--output=${join(folder, "out")}`,
    );
    assertEquals(code, 1);
    assertStringIncludes(`${message}`, "battlescope-migrate-linux-x64");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

for (
  const [tag, tags] of [
    ["v1.2.3", [`${IMAGE}:1.2.3`, `${IMAGE}:1.2`]],
    ["v1.2.0-rc.1", [`${IMAGE}:1.2.0-rc.1`]],
  ] as const
) {
  Deno.test(`release.yml tags the image of ${tag} as ${tags.join(" and ")}`, async () => {
    const { env, jobs } = parse(await Deno.readTextFile(WORKFLOW)) as Manifest;
    const step = jobs.image.steps.find(({ id }: Manifest) => id === "name");
    const output = await Deno.makeTempFile();
    try {
      await shell(step.run, "/", {
        IMAGE: env.IMAGE,
        GITHUB_REF_NAME: tag,
        GITHUB_OUTPUT: output,
      });
      assertEquals(
        await Deno.readTextFile(output),
        `tags<<END\n${tags.join("\n")}\nEND\n`,
      );
    } finally {
      await Deno.remove(output);
    }
  });
}

Deno.test("release.yml publishes a pre-release as one, and of release/ everything", async () => {
  const { jobs } = parse(await Deno.readTextFile(WORKFLOW)) as Manifest;
  const { run } = jobs.release.steps.at(-1);
  const folder = await Deno.makeTempDir({ prefix: "publish-" });
  try {
    await Deno.mkdir(join(folder, "release"));
    for (const name of ["a", "b"]) {
      await Deno.writeTextFile(join(folder, "release", name), "");
    }
    // GitHub's own program is not here: what it would be asked is what is looked at.
    const published = (tag: string) =>
      shell(`gh() { echo "$@"; }\n${run}`, folder, { GITHUB_REF_NAME: tag });
    const flags = "--verify-tag --notes-file release-notes.md";
    assertEquals(
      await published("v1.2.3"),
      `release create v1.2.3 ${flags} release/a release/b\n`,
    );
    assertEquals(
      await published("v1.2.3-rc.1"),
      `release create v1.2.3-rc.1 ${flags} --prerelease release/a release/b\n`,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

function imagesOf({ spec }: Manifest): string[] {
  const { initContainers = [], containers = [] } = spec.template?.spec ?? {};
  return [...initContainers, ...containers].map(({ image }) => image);
}

async function shell(
  script: string,
  cwd: string,
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command("bash", {
    // As GitHub runs the scripts of a workflow.
    args: ["-e", "-o", "pipefail", "-c", script],
    cwd,
    env: { ...env },
  }).output();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}
