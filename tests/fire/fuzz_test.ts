/** Random faults in random commands, from a seed that is printed: `deno task fuzz --seed N --minutes M` runs more of them. */
import {
  FUZZ_MINUTES_VARIABLE,
  FUZZ_SEED_VARIABLE,
} from "../../scripts/dev/test_environment.ts";
import { fuzzRun, fuzzStage } from "../support/program/fuzz.ts";
import { testServers } from "../support/server/postgres.ts";

const RUNS = 300;

/** At once: most of the time is spent starting processes. */
const LANES = 4;

const minutes = Number(Deno.env.get(FUZZ_MINUTES_VARIABLE) ?? 0);
const seed = Number(
  Deno.env.get(FUZZ_SEED_VARIABLE) ?? Math.floor(Math.random() * 1e6) * 1_000,
);

for (const { version, url } of testServers()) {
  Deno.test(`random faults leave everything in agreement: seed ${seed} [pg${version}]`, async () => {
    await using stage = await fuzzStage(url);
    const end = performance.now() + minutes * 60_000;
    let next = seed;
    const isOver = () =>
      minutes > 0 ? performance.now() >= end : next >= seed + RUNS;
    const failures: unknown[] = [];
    await Promise.all(Array.from({ length: LANES }, async () => {
      while (!isOver() && failures.length === 0) {
        await stage.run(fuzzRun(next++)).catch((error) => failures.push(error));
      }
    }));
    if (failures.length > 0) throw failures[0];
    // deno-lint-ignore no-console -- who runs it wants to know how far it came
    console.log(`${next - seed} runs from seed ${seed}`);
  });
}
