import { assertAlmostEquals, assertEquals } from "@std/assert";
import { ratios, type Series } from "../../scripts/bench/series.ts";
import { median, slope } from "../../scripts/bench/statistics.ts";
import { OURS } from "../../scripts/bench/tools.ts";
import { kyselyFiles, sqlFiles, work } from "../../scripts/bench/work.ts";

Deno.test("median() takes the middle, or the mean of the two", () => {
  assertEquals(median([3, 1, 2]), 2);
  assertEquals(median([4, 1, 2, 3]), 2.5);
  assertEquals(median([10, 9, 100]), 10);
});

Deno.test("slope() is that of the closest straight line", () => {
  assertAlmostEquals(slope([[10, 25], [100, 205], [1000, 2005]]), 2);
  assertAlmostEquals(slope([[0, 0], [1, 2], [2, 1]]), 0.5);
});

Deno.test("ratios() compares round by round", () => {
  const measured = (name: string, times: readonly number[]) => ({
    tool: { name, version: "", command: () => [] },
    samples: times.map((wallMs) => ({ wallMs, cpuMs: 0, peakMiB: 0 })),
  });
  const other = measured("other", [30, 20]);
  const series: Series = {
    task: "first run",
    work: "",
    roundTripMs: 0,
    measured: [measured(OURS, [10, 20]), other],
  };

  assertEquals(ratios(series, other), [3, 1]);
});

Deno.test("work() gives every tool the same migrations, in an order that names keep", () => {
  const items = work(9);
  const names = items.map(({ name }) => name);

  assertEquals(names.toSorted(), names);
  assertEquals(
    items.map(({ sql }) => sql.split(/[ \n]/, 1)[0]),
    [
      ...["create", "create", "alter", "insert"],
      ...["create", "create", "alter", "insert"],
      "create",
    ],
  );
  assertEquals(
    [...kyselyFiles(items, "ts").keys()],
    names.map((name) => `${name}.ts`),
  );
  assertEquals(
    [...sqlFiles(items, { up: "-- up", down: "-- down" }).keys()],
    names.map((name) => `${name}.sql`),
  );
});

Deno.test("work() leaves the inserts out when told", () => {
  const items = work(100, { inserts: false });

  assertEquals(items.length, 75);
  assertEquals(items.filter(({ sql }) => /insert/.test(sql)), []);
});
