// deno-lint-ignore-file no-console -- the number of cuts is part of the result
/**
 * Cuts the program's connection, run after run, each time somewhere else, and judges what is left.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import postgres, { type Sql } from "postgres";
import { type MigrateResult, MORE_OPTIONS } from "./cli.ts";
import { waitUntilGone } from "./gate.ts";
import { pgTest, type TestDatabase, testServers } from "../server/postgres.ts";
import { type Cut, startProxy } from "../net/proxy.ts";
import { startResident } from "../server/resident.ts";
import { assertNoSecret } from "./scenario.ts";

export interface CutTest<Known> {
  /** The arguments of the program in a run that is cut. */
  readonly command: readonly string[];
  /** The module of the migrations. @default {those of this checkout} */
  readonly registry?: string;
  /** Where to cut, given the statements of a run that nothing disturbs; `dense` on the newest server, as the program works. */
  readonly cuts: (
    requests: readonly string[],
    dense: boolean,
  ) => readonly Cut[];
  /** How many cuts are tried at the same time, each in a database of its own. @default {1} */
  readonly lanes?: number;
  /** The exit code of a run that nothing disturbs. @default {0} */
  readonly code?: number;
  /** Finds out, once, what {@link after} needs to know. */
  readonly prepare: (db: TestDatabase) => Promise<Known>;
  /** Brings an empty database to where the command begins. */
  readonly before?: (lane: Lane) => Promise<void>;
  /** Judges a run that was cut; rejects when anything is not as promised. */
  readonly after: (lane: Lane, run: CutRun, known: Known) => Promise<void>;
}

/** A database of its own and the program on it. */
export interface Lane {
  readonly sql: Sql;
  readonly url: string;
  /** Runs the program to its end, without the proxy. */
  run(args: readonly string[]): Promise<MigrateResult>;
}

export interface CutRun {
  readonly cut: Cut;
  readonly result: MigrateResult;
  /** The statement of the request that was hit. */
  readonly statement: string;
}

/** After so many failures the rest would tell nothing new. */
const ENOUGH = 5;

/** Registers a test that survives every cut. */
export function cutTest<Known>(name: string, test: CutTest<Known>): void {
  pgTest(name, async (db) => {
    await using stack = new AsyncDisposableStack();
    const known = await test.prepare(db);
    const lanes = await Promise.all(
      Array.from(
        { length: test.lanes ?? 1 },
        async () => stack.use(await openLane(db, test, known)),
      ),
    );
    const requests = await lanes[0]!.undisturbed();
    const dense = db.version === testServers().at(-1)!.version &&
      MORE_OPTIONS.length === 0;
    const cuts = test.cuts(requests, dense);
    const left = [...cuts];
    const failures: string[] = [];
    await Promise.all(lanes.map(async (lane) => {
      for (let cut = left.shift(); cut !== undefined; cut = left.shift()) {
        if (failures.length >= ENOUGH) break;
        const failure = await lane.survive(cut).catch((error) => error);
        if (failure === undefined) continue;
        const statement = requests[cut.request - 1]!.trim().slice(0, 80);
        failures.push(
          `${JSON.stringify(cut)} ${statement}\n${failure.message}`,
        );
        await lane.restart();
      }
    }));
    const tried = cuts.length - left.length;
    console.log(
      `${name} [pg${db.version}]: ${requests.length} requests, ${tried} cuts tried, ` +
        `${tried - failures.length} survived`,
    );
    if (failures.length > 0) throw new Error(failures.join("\n\n"));
    assert(tried > 0, "nothing was cut");
  });
}

/**
 * Closed and reset at each request, and what gets lost by turns; where it decides most, in every combination. On other servers
 * than the newest, and where nothing is sent ahead, every second request must do.
 */
export function everyCut(requests: readonly string[], dense: boolean): Cut[] {
  const losses = ["request", "answer", "half of the answer"] as const;
  const faults = ["fin", "rst"] as const;
  return requests.flatMap((statement, k) =>
    faults.flatMap((fault, i) =>
      losses
        .filter(() => dense || k % 2 === 0 || statement === "commit")
        .filter((_, j) =>
          statement === "commit" || (k + i) % losses.length === j
        )
        .map((lose) => ({ request: k + 1, fault, lose }))
    )
  );
}

