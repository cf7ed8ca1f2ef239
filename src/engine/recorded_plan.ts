/**
 * The steps of a plan with what was recorded of them.
 *
 * @module
 */
import type { RecordedStep } from "../insight/forecast_values.ts";
import { recordedSteps } from "../insight/recorded_steps.ts";
import type { Step } from "../plan/plan.ts";

/**
 * Joins a plan with a recording.
 *
 * @param recording in UTF-8; missing when nothing was recorded
 * @throws {TypeError} when it cannot be read
 */
export function recordedPlan(
  steps: readonly Step[],
  recording: Uint8Array | undefined,
): RecordedStep[] {
  return recordedSteps(
    steps.map(({ direction, migration }) => ({
      direction,
      name: migration.name,
      checksum: migration.checksum,
      transaction: migration.transaction,
      phase: migration.phase,
    })),
    recording,
  );
}
