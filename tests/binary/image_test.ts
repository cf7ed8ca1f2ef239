import { assertEquals, assertMatch } from "@std/assert";
import { join } from "node:path";
import config from "../../deno.json" with { type: "json" };
import { builtCommit } from "../support/program/build_once.ts";
import {
  image,
  must,
  podman,
  startContainer,
} from "../support/k8s/container.ts";
import { testWith } from "../support/program/needs.ts";
import { pgTest } from "../support/server/postgres.ts";
import {
  releasedTests,
  type Start,
} from "../support/program/released_tests.ts";
import { startTlsServer } from "../support/server/tls_server.ts";
import { waitFor } from "../support/program/wait.ts";

/** Files are mounted, one by one, as a Secret is. */
const start: Start = async (args, { env = {}, files = {}, network = true }) => {
  const folder = await Deno.makeTempDir({ prefix: "secrets-" });
  await Deno.chmod(folder, 0o755);
  const mounts: Record<string, string> = {};
  for (const [path, content] of Object.entries(files)) {
    const file = join(folder, crypto.randomUUID());
    await Deno.writeTextFile(file, content);
    mounts[path] = file;
  }
  const running = await startContainer(args, {
    env,
    mounts,
    network: network ? "host" : "none",
  });
  return {
    ...running,
    async [Symbol.asyncDispose]() {
      await running[Symbol.asyncDispose]();
      await Deno.remove(folder, { recursive: true });
    },
  };
};

releasedTests("container", start, { always: ["podman"] });

const test = testWith("podman");

test("image: says what it is, who it runs as and what it starts", async () => {
  const format = "{{json .Config}}";
  const { User, Entrypoint, Cmd, Labels } = JSON.parse(
    await must(["image", "inspect", "--format", format, await image()]),
  );
  delete Labels["io.buildah.version"];
  assertEquals({ User, Entrypoint, Cmd, Labels }, {
    User: "65532:65532",
    Entrypoint: ["/usr/local/bin/battlescope-migrate"],
    Cmd: ["up"],
    Labels: {
      "org.opencontainers.image.title": "battlescope-migrate",
      "org.opencontainers.image.description":
        "Creates and evolves BattleScope's PostgreSQL schema",
      "org.opencontainers.image.version": config.version,
      "org.opencontainers.image.revision": await builtCommit(),
      "org.opencontainers.image.base.name":
        "gcr.io/distroless/cc-debian12:nonroot",
    },
  });
});

test("image: adds one file to its base", async () => {
  const base = "gcr.io/distroless/cc-debian12:nonroot";
  const changes = await must(["image", "diff", await image(), base]);
  assertEquals(changes.split("\n").sort(), [
    "A /usr/local",
    "A /usr/local/bin",
    "A /usr/local/bin/battlescope-migrate",
    "C /usr",
  ]);
});

test("image: is the same from sources and from dist/", async () => {
  const versions = await Promise.all(
    (["compile", "dist"] as const).map(async (source) =>
      await must([
        "run",
        "--rm",
        "--network=none",
        await image(source),
        "version",
      ])
    ),
  );
  assertEquals(versions[0], versions[1]);
  assertMatch(versions[0]!, /^battlescope-migrate /);
});

test("image: has no shell", async () => {
  const { code, stderr } = await podman([
    ...["run", "--rm", "--network=none", "--entrypoint=/bin/sh"],
    await image(),
  ]);
  assertEquals(code, 127, stderr);
});

pgTest("container: is as locked up as it is meant to be", async (db) => {
  await using up = await start(["status", "--wait", "1m"], {
    env: { DATABASE_URL: db.url },
  });
  await up.waitFor("Connected to");
  const pid = await waitFor("the container", async () => {
    const { stdout } = await podman([
      ...["ps", "--format", "{{.Pid}} {{.Command}}", "--filter"],
      "ancestor=" + await image(),
    ]);
    return stdout.split("\n").find((line) => line.includes("--wait 1m"));
  });
  const process = `/proc/${Number.parseInt(pid)}`;
  const status = await read(`${process}/status`);
  const field = (name: string) =>
    new RegExp(`^${name}:\\s*(.*)$`, "m").exec(status)?.[1];
  assertEquals({
    user: field("Uid"),
    capabilities: field("CapBnd"),
    noNewPrivileges: field("NoNewPrivs"),
  }, {
    user: "65532\t65532\t65532\t65532",
    capabilities: "0000000000000000",
    noNewPrivileges: "1",
  });
  assertEquals(await memoryLimit(process), 64 * 1024 * 1024);
  const mounts = await read(`${process}/mountinfo`);
  assertMatch(mounts, /^\S+ \S+ \S+ \S+ \/ ro,/m);
  await up.signal("SIGTERM");
  assertEquals((await up.result).code, 143);
}, { versions: [18], needs: ["podman"] });

// Empty, the variable says as little as a missing one: then the usual place is looked at.
for (const variable of [undefined, ""]) {
  const what = variable === undefined ? "as the image names them" : "found";
  testWith("podman", "openssl")(
    `container: trusts the system's authorities, ${what}`,
    async () => {
      await using server = await startTlsServer();
      await server.show("good");
      await using status = await start(["status"], {
        env: {
          DATABASE_URL: server.url("sslmode=verify-full"),
          ...(variable !== undefined && { SSL_CERT_FILE: variable }),
        },
        files: {
          "/etc/ssl/certs/ca-certificates.crt": await Deno.readTextFile(
            server.authority,
          ),
        },
      });
      const { code, stderr } = await status.result;
      assertEquals(code, 0, stderr);
      assertEquals(await server.lastLogin(), "TLSv1.3");
    },
  );
}

/** In bytes, under either generation of cgroups. */
async function memoryLimit(process: string): Promise<number> {
  const groups = await read(`${process}/cgroup`);
  const first = /^\d+:memory:(.*)$/m.exec(groups)?.[1];
  const second = /^0::(.*)$/m.exec(groups)?.[1];
  const file = first === undefined
    ? `/sys/fs/cgroup${second}/memory.max`
    : `/sys/fs/cgroup/memory${first}/memory.limit_in_bytes`;
  return Number(await read(file));
}

/** Deno itself reads from /proc with every permission only. */
async function read(path: string): Promise<string> {
  const { stdout } = await new Deno.Command("cat", { args: [path] }).output();
  return new TextDecoder().decode(stdout);
}
