/**
 * Judges a run whose connection was cut: what the program says, in words and as data, is what the database holds.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { Sql } from "postgres";
import { type CutRun, cutTest, type Lane } from "./cuts.ts";
import type { Away, Cut } from "../net/proxy.ts";

/** Migrations that each make the one table that has the name of the migration without its number. */
export interface OutcomeTest {
  readonly command: readonly string[];
  readonly registry: string;
  /** All that the registry has. */
  readonly names: readonly string[];
  /** Brings an empty database to where the command begins. */
  readonly before?: (lane: Lane) => Promise<void>;
  /** Of `names`, those that are in effect where the command begins. */
  readonly start?: readonly string[];
  /** Of `names`, those that are in effect when all is done. */
  readonly end: readonly string[];
  /** The requests that carry what takes effect, or ride with it; counted from 0. */
  readonly decisive?: (requests: readonly string[]) => number[];
  /** Of a command that runs nothing: whether the history has what it was to record. */
  readonly isRecorded?: (sql: Sql) => Promise<boolean>;
  /** The command fails even when nothing is cut. */
  readonly fails?: boolean;
  /** Does what is left to do, and must succeed; runs the command again unless told. */
  readonly finish?: (lane: Lane) => Promise<void>;
}

const LOSSES = [
  "request",
  "half of the request",
  "half of the answer",
  "answer",
] as const;

/** Longer than what the program waited for once, and shorter than `--wait-for-db`. */
const AWAY_MS = 8_000;

/** How a session ends, and how the network is from then on. */
const ENDS = [
  { fault: "rst", front: "accepts and closes" },
  { fault: "rst", front: "says nothing" },
  { fault: "stall", front: "says nothing" },
] as const;

type CutAt = (request: number, turn: number) => Cut[];

/** Registers a test in which the network is back at once. */
export function lossTest(name: string, test: OutcomeTest): void {
  outcomeTest(
    `${name}: the network is back at once`,
    test,
    [],
    (request, turn) => [
      ...LOSSES.map((lose): Cut => ({ request, lose, fault: "rst" })),
      ...looksCut(request, turn),
    ],
  );
}

/** Registers tests in which the network is away for eight seconds, and for ever. */
export function outageTests(name: string, test: OutcomeTest): void {
  outcomeTest(
    `${name}: the network is back after a while`,
    test,
    ["--connect-timeout=4s"],
    (request, turn) => turnsOf(request, turn, { ms: AWAY_MS }),
    12,
  );
  outcomeTest(
    `${name}: the network stays away`,
    test,
    ["--connect-timeout=4s", "--wait-for-db=4s"],
    (request, turn) => turnsOf(request, turn, {}),
    12,
  );
}

/** The last commit, and what is sent with it. */
export function commits(requests: readonly string[]): number[] {
  return requests.flatMap((text, k) => text === "commit" ? [k] : []);
}

