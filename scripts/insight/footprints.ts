/**
 * Runs every migration once more, watched: what each statement of it does.
 *
 * @module
 */
import type { Footprint } from "../../src/insight/footprint.ts";
import type { RecordedMigration } from "../../src/insight/recording.ts";
import type { Server } from "../dev/embedded_postgres.ts";
import type { Program } from "./program.ts";
import { openStage, type Stage } from "./stage.ts";
import { INSTALL } from "./tracer_sql.ts";

/** A zone that is not UTC: there a change from `timestamp` to `timestamptz` writes the table anew, which in UTC it does not. */
const SETTINGS = { TimeZone: "Europe/Berlin", client_min_messages: "debug1" };

/** What the two directions of a migration do. */
export interface Footprints {
  readonly up?: Footprint;
  readonly down?: Footprint;
}

/**
 * Watches the migrations of a program that were recorded.
 *
 * @returns for each its footprints, by the name; those of what could not be recorded are missing
 */
export async function recordFootprints(
  server: Server,
  program: Program,
  setup: string,
  recorded: readonly RecordedMigration[],
): Promise<ReadonlyMap<string, Footprints>> {
  const footprints = new Map<string, Footprints>();
  let stage: Stage | undefined;
  /** A new database with so many migrations. */
  const restart = async (applied: number): Promise<Stage> => {
    await stage?.[Symbol.asyncDispose]();
    stage = await openStage(server, setup, SETTINGS);
    await stage.run(INSTALL);
    const { url } = stage;
    if (applied > 0) {
      succeeded(await stage.elevated(true, () => program.up(url, applied)));
    }
    return stage;
  };
  program.isWatched = true;
  try {
    let on = await restart(0);
    for (const [i, one] of recorded.entries()) {
      const { name, status, exact, superuser = false } = one;
      const { url } = on;
      const isBack = await on.elevated(superuser, async () => {
        succeeded(await program.up(url, 1));
        if (status === "unknown") return true;
        const up = program.footprint;
        footprints.set(name, { up });
        if (exact === undefined) return true;
        if (await program.down(url) !== undefined) return false;
        footprints.set(name, { up, down: program.footprint });
        return await program.up(url, 1) === undefined;
      });
      if (!isBack) on = await restart(i + 1);
    }
  } finally {
    program.isWatched = false;
    await stage?.[Symbol.asyncDispose]();
  }
  return footprints;
}

/** What has been run before works. */
function succeeded(failure: string | undefined): void {
  if (failure !== undefined) throw new Error(failure);
}
