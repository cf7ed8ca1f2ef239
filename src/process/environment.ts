/**
 * What the surroundings tell this process.
 *
 * @module
 */
import { VARIABLES } from "../cli/variables.ts";
import { nearest } from "../cli/suggestion.ts";
import { visible } from "../text.ts";
import type { Environment } from "../cli/environment.ts";
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

/** The names that Kubernetes gives to a Service named `migrate`, which are nobody's mistake. */
const SERVICE = /^MIGRATE_(?:SERVICE_|PORT(?:_|$))/;

/**
 * What to say of each variable that looks like one of the program's and is none. An executable cannot list the variables,
 * and says nothing.
 */
export function unknownVariables(): string[] {
  if (Deno.permissions.querySync({ name: "env" }).state !== "granted") {
    return [];
  }
  return Object.keys(Deno.env.toObject())
    .filter((name) =>
      name.startsWith("MIGRATE_") && !VARIABLES.includes(name) &&
      !SERVICE.test(name)
    )
    .map((name) => {
      const meant = nearest(name, VARIABLES);
      return `${visible(name)} is no variable of this program${
        meant === undefined ? "" : `: did you mean ${meant}?`
      }`;
    });
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