/** Everything between the lock and its release, outside a transaction; the commits around it too. */
export function journal(requests: readonly string[]): number[] {
  const lock = requests.findIndex((text) =>
    /pg_try_advisory_lock\(/.test(text)
  );
  const unlock = requests.findIndex((text) =>
    /pg_advisory_unlock_all/.test(text)
  );
  return requests.flatMap((text, k) =>
    text === "commit" || (k >= lock && k <= unlock) ? [k] : []
  );
}

/** The session that looks what became of it is lost, too: the log-in takes four or five requests, then comes the look. */
function looksCut(request: number, turn: number): Cut[] {
  return [5, 6, 7, 8, 9, 10].filter((_, i) => i % 2 === turn % 2).map((
    next,
  ) => ({
    request,
    lose: "answer",
    fault: "rst",
    next: { request: next, lose: "answer", fault: "rst" },
  }));
}

/** What takes its time is tried by turns: how the session ends and how the network is then, with what is lost. */
function turnsOf(
  request: number,
  turn: number,
  away: Pick<Away, "ms">,
): Cut[] {
  const half = turn % 2 === 0 ? "half of the request" : "half of the answer";
  return (["request", "answer", half] as const).map((lose, i) => {
    const { fault, front } = ENDS[(i + turn) % ENDS.length]!;
    return { request, lose, fault, away: { front, ...away } };
  });
}

function outcomeTest(
  name: string,
  test: OutcomeTest,
  options: readonly string[],
  cutAt: CutAt,
  lanes = 2,
): void {
  const { decisive = commits } = test;
  const cuts = (requests: readonly string[]) =>
    decisive(requests).flatMap((k, turn) => cutAt(k + 1, turn));
  cutTest(name, {
    command: [...test.command, "--format=json", ...options],
    registry: test.registry,
    cuts,
    lanes,
    code: test.fails ? 1 : 0,
    ...(test.before && { before: test.before }),
    prepare: () => Promise.resolve(),
    after: async (lane, run) => {
      const said = readSaid(run);
      await assertTold(lane, run, said, test);
      if (test.fails) return;
      await followAdvice(lane, run.result.stderr);
      if (test.finish !== undefined) await test.finish(lane);
      else {
        const next = await lane.run(test.command);
        assertEquals(next.code, 0, next.stderr);
      }
      assertEquals(await inEffect(lane.sql, test.names), test.end);
    },
  });
}

/** What a run told programs. */
interface Said {
  readonly done: readonly Step[];
  /** Begun, and not known to be in effect. */
  readonly undone: readonly (Step & { readonly outcome: string })[];
  readonly failed: Readonly<Record<string, unknown>> | undefined;
  readonly summary: Readonly<Record<string, unknown>>;
}

interface Step {
  readonly direction: "up" | "down" | undefined;
  readonly migration: string;
}

function readSaid({ result: { stdout } }: CutRun): Said {
  const lines = stdout.trim().split("\n").map((line) => JSON.parse(line));
  const directions = {
    applied: "up",
    rolled_back: "down",
    recorded: undefined,
  };
  return {
    done: lines.filter(({ event }) => event in directions).map((line) => {
      assertEquals(line.outcome, "committed");
      return {
        direction: directions[line.event as keyof typeof directions],
        migration: line.migration,
      } as Step;
    }),
    undone: lines.filter(({ event }) => event === "outcome"),
    failed: lines.find(({ event }) => event === "failed"),
    summary: lines.at(-1),
  };
}

async function assertTold(
  { sql }: Lane,
  { cut, result: { code, stderr }, statement }: CutRun,
  { done, undone, failed, summary }: Said,
  { names, start = [], fails = false, isRecorded }: OutcomeTest,
): Promise<void> {
  const unknown = undone.filter(({ outcome }) => outcome === "unknown");
  const count = (direction: Step["direction"]) =>
    done.filter((step) => step.direction === direction).length;
  assertEquals(
    { event: summary.event, failed: summary.failed },
    { event: "summary", failed: code !== 0 },
    stderr,
  );
  assertEquals(
    [summary.applied, summary.rolledBack, summary.recorded],
    [count("up"), count("down"), count(undefined)],
    stderr,
  );
  assertEquals(
    (summary.unknown as number) + (summary.unfinished as number),
    unknown.length,
    stderr,
  );
  assertEquals(code === 0 ? undefined : summary.outcome, failed?.outcome);
  if (code === 0) {
    assertEquals([undone, summary.notRun, summary.outcome], [
      [],
      0,
      "committed",
    ], stderr);
  } else {
    assertEquals(code, 1, stderr);
    assertEquals(summary.outcome === "unknown", unknown.length > 0, stderr);
  }
  // What can be known must be known, once somebody answers again.
  const isBack = cut.away === undefined || cut.away.ms !== undefined;
  const isOfMigration = !/migration_history|^commit$|set_config|advisory/.test(
    statement,
  );
  // One that failed outside a transaction is in effect as far as it came, wherever the connection was lost.
  if (isBack && !isOfMigration && summary.unfinished === 0) {
    assertEquals(unknown, [], `${statement}\n${stderr}`);
  }
  if (!isBack && statement === "commit" && !fails) {
    assert(unknown.length > 0, stderr);
  }
  assertEquals(
    /^error: Cannot tell whether /m.test(stderr),
    (summary.unknown as number) > 0,
    stderr,
  );
  assertEquals(
    /nothing was changed/.test(stderr),
    code !== 0 && done.length + unknown.length === 0,
    stderr,
  );

  const tables = await inEffect(sql, names);
  const known = played(start, done);
  const expected = [known, played(known, unknown)];
  assert(
    expected.some((one) => one.join() === tables.join()),
    `in effect is ${tables}, not ${
      expected.join(" or ")
    }\n${statement}\n${stderr}`,
  );
  if (isRecorded !== undefined) {
    const recorded = await isRecorded(sql);
    if (unknown.length === 0) assertEquals(recorded, done.length > 0, stderr);
    return;
  }
  const history = await statesOf(sql);
  for (const name of names) {
    const isUnknown = unknown.some(({ migration }) => migration === name);
    const status = history.get(name);
    const isApplied = status === "applied" || status === "baseline";
    if (isUnknown) continue;
    assertEquals(
      isApplied,
      tables.includes(name),
      `${name} ${status}\n${stderr}`,
    );
    assert(status !== "running", `${name} ${status}\n${stderr}`);
  }
  const failures = [...history].filter(([, status]) => status === "failed");
  for (const [name] of failures) {
    assert(!tables.includes(name), `${name} failed\n${stderr}`);
  }
}

/** The names in effect after the steps. */
function played(start: readonly string[], steps: readonly Step[]): string[] {
  const names = new Set(start);
  for (const { direction, migration } of steps) {
    if (direction === "down") names.delete(migration);
    if (direction === "up") names.add(migration);
  }
  return [...names].sort();
}

/** Does what the hint says, if it says to do something. */
async function followAdvice(lane: Lane, stderr: string): Promise<void> {
  const hint = /^ {2}hint: (.*)$/m.exec(stderr)?.[1] ?? "";
  const remedies = [...hint.matchAll(/repair (--[a-z-]+) (\S+)/g)];
  const [, , name] = remedies[0] ?? [];
  if (name === undefined) return;
  const status = (await statesOf(lane.sql)).get(name);
  if (hint.includes("if status says running") && status !== "running") return;
  const tables = await inEffect(lane.sql, [name]);
  const wanted = tables.length > 0 ? "--mark-applied" : "--retry";
  const [, option] = remedies.find(([, option]) => option === wanted) ??
    remedies[0]!;
  assertEquals(option, wanted, `the hint is wrong\n${stderr}`);
  const repaired = await lane.run(["repair", wanted, name]);
  assertEquals(repaired.code, 0, repaired.stderr);
}

/** Of the migrations those whose table is there. */
async function inEffect(
  sql: Sql,
  names: readonly string[],
): Promise<string[]> {
  const tables = await sql<{ name: string }[]>`
    select tablename::text as name from pg_tables where schemaname = 'public'`;
  return names.filter((name) =>
    tables.some((table) => table.name === name.replace(/^\d+_/, ""))
  );
}

/** The last word of the history on each migration. */
async function statesOf(sql: Sql): Promise<Map<string, string>> {
  const columns = (await sql<{ name: string }[]>`
    select attname::text as name from pg_attribute
    where attrelid = to_regclass('public.migration_history')`)
    .map(({ name }) => name);
  if (columns.length === 0) return new Map();
  const rows = columns.includes("status")
    ? await sql<{ name: string; status: string }[]>`
      select name, status from migration_history
      order by status in ('applied', 'baseline'), id`
    // As Kysely has left it.
    : await sql<{ name: string; status: string }[]>`
      select name, 'applied' as status from migration_history`;
  return new Map(rows.map(({ name, status }) => [name, status]));
}
