/**
 * `infra/ci/wait-for-job.sh` with the real kubectl, which talks to a stand-in for the API server.
 */
import { assertEquals, assertMatch } from "@std/assert";
import { fileURLToPath } from "node:url";
import { type MigrateResult, startProcess } from "../support/program/cli.ts";
import { kubectlFolder } from "../support/k8s/kube_tools.ts";
import { kustomize, type Manifest } from "../support/k8s/kubernetes.ts";
import { testWith } from "../support/program/needs.ts";

const SCRIPT = fileURLToPath(
  new URL("../../infra/ci/wait-for-job.sh", import.meta.url),
);

const test = testWith("kubectl");

test("wait-for-job.sh exits 0 as soon as the Job is complete, and prints its log", async () => {
  const { code, stdout, stderr } = await waitForJob("Complete");
  assertEquals(code, 0, stderr);
  assertMatch(stdout, /^job\.batch\/db-migrate condition met$/m);
  assertMatch(stdout, /^\[pod\/db-migrate-x\/db-migrate\] the log$/m);
});

test("wait-for-job.sh exits 1 as soon as the Job has failed, and prints its log", async () => {
  const { code, stdout, stderr } = await waitForJob("Failed");
  assertEquals(code, 1, stderr);
  assertMatch(stdout, /^\[pod\/db-migrate-x\/db-migrate\] the log$/m);
});

test("wait-for-job.sh exits 1 when the time is over", async () => {
  const { code, stderr } = await waitForJob(undefined, "1s");
  assertEquals(code, 1, stderr);
  assertMatch(stderr, /timed out waiting for the condition/);
});

/** Runs it on the Job of `base`, whose condition comes true after a moment. */
async function waitForJob(
  condition: "Complete" | "Failed" | undefined,
  timeout = "30s",
): Promise<MigrateResult> {
  const [job] = await kustomize("base");
  const api = new StandIn(job, condition);
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request) => api.answer(new URL(request.url)),
  );
  const config = await Deno.makeTempFile({ prefix: "kubeconfig-" });
  try {
    await Deno.writeTextFile(
      config,
      JSON.stringify({
        apiVersion: "v1",
        kind: "Config",
        "current-context": "test",
        contexts: [{ name: "test", context: { cluster: "test", user: "" } }],
        clusters: [{
          name: "test",
          cluster: { server: `http://127.0.0.1:${server.addr.port}` },
        }],
      }),
    );
    await using running = startProcess(
      new Deno.Command("bash", {
        args: [SCRIPT, "battlescope", "db-migrate", timeout],
        clearEnv: true,
        env: {
          PATH: `${await kubectlFolder()}:${Deno.env.get("PATH")}`,
          KUBECONFIG: config,
          HOME: "/nonexistent",
        },
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
      }),
    );
    return await running.result;
  } finally {
    await Deno.remove(config);
  }
}

/** As much of an API server as `kubectl wait` and `kubectl logs` ask for. */
class StandIn {
  readonly #job: Manifest;
  readonly #condition: string | undefined;

  constructor(job: Manifest, condition: string | undefined) {
    this.#job = {
      ...job,
      metadata: { ...job.metadata, uid: "1", resourceVersion: "1" },
      status: {},
    };
    this.#job.spec.selector = { matchLabels: { job: "db-migrate" } };
    this.#condition = condition;
  }

  answer({ pathname, searchParams }: URL): Response {
    const jobs = "/apis/batch/v1/namespaces/battlescope/jobs";
    switch (pathname) {
      case "/api":
        return Response.json({ kind: "APIVersions", versions: ["v1"] });
      case "/apis":
        return Response.json({
          kind: "APIGroupList",
          groups: [{
            name: "batch",
            versions: [{ groupVersion: "batch/v1", version: "v1" }],
            preferredVersion: { groupVersion: "batch/v1", version: "v1" },
          }],
        });
      case "/api/v1":
        return resources("v1", "pods", "Pod");
      case "/apis/batch/v1":
        return resources("batch/v1", "jobs", "Job");
      case `${jobs}/db-migrate`:
        return Response.json(this.#job);
      case jobs:
        return searchParams.has("watch") ? this.#watch() : Response.json({
          kind: "JobList",
          apiVersion: "batch/v1",
          metadata: { resourceVersion: "1" },
          items: [this.#job],
        });
      case "/api/v1/namespaces/battlescope/pods":
        return Response.json({
          kind: "PodList",
          apiVersion: "v1",
          metadata: {},
          items: [{
            metadata: { name: "db-migrate-x", namespace: "battlescope" },
            spec: { containers: [{ name: "db-migrate" }] },
            status: { phase: "Succeeded" },
          }],
        });
      case "/api/v1/namespaces/battlescope/pods/db-migrate-x/log":
        return new Response("the log\n");
      default:
        return Response.json({ kind: "Status", code: 404 }, { status: 404 });
    }
  }

  /** The one change that there is, after a moment; then silence. */
  #watch(): Response {
    const condition = this.#condition;
    const changed = {
      ...this.#job,
      metadata: { ...this.#job.metadata, resourceVersion: "2" },
      status: { conditions: [{ type: condition, status: "True" }] },
    };
    let timer: ReturnType<typeof setTimeout> | undefined;
    const events = new ReadableStream<Uint8Array>({
      start(controller) {
        if (condition === undefined) return;
        timer = setTimeout(() => {
          const event = { type: "MODIFIED", object: changed };
          controller.enqueue(
            new TextEncoder().encode(JSON.stringify(event) + "\n"),
          );
        }, 300);
      },
      cancel() {
        clearTimeout(timer);
      },
    });
    return new Response(events, {
      headers: { "content-type": "application/json" },
    });
  }
}

function resources(groupVersion: string, name: string, kind: string): Response {
  return Response.json({
    kind: "APIResourceList",
    groupVersion,
    resources: [{
      name,
      singularName: kind.toLowerCase(),
      namespaced: true,
      kind,
      verbs: ["get", "list", "watch"],
    }],
  });
}
