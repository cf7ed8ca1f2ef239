/**
 * The program's own `up` and `down` on a database, one migration at a time: what is recorded is what a run does.
 *
 * @module
 */
import { readConfig } from "../../src/cli/config.ts";
import { programInfo } from "../../src/cli/version.ts";
import type { Context, Result } from "../../src/commands/context.ts";
import { down } from "../../src/commands/down.ts";
import { up } from "../../src/commands/up.ts";
import { RefusedError, UsageError } from "../../src/errors.ts";
import type { Migration, Phase } from "../../src/plan/migration.ts";
import type { UpRequest } from "../../src/plan/plan.ts";
import { PostgresDatabase } from "../../src/postgres/database.ts";
import {
  type ProcessBackground,
  processBackground,
} from "../../src/process/background.ts";
import { processClock } from "../../src/process/clock.ts";
import { guardProcess } from "../../src/process/migration_code.ts";
import { sourceRegistry } from "../../src/registry/source.ts";
import type { Event } from "../../src/report/events.ts";
import { failureLines } from "../../src/report/failure.ts";
import { hideNothing } from "../../src/text.ts";
import type { Footprint } from "../../src/insight/footprint.ts";
import { Tracer } from "./tracer.ts";

/** The migrations of a folder, loaded and guarded as a run has them. */
export class Program implements Disposable {
  readonly #ends = new DisposableStack();
  readonly #background: ProcessBackground = this.#ends.use(
    processBackground(),
  );
  readonly #tracer = new Tracer("public");
  /** Whether it is seen what each statement does, on a stage that tells it. */
  isWatched = false;
  #migrations: readonly Migration[] = [];

  /**
   * Loads the migrations.
   *
   * @param registry where `mod.ts` is
   * @throws {RefusedError} naming all that cannot be loaded
   */
  static async load(registry: URL): Promise<Program> {
    const program = new Program();
    const { href } = registry;
    program.#migrations = await sourceRegistry(href, () => import(href)).list(
      (locate) =>
        Promise.resolve(
          guardProcess({
            locate,
            background: program.#background,
            hide: hideNothing,
          }, program.#ends),
        ),
    );
    return program;
  }

  get migrations(): readonly Migration[] {
    return this.#migrations;
  }

  /** What the last function of a migration has done, while it was watched. */
  get footprint(): Footprint {
    return this.#tracer.footprint;
  }

  /** From now on the migration does nothing: what needs it shows whether it can do without. */
  skip(name: string): void {
    this.#migrations = this.#migrations.map((one) => {
      if (one.name !== name) return one;
      const { backfill: _, down: __, ...rest } = one;
      return { ...rest, up: () => Promise.resolve() };
    });
  }

  /** Applies the next `steps` migrations. @returns why it could not */
  async up(url: string, steps: number): Promise<string | undefined> {
    return await this.#up(url, { steps });
  }

  /** Applies all migrations of a phase. @returns why it could not */
  async upPhase(url: string, phase: Phase): Promise<string | undefined> {
    return await this.#up(url, {}, phase);
  }

  async #up(
    url: string,
    request: UpRequest,
    phase?: Phase,
  ): Promise<string | undefined> {
    const context = await this.#context(url, phase);
    return reasonOf(
      await up(context, { kind: "up", request, dryRun: false, verify: false })
        .catch(failed),
    );
  }

  /** Rolls the newest applied migration back. @returns why it could not */
  async down(url: string): Promise<string | undefined> {
    const context = await this.#context(url);
    const request = { steps: 1 };
    return reasonOf(
      await down(context, { kind: "down", request, dryRun: false, yes: true })
        .catch(failed),
    );
  }

  async #context(url: string, phase: Phase | "all" = "all"): Promise<Context> {
    const { value: config, faults } = await readConfig(
      // Each statement is answered before the next: an error is that of its own statement.
      { "database-url": url, "no-pipeline": "true", phase },
      {},
      Deno.readTextFile,
    );
    if (faults.length > 0) throw new UsageError(faults);
    const migrations = this.isWatched
      ? this.#migrations.map((one) => this.#tracer.trace(one))
      : this.#migrations;
    const program = programInfo(migrations, Deno.version.deno);
    const stop = new AbortController().signal;
    const clock = processClock(stop);
    const report = (event: Event) => {
      if (event.event === "notice") this.#tracer.notice(event.message);
    };
    return {
      config,
      migrations,
      program,
      prepare: () => Promise.resolve(),
      recording: () => Promise.resolve(undefined),
      ports: {
        clock,
        report,
        operator: {
          isTerminal: false,
          askedMs: 0,
          confirm: () => Promise.resolve(true),
        },
        database: new PostgresDatabase({
          config,
          migrations,
          recording: () => Promise.resolve(undefined),
          run: {
            runId: crypto.randomUUID(),
            host: () => null,
            programVersion: program.version,
            hide: hideNothing,
          },
          clock,
          background: this.#background,
          stop,
          report,
        }),
      },
    };
  }

  [Symbol.dispose](): void {
    this.#ends.dispose();
  }
}

function failed(error: unknown): Pick<Result, "error"> {
  return { error };
}

function reasonOf({ error }: Pick<Result, "error">): string | undefined {
  if (error === undefined) return undefined;
  if (error instanceof RefusedError) return error.message;
  return failureLines(error, hideNothing)[0];
}
