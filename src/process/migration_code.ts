/**
 * Migrations are code of others in this process: they are kept from ending it and from writing among its results, and what
 * they throw is told with its place.
 *
 * Loaded with the first code of a migration: most runs need none.
 *
 * @module
 */
import { DatabaseError, ExitError } from "../errors.ts";
import type { MigrationLoader } from "../plan/migration.ts";
import { type Locate, located } from "../stack.ts";
import { divertOutput } from "./diversion.ts";
import { refuseExits, takeExitCode } from "./exits.ts";
import { keepGlobals } from "./globals.ts";
import type { Hide } from "../text.ts";
import { beforeEachLine, writeLine } from "./output.ts";

/** How many lines a stack has: Kysely's own may be many, and the one that counts is the migration's below them. */
const STACK_LIMIT = 50;

export interface MigrationCodeOptions {
  readonly locate: Locate;
  readonly background: {
    readonly failure: Error | undefined;
    blame(error: unknown): void;
    describe: (thrown: unknown) => unknown;
  };
  /** Keeps secrets out of what is printed. */
  readonly hide: Hide;
}

/** From now on the process is guarded against the code of migrations; `ends` can undo what would outlast it. */
export function guardProcess(
  { locate, background, hide }: MigrationCodeOptions,
  ends: DisposableStack,
): MigrationLoader {
  beforeEachLine(
    divertOutput((text) => writeLine({ stream: "stderr", text: hide(text) })),
  );
  Error.stackTraceLimit = STACK_LIMIT;
  background.describe = (thrown) => located(thrown, locate);
  ends.defer(refuseExits((call) => {
    const error = new ExitError(`called ${call}`);
    // Whoever catches it fails all the same.
    background.blame(located(error, locate));
    return error;
  }));
  const restoreLoaded = keepGlobals();
  let restoreCalled: (() => void) | undefined;

  return {
    hide,
    async load<T>(load: () => Promise<T>): Promise<T> {
      const loaded = await load().finally(restoreLoaded);
      if (background.failure !== undefined) throw background.failure;
      refuseExitCode();
      return loaded;
    },
    watch({ up, down, backfill, ...migration }) {
      return Object.freeze({
        ...migration,
        ...(backfill && {
          backfill: { ...backfill, batch: watched(backfill.batch) },
        }),
        up: watched(up),
        ...(down !== undefined && { down: watched(down) }),
      });
    },
  };

  function watched<Arguments extends readonly unknown[]>(
    work: (...given: Arguments) => Promise<void>,
  ): (...given: Arguments) => Promise<void> {
    return async (...given) => {
      restoreCalled ??= keepGlobals();
      try {
        await work(...given);
      } catch (error) {
        // What the server says of a statement is told with the statement.
        throw error instanceof DatabaseError ? error : located(error, locate);
      } finally {
        // The next one must not run differently because of this one.
        restoreCalled();
      }
      refuseExitCode();
    };
  }
}

/** @throws {ExitError} when somebody has set another exit code than that of success */
function refuseExitCode(): void {
  const code = takeExitCode();
  if (code !== undefined) throw new ExitError(`set the exit code to ${code}`);
}
