/**
 * What the surroundings tell this process.
 *
 * @module
 */
import { VARIABLES } from "../cli/options.ts";
import type { Environment } from "../cli/target.ts";

/** The name of the pod or machine, for the history. */
export function hostName(env: Environment): string | null {
  if (env.HOSTNAME) return env.HOSTNAME;
  try {
    return Deno.readTextFileSync("/etc/hostname").trim() || null;
  } catch {
    return null;
  }
}

/** Asks for each variable by name: the executable may not see the others, nor a list of them. */
export function readEnvironment(): Environment {
  return Object.fromEntries(
    VARIABLES.map((name) => [name, Deno.env.get(name)]),
  );
}
