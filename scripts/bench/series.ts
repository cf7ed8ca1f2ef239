/**
 * Series of runs: every tool in turn, round after round, so that whatever slows the machine down slows all of them.
 *
 * @module
 */
import { type Cost, measure } from "./process.ts";
import type { Proxy } from "./proxy.ts";
import type { BenchServer } from "./server.ts";
import { OURS, type Tool } from "./tools.ts";
import type { WorkItem } from "./work.ts";

/** What a tool is to find: nothing at all, or that nothing is left to do. */
export type Task = "first run" | "nothing pending";

export interface Sample extends Cost {
  /** Missing where nobody counted. */
  readonly roundTrips?: number;
}

/** The samples of one tool, in the order of the rounds. */
export interface Measured {
  readonly tool: Tool;
  readonly samples: readonly Sample[];
}

export interface Series {
  readonly task: Task;
  /** What the migrations are, for the heading: `1,000 migrations`. */
  readonly work: string;
  readonly roundTripMs: number;
  readonly measured: readonly Measured[];
}

export interface SeriesRequest {
  readonly task: Task;
  readonly work: string;
  readonly items: readonly WorkItem[];
  readonly tools: readonly Tool[];
  readonly rounds: number;
  readonly roundTripMs: number;
}

/** Where runs take place. */
export interface Place {
  readonly server: BenchServer;
  /** Leads to the server; without one the tools connect directly and nothing is counted. */
  readonly proxy?: Proxy;
  /** For the files of the measurement. */
  readonly folder: string;
  readonly say: (line: string) => void;
}

/** A tool that has taken longer than this, in milliseconds, is not run again. */
const SLOW_MS = 30_000;

/** Runs a series. A tool that fails is said, and is not in the result. */
export async function runSeries(
  place: Place,
  { tools, rounds, ...request }: SeriesRequest,
): Promise<Series> {
  const { task, work, roundTripMs } = request;
  const samples = new Map<Tool, Sample[]>();
  for (const tool of tools) {
    if (task === "first run" || !tool.once) samples.set(tool, []);
  }
  const title = `${task}, ${work}, ${roundTripMs} ms`;
  // Where nothing changes, the first round only makes files and caches warm.
  const warmUp = task === "nothing pending" ? 1 : 0;
  for (let round = 0; round < rounds + warmUp; round++) {
    place.say(`${title}: round ${round + 1} of ${rounds + warmUp}`);
    // Another one begins each time: none always runs in the wake of the same.
    const turn = [...samples.keys()];
    turn.push(...turn.splice(0, round % turn.length));
    for (const tool of turn) {
      if ((samples.get(tool)!.at(-1)?.wallMs ?? 0) > SLOW_MS) continue;
      try {
        const sample = await runOnce(place, tool, request, round === 0);
        if (round >= warmUp) samples.get(tool)!.push(sample);
      } catch (error) {
        place.say(`${tool.name} failed: ${(error as Error).message}`);
        samples.delete(tool);
      }
    }
  }
  for (const tool of tools) await place.server.drop(databaseOf(tool));
  const measured = tools.flatMap((tool) => {
    const own = samples.get(tool);
    return own === undefined ? [] : [{ tool, samples: own }];
  });
  return { task, work, roundTripMs, measured };
}

async function runOnce(
  { server, proxy, folder }: Place,
  tool: Tool,
  { task, items }: Pick<SeriesRequest, "task" | "items">,
  first: boolean,
): Promise<Sample> {
  const database = databaseOf(tool);
  const run = async (port: number): Promise<Cost> => {
    const url = server.url(database, port);
    return await measure(
      tool.command(url),
      { env: tool.env?.(url) ?? {} },
      folder,
    );
  };
  if (task === "first run" || first) await server.create(database);
  if (task === "nothing pending" && first) await run(server.port);
  const cost = await run(proxy?.port ?? server.port);
  const relations = await server.relations(database);
  const wanted = tool.does === undefined ? relationsOf(items) : 0;
  if (relations !== wanted) {
    throw new Error(`it made ${relations} of ${wanted} tables and indexes`);
  }
  if (proxy === undefined) return cost;
  return { ...cost, roundTrips: (await proxy.take()).roundTrips };
}

function relationsOf(items: readonly WorkItem[]): number {
  return items.filter(({ sql }) => /^create (?:table|index)/.test(sql)).length;
}

function databaseOf({ name }: Tool): string {
  return `bench_${name.toLowerCase().replace(/[^a-z]+/g, "_")}`;
}

/** How much more the tool took than the program itself, round by round. */
export function ratios(
  { measured }: Series,
  { samples }: Measured,
): readonly number[] {
  const ours = measured.find(({ tool }) => tool.name === OURS);
  return samples.flatMap(({ wallMs }, round) => {
    const own = ours?.samples[round];
    return own === undefined ? [] : [wallMs / own.wallMs];
  });
}
