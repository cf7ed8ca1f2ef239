/**
 * What the driver needs of the runtime and does not find.
 *
 * On the Deno that the program is made for that is nothing. `deno task compile --runtime npm` builds for another one, and
 * puts `scripts/build/deno_2_4.ts` in the place of this file.
 *
 * @module
 */

/** Mends the runtime, before the driver is used. */
export function mendRuntime(): void {}
