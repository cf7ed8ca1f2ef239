/**
 * What the surroundings tell this process.
 *
 * @module
 */
import { VARIABLES } from "../cli/options.ts";
import type { Environment } from "../cli/target.ts";
import { NO_TEXT } from "../text.ts";

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
    VARIABLES.map((name) => [name, variable(name)]),
  );
}

function variable(name: string): string | undefined {
  try {
    return Deno.env.get(name);
  } catch (error) {
    // Its message repeats the value, which may be a secret.
    if (error instanceof Deno.errors.InvalidData) return NO_TEXT;
    throw error;
  }
}
