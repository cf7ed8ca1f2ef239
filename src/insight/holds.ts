/**
 * For how long a run locks a table, and who is in its way.
 *
 * @module
 */
import { AT_ONCE, sumOf } from "./estimate.ts";
import type { DatabaseFacts } from "./facts.ts";
import type {
  Effect,
  Forecast,
  Hold,
  RecordedStep,
  SegmentForecast,
  StatementForecast,
} from "./forecast_values.ts";
import { conflicts, isStronger, type LockMode } from "./locks.ts";

/** A statement at its place in the transaction. */
export interface Placed {
  readonly step: RecordedStep;
  readonly effects: readonly Effect[];
  readonly estimate: StatementForecast["estimate"];
}

/** From the statement that takes a lock to the end of the transaction; of one outside a transaction, while it runs. */
export function holdsOf(
  placed: readonly Placed[],
  transaction: boolean,
): Hold[] {
  const holds = new Map<string, Hold>();
  placed.forEach(({ step, effects }, i) => {
    const rest = transaction ? placed.slice(i) : placed.slice(i, i + 1);
    for (const effect of effects) {
      if (effect.kind !== "lock" || effect.blocks === "definitions") continue;
      const { table, mode } = effect;
      // A lock is taken once in a transaction; outside of one, for each statement anew.
      const key = `${mode} ${table}${transaction ? "" : ` ${i}`}`;
      if (holds.has(key)) continue;
      const own = sumOf([
        AT_ONCE,
        ...rest.flatMap(({ effects }, later) =>
          effects.flatMap((one) =>
            one.kind !== "lock" && (later === 0 || one.table === table)
              ? [one.range]
              : []
          )
        ),
      ]);
      holds.set(key, {
        table,
        mode,
        since: step.name,
        own,
        ...sumOf(rest.map(({ estimate }) => estimate)),
      });
    }
  });
  return [...holds.values()];
}

/** Sessions that hold now what conflicts with the run. */
export function blockersOf(
  segments: readonly SegmentForecast[],
  facts: DatabaseFacts,
): Forecast["blockers"] {
  const wanted = new Map<string, LockMode>();
  for (const { migrations } of segments) {
    for (
      const effect of migrations.flatMap(({ statements }) =>
        statements.flatMap((one) => one.effects)
      )
    ) {
      if (effect.kind !== "lock") continue;
      if (isStronger(effect.mode, wanted.get(effect.table))) {
        wanted.set(effect.table, effect.mode);
      }
    }
  }
  return [...wanted].flatMap(([table, mode]) =>
    (facts.tables.get(table)?.holders ?? [])
      .filter((holder) => conflicts(holder.mode, mode))
      .map((holder) => ({ ...holder, table }))
  );
}
