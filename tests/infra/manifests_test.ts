/**
 * The manifests of `infra/k8s`: built by kubectl, accepted by Kubernetes' own schemas, and true to what the program does.
 */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { VERSION } from "../../src/cli/version.ts";
import { parseDuration } from "../../src/text.ts";
import { SETTINGS } from "../../src/cli/settings.ts";
import { VARIABLES } from "../../src/cli/variables.ts";
import { battlescope } from "../../scripts/dev/kysely.ts";
import {
  kustomizations,
  kustomize,
  kustomizeText,
  type Manifest,
  parseManifests,
  plainFiles,
  readManifests,
  schemaFaults,
} from "../support/k8s/kubernetes.ts";
import { runKubeTool } from "../support/k8s/kube_tools.ts";
import { testWith } from "../support/program/needs.ts";

const IMAGE = `ghcr.io/battlescope/battlescope-migrate:${VERSION}`;

/** Every kustomization that stands for itself; a component needs something to work on. */
const FOLDERS = [
  "base",
  "examples/service",
  "overlays/argocd",
  "overlays/argocd-post",
  "overlays/helm-hook",
  "overlays/many-databases",
  "overlays/many-databases-post",
  "overlays/post",
  "overlays/rollback",
];

/** Those whose Job follows the rollout. */
const POST = FOLDERS.filter((folder) => folder.endsWith("post"));

const test = testWith("kubectl");

const JOBS = FOLDERS.filter((folder) => folder !== "examples/service");

Deno.test("infra/k8s holds nothing that these tests do not know", async () => {
  assertEquals(
    await kustomizations(),
    [
      ...FOLDERS,
      "components/post",
      "components/traces",
      "components/wait-for-migrations",
    ].sort(),
  );
  assertEquals(await plainFiles(), ["namespace.yaml", "secret.example.yaml"]);
});

test("every object of every kustomization satisfies Kubernetes' schemas and types", async () => {
  const objects = await Promise.all([
    ...FOLDERS.map(kustomize),
    ...(await plainFiles()).map(readManifests),
  ]);
  assertEquals(await schemaFaults(objects.flat()), "");
  assertEquals(objects.map((list) => list.map(({ kind }) => kind)), [
    ["Job", "NetworkPolicy"],
    ["Deployment"],
    ["Job", "NetworkPolicy"],
    ["Job", "NetworkPolicy"],
    ["Job", "NetworkPolicy"],
    ["Job", "NetworkPolicy"],
    ["Job", "NetworkPolicy"],
    ["Job", "NetworkPolicy"],
    ["Job", "NetworkPolicy"],
    ["Namespace"],
    ["Secret", "Secret"],
  ]);
});

test("the check of schemas and types finds a misspelt field and a wrong value", async () => {
  const [misspelt] = await kustomize("base");
  misspelt.spec.backofLimit = 2;
  assertStringIncludes(
    await schemaFaults([misspelt]),
    `'"backofLimit"' does not exist in type 'IJobSpec'`,
  );
  // A pattern that the types do not know.
  const [, wrong] = await readManifests("secret.example.yaml");
  wrong.data = { "database-url": "not base64!" };
  assertStringIncludes(await schemaFaults([wrong]), "/data/database-url");
});

