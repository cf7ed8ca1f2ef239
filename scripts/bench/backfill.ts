// deno-lint-ignore-file no-console -- a script for the terminal
/**
 * What filling a column of a large table does to live traffic, and what a kill costs: `deno task bench:backfill [ROWS]`.
 * Prints Markdown, and writes the picture of it, `docs/benchmarks-backfill.svg`.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import postgres, { type Sql } from "postgres";
import { latencyChart, type LatencyRun, type Sample } from "./latency_chart.ts";
import { machine } from "./machine.ts";
import { type BenchServer, startBenchServer } from "./server.ts";

/** The ways of `backfill_main.ts`, and how they are called. */
const WAYS = {
  "no backfill": undefined,
  "one `update`": "one",
  "ranges of 10,000, no rest": "ranges",
  "this program": "ours",
} as const;

type Way = keyof typeof WAYS;

const DATABASE = "backfill";
const CLIENTS = 6;

/** Each client asks so often, in milliseconds; seven of ten are reads. */
const PACE_MS = 60;
const READS = 0.7;

/** Without a backfill it is watched for so long, in milliseconds. */
const IDLE_MS = 15_000;

const PICTURE = new URL("../../docs/benchmarks-backfill.svg", import.meta.url);

interface Measured {
  readonly samples: readonly Sample[];
  readonly seconds: number;
  readonly grownBytes: number;
  readonly missed: number;
}

async function measure(rows: number): Promise<void> {
  await using server = await startBenchServer(console.error);
  console.log(
    `${rows} rows, PostgreSQL ${server.version}, ${
      server.inMemory ? "data in memory" : "fsync off"
    }, ${machine()}; ${CLIENTS} clients, ${
      Math.round(1_000 / PACE_MS * CLIENTS)
    } statements a second, ${READS * 100} % of them reads.\n`,
  );
  console.log(
    "| way | time, s | read p99 / max, ms | update p99 / max, ms | table grows by | rows missed | kept when killed half-way |",
  );
  console.log("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
  const runs: LatencyRun[] = [];
  for (const name of Object.keys(WAYS) as Way[]) {
    const way = WAYS[name];
    const alone = await run(server, rows, way);
    runs.push({ name, samples: alone.samples });
    const kept = way === undefined
      ? undefined
      : await killed(server, rows, way, alone.seconds * 1_000 / 2);
    console.log(`| ${
      [
        name,
        way === undefined ? "" : alone.seconds.toFixed(1),
        tail(alone.samples.filter(({ isRead }) => isRead)),
        tail(alone.samples.filter(({ isRead }) => !isRead)),
        way === undefined
          ? ""
          : `${Math.round(alone.grownBytes / 2 ** 20)} MiB`,
        way === undefined ? "" : `${alone.missed}`,
        kept === undefined ? "" : `${Math.round(100 * kept / rows)} %`,
      ].join(" | ")
    } |`);
  }
  await Deno.writeTextFile(
    PICTURE,
    latencyChart(
      `Live traffic while a column of ${
        rows.toLocaleString("en")
      } rows is filled`,
      runs,
    ),
  );
}

/** One way from beginning to end, with traffic. */
async function run(
  server: BenchServer,
  rows: number,
  way: string | undefined,
): Promise<Measured> {
  const admin = await prepare(server, rows);
  try {
    const before = await sizeOf(admin);
    const traffic = startTraffic(server.url(DATABASE), rows);
    const start = performance.now();
    if (way === undefined) await pause(IDLE_MS);
    else {
      const { code } = await startWay(way, server.url(DATABASE)).status;
      if (code !== 0) throw new Error(`"${way}" ended with ${code}`);
    }
    const seconds = (performance.now() - start) / 1_000;
    const samples = await traffic.end();
    const [row] = await admin`
      select count(*)::int as missed from killmails where isk_millions is null`;
    return {
      samples,
      seconds,
      grownBytes: await sizeOf(admin) - before,
      missed: row!.missed,
    };
  } finally {
    await admin.end();
  }
}

/** How many rows are done when it is killed after that time, once the server has noticed. */
async function killed(
  server: BenchServer,
  rows: number,
  way: string,
  afterMs: number,
): Promise<number> {
  const admin = await prepare(server, rows);
  try {
    const process = startWay(way, server.url(DATABASE));
    await pause(afterMs);
    process.kill("SIGKILL");
    await process.status;
    for (;;) {
      const [row] = await admin`
        select count(*)::int as left from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`;
      if (row!.left === 0) break;
      await pause(100);
    }
    const [row] = await admin`
      select count(isk_millions)::int as kept from killmails`;
    return row!.kept;
  } finally {
    await admin.end();
  }
}

function startWay(way: string, url: string): Deno.ChildProcess {
  const main = fileURLToPath(new URL("backfill_main.ts", import.meta.url));
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", main, way, url],
    stdin: "null",
    stdout: "null",
    stderr: "inherit",
  }).spawn();
}

/** A fresh copy of the table, with its indexes and the new column. */
async function prepare(server: BenchServer, rows: number): Promise<Sql> {
  await server.create(DATABASE);
  const admin = postgres(server.url(DATABASE), {
    max: 1,
    onnotice: () => {},
  });
  await admin.unsafe(`
    create table killmails (
      killmail_id bigint primary key, system_id bigint not null, occurred_at timestamptz not null,
      victim_corp_id bigint, attacker_corp_ids bigint[] not null default '{}', isk_value numeric, zkb_url text not null,
      processed_at timestamptz, isk_millions bigint);
    insert into killmails
      select g, g % 8000, now() - g * interval '1 s', g % 9000, array[g % 7000, g % 6000], g * 1000.5,
        'https://zkillboard.com/kill/' || g || '/', null, null
      from generate_series(1, ${rows}) g;
    create index on killmails (system_id, occurred_at);
    create index on killmails (occurred_at)`);
  await admin`vacuum analyze killmails`;
  await admin`checkpoint`;
  return admin;
}

/** Reads and updates of single rows, until it is ended. */
function startTraffic(
  url: string,
  rows: number,
): { end(): Promise<readonly Sample[]> } {
  const samples: Sample[] = [];
  const begin = performance.now();
  let running = true;
  const clients = Array.from({ length: CLIENTS }, async () => {
    const sql = postgres(url, { max: 1 });
    await sql`select 1`;
    while (running) {
      const id = 1 + Math.floor(Math.random() * rows);
      const isRead = Math.random() < READS;
      const start = performance.now();
      if (isRead) {
        await sql`select zkb_url from killmails where killmail_id = ${id}`;
      } else {
        await sql`update killmails set processed_at = now() where killmail_id = ${id}`;
      }
      const ms = performance.now() - start;
      samples.push({ at: start - begin, ms, isRead });
      await pause(PACE_MS);
    }
    await sql.end();
  });
  return {
    end: async () => {
      running = false;
      await Promise.all(clients);
      return samples;
    },
  };
}

async function sizeOf(admin: Sql): Promise<number> {
  const [row] = await admin`
    select pg_total_relation_size('killmails')::float8 as bytes`;
  return row!.bytes;
}

/** The slowest of a hundred, and the slowest of all. */
function tail(samples: readonly Sample[]): string {
  const sorted = samples.map(({ ms }) => ms).toSorted((a, b) => a - b);
  const p99 = sorted[Math.floor(sorted.length * 0.99)] ?? 0;
  return `${Math.round(p99)} / ${Math.round(sorted.at(-1) ?? 0)}`;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

await measure(Number(Deno.args[0] ?? 1_000_000));
