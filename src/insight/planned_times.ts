/**
 * How long migrations are planned to take, to be kept beside the time that they took.
 *
 * @module
 */
import { effectsOf, estimateOf } from "./effects.ts";
import { type Basis, type Range, sumOf } from "./estimate.ts";
import type { DatabaseFacts } from "./facts.ts";
import type { Footprint } from "./footprint.ts";
import type { RecordedStep } from "./forecast_values.ts";
import { Tables } from "./tables.ts";

/** What was planned for one migration. */
export interface PlannedTime extends Range {
  /** What it was to work through, bytes, by what rates. */
  readonly bytes: Readonly<Partial<Record<Basis, number>>>;
}

/** Facts of a database that has nothing. */
const NOTHING: DatabaseFacts = {
  schema: "",
  mayCreate: false,
  superuser: false,
  seesOthers: false,
  timeZone: "UTC",
  tables: new Map(),
  taken: new Set(),
  standbys: 0,
  prepared: 0,
  oldTransactions: [],
};

/** The steps whose work grows with a table that is there before the run: without one there is nothing to plan. */
export function growingSteps(
  steps: readonly RecordedStep[],
): readonly RecordedStep[] {
  const tables = new Tables(NOTHING);
  return steps.filter((step) => {
    const { footprint, direction, backfill } = step;
    if (typeof footprint === "string") return false;
    const grows = direction === "up" && backfill === undefined &&
      worksOn(footprint).some((name) => !tables.isFresh(name));
    tables.pass(footprint);
    return grows;
  });
}

/** By the name; those that turn out to be at once are left out. */
export function plannedTimes(
  steps: readonly RecordedStep[],
  facts: DatabaseFacts,
): ReadonlyMap<string, PlannedTime> {
  const growing = growingSteps(steps);
  const tables = new Tables(facts);
  const planned = new Map<string, PlannedTime>();
  for (const step of steps) {
    const { footprint, name } = step;
    if (typeof footprint === "string") continue;
    const effects = footprint.statements.map((one) => effectsOf(one, tables));
    tables.pass(footprint);
    const bytes: Partial<Record<Basis, number>> = {};
    for (const effect of effects.flat()) {
      if (effect.kind === "lock") continue;
      const [basis] = estimateOf([effect]).basis;
      bytes[basis!] = (bytes[basis!] ?? 0) + effect.bytes;
    }
    if (!growing.includes(step) || Object.keys(bytes).length === 0) continue;
    const { fromMs, toMs } = sumOf(effects.map(estimateOf));
    planned.set(name, { fromMs, toMs, bytes });
  }
  return planned;
}

/** The tables whose rows it works through, there before it. */
function worksOn({ statements }: Footprint): readonly string[] {
  return statements.flatMap((one) =>
    one.verb === "truncate" ? [] : [
      ...one.rewrites ?? [],
      ...(one.builds ?? []).map(({ table }) => table),
      ...one.changes ?? [],
      ...one.verifies ?? [],
      ...one.scans ?? [],
    ]
  );
}
