/**
 * Runs every migration of a folder on real servers, one at a time, and keeps what each makes of the schema.
 *
 * @module
 */
import {
  type Delta,
  type RecordedMigration,
  type Recording,
} from "../../src/insight/recording.ts";
import {
  applyDelta,
  deltaOf,
  type Snapshot,
} from "../../src/insight/snapshot.ts";
import type { SchemaObject } from "../../src/insight/recording.ts";
import type { Migration } from "../../src/plan/migration.ts";
import { quote } from "../../src/text.ts";
import type { Server } from "../dev/embedded_postgres.ts";
import { RULES } from "../../src/insight/findings.ts";
import { recordFootprints } from "./footprints.ts";
import type { Program } from "./program.ts";
import { differenceFault, phaseFaults } from "./schema_faults.ts";
import { openStage, type Stage } from "./stage.ts";

export interface RecorderOptions {
  /** The newest last: on that one every direction is run, on the others `up` only. */
  readonly servers: readonly Server[];
  readonly program: Program;
  /** What a superuser runs in a fresh database first. */
  readonly setup: string;
  readonly say: (line: string) => void;
}

/** What was recorded, and everything that is wrong with the migrations. */
export interface Recorded {
  readonly recording: Recording;
  readonly faults: readonly string[];
}

/** Records all migrations of a program. */
export async function record(options: RecorderOptions): Promise<Recorded> {
  const { servers, program, say } = options;
  const newest = servers.at(-1)!;
  const recorder = new Recorder(newest, options);
  const { migrations, version } = await recorder.all();
  const faults = [
    ...program.migrations.flatMap(acceptFaults),
    ...recorder.faults,
  ];
  const recordedOn: Record<string, string> = { [newest.version]: version };
  const versions = migrations.map((): Record<string, Delta> => ({}));
  for (const server of servers.slice(0, -1)) {
    say(`Recording on PostgreSQL ${server.version}`);
    const result = await recordOlder(server, options, migrations);
    if (typeof result === "string") {
      faults.push(result);
      continue;
    }
    recordedOn[server.version] = result.version;
    result.deltas.forEach((delta, i) => {
      if (Object.keys(delta).length > 0) versions[i]![server.version] = delta;
    });
  }
  faults.push(...await phaseFaults(newest, options, recorder.schema));
  say("Recording what each statement does");
  const { setup } = options;
  const footprints = await recordFootprints(newest, program, setup, migrations);
  const recording: Recording = {
    format: 1,
    recordedOn,
    migrations: migrations.map((one, i) => ({
      ...one,
      ...footprints.get(one.name),
      ...saidBy(program.migrations[i]!),
      ...(Object.keys(versions[i]!).length > 0 && { versions: versions[i]! }),
    })),
  };
  say(`Recorded ${program.migrations.length} migrations`);
  return { recording, faults };
}

/** What a migration says of itself that a forecast needs. */
function saidBy(
  { accept, backfill }: Migration,
): Pick<RecordedMigration, "accept" | "backfill"> {
  return {
    ...(accept && { accept }),
    ...(backfill && { backfill: backfill.table }),
  };
}

/** Rules that a migration accepts, and that there are none of. */
function acceptFaults({ name, accept = {} }: Migration): string[] {
  return Object.keys(accept)
    .filter((rule) => !RULES.some((known) => known === rule))
    .map((rule) =>
      `Cannot record ${quote(name)}: it accepts ${
        quote(rule)
      }, and docs/rules.md has no such rule`
    );
}

/** Records on the newest version. */
class Recorder {
  readonly faults: string[] = [];
  readonly #server: Server;
  readonly #options: RecorderOptions;
  #stage: Stage | undefined;
  /** How many migrations are applied. */
  #applied = 0;
  #schema: Snapshot = new Map();

  constructor(server: Server, options: RecorderOptions) {
    this.#server = server;
    this.#options = options;
  }

  /** What the migrations have made. */
  get schema(): Snapshot {
    return this.#schema;
  }

