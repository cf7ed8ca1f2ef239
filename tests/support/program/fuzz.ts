/**
 * Random faults in random commands: whatever happens, the history, the catalog, the words, the exit code, the locks and the
 * server's processes have to agree afterwards.
 *
 * A run is made from its number alone: the same seed makes the same runs, up to what the clocks of three processes decide.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { type Cut, startProxy } from "../net/proxy.ts";
import { queryUrl } from "../server/postgres.ts";
import { type MigrateResult, runMigrate, startMigrate } from "./cli.ts";
import { waitUntilGone } from "./gate.ts";
import { migration, table } from "./migrations.ts";
import { makeProject, type Project } from "./project.ts";
import { delay } from "./wait.ts";

const ALONE = "0003_alone";

/** The third runs outside a transaction, the fourth floods the program with notices. */
const MIGRATIONS = {
  "0001_a": table("a"),
  "0002_b": migration({
    up: ["create table b ()", "alter table b add n integer", "select 1"],
    down: ["drop table b"],
  }),
  [ALONE]: migration({
    up: "create table if not exists alone ()",
    down: "drop table if exists alone",
    options: "{ transaction: false, idempotent: true }",
  }),
  "0004_d": migration({
    up: [
      "do $$ begin for i in 1..3000 loop raise notice '%', repeat('x', 200); end loop; end $$",
      "create table d ()",
    ],
    down: "drop table d",
  }),
  "0005_e": table("e"),
};
const NAMES = Object.keys(MIGRATIONS);

/** The table of a migration. */
const tableOf = (name: string) => name.slice(5);

const COMMANDS = [
  ["up"],
  ["up", "--transaction=each"],
  ["up", "--no-pipeline"],
  ["up", "--steps=2", "--transaction=each"],
  ["down", "--yes"],
  ["down", "--all", "--yes"],
  ["down", "--all", "--yes", "--transaction=each"],
  ["redo", "--yes"],
  ["status", "--check"],
] as const;

const LIMITS = [
  ...["--connect-timeout=2s", "--wait-for-db=4s", "--lock-wait=20s"],
  ...["--lock-timeout=2s", "--lock-retry=4s"],
];

type Fault =
  | { readonly kind: "none" }
  | { readonly kind: "cut"; readonly cut: Cut }
  | {
    readonly kind: "signal";
    readonly signal: "SIGTERM" | "SIGINT" | "SIGKILL";
    readonly afterMs: number;
  }
  | { readonly kind: "terminate"; readonly afterMs: number };

/** One run, as it is made from its number. */
export interface FuzzRun {
  readonly number: number;
  /** How many migrations are applied at its start. */
  readonly applied: number;
  readonly command: readonly string[];
  readonly json: boolean;
  readonly fault: Fault;
}

/** Makes a run from its number. */
export function fuzzRun(number: number): FuzzRun {
  const random = generator(number);
  const below = (n: number) => Math.floor(random() * n);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)]!;
  const command = pick(COMMANDS);
  const applied = pick([0, 2, NAMES.length]);
  const json = random() < 0.3;
  const kind = pick(
    ["none", "cut", "cut", "cut", "signal", "signal", "terminate"] as const,
  );
  const afterMs = 60 + below(400);
  const fault = (): Fault => {
    switch (kind) {
      case "none":
        return { kind };
      case "terminate":
        return { kind, afterMs };
      case "signal":
        return {
          kind,
          signal: pick(["SIGTERM", "SIGINT", "SIGKILL"] as const),
          afterMs,
        };
      case "cut":
        return {
          kind,
          cut: {
            request: 1 + below(30),
            lose: pick(
              [
                "request",
                "half of the request",
                "answer",
                "half of the answer",
              ] as const,
            ),
            fault: pick(
              [
                "fin",
                "rst",
                "fin",
                "rst",
                "fin",
                "rst",
                "garble",
                "stall",
              ] as const,
            ),
          },
        };
    }
  };
  return { number, applied, command, json, fault: fault() };
}

