/**
 * The pods of `infra/k8s`, run by podman from the manifests themselves.
 *
 * @module
 */
import { stringify } from "@std/yaml";
import { VERSION } from "../../src/version.ts";
import { image, must, type Output, podman } from "./container.ts";
import { podOf, type PodOptions } from "./kubelet.ts";
import type { Manifest } from "./kubernetes.ts";

export interface EndedPod extends Output {
  /** What `podman inspect` says of its container. */
  readonly container: Manifest;
}

const IMAGE = `ghcr.io/battlescope/battlescope-migrate:${VERSION}`;

/** Runs the pod of a template to its end: of its last container, if there are several. */
export async function runPod(
  template: Manifest,
  options: Pick<PodOptions, "secrets" | "index">,
): Promise<EndedPod> {
  const name = `pod-${crypto.randomUUID()}`;
  const folder = await Deno.makeTempDir({ prefix: "pod-" });
  try {
    // The user in the container must get through to its volumes.
    await Deno.chmod(folder, 0o755);
    const images = { [IMAGE]: await image() };
    const pod = await podOf(template, { ...options, name, folder, images });
    const file = `${folder}/pod.yaml`;
    await Deno.writeTextFile(file, stringify(pod));
    await must(["kube", "play", file]);
    const container = `${name}-${pod.spec.containers.at(-1).name}`;
    const code = Number(await must(["wait", container]));
    const { stdout, stderr } = await podman(["logs", container]);
    const [inspected] = JSON.parse(await must(["inspect", container]));
    return { code, stdout, stderr, container: inspected };
  } finally {
    await podman(["pod", "rm", "--force", "--ignore", name]);
    await Deno.remove(folder, { recursive: true });
  }
}
