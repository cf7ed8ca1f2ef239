/**
 * The pods of `infra/k8s` at work on real databases: the manifests' own specifications, run by podman.
 */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { runContainer } from "../support/k8s/container.ts";
import { kustomize, type Manifest } from "../support/k8s/kubernetes.ts";
import { runPod } from "../support/k8s/pod.ts";
import { pgTest, queryUrl } from "../support/server/postgres.ts";

const needs = ["podman", "kubectl"] as const;

pgTest(
  "the pod of the Job db-migrate applies everything, as locked up as it says",
  async (db) => {
    const template = await jobTemplate("base");
    const secrets = { "db-migrate": { "database-url": db.url, "ca.crt": "" } };
    const first = await runPod(template, { secrets });
    assertEquals(first.code, 0, first.stderr);
    assertMatch(first.stdout, /^Applied 12 migrations in /m);

    const { Config, HostConfig, EffectiveCaps, BoundingCaps } = first.container;
    assertEquals([Config.User, Config.StopTimeout], ["65532:65532", 10]);
    assertEquals([HostConfig.ReadonlyRootfs, HostConfig.Memory], [
      true,
      64 << 20,
    ]);
    assertEquals(HostConfig.SecurityOpt, ["no-new-privileges"]);
    assertEquals([EffectiveCaps ?? [], BoundingCaps ?? []], [[], []]);
    assertEquals(HostConfig.CpuQuota / HostConfig.CpuPeriod, 0.5);

    const second = await runPod(template, { secrets });
    assertEquals(second.code, 0, second.stderr);
    assertEquals(
      second.stdout,
      "Nothing to apply in the phase pre\n",
    );
  },
  { needs },
);

pgTest(
  "the pod of the Job db-migrate-post does what follows the rollout, and ends at once when nothing does",
  async (db) => {
    const secrets = { "db-migrate": { "database-url": db.url, "ca.crt": "" } };
    const pre = await runPod(await jobTemplate("base"), { secrets });
    assertEquals(pre.code, 0, pre.stderr);
    const post = await runPod(await jobTemplate("overlays/post"), { secrets });
    assertEquals([post.code, post.stdout], [
      0,
      "Nothing to apply in the phase post\n",
    ]);
  },
  { versions: [18], needs },
);

pgTest(
  "the pod of the Job db-migrate ends with the codes that its podFailurePolicy is made for",
  async (db) => {
    const template = await jobTemplate("base");
    const run = (url: string) =>
      runPod(template, { secrets: { "db-migrate": { "database-url": url } } });
    const wrong = new URL(db.url);
    wrong.password = "wrong";
    const denied = await run(wrong.href);
    assertEquals(denied.code, 1, denied.stderr);
    // What "kubectl describe pod" shows: nobody has to look for the log of a pod that may be gone.
    assertStringIncludes(denied.message, "password authentication failed");

    // FailJob: no retry would read another URL from the Secret.
    const unreadable = await run("mysql://localhost/battlescope");
    assertEquals(unreadable.code, 2, unreadable.stderr);
    assertEquals(
      unreadable.message,
      "error: DATABASE_URL_FILE cannot be used: it does not begin with postgres:// or postgresql://",
    );
  },
  { versions: [18], needs },
);

pgTest(
  "the pod of the rollback Job may run twice and undoes the same",
  async (db) => {
    const secrets = { "db-migrate": { "database-url": db.url } };
    const up = await runPod(await jobTemplate("base"), { secrets });
    assertEquals(up.code, 0, up.stderr);
    const template = await jobTemplate("overlays/rollback");
    for (const attempt of [1, 2]) {
      const { code, stderr } = await runPod(template, { secrets });
      assertEquals(code, 0, `attempt ${attempt}: ${stderr}`);
      const rows = await db.query<{ name: string }>(
        "select name from migration_history where status = 'rolled_back'",
      );
      assertEquals(rows.map(({ name }) => name), ["20260105105000_audit_logs"]);
    }
  },
  { versions: [18], needs },
);

