/**
 * What only a build knows. `scripts/build/compile.ts` puts a file of its own in the place of this one.
 *
 * @module
 */

/** The git commit that the executable was built from; `null` in a source checkout. */
export const COMMIT: string | null = null;
