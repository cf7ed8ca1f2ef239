/**
 * `up --verify`: what a run has made of the schema is compared with what its migrations were recorded to make, before that is
 * committed.
 *
 * @module
 */
import { DiffersError, RefusedError } from "../errors.ts";
import { type Comparison, type Side, without } from "../insight/differences.ts";
import {
  changedBy,
  exclusionsOf,
  type Expectation,
  readExpectation,
} from "../insight/expectation.ts";
import { makerOf } from "../insight/maker.ts";
import type { Json } from "../insight/recording.ts";
import { splitIdentity } from "../insight/snapshot.ts";
import { compareTouched } from "../insight/touched.ts";
import { type HistoryRow, isApplied } from "../plan/history.ts";
import type { Migration } from "../plan/migration.ts";
import type { Step } from "../plan/plan.ts";
import { migrationStates } from "../plan/states.ts";
import { differenceText } from "../report/differences.ts";
import { count } from "../report/wording.ts";
import { quote } from "../text.ts";
import type { SchemaReader } from "./catalog_ports.ts";
import type { Work } from "./ports.ts";

/** What to compare with. */
export interface VerificationOptions {
  /** In UTF-8; missing when nothing was recorded. */
  readonly recording: Uint8Array | undefined;
  /** All of the program. */
  readonly migrations: readonly Migration[];
  /** As the server says it: `18.4`. */
  readonly serverVersion: string;
  /** How long to wait for a table that somebody has locked for himself alone: as long as every statement of the run. Milliseconds. */
  readonly lockTimeoutMs: number;
}

/** Throws when what the steps that ran have made of the schema is something else. */
export type Check = (ran: readonly Step[]) => Promise<void>;

export class Verification {
  readonly #options: VerificationOptions;

  constructor(options: VerificationOptions) {
    this.#options = options;
  }

  /** @throws {RefusedError} when it is not known what the steps make, or what they make could not be compared at their end */
  assertRecorded(
    history: readonly HistoryRow[],
    steps: readonly Step[],
  ): void {
    const expectation = this.#expect(this.#applied(history), steps);
    const exclusions = exclusionsOf(expectation);
    const faults = [...changedBy(this.#recording, namesOf(steps))]
      .flatMap((identity) => {
        const [type, object] = splitIdentity(identity);
        const left = exclusions.find((one) =>
          "part" in one
            ? one.types.includes(type)
            : one.type === type && one.object === object
        );
        return left === undefined
          ? []
          : [`Cannot verify the ${type} ${quote(object)}: ${left.reason}`];
      });
    if (faults.length > 0) throw new RefusedError(faults);
  }

  /**
   * Looks at the schema before the steps run.
   *
   * @throws {RefusedError} when it is not known what they make
   * @throws {Error} for a DatabaseError 55P03 when a table stays locked
   */
  async begin(
    work: Work,
    history: readonly HistoryRow[],
    steps: readonly Step[],
  ): Promise<Check> {
    const applied = this.#applied(history);
    this.#expect(applied, steps);
    const planned = changedBy(
      this.#recording,
      namesOf(steps),
    );
    const start = this.#expect(applied, []);
    const schema = await work.schema();
    const found = await this.#read(schema, () => planned);
    return async (ran) => {
      // What was sent ahead and failed has an error of its own.
      await work.settle();
      const expectation = this.#expect(applied, ran);
      let suspects: ReadonlySet<string> = new Set();
      // Of a schema of thousands of new tables no body is read that is as it should be.
      const after = await this.#read(
        schema,
        (objects) => suspects = unequal(planned, expectation.objects, objects),
      );
      const comparison = compareTouched(
        { planned, suspects },
        {
          before: knownSide(start, suspects),
          after: expectedSide(expectation, suspects),
        },
        { before: found, after },
      );
      this.#assertSame(
        without(comparison, exclusionsOf(expectation)),
        ran,
        expectation,
      );
    };
  }

  #applied(history: readonly HistoryRow[]): ReadonlySet<string> {
    return new Set(
      migrationStates(this.#options.migrations, history)
        .filter(({ row }) => isApplied(row)).map(({ name }) => name),
    );
  }

  /** @throws {RefusedError} when nothing was recorded */
  get #recording(): Uint8Array {
    const { recording } = this.#options;
    if (recording !== undefined) return recording;
    throw new RefusedError([
      'Cannot verify what the migrations make: not recorded; run "deno task insight" and build the program anew',
    ]);
  }

  /** All objects of a schema, with the bodies of some. */
  async #read(
    schema: SchemaReader,
    wanted: (objects: Side["objects"]) => ReadonlySet<string>,
  ): Promise<Side> {
    const { lockTimeoutMs } = this.#options;
    const question = { grants: false, lockTimeoutMs };
    const objects = await schema.objects({ ...question, bodies: false });
    const only = [...wanted(objects)].filter((one) => objects.has(one));
    const read = only.length === 0
      ? []
      : await schema.objects({ ...question, only, bodies: true });
    return {
      objects,
      bodies: new Map<string, Json>(
        [...read].map(([identity, { body = null }]) => [identity, body]),
      ),
    };
  }

  /** @throws {DiffersError} */
  #assertSame(
    { differences }: Comparison,
    ran: readonly Step[],
    { version }: Expectation,
  ): void {
    const [first, ...others] = differences;
    if (first === undefined) return;
    const more = others.length === 0
      ? ""
      : `, and ${count(others.length, "other place")}`;
    const names = namesOf(ran);
    throw new DiffersError(
      `the schema is not what was recorded: ${
        differenceText(first).replaceAll(/ +/g, " ")
      }${more}`,
      differences.map(differenceText),
      differences,
      {
        hint:
          "Look what else changes the schema: verify compares all of it; up without --verify does not look",
        migration: makerOf(this.#recording, { names, version }, differences),
      },
    );
  }

  /** The schema when these steps have run, too. */
  #expect(applied: ReadonlySet<string>, steps: readonly Step[]): Expectation {
    const { migrations, serverVersion } = this.#options;
    const names = namesOf(steps);
    const expectation = readExpectation(this.#recording, {
      migrations: migrations.map(({ name, checksum }) => ({
        name,
        checksum,
        isApplied: applied.has(name) || names.has(name),
      })),
      to: undefined,
      major: Number.parseInt(serverVersion),
      grants: false,
    });
    if ("faults" in expectation) throw new RefusedError(expectation.faults);
    return expectation;
  }
}

/** Those of the objects that are not as expected. */
function unequal(
  identities: ReadonlySet<string>,
  expected: Side["objects"],
  found: Side["objects"],
): ReadonlySet<string> {
  return new Set(
    [...identities].filter((one) =>
      expected.get(one)?.hash !== found.get(one)?.hash
    ),
  );
}

function expectedSide(
  { objects, bodies }: Expectation,
  suspects: ReadonlySet<string>,
): Side {
  return { objects, bodies: bodies([...suspects]) };
}

/** Without what a migration would change that comes late: all of it counts as new, and so is compared. */
function knownSide(
  expectation: Expectation,
  suspects: ReadonlySet<string>,
): Side {
  const { objects, bodies } = expectedSide(expectation, suspects);
  const known = [...objects].filter(([identity]) =>
    !expectation.uncertain.has(identity)
  );
  return { objects: new Map(known), bodies };
}

function namesOf(steps: readonly Step[]): ReadonlySet<string> {
  return new Set(steps.map(({ migration }) => migration.name));
}