for (const folder of JOBS) {
  test(`the Job of ${folder} runs this version with the least rights`, async () => {
    const { pod, container } = await job(folder);
    assertEquals(container.image, IMAGE);
    assertEquals(pod.automountServiceAccountToken, false);
    assertEquals(pod.enableServiceLinks, false);
    assertEquals(pod.restartPolicy, "Never");
    assertEquals(pod.securityContext, {
      runAsNonRoot: true,
      runAsUser: 65532,
      runAsGroup: 65532,
      fsGroup: 65532,
      seccompProfile: { type: "RuntimeDefault" },
    });
    assertEquals(container.securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
    assertEquals(container.resources, {
      requests: { cpu: "50m", memory: "64Mi" },
      limits: { cpu: "500m", memory: "64Mi" },
    });
    // No shell is in the image, and the entry point is the program.
    assertEquals(container.command, undefined);
    assertEquals(container.terminationMessagePolicy, "FallbackToLogsOnError");
    // Nothing to write on: the only volume is the Secret, readable by the group of the process.
    assertEquals(pod.volumes.length, 1);
    const [{ secret, projected }] = pod.volumes;
    assertEquals((secret ?? projected).defaultMode, 0o440);
    assertEquals(container.volumeMounts.length, 1);
    assertEquals(container.volumeMounts[0].readOnly, true);
  });

  test(`the Job of ${folder} gives the program time to end by itself`, async () => {
    const { spec, pod } = await job(folder);
    if (POST.includes(folder)) {
      // What may take hours has no deadline; a pod of it ends by itself.
      assertEquals(spec.activeDeadlineSeconds, undefined);
      assertEquals(pod.terminationGracePeriodSeconds, 10);
      return;
    }
    const attempts = 1 + (spec.backoffLimit ?? spec.backoffLimitPerIndex);
    const waves = Math.ceil(
      (spec.completions ?? 1) / (spec.parallelism ?? 1),
    );
    // Kubernetes waits 10 s, 20 s, 40 s … before the second, third, fourth attempt.
    const pauses = 10 * (2 ** (attempts - 1) - 1);
    const waits = setting("connect-timeout") + setting("wait-for-db") +
      setting("lock-wait") + setting("lock-retry");
    const needed = waves * (attempts * waits + pauses);
    // As much again for the migrations themselves and for pulling the image.
    assertEquals(spec.activeDeadlineSeconds >= 2 * needed, true, `${needed} s`);
    // The program is gone within 5 s of a SIGTERM, and a drain is not held up for long.
    assertEquals(pod.terminationGracePeriodSeconds, 10);
  });

  test(`the Job of ${folder} fails at once on exit 2 and does not count disruptions`, async () => {
    const { spec, container } = await job(folder);
    const indexed = spec.completionMode === "Indexed";
    assertEquals(spec.podFailurePolicy.rules, [
      ...(POST.includes(folder)
        ? [{
          action: "Ignore",
          onExitCodes: {
            containerName: container.name,
            operator: "In",
            values: [4],
          },
        }]
        : []),
      {
        action: indexed ? "FailIndex" : "FailJob",
        onExitCodes: {
          containerName: container.name,
          operator: "In",
          values: [2],
        },
      },
      {
        action: "Ignore",
        onPodConditions: [{ type: "DisruptionTarget", status: "True" }],
      },
    ]);
    assertEquals(spec.podReplacementPolicy, "Failed");
  });

  test(`the NetworkPolicy of ${folder} covers the Job's pods and lets only DNS and PostgreSQL out`, async () => {
    const { spec } = await job(folder);
    const policy = await object(folder, "NetworkPolicy");
    const labels = spec.template.metadata.labels;
    for (
      const [name, value] of Object.entries(policy.spec.podSelector.matchLabels)
    ) {
      assertEquals(labels[name], value);
    }
    assertEquals(policy.spec.policyTypes, ["Ingress", "Egress"]);
    assertEquals(policy.spec.ingress, []);
    assertEquals(policy.spec.egress, [
      { ports: [{ protocol: "UDP", port: 53 }, { protocol: "TCP", port: 53 }] },
      { ports: [{ protocol: "TCP", port: 5432 }] },
    ]);
  });
}

test("the Job of base is db-migrate in the namespace battlescope, applies and removes itself after a day", async () => {
  const { metadata, spec, container } = await job("base");
  assertEquals([metadata.name, metadata.namespace], [
    "db-migrate",
    "battlescope",
  ]);
  assertEquals(container.args, ["up", "--phase", "pre"]);
  assertEquals(spec.backoffLimit, 2);
  assertEquals(spec.ttlSecondsAfterFinished, 24 * 60 * 60);
  const [namespace] = await readManifests("namespace.yaml");
  assertEquals(namespace.metadata.name, metadata.namespace);
});

test("the Secret example has every file that the Job and the services read", async () => {
  const secrets = await readManifests("secret.example.yaml");
  const { pod: service } = await deployment();
  const { pod } = await job("base");
  const names = [pod, service].map(({ volumes }) =>
    volumes[0].secret.secretName
  );
  assertEquals(secrets.map(({ metadata }) => metadata.name), names);
  for (const { metadata, stringData } of secrets) {
    assertEquals(metadata.namespace, "battlescope");
    assertEquals(Object.keys(stringData), ["database-url", "ca.crt"]);
    const url = new URL(stringData["database-url"]);
    assertEquals(url.searchParams.get("sslmode"), "verify-full");
    assertEquals(
      url.searchParams.get("sslrootcert"),
      "/run/secrets/database/ca.crt",
    );
    // An example that would work by accident is a leak.
    assertEquals(url.password, "CHANGE-ME");
  }
});

test("the overlay helm-hook is a chart's template whose objects are hooks, the policy before the Job", async () => {
  const template = await kustomizeText("overlays/helm-hook");
  const chart = await Deno.makeTempDir({ prefix: "chart-" });
  try {
    await Deno.mkdir(`${chart}/templates`);
    await Deno.writeTextFile(
      `${chart}/Chart.yaml`,
      "apiVersion: v2\nname: battlescope\nversion: 1.0.0\n",
    );
    await Deno.writeTextFile(`${chart}/templates/db-migrate.yaml`, template);
    const render = async (...options: string[]) => {
      const args = ["template", "release", chart, ...options];
      const { code, stdout, stderr } = await runKubeTool("helm", args);
      assertEquals([code, stderr], [0, ""]);
      return stdout;
    };
    // Helm itself must see hooks: without them nothing is left of the chart.
    assertEquals((await render("--no-hooks")).trim(), "");
    const rendered = await render();
    assertMatch(rendered, /^kind: NetworkPolicy$[^]*^kind: Job$/m);
    const lint = await runKubeTool("helm", ["lint", "--strict", chart]);
    assertEquals(lint.code, 0, lint.stdout);
  } finally {
    await Deno.remove(chart, { recursive: true });
  }
  const { metadata, spec } = await job("overlays/helm-hook");
  assertEquals(metadata.annotations, {
    "helm.sh/hook": "pre-install,pre-upgrade",
    "helm.sh/hook-weight": "0",
    "helm.sh/hook-delete-policy": "before-hook-creation",
  });
  assertEquals(spec.ttlSecondsAfterFinished, undefined);
});

test("the overlay argocd runs before the sync and does not remove itself", async () => {
  const { metadata, spec } = await job("overlays/argocd");
  assertEquals(metadata.annotations, {
    "argocd.argoproj.io/hook": "PreSync",
    "argocd.argoproj.io/sync-wave": "0",
    "argocd.argoproj.io/hook-delete-policy": "BeforeHookCreation",
  });
  assertEquals(spec.ttlSecondsAfterFinished, undefined);
  const policy = await object("overlays/argocd", "NetworkPolicy");
  assertEquals(
    policy.metadata.annotations["argocd.argoproj.io/sync-wave"],
    "-5",
  );
});

test("the overlay rollback goes back to a migration that exists, never by a number of steps", async () => {
  const { metadata, spec, container } = await job("overlays/rollback");
  assertEquals(metadata.name, "db-rollback");
  assertEquals(spec.backoffLimit, 0);
  const [command, to, name, yes] = container.args;
  assertEquals([command, to, yes, container.args.length], [
    "down",
    "--to",
    "--yes",
    4,
  ]);
  // It is the last but one, so that a careless "apply" undoes one migration and not the schema.
  assertEquals(name, battlescope.at(-2)?.name);
});

test("the overlay many-databases has one file for each index, and retries of its own", async () => {
  const { metadata, spec, pod, container } = await job(
    "overlays/many-databases",
  );
  assertEquals(metadata.name, "db-migrate-all");
  assertEquals(spec.completionMode, "Indexed");
  assertEquals(spec.backoffLimit, undefined);
  assertEquals(spec.backoffLimitPerIndex, 2);
  const paths = pod.volumes[0].projected.sources.map((
    { secret }: Manifest,
  ) => secret.items.map(({ path }: Manifest) => path));
  assertEquals(
    paths,
    Array.from({ length: spec.completions }, (_, index) => [`${index}`]),
  );
  assertEquals(container.args, ["up", "--phase", "pre"]);
});

for (
  const [folder, name] of [
    ["post", "db-migrate-post"],
    ["argocd-post", "db-migrate-post"],
    ["many-databases-post", "db-migrate-all-post"],
  ] as const
) {
  test(`the overlay ${folder} is an ordinary Job that follows the rollout`, async () => {
    const { metadata, container } = await job(`overlays/${folder}`);
    assertEquals([metadata.name, metadata.namespace], [name, "battlescope"]);
    assertEquals(
      container.args,
      ["up", "--phase", "post", "--time-limit", "50m"],
    );
    assertEquals(
      metadata.annotations,
      folder === "argocd-post"
        ? {
          "argocd.argoproj.io/sync-wave": "10",
          "argocd.argoproj.io/sync-options": "Force=true,Replace=true",
        }
        : undefined,
    );
  });
}

test("the component makes the pods of a labelled service wait", async () => {
  const { pod } = await deployment();
  assertEquals(pod.enableServiceLinks, false);
  const [init] = pod.initContainers;
  assertEquals(init.image, IMAGE);
  assertEquals(init.args, ["status", "--wait", "10m", "--phase", "pre"]);
  assertEquals(init.terminationMessagePolicy, "FallbackToLogsOnError");
  assertEquals(init.securityContext, {
    runAsNonRoot: true,
    runAsUser: 65532,
    runAsGroup: 65532,
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ["ALL"] },
    seccompProfile: { type: "RuntimeDefault" },
  });
  assertEquals(init.resources.limits, { cpu: "500m", memory: "64Mi" });
  assertEquals(pod.volumes[0].secret.secretName, "db-migrate-status");
  // Its credentials stay with it.
  const mounts = pod.containers.map((one: Manifest) => one.volumeMounts);
  assertEquals(mounts, [undefined]);
});