  async all(): Promise<
    { readonly migrations: readonly RecordedMigration[]; version: string }
  > {
    const { program, say } = this.#options;
    try {
      const stage = await this.#restart();
      this.#schema = await stage.snapshot();
      const migrations: RecordedMigration[] = [];
      for (const { name } of program.migrations) {
        say(`Recording ${name}`);
        // By its place: one that fails is replaced.
        migrations.push(await this.#one(program.migrations[this.#applied]!));
      }
      return { migrations, version: stage.version };
    } finally {
      await this.#stage?.[Symbol.asyncDispose]();
    }
  }

  async #one(migration: Migration): Promise<RecordedMigration> {
    const { program } = this.#options;
    const { name, checksum } = migration;
    const before = this.#schema;
    let failure = await program.up(this.#stage!.url, 1);
    let superuser = false;
    if (failure !== undefined) {
      superuser = await this.#needsSuperuser();
      if (superuser) failure = undefined;
    }
    if (failure !== undefined) {
      this.faults.push(failure);
      program.skip(name);
      await this.#restart();
      await this.#apply(1);
      this.#schema = await this.#stage!.snapshot();
      return { name, checksum, status: "unknown", reason: failure, delta: {} };
    }
    this.#applied += 1;
    const after = await this.#stage!.snapshot();
    this.#schema = after;
    const [down, again] = await this.#stage!.elevated(superuser, async () => [
      migration.down === undefined
        ? []
        : await this.#checkDown(migration, before, after),
      migration.idempotent ? await this.#checkAgain(migration, after) : [],
    ]);
    const faults = [...down, ...again];
    this.faults.push(...faults);
    return {
      name,
      checksum,
      status: "recorded",
      ...(superuser && { superuser }),
      ...(migration.down !== undefined && { exact: down.length === 0 }),
      ...(faults.length > 0 && { faults }),
      delta: deltaOf(before, after),
    };
  }

  /** Whether what has just failed works for a superuser; then it is applied. */
  async #needsSuperuser(): Promise<boolean> {
    const stage = await this.#restart();
    const failure = await stage.elevated(
      true,
      () => this.#options.program.up(stage.url, 1),
    );
    if (failure !== undefined) await this.#restart();
    return failure === undefined;
  }

  /** Rolls back and applies again; afterwards the migration is applied. */
  async #checkDown(
    { name }: Migration,
    before: Snapshot,
    after: Snapshot,
  ): Promise<string[]> {
    const { program } = this.#options;
    const failure = await program.down(this.#stage!.url);
    const faults = failure === undefined
      ? differenceFault(
        `Cannot roll back ${quote(name)} exactly`,
        before,
        await this.#stage!.snapshot(),
      )
      : [failure];
    if (faults.length === 0) {
      const failure = await program.up(this.#stage!.url, 1);
      faults.push(
        ...failure === undefined
          ? differenceFault(
            `Cannot apply ${
              quote(name)
            } after its rollback with the same result`,
            after,
            await this.#stage!.snapshot(),
          )
          : [failure],
      );
    }
    if (faults.length > 0) await this.#restart();
    return faults;
  }

  /** Runs `up` once more, as after a crash before its end was written. */
  async #checkAgain(
    { name }: Migration,
    after: Snapshot,
  ): Promise<string[]> {
    const { program } = this.#options;
    const literal = `'${name.replaceAll("'", "''")}'`;
    await this.#stage!.run(
      `delete from public.migration_history where name = ${literal}`,
    );
    const failure = await program.up(this.#stage!.url, 1);
    const faults = failure === undefined
      ? differenceFault(
        `Cannot apply ${quote(name)} a second time with the same result`,
        after,
        await this.#stage!.snapshot(),
      )
      : [
        `${failure}; that was the second time, and it says that it is idempotent`,
      ];
    if (faults.length > 0) await this.#restart();
    return faults;
  }

  /** A new database with as many migrations as are applied. */
  async #restart(): Promise<Stage> {
    await this.#stage?.[Symbol.asyncDispose]();
    const stage = await openStage(this.#server, this.#options.setup);
    this.#stage = stage;
    const applied = this.#applied;
    this.#applied = 0;
    if (applied > 0) await this.#apply(applied);
    return stage;
  }

  /** Applies migrations that are known to work. */
  async #apply(count: number): Promise<void> {
    const { url, elevated } = this.#stage!;
    const failure = await elevated(
      true,
      () => this.#options.program.up(url, count),
    );
    if (failure !== undefined) throw new Error(failure);
    this.#applied += count;
  }
}

/** What is otherwise on an older version, or why that cannot be told. */
async function recordOlder(
  server: Server,
  { program, setup }: RecorderOptions,
  migrations: readonly RecordedMigration[],
): Promise<{ version: string; deltas: readonly Delta[] } | string> {
  await using stage = await openStage(server, setup);
  const known = new Map<string, SchemaObject>(await stage.snapshot());
  const deltas: Delta[] = [];
  for (const { delta, superuser = false } of migrations) {
    const failure = await stage.elevated(
      superuser,
      () => program.up(stage.url, 1),
    );
    if (failure !== undefined) {
      return `On PostgreSQL ${server.version}: ${failure}`;
    }
    applyDelta(known, delta);
    const others = deltaOf(known, await stage.snapshot());
    applyDelta(known, others);
    deltas.push(others);
  }
  return { version: stage.version, deltas };
}
