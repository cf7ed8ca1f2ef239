/**
 * The chart of `infra/helm`, rendered by Helm itself.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Output, runKubeTool } from "./kube_tools.ts";
import { type Manifest, parseManifests } from "./kubernetes.ts";

export const CHART = fileURLToPath(
  new URL("../../../infra/helm/battlescope-migrate", import.meta.url),
);

/** Values as they would stand in a file for `--values`. */
export type Values = Readonly<Record<string, unknown>>;

/** Runs `helm template db-migrate` in the namespace `battlescope`. */
export async function runHelmTemplate(
  values: Values = {},
  chart: string = CHART,
): Promise<Output> {
  const file = await Deno.makeTempFile({ prefix: "values-", suffix: ".json" });
  try {
    await Deno.writeTextFile(file, JSON.stringify(values));
    return await runKubeTool("helm", [
      ...["template", "db-migrate", chart, "--namespace=battlescope"],
      `--values=${file}`,
    ]);
  } finally {
    await Deno.remove(file);
  }
}

/** The objects of the chart with these values, by kind. */
export async function helmTemplate(
  values: Values = {},
  chart: string = CHART,
): Promise<Readonly<Record<string, Manifest>>> {
  const { code, stdout, stderr } = await runHelmTemplate(values, chart);
  assertEquals([code, stderr], [0, ""]);
  return Object.fromEntries(
    parseManifests(stdout).map((object) => [object.kind, object]),
  );
}

/** The values that count when none are given. */
export async function readChartFile(name: string): Promise<string> {
  return await Deno.readTextFile(join(CHART, name));
}
