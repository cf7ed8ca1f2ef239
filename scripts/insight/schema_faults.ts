/**
 * What is different in a schema although it should not be, as faults.
 *
 * @module
 */
import { compareSchemas, sideOf } from "../../src/insight/differences.ts";
import type { Snapshot } from "../../src/insight/snapshot.ts";
import { differenceText } from "../../src/report/differences.ts";
import type { Server } from "../dev/embedded_postgres.ts";
import type { Program } from "./program.ts";
import { openStage } from "./stage.ts";

/** How many differences a fault names. */
const NAMED = 5;

/** What is different although it should not be, as at most one fault. */
export function differenceFault(
  what: string,
  expected: Snapshot,
  found: Snapshot,
): string[] {
  const { differences } = compareSchemas(sideOf(expected), sideOf(found), {
    grants: true,
  });
  if (differences.length === 0) return [];
  const lines = differences.slice(0, NAMED).map(differenceText);
  const rest = differences.length - lines.length;
  return [
    `${what}: ${lines.join("; ").replaceAll(/ {2,}/g, " ")}${
      rest > 0 ? `; and ${rest} more` : ""
    }`,
  ];
}

/** In two phases, one release after the other, the schema has to become what it becomes in one go. */
export async function phaseFaults(
  server: Server,
  { program, setup, say }: {
    readonly program: Program;
    readonly setup: string;
    readonly say: (line: string) => void;
  },
  expected: Snapshot,
): Promise<string[]> {
  if (!program.migrations.some(({ phase }) => phase === "post")) return [];
  say("Recording in two phases");
  await using stage = await openStage(server, setup);
  const { url } = stage;
  const failure = await stage.elevated(
    true,
    // Where nothing is applied there is one phase only.
    async () =>
      await program.up(url, 1) ?? await program.upPhase(url, "pre") ??
        await program.upPhase(url, "post"),
  );
  return failure === undefined
    ? differenceFault(
      "Cannot apply the phases pre and post one after the other with the same result",
      expected,
      await stage.snapshot(),
    )
    : [`In two phases: ${failure}`];
}
