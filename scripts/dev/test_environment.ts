/**
 * The variables through which `deno task test` tells the tests what they run on.
 *
 * @module
 */

/** A JSON list of the servers that it has started: `{ version, url }`, oldest first. */
export const SERVERS_VARIABLE = "TEST_SERVERS";

/** Options that every run of the program gets besides its own, with spaces between them. */
export const OPTIONS_VARIABLE = "TEST_OPTIONS";

/** The needs of `test_needs.ts` that are met, with commas between them. */
export const NEEDS_VARIABLE = "TEST_NEEDS";

/** The seed of the random faults, and for how many minutes they go on; as many as CI runs when missing. */
export const FUZZ_SEED_VARIABLE = "FUZZ_SEED";
export const FUZZ_MINUTES_VARIABLE = "FUZZ_MINUTES";
