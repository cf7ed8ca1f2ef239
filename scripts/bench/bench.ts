// deno-lint-ignore-file no-console -- a script for the terminal
/**
 * Runs this program and others side by side: `deno task bench [--quick] [--runtime deno]`.
 *
 * Writes `docs/benchmarks.md` and `docs/benchmarks.svg`; a quick run prints the page and writes nothing.
 *
 * @module
 */
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import {
  type Build,
  build,
  buildAsking,
  buildEmpty,
  type Runtime,
  runtimeVersion,
} from "./build.ts";
import { chart } from "./chart.ts";
import { install, type Installation } from "./install.ts";
import { machine } from "./machine.ts";
import { markdown, type Results } from "./markdown.ts";
import { type Confined, runConfined } from "./memory.ts";
import { run } from "./process.ts";
import { measureRoundTrip, startProxy } from "./proxy.ts";
import { measurePlanning, measureScale, type ScalePoint } from "./scale.ts";
import { type Place, runSeries, type Series, type Task } from "./series.ts";
import { type BenchServer, startBenchServer } from "./server.ts";
import { bareTools, floor, otherTools, ourTools, type Tool } from "./tools.ts";
import { work, type WorkItem } from "./work.ts";

/** How much is measured. */
interface Extent {
  readonly sizes: readonly number[];
  readonly scale: readonly number[];
  /** Rounds of short runs, of long ones, and of those of which some take minutes. */
  readonly rounds: {
    readonly short: number;
    readonly long: number;
    readonly minutes: number;
  };
}

const FULL: Extent = {
  sizes: [10, 1_000],
  scale: [10, 100, 1_000, 10_000],
  rounds: { short: 11, long: 5, minutes: 3 },
};

const QUICK: Extent = {
  sizes: [10, 100],
  scale: [10, 100, 1_000],
  rounds: { short: 3, long: 1, minutes: 1 },
};

const ROUND_TRIP_MS = 20;

const PAGE = fileURLToPath(
  new URL("../../docs/benchmarks.md", import.meta.url),
);
const CHART = fileURLToPath(
  new URL("../../docs/benchmarks.svg", import.meta.url),
);

/** One work, built and told to every tool. */
interface Subject {
  readonly work: string;
  readonly items: readonly WorkItem[];
  readonly tools: readonly Tool[];
}

async function bench(runtime: Runtime, quick: boolean): Promise<Results> {
  const extent = quick ? QUICK : FULL;
  const say = (line: string) => console.error(line);
  const installation = await install(say);
  await using cleanup = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ dir: installation.folder });
  cleanup.defer(() => Deno.remove(folder, { recursive: true }));
  const server = cleanup.use(await startBenchServer(say));
  const place: Place = { server, folder, say };

  const scale: ScalePoint[] = [];
  const builds = new Map<number, Build>();
  for (const count of new Set([...extent.sizes, ...extent.scale])) {
    say(`Building the program with ${count} migrations`);
    const path = join(folder, `build-${count}`);
    builds.set(count, await build(path, { items: work(count), runtime }));
  }
  const version = await runtimeVersion(runtime);
  const bare = bareTools(
    await buildAsking(folder, runtime),
    await buildEmpty(folder, runtime),
    version,
  );
  const subjects: Subject[] = [];
  for (const size of extent.sizes) {
    const items = work(size);
    subjects.push({
      work: `${size.toLocaleString("en")} migrations`,
      items,
      tools: [
        ...ourTools(builds.get(size)!, version),
        ...await otherTools(installation, join(folder, `tools-${size}`), items),
        ...bare,
      ],
    });
  }
  subjects.push(
    await withoutInserts(installation, folder, extent.sizes.at(-1)!, {
      runtime,
      version,
    }),
  );

  const series: Series[] = [];
  for (const task of ["nothing pending", "first run"] as const) {
    for (const subject of subjects) {
      series.push(...await both(place, task, subject, extent));
    }
  }
  for (const count of extent.scale) {
    const { executable } = builds.get(count)!;
    scale.push(await measureScale(place, count, executable));
  }
  return {
    quick,
    inMemory: server.inMemory,
    machine: machine(),
    load: Deno.loadavg()[2]!,
    missing: installation.missing,
    versions: new Map([
      ["PostgreSQL", server.version],
      ...subjects[0]!.tools.map(({ name, version }) =>
        [name, version] as const
      ),
    ]),
    measuredRoundTrips: new Map([
      [ROUND_TRIP_MS, await measureRoundTrip(ROUND_TRIP_MS)],
    ]),
    series,
    scale,
    planning: await measurePlanning([1_000, 10_000]),
    confined: await confined(
      server,
      await build(join(folder, "own"), { runtime }),
    ),
  };
}

