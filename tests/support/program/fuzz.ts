/**
 * Random faults in random commands: whatever happens, the history, the catalog, the words, the exit code, the locks and the
 * server's processes have to agree afterwards.
 *
 * A run is made from its number alone: the same seed makes the same runs, up to what the clocks of three processes decide.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { checksumOf } from "../../../src/plan/migration.ts";
import { type Cut, startProxy } from "../net/proxy.ts";
import { queryUrl } from "../server/postgres.ts";
import { type MigrateResult, runMigrate, startMigrate } from "./cli.ts";
import { waitUntilGone } from "./gate.ts";
import { migration, table } from "./migrations.ts";
import { makeProject, type Project } from "./project.ts";
import { delay } from "./wait.ts";

const EDITED = "0002_b";
const ALONE = "0003_alone";

/** The third runs outside a transaction, the fourth floods the program with notices. */
const MIGRATIONS = {
  "0001_a": table("a"),
  [EDITED]: migration({
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

/** As {@link State} has it when the edited migration is recorded as it is now. */
const ACCEPTED = `${EDITED} ${await checksumOf(MIGRATIONS[EDITED])}`;

/** What was released before: one migration with another source, and one that failed. */
const EARLIER = {
  ...MIGRATIONS,
  [EDITED]: table("b"),
  [ALONE]: migration({
    up: "select 1 / 0",
    options: "{ transaction: false }",
  }),
};

/** The table of a migration. */
const tableOf = (name: string) => name.slice(5);

/** Where a run begins → the exit code of what brings a database there, with what was released before or with today's. */
const STARTS = {
  "nothing is applied": undefined,
  "two are applied": { steps: 2, release: MIGRATIONS, code: 0 },
  "all are applied": { steps: NAMES.length, release: MIGRATIONS, code: 0 },
  "one is edited": { steps: 2, release: EARLIER, code: 0 },
  "one is edited, one has failed": { steps: 3, release: EARLIER, code: 1 },
} as const;

type Start = keyof typeof STARTS;

const ANYWHERE: readonly Start[] = [
  "nothing is applied",
  "two are applied",
  "all are applied",
];

const COMMANDS: readonly (readonly [readonly Start[], ...string[]])[] = [
  [ANYWHERE, "up"],
  [ANYWHERE, "up", "--transaction=each"],
  [ANYWHERE, "up", "--no-pipeline"],
  [ANYWHERE, "up", "--steps=2", "--transaction=each"],
  [ANYWHERE, "down", "--yes"],
  [ANYWHERE, "down", "--all", "--yes"],
  [ANYWHERE, "down", "--all", "--yes", "--transaction=each"],
  [ANYWHERE, "redo", "--yes"],
  [ANYWHERE, "status", "--check"],
  [["nothing is applied", "two are applied"], "baseline", "--to=0004_d"],
  [["one is edited"], "repair", `--accept-checksum=${EDITED}`],
  [["one is edited, one has failed"], "repair", `--retry=${ALONE}`],
  [["one is edited, one has failed"], "repair", `--mark-applied=${ALONE}`],
];

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
  readonly start: Start;
  readonly command: readonly string[];
  readonly json: boolean;
  readonly fault: Fault;
}

/** Makes a run from its number. */
export function fuzzRun(number: number): FuzzRun {
  const random = generator(number);
  const below = (n: number) => Math.floor(random() * n);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)]!;
  const [starts, ...command] = pick(COMMANDS);
  const start = pick(starts);
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
  return { number, start, command, json, fault: fault() };
}

/** Changes what a run has left, or what it has said: a fault that has to be found. */
export type Tamper = (
  url: string,
  result: MigrateResult,
) => Promise<MigrateResult>;

/** What runs need that is made once. */
export interface FuzzStage extends AsyncDisposable {
  /** Runs one. @throws {Error} naming it, when something does not agree */
  run(run: FuzzRun, tamper?: Tamper): Promise<void>;
}

