/**
 * The manifests of `infra/k8s`: built by kustomize, and judged by the schemas and types of Kubernetes itself.
 *
 * @module
 */
import { parseAll } from "@std/yaml";
import { assertEquals } from "@std/assert";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runKubeTool } from "./kube_tools.ts";
import { runValidator } from "./validators.ts";

/** As loose as YAML: a test looks at single fields, the schemas look at the whole. */
// deno-lint-ignore no-explicit-any -- see above
export type Manifest = any;

const CHECKOUT = fileURLToPath(new URL("../../../", import.meta.url));
const K8S = join(CHECKOUT, "infra", "k8s");

/** The objects that `kubectl kustomize` makes of a folder below `infra/k8s`. */
export async function kustomize(folder: string): Promise<Manifest[]> {
  return parseManifests(await kustomizeText(folder));
}

/** The same as text, as a user would pass it on. */
export async function kustomizeText(folder: string): Promise<string> {
  const args = ["kustomize", join(K8S, folder)];
  const { code, stdout, stderr } = await runKubeTool("kubectl", args);
  // Warnings tell of deprecated fields: none may be left.
  assertEquals([code, stderr], [0, ""], folder);
  return stdout;
}

/** The objects of a file below `infra/k8s`. */
export async function readManifests(path: string): Promise<Manifest[]> {
  return parseManifests(await Deno.readTextFile(join(K8S, path)));
}

export function parseManifests(text: string): Manifest[] {
  return (parseAll(text) as Manifest[]).filter((object) => object !== null);
}

/** Every folder below `infra/k8s` that has a kustomization, relative to it. */
export async function kustomizations(folder = ""): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of Deno.readDir(join(K8S, folder))) {
    const path = join(folder, entry.name);
    if (entry.isDirectory) found.push(...await kustomizations(path));
    if (entry.name === "kustomization.yaml") found.push(folder);
  }
  return found.sort();
}

/** Every file below `infra/k8s` that holds manifests and is in no kustomization. */
export async function plainFiles(): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of Deno.readDir(K8S)) {
    if (entry.isFile && entry.name.endsWith(".yaml")) found.push(entry.name);
  }
  return found.sort();
}

/**
 * What Kubernetes would find wrong with the objects; empty when nothing is.
 *
 * Its schemas allow fields that nobody knows, so a misspelt one would pass: the compiler, given the types, refuses it.
 */
export async function schemaFaults(
  objects: readonly Manifest[],
): Promise<string> {
  const kinds = [...new Set(objects.map(modelOf))].sort();
  const { code, stderr } = await runValidator(
    [
      ...kinds.map((path) =>
        `import { ${className(path)} } from "kubernetes-models/${path}";
         import type { I${className(path)} } from "kubernetes-models/${path}";`
      ),
      ...objects.map((object, index) => {
        const name = className(modelOf(object));
        return `const object${index}: I${name} = ${JSON.stringify(object)};
          new ${name}(object${index}).validate();`;
      }),
    ].join("\n"),
  );
  return code === 0 ? "" : stderr;
}

/** `batch/v1` and `Job` → `batch/v1/Job`, where the npm package keeps it. */
function modelOf({ apiVersion, kind }: Manifest): string {
  return `${apiVersion}/${kind}`;
}

function className(path: string): string {
  return path.replace(/^.*\//, "");
}
