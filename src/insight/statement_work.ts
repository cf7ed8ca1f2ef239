/**
 * What a statement that is at work was recorded to do to tables that are there.
 *
 * @module
 */
import { effectsOf, estimateOf } from "./effects.ts";
import type { Range } from "./estimate.ts";
import type { DatabaseFacts } from "./facts.ts";
import type { StatementFootprint } from "./footprint.ts";
import type { RecordedStep, Work } from "./forecast_values.ts";
import { Tables } from "./tables.ts";

export interface RecordedWork {
  readonly kind: Work;
  readonly tables: readonly string[];
  /** What there is to work through; `null` when the server has never counted it, and does not let it be counted now. */
  readonly bytes: number | null;
  /** How long the statement is expected to take; `null` with the bytes. */
  readonly range: Range | null;
}

/**
 * What was seen of the statement with this text: nothing where it, or a step before it in the same transaction, was not
 * recorded as it is now.
 *
 * @param steps of the transaction, the one at work last
 */
export function statementsSeen(
  steps: readonly RecordedStep[],
  sql: string,
): readonly StatementFootprint[] {
  const isKnown = steps.every(({ footprint }) => typeof footprint !== "string");
  const last = steps.at(-1);
  // A batch of a backfill works on a part of its table.
  if (!isKnown || last === undefined || last.backfill !== undefined) return [];
  const { footprint } = last;
  if (typeof footprint === "string") return [];
  return footprint.statements.filter((one) => one.sql === sql);
}

/** What it does here; `undefined` when that is nothing that takes long, or one text was seen to do one thing and another. */
export function workOf(
  steps: readonly RecordedStep[],
  sql: string,
  facts: DatabaseFacts,
): RecordedWork | undefined {
  const tables = new Tables(facts);
  for (const { footprint } of steps.slice(0, -1)) {
    if (typeof footprint !== "string") tables.pass(footprint);
  }
  const works = statementsSeen(steps, sql).map((one) =>
    workIn(one, tables, facts)
  );
  const [first] = works;
  const isSame = works.every((one) =>
    JSON.stringify(one) === JSON.stringify(first)
  );
  return isSame ? first : undefined;
}

function workIn(
  statement: StatementFootprint,
  tables: Tables,
  facts: DatabaseFacts,
): RecordedWork | undefined {
  const effects = effectsOf(statement, tables);
  const works = effects.flatMap((one) => one.kind === "lock" ? [] : [one]);
  const kind = works[0]?.kind;
  if (kind === undefined) return undefined;
  // What else it reads on the way is little beside what it writes.
  const most = works.filter((one) => one.kind === kind);
  const isCounted = most.every(({ table, bytes }) =>
    bytes > 0 || facts.tables.get(table)?.estimated === false
  );
  return {
    kind,
    tables: most.map(({ table }) => table),
    bytes: isCounted ? most.reduce((sum, { bytes }) => sum + bytes, 0) : null,
    range: isCounted ? rangeOf(estimateOf(effects)) : null,
  };
}

function rangeOf({ fromMs, toMs }: Range): Range {
  return { fromMs, toMs };
}
