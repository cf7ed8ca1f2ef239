/**
 * From which number tests on servers draw what is random: always the same, so that what has passed passes again and what
 * has failed can be looked at; `FUZZ_SEED=N deno task test …` draws something else.
 *
 * @module
 */
import { FUZZ_SEED_VARIABLE } from "../../../scripts/dev/test_environment.ts";

export const SEED = Number(Deno.env.get(FUZZ_SEED_VARIABLE) ?? 20261128);
