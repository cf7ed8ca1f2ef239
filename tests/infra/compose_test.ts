/**
 * `infra/compose.yaml`: valid, and run by Docker Compose itself, with podman as its engine.
 */
import { assertEquals, assertMatch } from "@std/assert";
import { parse } from "@std/yaml";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { postgresFolder } from "../../scripts/dev/postgres_binaries.ts";
import { VERSION } from "../../src/cli/version.ts";
import { buildOnce } from "../support/program/build_once.ts";
import {
  image,
  must,
  podman,
  podmanCommand,
} from "../support/k8s/container.ts";
import { type MigrateResult, startProcess } from "../support/program/cli.ts";
import type { Manifest } from "../support/k8s/kubernetes.ts";
import { testWith } from "../support/program/needs.ts";
import { queryUrl } from "../support/server/postgres.ts";
import { delay, waitFor } from "../support/program/wait.ts";

const FILE = fileURLToPath(
  new URL("../../infra/compose.yaml", import.meta.url),
);
const SCRIPT = fileURLToPath(
  new URL("../support/k8s/postgres_stand_in.sh", import.meta.url),
);

const MIGRATE = `ghcr.io/battlescope/battlescope-migrate:${VERSION}`;
const POSTGRES = "docker.io/library/postgres:18";

testWith("docker-compose")(
  "compose.yaml satisfies the schema of Compose, and locks the migrator up",
  async () => {
    const text = await Deno.readTextFile(FILE);
    const good = await dockerCompose(["--file", FILE, "config", "--quiet"]);
    assertEquals([good.code, good.stderr], [0, ""]);
    const folder = await Deno.makeTempDir({ prefix: "compose-" });
    try {
      const wrong = join(folder, "compose.yaml");
      await Deno.writeTextFile(
        wrong,
        text.replace("healthcheck", "helthcheck"),
      );
      const bad = await dockerCompose(["--file", wrong, "config", "--quiet"]);
      assertEquals(bad.code, 1);
      assertMatch(bad.stderr, /Unsupported config option .*: 'helthcheck'/);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }

    const file = parse(text) as Manifest;
    const { postgres, "db-migrate": migrate } = file.services;
    assertEquals([postgres.image, migrate.image], [POSTGRES, MIGRATE]);
    assertEquals(migrate.depends_on, {
      postgres: { condition: "service_healthy" },
    });
    assertEquals(
      [migrate.read_only, migrate.cap_drop, migrate.mem_limit],
      [true, ["ALL"], "64m"],
    );
    // Its password is known to everybody: nobody but this machine may come in.
    assertEquals(postgres.ports, ["127.0.0.1:${POSTGRES_PORT:-5432}:5432"]);
  },
);

testWith("docker-compose", "podman")(
  "compose.yaml starts PostgreSQL, waits until it is healthy, and applies the migrations once",
  async () => {
    await withCompose(async ({ compose, logs, url }) => {
      const first = await compose("up", "--no-build", "--detach");
      assertEquals(first.code, 0, first.stderr);
      assertMatch(await logs(), /^Applied 12 migrations in /m);
      const [row] = await queryUrl(
        url,
        "select count(*)::int from pg_tables where schemaname = 'public'",
      );
      assertEquals(row, { count: 14 });

      const second = await compose("up", "--no-build", "--detach");
      assertEquals(second.code, 0, second.stderr);
      assertMatch(await logs(), /^Nothing to apply: /m);
    });
  },
);

interface Compose {
  /** Runs Docker Compose, with a health check of PostgreSQL each second. */
  compose(...args: readonly string[]): Promise<MigrateResult>;
  /** What the migrator has written to stdout, once it has ended well. */
  logs(): Promise<string>;
  /** The database, as seen from this machine. */
  readonly url: string;
}

async function withCompose(
  use: (compose: Compose) => Promise<void>,
): Promise<void> {
  await using cleanup = new AsyncDisposableStack();
  await preparePostgresImage();
  await must(["tag", await image(), MIGRATE]);
  const folder = await Deno.makeTempDir({ prefix: "compose-" });
  cleanup.defer(() => Deno.remove(folder, { recursive: true }));
  const socket = join(folder, "podman.sock");
  const engine = cleanup.use(startProcess(
    await podmanCommand(["system", "service", "--time=0", `unix://${socket}`]),
    { timeoutMs: 600_000 },
  ));
  engine.result.catch(() => {});
  await waitFor(
    "the socket of podman",
    () => Deno.stat(socket).then(() => true, () => false),
  );

  const project = basename(folder).toLowerCase();
  const port = freePort();
  const run = (args: readonly string[]) =>
    dockerCompose(["--file", FILE, "--project-name", project, ...args], {
      HOME: folder,
      DOCKER_HOST: `unix://${socket}`,
      POSTGRES_PORT: `${port}`,
    });
  cleanup.defer(async () => {
    await run(["down", "--volumes", "--timeout", "5"]);
  });
  await use({
    url: `postgres://battlescope:battlescope@127.0.0.1:${port}/battlescope`,
    compose: (...args) => withHealthChecks(`${project}_postgres_1`, run(args)),
    logs: async () => {
      const name = `${project}_db-migrate_1`;
      assertEquals(await must(["wait", name]), "0");
      return (await podman(["logs", name])).stdout;
    },
  });
}

/** podman leaves the clock of its health checks to systemd, which is not everywhere: here the test is the clock. */
async function withHealthChecks<T>(
  container: string,
  work: Promise<T>,
): Promise<T> {
  let ended = false;
  const checks = (async () => {
    while (!ended) {
      await podman(["healthcheck", "run", container]);
      await delay(1_000);
    }
  })();
  try {
    return await work;
  } finally {
    ended = true;
    await checks;
  }
}

async function preparePostgresImage(): Promise<void> {
  const files = await postgresFolder(18, () => {});
  const folder = await buildOnce({
    name: "postgres",
    sources: ["tests/support/k8s/postgres_stand_in.sh"],
    key: files,
    build: async (draft) => {
      const { success, stderr } = await new Deno.Command(SCRIPT, {
        args: [files, join(draft, "files.tar")],
      }).output();
      if (!success) throw new Error(new TextDecoder().decode(stderr));
    },
  });
  const name = `localhost/${basename(folder)}`;
  if ((await podman(["image", "exists", name])).code !== 0) {
    await must([
      ...["import", "--quiet", "--change=USER 999"],
      "--change=ENV PATH=/usr/lib/postgresql/18/bin:/usr/bin:/bin",
      "--change=ENV LD_LIBRARY_PATH=/usr/lib/postgresql/18/lib",
      '--change=ENTRYPOINT ["docker-entrypoint.sh"]',
      ...[join(folder, "files.tar"), name],
    ]);
  }
  await must(["tag", name, POSTGRES]);
}

async function dockerCompose(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<MigrateResult> {
  await using running = startProcess(
    new Deno.Command("docker-compose", {
      args: [...args],
      clearEnv: true,
      env: { PATH: Deno.env.get("PATH") ?? "", ...env },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }),
    { timeoutMs: 180_000 },
  );
  return await running.result;
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
