/** Random faults in random commands, from a seed that is printed: `deno task fuzz --seed N --minutes M` runs more of them. */
import { FUZZ_MINUTES_VARIABLE } from "../../scripts/dev/test_environment.ts";
import { fuzzRun, fuzzStage } from "../support/program/fuzz.ts";
import { SEED } from "../support/program/seed.ts";
import { testServers } from "../support/server/postgres.ts";

/** On each server and in each round: `deno task test --all` has three. */
const RUNS = 100;

/** At once: most of the time is spent starting processes. */
const LANES = 4;

const minutes = Number(Deno.env.get(FUZZ_MINUTES_VARIABLE) ?? 0);

for (const { version, url } of testServers()) {
  Deno.test(`random faults leave everything in agreement: seed ${SEED} [pg${version}]`, async () => {
    await using stage = await fuzzStage(url);
    const end = performance.now() + minutes * 60_000;
    let next = SEED;
    const isOver = () =>
      minutes > 0 ? performance.now() >= end : next >= SEED + RUNS;
    const failures: unknown[] = [];
    await Promise.all(Array.from({ length: LANES }, async () => {
      while (!isOver() && failures.length === 0) {
        await stage.run(fuzzRun(next++)).catch((error) => failures.push(error));
      }
    }));
    if (failures.length > 0) throw failures[0];
    // deno-lint-ignore no-console -- who runs it wants to know how far it came
    console.log(`${next - SEED} runs from seed ${SEED}`);
  });
}
