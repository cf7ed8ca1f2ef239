/**
 * How time and memory grow with the number of migrations.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { type Cost, measure, run } from "./process.ts";
import type { Place } from "./series.ts";
import { median, slope } from "./statistics.ts";

/** What an executable that carries `count` migrations takes. */
export interface ScalePoint {
  readonly count: number;
  readonly costs: Readonly<Record<ScaleTask, Cost>>;
}

export type ScaleTask = typeof SCALE_TASKS[number];

export const SCALE_TASKS = ["nothing pending", "status", "first run"] as const;

/** What each further migration costs. */
export interface Slope {
  readonly task: ScaleTask;
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly peakMiB: number;
}

/** How much each part of a run is repeated. */
const ROUNDS: Readonly<Record<ScaleTask, number>> = {
  "first run": 3,
  "nothing pending": 5,
  "status": 5,
};

/** Measures the executable of one size. */
export async function measureScale(
  { server, folder, say }: Place,
  count: number,
  executable: string,
): Promise<ScalePoint> {
  const database = "bench_scale";
  const env = { DATABASE_URL: server.url(database), HOSTNAME: "benchmark" };
  const repeat = async (task: ScaleTask) => {
    say(`${task} of ${count} migrations`);
    const costs: Cost[] = [];
    for (let round = 0; round < ROUNDS[task]; round++) {
      if (task === "first run") await server.create(database);
      const command = task === "status" ? "status" : "up";
      costs.push(await measure([executable, command], { env }, folder));
    }
    return {
      wallMs: median(costs.map(({ wallMs }) => wallMs)),
      cpuMs: median(costs.map(({ cpuMs }) => cpuMs)),
      peakMiB: median(costs.map(({ peakMiB }) => peakMiB)),
    };
  };
  const costs = {
    "first run": await repeat("first run"),
    "nothing pending": await repeat("nothing pending"),
    "status": await repeat("status"),
  };
  await server.drop(database);
  return { count, costs };
}

/** The slopes of the straight lines through the points. */
export function slopes(points: readonly ScalePoint[]): readonly Slope[] {
  return SCALE_TASKS.map((task) => {
    const of = (key: keyof Cost) =>
      slope(points.map(({ count, costs }) => [count, costs[task][key]]));
    return {
      task,
      wallMs: of("wallMs"),
      cpuMs: of("cpuMs"),
      peakMiB: of("peakMiB"),
    };
  });
}

/** What planning takes, in milliseconds of processor time, the first time in a process; by the number of migrations. */
export async function measurePlanning(
  counts: readonly number[],
): Promise<ReadonlyMap<number, number>> {
  const main = fileURLToPath(new URL("./planning_main.ts", import.meta.url));
  const result = new Map<number, number>();
  for (const count of counts) {
    const times: number[] = [];
    for (let round = 0; round < 5; round++) {
      const said = await run([
        ...[Deno.execPath(), "run", "--quiet", "--no-prompt", main, `${count}`],
      ]);
      times.push(Number(said));
    }
    result.set(count, median(times));
  }
  return result;
}