const K8S = fileURLToPath(new URL("../../infra/k8s", import.meta.url));

/** What a component makes of resources, which are files or folders in `infra/k8s`, or the text of a file. */
async function withComponent(
  component: string,
  resource: { readonly folder: string } | { readonly text: string },
): Promise<Manifest[]> {
  const folder = await Deno.makeTempDir({ prefix: "component-" });
  const inK8s = (path: string) => relative(folder, `${K8S}/${path}`);
  try {
    if ("text" in resource) {
      await Deno.writeTextFile(`${folder}/resource.yaml`, resource.text);
    }
    const name = "text" in resource ? "resource.yaml" : inK8s(resource.folder);
    await Deno.writeTextFile(
      `${folder}/kustomization.yaml`,
      `resources: [${name}]\ncomponents: [${
        inK8s(`components/${component}`)
      }]\n`,
    );
    const { code, stdout, stderr } = await runKubeTool("kubectl", [
      "kustomize",
      folder,
    ]);
    assertEquals(code, 0, stderr);
    return parseManifests(stdout);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

test("the component leaves a Deployment without the label alone", async () => {
  const plain = (await Deno.readTextFile(
    `${K8S}/examples/service/deployment.yaml`,
  )).replace(/ +battlescope.io\/wait-for-migrations: "true"\n/, "");
  assertEquals(
    await withComponent("wait-for-migrations", { text: plain }),
    parseManifests(plain),
  );
});

for (const folder of ["base", "overlays/argocd", "overlays/post"]) {
  test(`the component traces tells the Job of ${folder} where to send them, and lets it`, async () => {
    const objects = await withComponent("traces", { folder });
    assertEquals(await schemaFaults(objects), "");
    const [job, policy] = ["Job", "NetworkPolicy"].map((kind) =>
      objects.find((one) => one.kind === kind)
    );
    const [{ env }] = job.spec.template.spec.containers;
    assertEquals(env.slice(1), [
      {
        name: "OTEL_EXPORTER_OTLP_ENDPOINT",
        value: "http://otel-collector.observability:4318",
      },
      {
        name: "OTEL_EXPORTER_OTLP_HEADERS",
        valueFrom: {
          secretKeyRef: {
            name: "db-migrate-traces",
            key: "headers",
            optional: true,
          },
        },
      },
    ]);
    const names = env.map(({ name }: Manifest) => name);
    assertEquals(
      names.filter((name: string) => !VARIABLES.includes(name)),
      [],
    );
    assertEquals(policy.spec.egress.at(-1), {
      ports: [{ protocol: "TCP", port: 4318 }],
    });
    assertEquals(policy.spec.egress.length, 3);
  });
}

function setting(flag: string): number {
  const option = SETTINGS.find((known) => known.flag === flag);
  return parseDuration(option?.default ?? "") as number / 1_000;
}

async function job(folder: string): Promise<Manifest> {
  const { metadata, spec } = await object(folder, "Job");
  const pod = spec.template.spec;
  assertEquals(pod.containers.length, 1);
  return { metadata, spec, pod, container: pod.containers[0] };
}

async function deployment(): Promise<Manifest> {
  const { spec } = await object("examples/service", "Deployment");
  return { pod: spec.template.spec };
}

async function object(folder: string, kind: string): Promise<Manifest> {
  const found = (await kustomize(folder)).filter((one) => one.kind === kind);
  assertEquals(found.length, 1, `one ${kind} in ${folder}`);
  return found[0];
}
