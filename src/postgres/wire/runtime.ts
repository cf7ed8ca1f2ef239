/**
 * What the program has to know of the Deno that it runs on.
 *
 * @module
 */
import process from "node:process";

/** Whether this is the runtime of `deno task compile --runtime npm`. */
export const IS_DENO_2_4: boolean = Deno.version.deno.startsWith("2.4.");

/** Deno 2.4 says on standard error that parts of itself, which we do not call, are deprecated. */
export function silenceDeprecations(): void {
  if (IS_DENO_2_4) Object.assign(process, { noDeprecation: true });
}
