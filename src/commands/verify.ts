import type { Command } from "../cli/command.ts";
import { causeOf, DatabaseError, ExitCode, RefusedError } from "../errors.ts";
import type {
  Catalog,
  FoundSchemaObject,
  SchemaQuestion,
} from "../engine/catalog_ports.ts";
import type { Session } from "../engine/ports.ts";
import {
  compareSchemas,
  type Comparison,
  unlike,
  without,
} from "../insight/differences.ts";
import {
  exclusionsOf,
  type Expectation,
  readExpectation,
} from "../insight/expectation.ts";
import type { Json } from "../insight/recording.ts";
import { isApplied } from "../plan/history.ts";
import { type MigrationState, migrationStates, names } from "../plan/states.ts";
import { schemaHoldersText, verificationLines } from "../report/differences.ts";
import { databaseJson } from "../report/wording.ts";
import { type Context, type Result, withSession } from "./context.ts";

type VerifyCommand = Command & { readonly kind: "verify" };

/** How long to wait for a table that somebody has locked for himself alone, in milliseconds, and how often. */
const LOCK = { waitMs: 2_000, tries: 3, pauseMs: 500 };

/** PostgreSQL's lock_not_available. */
const LOCKED = "55P03";

/** The bodies of so many objects are read: what there is more of differs in everything, and has to be looked at anyway. */
const MOST_BODIES = 500;

/** Compares the schema with what the applied migrations make. */
export async function verify(
  context: Context,
  command: VerifyCommand,
): Promise<Result> {
  const { ports, program } = context;
  const { server, expectation, comparison, fingerprint } = await withSession(
    context,
    async (session) => ({
      server: session.server,
      ...await compare(context, command, session),
    }),
  );
  const { differences, notCompared, reordered } = comparison;
  const { migration, recordedOn } = expectation;
  ports.report({
    event: "verified",
    lines: verificationLines(comparison, migration),
    value: {
      program,
      database: databaseJson(server),
      matches: differences.length === 0,
      fingerprint,
      expected: { migration, recordedOn },
      differences,
      notCompared,
      reordered,
    },
  });
  const isFine = command.allowExtra
    ? differences.every(({ kind }) => kind === "extra")
    : differences.length === 0;
  return { exitCode: isFine ? ExitCode.done : ExitCode.differs };
}

async function compare(
  context: Context,
  command: VerifyCommand,
  session: Session,
): Promise<
  { expectation: Expectation; comparison: Comparison; fingerprint: string }
> {
  const { report } = context.ports;
  const states = migrationStates(context.migrations, session.history);
  const expectation = await expect(context, command, session, states);
  for (const message of doubts(states, expectation)) {
    report({ event: "warning", message });
  }
  const { grants } = command;
  const catalog = await session.catalog();
  const found = await ask(context, catalog, { bodies: false, grants });
  const { objects } = expectation;
  const wanted = unlike(objects, found)
    .filter((identity) => !expectation.uncertain.has(identity))
    .slice(0, MOST_BODIES);
  const gone = [...objects.keys()].filter((one) => !found.has(one));
  const read = wanted.length === 0
    ? new Map<string, FoundSchemaObject>()
    : await ask(context, catalog, {
      only: wanted,
      bodies: true,
      grants: false,
    });
  const bodies = new Map<string, Json>(
    [...read].map(([identity, { body = null }]) => [identity, body]),
  );
  const asked = [...wanted, ...gone.slice(0, MOST_BODIES)];
  const all = compareSchemas(
    {
      objects,
      bodies: asked.length === 0 ? new Map() : expectation.bodies(asked),
    },
    { objects: found, bodies },
    { grants },
  );
  return {
    expectation,
    comparison: without(all, [
      ...exclusionsOf(expectation),
      ...command.ignore.map((one) => ({ ...one, reason: "ignored" })),
    ]),
    fingerprint: await fingerprintOf(found),
  };
}

/** @throws {RefusedError} when it cannot be told what to expect */
async function expect(
  { recording, migrations }: Context,
  { to, grants }: VerifyCommand,
  { server }: Session,
  states: readonly MigrationState[],
): Promise<Expectation> {
  if (server.schema === null) {
    throw new RefusedError(["Cannot compare the schema: there is none"]);
  }
  const recorded = await recording();
  if (recorded === undefined) {
    throw new RefusedError([
      'Cannot tell what the migrations make: not recorded; run "deno task insight" and build the program anew',
    ]);
  }
  const applied = new Set(
    states.filter(({ row }) => isApplied(row)).map(({ name }) => name),
  );
  const expectation = readExpectation(recorded, {
    migrations: migrations.map(({ name, checksum }) => ({
      name,
      checksum,
      isApplied: applied.has(name),
    })),
    to,
    major: Number.parseInt(server.version),
    grants,
  });
  if ("faults" in expectation) throw new RefusedError(expectation.faults);
  return expectation;
}

/** What makes the comparison say less than it seems to. */
function doubts(
  states: readonly MigrationState[],
  { gaps }: Expectation,
): string[] {
  const list = (
    wanted: (state: MigrationState) => boolean,
    what: string,
    so: string,
  ) => {
    const found = states.filter(wanted);
    return found.length === 0 ? [] : [`${what}: ${names(found)}; ${so}`];
  };
  return [
    ...list(
      ({ name }) => gaps.includes(name),
      "Not applied, although newer ones are",
      "what would be changed is not compared",
    ),
    ...list(
      ({ state, row }) => state === "missing" && isApplied(row),
      "Applied, and unknown to this program",
      "what was changed counts as a difference",
    ),
    ...list(
      ({ state }) => state === "changed",
      "Applied with another checksum",
      "what is expected is what the present source makes",
    ),
    ...list(
      ({ state, migration }) =>
        state === "running" ||
        (state === "failed" && migration?.transaction === false),
      "Not at its end",
      "what was done so far counts as a difference",
    ),
  ];
}

/** Asks again while a table is locked, and then says by whom. */
async function ask(
  { ports }: Context,
  catalog: Catalog,
  question: Omit<SchemaQuestion, "lockTimeoutMs">,
): Promise<ReadonlyMap<string, FoundSchemaObject>> {
  const { waitMs, tries, pauseMs } = LOCK;
  for (let left = tries - 1;; left--) {
    try {
      return await catalog.objects({
        ...question,
        lockTimeoutMs: waitMs,
      });
    } catch (error) {
      if (causeOf(error, DatabaseError)?.server.code !== LOCKED) throw error;
      const holders = await catalog.lockHolders();
      const reason = schemaHoldersText(holders);
      if (left === 0) {
        throw new RefusedError([
          `Cannot read the schema: ${reason}; try again when that is done`,
        ]);
      }
      ports.report({
        event: "retrying",
        waitMs: pauseMs,
        leftMs: left * (waitMs + pauseMs),
        reason,
      });
      await ports.clock.sleep(pauseMs);
    }
  }
}

/** One text for a whole schema: equal schemas have equal ones, on every server. */
async function fingerprintOf(
  found: ReadonlyMap<string, FoundSchemaObject>,
): Promise<string> {
  const lines = [...found].map(([identity, { hash }]) =>
    `${identity}\0${hash}\n`
  );
  const bytes = new TextEncoder().encode(lines.join(""));
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  return Array.from(
    new Uint8Array(digest),
    (byte) => byte.toString(16).padStart(2, "0"),
  ).join("");
}