/** What runs need that is made once. */
export interface FuzzStage extends AsyncDisposable {
  /** Runs one. @throws {Error} naming it, when something does not agree */
  run(run: FuzzRun): Promise<void>;
}

/** Makes ready for runs on a server. */
export async function fuzzStage(adminUrl: string): Promise<FuzzStage> {
  await using resources = new AsyncDisposableStack();
  const project = resources.use(await makeProject(MIGRATIONS));
  const prefix = `fuzz_${crypto.randomUUID().slice(0, 8)}`;
  const admin = (text: string) => queryUrl(adminUrl, text);
  const templates = new Map<number, string>();
  for (const applied of [0, 2, NAMES.length]) {
    const name = `${prefix}_t${applied}`;
    await admin(`create database ${name}`);
    resources.defer(async () => void await admin(`drop database ${name}`));
    templates.set(applied, name);
    if (applied === 0) continue;
    const { code, stderr } = await runMigrate(["up", `--steps=${applied}`], {
      project,
      env: { DATABASE_URL: urlOf(adminUrl, name) },
    });
    assertEquals(code, 0, stderr);
  }
  const owned = resources.move();
  return {
    run: async (run) => {
      const name = `${prefix}_${run.number}`;
      await admin(
        `create database ${name} template ${templates.get(run.applied)}`,
      );
      try {
        await judge(run, project, urlOf(adminUrl, name));
      } finally {
        await admin(`drop database ${name} with (force)`);
      }
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** What the database says: the applied names, those that are half done, and those whose table is there. */
interface State {
  readonly applied: readonly string[];
  readonly unsettled: readonly string[];
  readonly there: readonly string[];
}

async function judge(
  run: FuzzRun,
  project: Project,
  url: string,
): Promise<void> {
  const before = await stateOf(url);
  const result = await play(run, project, url);
  await waitUntilGone({ query: (text) => queryUrl(url, text) });
  const after = await stateOf(url);
  try {
    assertAgree(run, result, before, after);
    await assertHeals(project, url, after);
  } catch (error) {
    throw new Error(
      `Run ${run.number}: ${JSON.stringify(run)}\nbefore ${
        JSON.stringify(before)
      }\nafter ${
        JSON.stringify(after)
      }\nexit ${result.code}\n--- stdout\n${result.stdout}\n--- stderr\n${result.stderr}`,
      { cause: error },
    );
  }
}

async function play(
  { command, json, fault }: FuzzRun,
  project: Project,
  url: string,
): Promise<MigrateResult> {
  const { hostname: host, port } = new URL(url);
  await using proxy = await startProxy({ host, port: Number(port) });
  if (fault.kind === "cut") proxy.cutNext(fault.cut);
  await using running = startMigrate(
    [...command, ...LIMITS, ...(json ? ["--format=json"] : [])],
    { project, env: { DATABASE_URL: proxy.url(url) } },
  );
  if (fault.kind === "signal" || fault.kind === "terminate") {
    await Promise.race([delay(fault.afterMs), running.result]);
    if (fault.kind === "signal") running.kill(fault.signal);
    else {await queryUrl(
        url,
        `select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and application_name like 'battlescope-migrate%'`,
      );}
  }
  const result = await running.result;
  // What keeps a stalled session open on the server's side is not the program.
  proxy.drop();
  return result;
}

function assertAgree(
  { command, json, fault }: FuzzRun,
  { code, stdout, stderr }: MigrateResult,
  before: State,
  after: State,
): void {
  // The catalog and the history.
  for (const name of NAMES) {
    if (after.unsettled.includes(name)) continue;
    assertEquals(
      after.there.includes(name),
      after.applied.includes(name),
      `${name}: the catalog and the history differ`,
    );
  }
  assert(
    after.unsettled.every((name) => name === ALONE),
    "what ran in a transaction is half done",
  );
  // The exit code.
  const codes: number[] = [0, 1];
  if (command[0] === "status") codes.push(3);
  if (fault.kind === "signal") {
    codes.push({ SIGTERM: 143, SIGINT: 130, SIGKILL: 137 }[fault.signal]);
  }
  assert(codes.includes(code), `exit ${code}`);
  if (fault.kind === "none" && before.unsettled.length === 0) {
    assert(code === 0 || (command[0] === "status" && code === 3), "it failed");
  }
  if (code === 0 && command[0] === "up" && command[1] !== "--steps=2") {
    assertEquals(after.applied, NAMES);
  }
  if (code === 0 && command[1] === "--all") assertEquals(after.applied, []);
  if (command[0] === "status") assertEquals(after, before);
  // The words.
  for (const sign of ["Uncaught", "panicked", "ext:", "Unhandled"]) {
    assert(!stderr.includes(sign), `${sign} in stderr`);
  }
  const told = json ? toldAsJson(stdout) : toldAsText(stdout);
  const now = new Set(before.applied);
  for (const { done, name } of told) {
    if (done === "applied") now.add(name);
    else now.delete(name);
  }
  const isCut = code === 137;
  const cannotTell = /[Cc]annot tell/.test(stderr + stdout);
  if (!isCut && !cannotTell) {
    assertEquals([...now].toSorted(), after.applied, "what it said is not so");
  }
  if (/nothing was changed/.test(stderr + stdout)) {
    assertEquals(after.applied, before.applied, "something was changed");
  }
}

interface Told {
  readonly done: "applied" | "rolled_back";
  readonly name: string;
}

function toldAsText(stdout: string): Told[] {
  return [...stdout.matchAll(/^(Applied|Rolled back) (\d{4}_\w+) \(/gm)].map((
    [, done, name],
  ) => ({
    done: done === "Applied" ? "applied" : "rolled_back",
    name: name!,
  }));
}

function toldAsJson(stdout: string): Told[] {
  // A process that was killed may have written half a line.
  const lines = stdout.slice(0, stdout.lastIndexOf("\n") + 1).split("\n");
  return lines.filter(Boolean).map((line) => JSON.parse(line)).flatMap((
    { event, migration },
  ) =>
    event === "applied" || event === "rolled_back"
      ? [{ done: event, name: migration }]
      : []
  );
}

/** Without any fault, and after the repair that is asked for, everything gets applied. */
async function assertHeals(
  project: Project,
  url: string,
  state: State,
): Promise<void> {
  const run = async (args: readonly string[]) => {
    const env = { DATABASE_URL: url };
    const { code, stderr } = await runMigrate(args, { project, env });
    assertEquals(code, 0, `${args.join(" ")} afterwards: ${stderr}`);
  };
  if (state.unsettled.length > 0) {
    // A rollback that is half done is not repeated by `up`.
    const way = state.there.includes(ALONE) ? "--mark-applied" : "--retry";
    await run(["repair", way, ALONE]);
  }
  await run(["up"]);
  assertEquals((await stateOf(url)).there, NAMES);
}

async function stateOf(url: string): Promise<State> {
  const tables = await queryUrl<{ name: string }>(
    url,
    "select tablename as name from pg_tables where schemaname = 'public'",
  );
  const found = new Set(tables.map(({ name }) => name));
  const rows = found.has("migration_history")
    ? await queryUrl<{ name: string; status: string }>(
      url,
      "select distinct on (name) name, status from migration_history order by name, status in ('applied', 'baseline') desc, id desc",
    )
    : [];
  const named = (...statuses: string[]) =>
    rows.filter(({ status }) => statuses.includes(status))
      .map(({ name }) => name).toSorted();
  return {
    applied: named("applied"),
    unsettled: named("running", "failed").filter((name) => name === ALONE),
    there: NAMES.filter((name) => found.has(tableOf(name))),
  };
}

function urlOf(adminUrl: string, database: string): string {
  const url = new URL(adminUrl);
  url.pathname = `/${database}`;
  return url.href;
}

/** Numbers from 0 to 1 that a seed decides: mulberry32. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
