/**
 * The pods of `infra/k8s`, run by podman from the manifests themselves.
 *
 * @module
 */
import { stringify } from "@std/yaml";
import { VERSION } from "../../../src/cli/version.ts";
import { image, must, type Output, podman } from "./container.ts";
import { podOf, type PodOptions, terminationMessage } from "./kubelet.ts";
import type { Manifest } from "./kubernetes.ts";

export interface EndedPod extends Output {
  /** What `podman inspect` says of its container. */
  readonly container: Manifest;
  /** What `kubectl describe pod` would show as the reason of its end. */
  readonly message: string;
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
    const last = pod.spec.containers.at(-1);
    const container = `${name}-${last.name}`;
    const code = Number(await must(["wait", container]));
    const { stdout, stderr } = await podman(["logs", container]);
    const [inspected] = JSON.parse(await must(["inspect", container]));
    const log = await readLog(inspected.HostConfig.LogConfig.Path);
    const message = terminationMessage(last, { code, log });
    return { code, stdout, stderr, container: inspected, message };
  } finally {
    await podman(["pod", "rm", "--force", "--ignore", name]);
    await Deno.remove(folder, { recursive: true });
  }
}

/** Both streams as they were written, without the time and the name of the stream that stand before each line. */
async function readLog(path: string): Promise<string> {
  const text = await Deno.readTextFile(path);
  return text.replaceAll(/^\S+ (?:stdout|stderr) [FP] /gm, "");
}