/** On loopback and from afar. */
async function both(
  place: Place,
  task: Task,
  { work, items, tools }: Subject,
  { rounds }: Extent,
): Promise<Series[]> {
  // What says nothing to a server need not be measured from afar, and there is no first run of nothing.
  const near = tools.filter(({ does }) => !does || task !== "first run");
  const far = near.filter(({ does }) => does !== "nothing");
  const many = items.length > 100;
  const nearRounds = many && task === "first run" ? rounds.long : rounds.short;
  const farRounds = task === "nothing pending"
    ? rounds.long
    : many
    ? rounds.minutes
    : rounds.long;
  const request = { task, work, items };
  if (task === "nothing pending" && /without/.test(work)) return [];
  await using proxy = await startProxy(place.server.port, ROUND_TRIP_MS);
  return [
    await runSeries(place, {
      ...request,
      tools: near,
      rounds: nearRounds,
      roundTripMs: 0,
    }),
    await runSeries({ ...place, proxy }, {
      ...request,
      tools: far,
      rounds: farRounds,
      roundTripMs: ROUND_TRIP_MS,
    }),
  ];
}

/** The part of the work that need not be awaited, for this program and the floor. */
async function withoutInserts(
  installation: Installation,
  folder: string,
  size: number,
  { runtime, version }: { runtime: Runtime; version: string },
): Promise<Subject> {
  const items = work(size, { inserts: false });
  const own = await build(join(folder, "build-without"), { items, runtime });
  return {
    work: `the ${items.length} without inserts of ${
      size.toLocaleString("en")
    } migrations`,
    items,
    tools: [
      ...ourTools(own, version),
      ...await floor(installation, join(folder, "tools-without"), items),
    ],
  };
}

/** The program as it is, in small containers. */
async function confined(
  server: BenchServer,
  { executable }: Build,
): Promise<Map<string, Confined | string>> {
  const database = "bench_confined";
  const env = { DATABASE_URL: server.url(database), HOSTNAME: "benchmark" };
  await server.create(database);
  const result = new Map<string, Confined | string>();
  for (
    const [what, limit] of [["First run", 64], ["Nothing pending", 48]] as const
  ) {
    result.set(
      what,
      await runConfined([executable, "up"], limit, env)
        .catch((error) => `${error.message}`.split("\n")[0]!),
    );
  }
  await server.drop(database);
  return result;
}

async function main(args: readonly string[]): Promise<number> {
  const { values: { quick, runtime } } = parseArgs({
    args: [...args],
    options: {
      quick: { type: "boolean", default: false },
      // The one that everybody can have who has npm; it is the older one, so nothing is made to look better.
      runtime: { type: "string", default: "npm" },
    },
  });
  if (runtime !== "npm" && runtime !== "deno") {
    console.error(`Option --runtime: "${runtime}" is neither npm nor deno`);
    return 2;
  }
  const results = await bench(runtime, quick);
  const page = markdown(results, basename(CHART));
  if (quick) {
    console.log(page);
    return 0;
  }
  await Deno.writeTextFile(PAGE, page);
  await Deno.writeTextFile(CHART, chart(results.series));
  await run([Deno.execPath(), "fmt", "--quiet", PAGE, CHART]);
  return 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