/** Makes ready for runs on a server. */
export async function fuzzStage(adminUrl: string): Promise<FuzzStage> {
  await using resources = new AsyncDisposableStack();
  const project = resources.use(await makeProject(MIGRATIONS));
  const earlier = resources.use(await makeProject(EARLIER));
  const prefix = `fuzz_${crypto.randomUUID().slice(0, 8)}`;
  const admin = (text: string) => queryUrl(adminUrl, text);
  const templates = new Map<Start, string>();
  for (const start of Object.keys(STARTS) as Start[]) {
    const name = `${prefix}_t${templates.size}`;
    await admin(`create database ${name}`);
    resources.defer(async () => void await admin(`drop database ${name}`));
    templates.set(start, name);
    const way = STARTS[start];
    if (way === undefined) continue;
    const { code, stderr } = await runMigrate(["up", `--steps=${way.steps}`], {
      project: way.release === EARLIER ? earlier : project,
      env: { DATABASE_URL: urlOf(adminUrl, name) },
    });
    assertEquals(code, way.code, stderr);
  }
  const owned = resources.move();
  return {
    run: async (run, tamper) => {
      const name = `${prefix}_${run.number}`;
      await admin(
        `create database ${name} template ${templates.get(run.start)}`,
      );
      try {
        await judge(run, project, urlOf(adminUrl, name), tamper);
      } finally {
        await admin(`drop database ${name} with (force)`);
      }
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** What the database says, as names of migrations. */
interface State {
  /** Applied, or recorded as applied. */
  readonly applied: readonly string[];
  /** Recorded without being run. */
  readonly recorded: readonly string[];
  /** Half done. */
  readonly unsettled: readonly string[];
  /** Their table is there. */
  readonly there: readonly string[];
  /** Applied, and their checksums. */
  readonly checksums: readonly string[];
}

async function judge(
  run: FuzzRun,
  project: Project,
  url: string,
  tamper: Tamper = (_, result) => Promise.resolve(result),
): Promise<void> {
  const before = await stateOf(url);
  const played = await play(run, project, url);
  await waitUntilGone({ query: (text) => queryUrl(url, text) });
  const result = await tamper(url, played);
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
    if (after.recorded.includes(name)) continue;
    if (command[1] === `--mark-applied=${name}`) continue;
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
  if (fault.kind === "none") {
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
  const isKilled = code === 137;
  const cannotTell = /[Cc]annot tell/.test(stderr + stdout);
  if (!isKilled && !cannotTell) {
    const isSettled = (name: string) => !after.unsettled.includes(name);
    assertEquals(
      playedOut(before, told).filter(isSettled),
      after.applied.filter(isSettled),
      "it is not so",
    );
    if (after.unsettled.some((name) => !before.unsettled.includes(name))) {
      assert(
        /left half-way|"unfinished":1/.test(stderr + stdout),
        "it is not said",
      );
    }
    if (command[0] === "repair") {
      assertEquals(told.length > 0, !isSame(before, after), "it is not so");
    }
    if (told.some(({ done }) => done === "Accepted the checksum of")) {
      assert(after.checksums.includes(ACCEPTED), "another was accepted");
    }
  }
  if (/nothing was changed/.test(stderr + stdout)) {
    assert(isSame(before, after), "something was changed");
  }
}

interface Told {
  readonly done: keyof typeof DONE;
  readonly name: string;
}

/** The first words of a line → whether the migration is applied after it; nothing where that is as before. */
const DONE = {
  "Applied": true,
  "Rolled back": false,
  "Recorded": true,
  "Marked as applied:": true,
  "Accepted the checksum of": undefined,
  "Ready to be applied again:": undefined,
} as const;

/** The same of an event: its name, and what the history was changed for. */
const EVENTS: Readonly<Record<string, Told["done"]>> = {
  "applied": "Applied",
  "rolled_back": "Rolled back",
  "recorded baseline": "Recorded",
  "recorded mark_applied": "Marked as applied:",
  "recorded accept_checksum": "Accepted the checksum of",
  "recorded retry": "Ready to be applied again:",
};

function toldAsText(stdout: string): Told[] {
  const begin = Object.keys(DONE).join("|");
  const lines = new RegExp(`^(${begin}) (\\d{4}_\\w+)(?: \\(.*)?$`, "gm");
  return [...stdout.matchAll(lines)].map(([, done, name]) => ({
    done: done as Told["done"],
    name: name!,
  }));
}

function toldAsJson(stdout: string): Told[] {
  // A process that was killed may have written half a line.
  const lines = stdout.slice(0, stdout.lastIndexOf("\n") + 1).split("\n");
  return lines.filter(Boolean).map((line) => JSON.parse(line)).flatMap((
    { event, action, migration },
  ) => {
    const done = EVENTS[action === undefined ? event : `${event} ${action}`];
    return done === undefined ? [] : [{ done, name: migration }];
  });
}

/** What is applied when all that was told is so. */
function playedOut({ applied }: State, told: readonly Told[]): string[] {
  const names = new Set(applied);
  for (const { done, name } of told) {
    if (DONE[done] === true) names.add(name);
    if (DONE[done] === false) names.delete(name);
  }
  return [...names].toSorted();
}

function isSame(before: State, after: State): boolean {
  return JSON.stringify(before) === JSON.stringify(after);
}

/** Without any fault, and after the repairs that are asked for, everything gets applied. */
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
  if (state.applied.includes(EDITED) && !state.checksums.includes(ACCEPTED)) {
    await run(["repair", `--accept-checksum=${EDITED}`]);
  }
  if (state.unsettled.length > 0) {
    // A rollback that is half done is not repeated by `up`.
    const way = state.there.includes(ALONE) ? "--mark-applied" : "--retry";
    await run(["repair", way, ALONE]);
  }
  await run(["up"]);
  const healed = await stateOf(url);
  assertEquals(healed.applied, NAMES);
  const missing = NAMES.filter((name) => !healed.there.includes(name));
  const unrun = state.applied.filter((name) => !state.there.includes(name));
  assertEquals(missing, unrun);
}

async function stateOf(url: string): Promise<State> {
  const tables = await queryUrl<{ name: string }>(
    url,
    "select tablename as name from pg_tables where schemaname = 'public'",
  );
  const found = new Set(tables.map(({ name }) => name));
  const rows = found.has("migration_history")
    ? await queryUrl<{ name: string; status: string; checksum: string }>(
      url,
      "select distinct on (name) name, status, checksum from migration_history order by name, status in ('applied', 'baseline') desc, id desc",
    )
    : [];
  const named = (...statuses: string[]) =>
    rows.filter(({ status }) => statuses.includes(status))
      .map(({ name }) => name).toSorted();
  return {
    applied: named("applied", "baseline"),
    recorded: named("baseline"),
    unsettled: named("running", "failed").filter((name) => name === ALONE),
    there: NAMES.filter((name) => found.has(tableOf(name))),
    checksums: rows
      .filter(({ status }) => status === "applied" || status === "baseline")
      .map(({ name, checksum }) => `${name} ${checksum}`),
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
