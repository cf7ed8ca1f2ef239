/**
 * What the Job controller and the kubelet make of a pod template before a container sees it, by the rules of Kubernetes
 * 1.34: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#environment-variables
 *
 * `podman kube play` (4.3) takes the result: it knows pods, but no Jobs, no projected volumes and no `$(…)`, and it writes
 * Secrets into volumes without decoding them. Everything else of the template reaches it as it is.
 *
 * @module
 */
import { join } from "node:path";
import type { Manifest } from "./kubernetes.ts";

export interface PodOptions {
  readonly name: string;
  /** Of an Indexed Job. */
  readonly index?: number;
  /** The Secrets of the namespace: key → value by name. */
  readonly secrets: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** An empty folder for the volumes. */
  readonly folder: string;
  /** What the registry delivers: the local image by the name in the template. */
  readonly images: Readonly<Record<string, string>>;
}

/** `MaxContainerTerminationMessageLogLines` and `…LogLength` of the kubelet. */
const MESSAGE_LINES = 80;
const MESSAGE_BYTES = 2_048;

const INDEX_ANNOTATION = "batch.kubernetes.io/job-completion-index";
const INDEX_VARIABLE = "JOB_COMPLETION_INDEX";

/** The pod of a template, on this machine's network, where the servers are. */
export async function podOf(
  template: Manifest,
  { name, index, secrets, folder, images }: PodOptions,
): Promise<Manifest> {
  const { metadata, spec }: Manifest = structuredClone(template);
  const annotations = { ...metadata.annotations };
  const containers = [...(spec.initContainers ?? []), ...spec.containers];
  if (index !== undefined) {
    annotations[INDEX_ANNOTATION] = `${index}`;
    for (const container of containers) addIndexVariable(container);
  }
  for (const container of containers) {
    container.image = images[container.image] ?? container.image;
    if (container.env) container.env = expand(container.env, annotations);
  }
  for (const volume of spec.volumes ?? []) {
    const path = join(folder, volume.name);
    await fill(path, volume, { secrets, group: spec.securityContext?.fsGroup });
    for (const key of ["secret", "projected"]) delete volume[key];
    volume.hostPath = { path, type: "Directory" };
  }
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { ...metadata, annotations, name },
    spec: { ...spec, hostNetwork: true },
  };
}

/**
 * What the kubelet keeps of a container that ended, for `kubectl describe pod`: the program writes no file for it.
 *
 * @param log both streams, in the order in which they were written
 */
export function terminationMessage(
  { terminationMessagePolicy }: Manifest,
  { code, log }: { readonly code: number; readonly log: string },
): string {
  if (terminationMessagePolicy !== "FallbackToLogsOnError" || code === 0) {
    return "";
  }
  const lines = log.split("\n").slice(-MESSAGE_LINES - 1).join("\n");
  const bytes = new TextEncoder().encode(lines).slice(-MESSAGE_BYTES);
  return new TextDecoder().decode(bytes).trim();
}

/** At the end, and only when it is not there: the rule of the Job controller. */
function addIndexVariable(container: Manifest): void {
  container.env ??= [];
  const known = container.env.some(({ name }: Manifest) =>
    name === INDEX_VARIABLE
  );
  if (known) return;
  const fieldPath = `metadata.annotations['${INDEX_ANNOTATION}']`;
  container.env.push({
    name: INDEX_VARIABLE,
    valueFrom: { fieldRef: { fieldPath } },
  });
}

/** In the order of the list; `$(NAME)` of a variable that does not stand before it stays as it is. */
function expand(
  env: readonly Manifest[],
  annotations: Readonly<Record<string, string>>,
): Manifest[] {
  const known = new Map<string, string>();
  return env.map(({ name, value, valueFrom }) => {
    const text: string = valueFrom === undefined
      ? (value ?? "").replaceAll(
        /\$(?:\$|\(([^)]*)\))/g,
        (found: string, variable?: string) =>
          variable === undefined ? "$" : known.get(variable) ?? found,
      )
      : annotations[annotationOf(valueFrom)] ?? "";
    known.set(name, text);
    return { name, value: text };
  });
}

function annotationOf({ fieldRef }: Manifest): string {
  const match = /^metadata\.annotations\['(.+)'\]$/.exec(fieldRef?.fieldPath);
  if (match?.[1]) return match[1];
  throw new TypeError(`Cannot resolve ${JSON.stringify(fieldRef)}`);
}

/** A folder with the files of a volume, with the mode and the group that they have in a cluster. */
async function fill(
  folder: string,
  { secret, projected }: Manifest,
  { secrets, group }: {
    secrets: PodOptions["secrets"];
    group: number | undefined;
  },
): Promise<void> {
  const { defaultMode, sources } = secret
    ? {
      defaultMode: secret.defaultMode,
      sources: [{ secret: { ...secret, name: secret.secretName } }],
    }
    : projected;
  await Deno.mkdir(folder);
  await Deno.chmod(folder, 0o755);
  for (const { secret: { name, items } } of sources) {
    const data = secrets[name];
    if (data === undefined) throw new Error(`There is no Secret "${name}"`);
    const files: Manifest[] = items ??
      Object.keys(data).map((key) => ({ key, path: key }));
    for (const { key, path } of files) {
      const value = data[key];
      if (value === undefined) throw new Error(`"${name}" has no "${key}"`);
      const file = join(folder, path);
      await Deno.writeTextFile(file, value);
      await Deno.chown(file, 0, group ?? 0);
      await Deno.chmod(file, defaultMode);
    }
  }
}
