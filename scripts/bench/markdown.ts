/**
 * The results as Markdown.
 *
 * @module
 */
import type { Confined } from "./memory.ts";
import type { ScalePoint } from "./scale.ts";
import { SCALE_TASKS, slopes } from "./scale.ts";
import { type Measured, ratios, type Series } from "./series.ts";
import { median } from "./statistics.ts";
import { OURS } from "./tools.ts";

/** Everything that was measured. */
export interface Results {
  readonly machine: string;
  /** The load average of the last quarter of an hour. */
  readonly load: number;
  /** What was measured with, by name. */
  readonly versions: ReadonlyMap<string, string>;
  readonly series: readonly Series[];
  readonly missing: ReadonlyMap<string, string>;
  /** What a round trip through the proxy really took, in milliseconds; by what it was meant to take. */
  readonly measuredRoundTrips: ReadonlyMap<number, number>;
  readonly scale: readonly ScalePoint[];
  readonly planning: ReadonlyMap<number, number>;
  /** A run in a small container, or why there was none. */
  readonly confined: ReadonlyMap<string, Confined | string>;
  readonly quick: boolean;
  /** Whether the server's data were in memory, not on a disk. */
  readonly inMemory: boolean;
}

/** The page. `chart` is the name of the picture beside it. */
export function markdown(results: Results, chart: string): string {
  return `${
    [
      head(results, chart),
      ...results.series.map(seriesSection),
      scaleSection(results),
      memorySection(results),
    ].join("\n\n")
  }\n`;
}

function head(results: Results, chart: string): string {
  const { machine, load, versions, missing, measuredRoundTrips } = results;
  const { quick, inMemory } = results;
  const trips = [...measuredRoundTrips].map(([wanted, real]) =>
    `${wanted} ms (measured: ${real.toFixed(1)} ms)`
  ).join(" and ");
  const left = [...missing].map(([name, reason]) =>
    `- Left out: ${name}: ${reason}`
  );
  return [
    "# Benchmarks",
    "",
    `Made by \`deno task bench${
      quick ? " --quick" : ""
    }\`, which fetches what it compares, starts a PostgreSQL of its own and writes this page.`,
    "",
    `![Time of each tool](${chart})`,
    "",
    "Every tool gets the same migrations, in its own words: by turns `create table` with 8 columns, `create index`,",
    "`alter table`, and `insert` of 10 rows. A run is a whole process. Tools run in turn, round after round; the tables show",
    `medians, with the range in brackets, and how many times longer than ${OURS} a tool took, round by round.`,
    "One that takes longer than half a minute runs once. `psql -1 -f` is the floor: the same SQL in one transaction, without",
    "a history. An empty Deno program shows what the runtime costs; one that only asks connects, logs in and asks",
    "for the history of an empty database, with the code that this program has for it, and decides and says nothing.",
    "",
    `- Machine: ${machine}`,
    `- Load average at the end: ${
      load.toFixed(1)
    }; well above 1, something else was running, and times say little.`,
    ...[...versions].map(([name, version]) => `- ${name}: ${version}`),
    ...left,
    `- Network: loopback, or a proxy with a round trip of ${trips}; the TCP handshake takes one too.`,
    `- The server asks for SCRAM, without TLS, and ${
      inMemory
        ? "has its data in memory"
        : "does not wait for its disk (`fsync = off`)"
    }.`,
    "- A round trip is a wait: something sent when everything before it has been answered. The log-in takes three.",
    "- CPU is that of the tool's process, user and system; memory is its largest resident set.",
  ].join("\n");
}

function seriesSection(series: Series): string {
  const { task, work, roundTripMs, measured } = series;
  const rounds = measured[0]?.samples.length ?? 0;
  const where = roundTripMs === 0
    ? "on loopback"
    : `at ${roundTripMs} ms of round trip`;
  const counted = roundTripMs > 0;
  const title = `## ${capital(task)}, ${work}, ${where}`;
  return [
    title,
    "",
    table(
      [
        ...["Tool", "Time, ms", `÷ ${OURS}`, "CPU, ms", "Memory, MiB"],
        ...(counted ? ["Round trips"] : []),
      ],
      measured.map((one) => row(series, one, counted)),
    ),
    "",
    `${rounds} ${rounds === 1 ? "round" : "rounds"}.`,
  ].join("\n");
}

function row(series: Series, measured: Measured, counted: boolean): string[] {
  const { tool, samples } = measured;
  const times = samples.map(({ wallMs }) => wallMs);
  const factors = ratios(series, measured);
  return [
    tool.name,
    `${number(median(times))} [${spread(times, number)}]`,
    tool.name === OURS || factors.length === 0
      ? ""
      : `${median(factors).toFixed(2)} [${
        spread(factors, (factor) => factor.toFixed(2))
      }]`,
    number(median(samples.map(({ cpuMs }) => cpuMs))),
    number(median(samples.map(({ peakMiB }) => peakMiB))),
    ...(counted
      ? [number(median(samples.map(({ roundTrips }) => roundTrips ?? 0)))]
      : []),
  ];
}

function scaleSection({ scale, planning }: Results): string {
  const rows = SCALE_TASKS.flatMap((task) =>
    scale.map(({ count, costs }) => [
      capital(task),
      number(count),
      number(costs[task].wallMs),
      number(costs[task].cpuMs),
      number(costs[task].peakMiB),
    ])
  );
  const growth = slopes(scale).map(({ task, wallMs, cpuMs, peakMiB }) => [
    capital(task),
    `${number(wallMs * 1_000)} µs`,
    `${number(cpuMs * 1_000)} µs`,
    `${(peakMiB * 1_024).toFixed(1)} KiB`,
  ]);
  const plans = [...planning].map(([count, ms]) => [
    number(count),
    ms.toFixed(1),
  ]);
  return [
    "## Scale",
    "",
    "The executable with more and more migrations in it, on loopback. Planning is measured alone, with half of them pending.",
    "",
    table(["Run", "Migrations", "Time, ms", "CPU, ms", "Memory, MiB"], rows),
    "",
    "What each further migration costs, by the straight line closest to these points:",
    "",
    table(["Run", "Time", "CPU", "Memory"], growth),
    "",
    table(["Planning: migrations", "CPU, ms"], plans),
  ].join("\n");
}

function memorySection({ confined }: Results): string {
  const rows = [...confined].map(([what, result]) =>
    typeof result === "string" ? [what, "", "", result] : [
      what,
      `${result.limitMiB}`,
      number(result.peakMiB),
      number(result.wallMs),
    ]
  );
  return [
    "## Memory limits",
    "",
    "BattleScope's own migrations in a memory control group without swap, as in a container; the executable is not in the page",
    "cache, so its own pages count too.",
    "",
    table(["Run", "Limit, MiB", "Most in use, MiB", "Time, ms"], rows),
  ].join("\n");
}

/** Cells of numbers are aligned to the right; the first column is text. */
function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const rule = head.map((_, i) => i === 0 ? "---" : "---:");
  return [line(head), line(rule), ...rows.map(line)].join("\n");
}

function spread(
  values: readonly number[],
  write: (value: number) => string,
): string {
  return `${write(Math.min(...values))}–${write(Math.max(...values))}`;
}

function number(value: number): string {
  return value.toLocaleString("en", { maximumFractionDigits: 0 });
}

function capital(text: string): string {
  return text[0]!.toUpperCase() + text.slice(1);
}