/** The same with one fault for each request, by turns; where it decides most, in every combination. */
export function everyCutByTurns(
  requests: readonly string[],
  dense: boolean,
): Cut[] {
  return everyCut(requests, dense).filter(({ request }, i) =>
    requests[request - 1] === "commit" || [0, 3].includes(i % 4)
  );
}

/**
 * For faults that cost their time: the log-in, the lock, the first, a middle and the last statement, and the commit.
 *
 * @param requests of a run in one transaction
 */
export function someCuts(requests: readonly string[]): Cut[] {
  const first = requests.findIndex((text) => /migration_history \(/.test(text));
  const commit = requests.lastIndexOf("commit");
  const middle = Math.floor((first + commit) / 2);
  const faults = ["stall", "garble"] as const;
  return faults.flatMap((fault, i) =>
    [2, first - 1, first, first + 1, middle, commit - 1, commit].flatMap(
      (k, j) =>
        (["request", "answer"] as const)
          .filter((_, l) => k === commit || (i + j) % 2 === l)
          .map((lose) => ({ request: k + 1, fault, lose })),
    )
  );
}

interface CuttingLane extends Lane, AsyncDisposable {
  /** The statements of a run that nothing disturbs. */
  undisturbed(): Promise<readonly string[]>;
  /** Runs the command into the cut; rejects when anything is not as promised. */
  survive(cut: Cut): Promise<void>;
  /** Begins anew after a run that went wrong in an unknown way. */
  restart(): Promise<void>;
}

async function openLane<Known>(
  db: TestDatabase,
  {
    command,
    registry,
    code = 0,
    before = async () => {},
    after,
  }: CutTest<Known>,
  known: Known,
): Promise<CuttingLane> {
  const { url } = await db.createDatabase();
  const proxy = await startProxy(db);
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  let program = startResident();
  const run = async (args: readonly string[], at = url) => {
    const result = await program.run(args, { DATABASE_URL: at }, {
      ...(registry !== undefined && { registry }),
    });
    assertNoSecret(result, [db.password]);
    return result;
  };
  const lane: Lane = { sql, url, run: (args) => run(args) };
  /** The command from its beginning, through the proxy. */
  const runThrough = async (cut?: Cut) => {
    await emptyDatabase(sql);
    await before(lane);
    proxy.front(undefined);
    proxy.cutNext(cut);
    const count = proxy.sessions.length;
    const result = await run(command, proxy.url(url));
    const sessions = proxy.sessions.slice(count);
    // Where the machine is busy the log-in may have been tried again, or a statement watched from a second connection.
    const session = cut === undefined
      ? sessions.toSorted((a, b) => b.requests.length - a.requests.length)[0]
      : sessions.find((session) => session.cut);
    return { result, session };
  };
  return {
    ...lane,
    undisturbed: async () => {
      const { result, session } = await runThrough();
      assertEquals(result.code, code, result.stderr);
      return session!.requests;
    },
    survive: async (cut) => {
      const { result, session } = await runThrough(cut);
      assert(session !== undefined, "the cut was not reached");
      // What keeps a stalled session open on the server's side is not the program.
      proxy.drop();
      await waitUntilGone({ query: (text) => sql.unsafe(text) });
      const statement = session!.requests[cut.request - 1]!;
      await after(lane, { cut, result, statement }, known);
    },
    restart: async () => {
      await program[Symbol.asyncDispose]();
      program = startResident();
    },
    async [Symbol.asyncDispose]() {
      await program[Symbol.asyncDispose]();
      await proxy[Symbol.asyncDispose]();
      await sql.end();
    },
  };
}

/** Much faster than a new database, and as empty. */
export async function emptyDatabase(sql: Sql): Promise<void> {
  await sql.unsafe("drop schema public cascade; create schema public");
}
