/**
 * A release as `deno task release` makes it, and a stand-in for the page that it is published on.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { VERSION } from "../../../src/cli/version.ts";
import { type MigrateResult, startProcess } from "./cli.ts";

export const DIGEST = `sha256:${"0a".repeat(32)}`;

const CHECKOUT = fileURLToPath(new URL("../../../", import.meta.url));

const CHANGELOG = `# Changelog

## Unreleased

Not yet.

## [${VERSION}] - 2026-11-28

### Added

- This and that.

## 0.0.1

Long ago.
`;

export interface Release {
  /** The files that are published. */
  readonly folder: string;
  /** The text of the release. */
  readonly notes: string;
}

/** Makes a release of stand-ins for what takes long to build. `executables` are the contents of some of them by platform. */
export async function withRelease(
  executables: Readonly<Record<string, string | URL>>,
  use: (release: Release) => Promise<void>,
): Promise<void> {
  const work = await Deno.makeTempDir({ prefix: "release-" });
  try {
    const dist = join(work, "dist");
    await fillDist(dist, executables);
    const changelog = join(work, "CHANGELOG.md");
    await Deno.writeTextFile(changelog, CHANGELOG);
    const folder = join(work, "out");
    const { code, stderr } = await runRelease(
      `--digest=${DIGEST}`,
      `--dist=${dist}`,
      `--output=${folder}`,
      `--changelog=${changelog}`,
    );
    assertEquals([code, stderr], [0, ""]);
    const notes = await Deno.readTextFile(join(work, "out-notes.md"));
    await use({ folder, notes });
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

/** Runs `deno task release`. */
export async function runRelease(
  ...args: readonly string[]
): Promise<MigrateResult> {
  await using running = startProcess(
    new Deno.Command(Deno.execPath(), {
      args: ["task", "--quiet", "release", ...args],
      cwd: CHECKOUT,
      // Of no commit: what is packed here needs no git.
      env: { NO_COLOR: "1", SOURCE_DATE_EPOCH: "1767225600" },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }),
  );
  return await running.result;
}

/** Everything that the jobs of the workflow leave in `dist`, and more than is to be published. */
async function fillDist(
  dist: string,
  executables: Readonly<Record<string, string | URL>>,
): Promise<void> {
  await Deno.mkdir(dist);
  const write = (name: string, text: string) =>
    Deno.writeTextFile(join(dist, name), text);
  for (
    const platform of ["linux-x64", "linux-arm64", "macos-x64", "macos-arm64"]
  ) {
    const content = executables[platform] ??
      `#!/bin/sh\necho battlescope-migrate ${VERSION}\necho ${platform}\n`;
    const path = join(dist, `battlescope-migrate-${platform}`);
    if (content instanceof URL) await Deno.copyFile(content, path);
    else await Deno.writeTextFile(path, content);
  }
  for (const platform of ["linux-x64", "linux-arm64"]) {
    const name = `battlescope-migrate-${VERSION}-${platform}-airgap.tar.gz`;
    await write(name, `the bundle for ${platform}`);
    await write(`${name}.sha256`, "its checksum");
  }
  await write("battlescope-migrate.cdx.json", "{}");
  await write("battlescope-migrate.js.map", "a map");
  await write("chunk-2UAZXDFL.js.map", "another map");
  await write("SHA256SUMS", "of these files");
  await write("left-over.txt", "nobody's");
}

/** The page of the releases as GitHub has it: the latest one is a redirect to its version. */
export interface ReleasePage extends AsyncDisposable {
  readonly url: string;
  /** The paths that were asked for. */
  readonly requests: readonly string[];
  /** Changes a file on the page. */
  replace(name: string, content: string): void;
  /** From now on the content of this file begins and does not go on; `begun` settles when somebody waits for it. */
  stall(name: string): { readonly begun: Promise<void> };
  /** From now on the connection ends in the middle of this file. */
  cut(name: string): void;
}

export function publish({ folder }: Release): ReleasePage {
  const requests: string[] = [];
  const replaced = new Map<string, string>();
  const stalled = new Map<string, PromiseWithResolvers<void>>();
  const cuts = new Set<string>();
  const ended = new AbortController();
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {}, onError },
    async (request) => {
      const { pathname } = new URL(request.url);
      requests.push(pathname);
      const [, where = "", version = "", name = ""] = pathname.split("/");
      if (where === "latest") {
        return new Response(null, {
          status: 302,
          headers: { location: `/download/v${VERSION}/${name}` },
        });
      }
      const content = await contentOf(name);
      if (version !== `v${VERSION}` || content === undefined) {
        return new Response("Not Found", { status: 404 });
      }
      const size = { "content-length": `${content.length}` };
      if (cuts.has(name) || stalled.has(name)) {
        return new Response(half(name, content), { headers: size });
      }
      return new Response(content, { headers: size });
    },
  );

  async function contentOf(
    name: string,
  ): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const text = replaced.get(name);
    if (text !== undefined) return new TextEncoder().encode(text);
    return await Deno.readFile(join(folder, name)).catch(() => undefined);
  }

  function half(
    name: string,
    content: Uint8Array<ArrayBuffer>,
  ): ReadableStream<Uint8Array<ArrayBuffer>> {
    return new ReadableStream({
      async pull(controller) {
        controller.enqueue(content.subarray(0, content.length / 2));
        if (cuts.has(name)) throw new Error("cut");
        stalled.get(name)?.resolve();
        await new Promise<void>((resolve) =>
          ended.signal.addEventListener("abort", () => resolve())
        );
        controller.close();
      },
    });
  }

  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    requests,
    replace: (name, content) => void replaced.set(name, content),
    cut: (name) => void cuts.add(name),
    stall(name) {
      const begun = Promise.withResolvers<void>();
      stalled.set(name, begun);
      return { begun: begun.promise };
    },
    async [Symbol.asyncDispose]() {
      ended.abort();
      await server.shutdown();
    },
  };
}

/** A response that ends in the middle is meant to. */
function onError(): Response {
  return new Response(null, { status: 500 });
}