pgTest(
  "each pod of the Indexed Job takes the database of its index",
  async (db) => {
    const template = await jobTemplate("overlays/many-databases");
    const [europe, america] = await Promise.all([
      db.createDatabase(),
      db.createDatabase(),
    ]);
    const secrets = {
      "db-migrate-europe": { "database-url": europe.url },
      "db-migrate-america": { "database-url": america.url },
    };
    const applied = ({ url }: { url: string }) =>
      queryUrl<{ count: number }>(
        url,
        "select count(*)::int from pg_tables where schemaname = 'public'",
      ).then(([row]) => row?.count);

    const one = await runPod(template, { secrets, index: 1 });
    assertEquals(one.code, 0, one.stderr);
    assertStringIncludes(one.stderr, `Connected to "${america.name}"`);
    assertEquals([await applied(europe), await applied(america)], [0, 14]);

    const zero = await runPod(template, { secrets, index: 0 });
    assertEquals(zero.code, 0, zero.stderr);
    assertStringIncludes(zero.stderr, `Connected to "${europe.name}"`);
    assertEquals([await applied(europe), await applied(america)], [14, 14]);

    // An index that the list does not have: the Job's "completions" is wrong, and no retry mends that.
    const two = await runPod(template, { secrets, index: 2 });
    assertEquals(two.code, 2, two.stderr);
    assertStringIncludes(two.stderr, "/run/secrets/databases/2");
  },
  { versions: [18], needs },
);

pgTest(
  "the index reaches the program only because the manifest names it before its use",
  async (db) => {
    const template = await jobTemplate("overlays/many-databases");
    const [container] = template.spec.containers;
    // As Kubernetes itself would add it: behind.
    container.env = container.env.slice(1);
    const secrets = {
      "db-migrate-europe": { "database-url": db.url },
      "db-migrate-america": { "database-url": db.url },
    };
    const { code, stderr } = await runPod(template, { secrets, index: 0 });
    assertEquals(code, 2, stderr);
    assertStringIncludes(
      stderr,
      "/run/secrets/databases/$(JOB_COMPLETION_INDEX)",
    );
  },
  { versions: [18], needs },
);

pgTest(
  "a service's pod starts once the Job has applied the last migration",
  async (db) => {
    const [deployment] = await kustomize("examples/service");
    const template = deployment.spec.template;
    const [init] = template.spec.initContainers;
    // The service itself is not here: a program that ends stands for it.
    const { image } = init;
    template.spec.containers = [{ name: "api", image, args: ["version"] }];
    // The kubelet starts an init container again only when it has failed, podman whenever it has ended.
    template.spec.restartPolicy = "Never";
    const secrets = {
      "db-migrate": { "database-url": db.url },
      "db-migrate-status": { "database-url": db.url },
    };
    let started = false;
    const service = runPod(template, { secrets }).finally(() => started = true);
    // Long enough for a program that would not wait to be through.
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    assertEquals(started, false);
    const job = await runPod(await jobTemplate("base"), { secrets });
    assertEquals(job.code, 0, job.stderr);
    const { code, stdout } = await service;
    assertEquals(code, 0);
    assertMatch(stdout, /^battlescope-migrate /);
  },
  { versions: [18], needs },
);

pgTest(
  "a service's pod whose migrations do not come says how many it waited for",
  async (db) => {
    const [deployment] = await kustomize("examples/service");
    const template = deployment.spec.template;
    const [init] = template.spec.initContainers;
    template.spec.containers = [{ ...init, args: ["status", "--wait", "1s"] }];
    template.spec.initContainers = [];
    template.spec.restartPolicy = "Never";
    const secrets = { "db-migrate-status": { "database-url": db.url } };
    const { code, message } = await runPod(template, { secrets });
    assertEquals(code, 3);
    assertMatch(message, /^0 applied, 12 pending$/m);
  },
  { versions: [18], needs },
);

pgTest(
  "what the Node image was given works or is refused with the way out",
  async (db) => {
    const env = {
      DATABASE_URL: db.url,
      // The rest of the old Secret, which envFrom puts into the environment too.
      REDIS_URL: "redis://localhost",
      NODE_ENV: "production",
      TYPESENSE_API_KEY: "not ours",
    };
    const words = ["node", "dist/packages/database/src/cli/migrate.js"];
    const old = await runContainer(words, { env });
    assertEquals([old.code, old.stdout, old.stderr], [
      2,
      "",
      'error: Unknown command "node": the program needs no node; leave out what the Node image was started with, and pass a command such as up, or nothing\n',
    ]);
    const up = await runContainer([], { env });
    assertEquals(up.code, 0, up.stderr);
    assertMatch(up.stdout, /^Applied 12 migrations in /m);
  },
  { versions: [18], needs },
);

async function jobTemplate(folder: string): Promise<Manifest> {
  const [job] = await kustomize(folder);
  assertEquals(job.kind, "Job");
  return job.spec.template;
}
