// deno-lint-ignore-file no-console -- a script for the terminal
/**
 * Random faults in random commands, for as long as one likes: `deno task fuzz [--seed N] [--minutes M]`.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import {
  FUZZ_MINUTES_VARIABLE,
  FUZZ_SEED_VARIABLE,
} from "./test_environment.ts";

async function main(args: readonly string[]): Promise<number> {
  const { seed, minutes } = parseArgs([...args], {
    string: ["seed", "minutes"],
    default: {
      seed: `${Math.floor(Math.random() * 1e6) * 1_000}`,
      minutes: "5",
    },
  });
  if (!/^\d{1,9}$/.test(seed) || !(Number(minutes) > 0)) {
    console.error("Use: deno task fuzz [--seed N] [--minutes M]");
    return 2;
  }
  console.log(`Seed ${seed}, ${minutes} min`);
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "test", "tests/fire/fuzz_test.ts"],
    env: {
      [FUZZ_SEED_VARIABLE]: seed,
      [FUZZ_MINUTES_VARIABLE]: minutes,
    },
  }).spawn().status;
  return code;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
