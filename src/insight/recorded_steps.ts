/**
 * The steps of a run with what was recorded of them.
 *
 * @module
 */
import type { RecordedStep } from "./forecast_values.ts";
import { type MigrationHead, readLines } from "./recording_lines.ts";

/** A step as the plan of a run has it. */
export interface PlannedStep
  extends Pick<RecordedStep, "name" | "direction" | "transaction" | "phase"> {
  readonly checksum: string;
}

/**
 * Joins the steps of a run with a recording.
 *
 * @param recording in UTF-8; missing when nothing was recorded
 * @throws {TypeError} when it cannot be read
 */
export function recordedSteps(
  steps: readonly PlannedStep[],
  recording: Uint8Array | undefined,
): RecordedStep[] {
  const wanted = new Set(steps.map(({ name }) => name));
  const known = new Map<string, MigrationHead>();
  if (recording !== undefined) {
    readLines(recording, {
      migration: (head) => {
        if (wanted.has(head.name)) known.set(head.name, head);
      },
      entry: () => {},
    });
  }
  return steps.map(({ checksum, ...step }) => {
    const head = known.get(step.name);
    const { accept = {}, backfill, exact, superuser } = head ?? {};
    return {
      ...step,
      accept,
      ...(backfill !== undefined && step.direction === "up" && { backfill }),
      ...(exact !== undefined && { exact }),
      ...(superuser && { superuser }),
      footprint: footprintOf(head, checksum, step.direction),
    };
  });
}

/** What was seen, or why nothing was. */
function footprintOf(
  head: MigrationHead | undefined,
  checksum: string,
  direction: "up" | "down",
): RecordedStep["footprint"] {
  if (head === undefined) {
    return 'it was not recorded; run "deno task insight" and build the program anew';
  }
  if (head.checksum !== checksum) {
    return 'it has changed since it was recorded; run "deno task insight" and build the program anew';
  }
  return head[direction] ??
    `it could not be recorded${
      head.reason === undefined ? "" : `: ${head.reason}`
    }`;
}
