/**
 * The variables of OpenTelemetry that the program reads, and the little of them that every run has to know: whether traces
 * are wanted, and what of them is secret.
 *
 * @module
 */
import type { Environment } from "./environment.ts";

/** As `help` shows them. */
export const TRACE_VARIABLES: readonly {
  readonly name: string;
  readonly text: string;
}[] = [
  {
    name: "OTEL_EXPORTER_OTLP_ENDPOINT",
    text:
      "URL of the collector, to which /v1/traces is added (OTLP/HTTP, JSON)",
  },
  {
    name: "OTEL_EXPORTER_OTLP_HEADERS",
    text: "name=value,…, percent-encoded; may hold secrets",
  },
  {
    name: "OTEL_EXPORTER_OTLP_CERTIFICATE",
    text: "path of a PEM file with the collector's authority",
  },
  {
    name: "OTEL_SERVICE_NAME",
    text: "default battlescope-migrate; OTEL_RESOURCE_ATTRIBUTES adds others",
  },
  {
    name: "TRACEPARENT",
    text: "the trace to be part of, with TRACESTATE, as W3C writes them",
  },
  {
    name: "OTEL_SDK_DISABLED",
    text: "true sends nothing, and so does OTEL_TRACES_EXPORTER=none",
  },
];

/** Those that have a form for traces alone, which wins. */
const OF_EXPORTER = ["ENDPOINT", "HEADERS", "PROTOCOL", "CERTIFICATE"] as const;

/** Every name that is read. */
export const TRACE_NAMES: readonly string[] = [
  ...OF_EXPORTER.flatMap((name) => exporterNames(name)),
  ...["OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"],
  ...["OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER"],
  ...["TRACEPARENT", "TRACESTATE"],
];

/** A value, and the variable that it is from. */
export interface Sourced {
  readonly text: string;
  readonly source: string;
}

/** What is said for traces alone, else for all signals; an empty value is none. */
export function exporterVariable(
  env: Environment,
  name: typeof OF_EXPORTER[number],
): Sourced | undefined {
  const source = exporterNames(name).find((one) => env[one]);
  return source === undefined ? undefined : { text: env[source]!, source };
}

function exporterNames(name: typeof OF_EXPORTER[number]): string[] {
  return [`OTEL_EXPORTER_OTLP_TRACES_${name}`, `OTEL_EXPORTER_OTLP_${name}`];
}

/** Whether anybody wants traces of this run; the rest of the variables is read, and the code for it loaded, only then. */
export function wantsTraces(env: Environment): boolean {
  return exporterVariable(env, "ENDPOINT") !== undefined &&
    env.OTEL_SDK_DISABLED?.trim().toLowerCase() !== "true" &&
    env.OTEL_TRACES_EXPORTER?.trim().toLowerCase() !== "none";
}

/**
 * The pairs of `name=value,name=value`; an entry that is none, or whose name is empty, has no value.
 *
 * The values are percent-encoded: https://www.w3.org/TR/baggage/#value. One that is not stays as it is.
 */
export function readPairs(
  text: string,
): { readonly name: string; readonly value: string | undefined }[] {
  return text.split(",").map((entry) => entry.trim())
    .filter((entry) => entry !== "")
    .map((entry) => {
      const at = entry.indexOf("=");
      if (at < 1) return { name: entry, value: undefined };
      const name = entry.slice(0, at).trim();
      return { name, value: decoded(entry.slice(at + 1).trim()) };
    });
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** What the headers hold, which nothing may print: each value, and of `Bearer x` the `x`; what is no pair may be one without its name. */
export function traceSecrets(env: Environment): readonly string[] {
  const secrets = exporterNames("HEADERS").flatMap((source) =>
    readPairs(env[source] ?? "").flatMap(({ name, value = name }) => [
      value,
      ...value.match(/(?<=^\S+\s+)\S.*$/s) ?? [],
    ])
  );
  return [...new Set(secrets)];
}
