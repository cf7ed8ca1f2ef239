/**
 * What a rule is given, and what several of them ask.
 *
 * @module
 */
import type { Range } from "./estimate.ts";
import type { DatabaseFacts } from "./facts.ts";
import type { Finding, Level } from "./findings.ts";
import type { StatementFootprint } from "./footprint.ts";
import type { Effect, RecordedStep, Work } from "./forecast_values.ts";
import type { LockMode } from "./locks.ts";
import type { Tables } from "./tables.ts";

/** Work under a lock that takes at most so long hurts nobody; milliseconds. */
export const SHORT_MS = 1_000;

/** A statement and where it stands. */
export interface StatementContext {
  readonly step: RecordedStep;
  readonly statement: StatementFootprint;
  readonly effects: readonly Effect[];
  readonly estimate: Range;
  /** The locks that the transaction has before it, by the names in this database. */
  readonly held: ReadonlyMap<string, LockMode>;
  readonly tables: Tables;
  readonly facts: DatabaseFacts;
}

/** One that may yet be accepted. */
export type Draft = Omit<Finding, "accepted">;

export type StatementRule = (context: StatementContext) => Draft[];

/** `error` where it takes its time here, else a `note`. */
export function levelOf(range: Range): Level {
  return range.toMs > SHORT_MS ? "error" : "note";
}

type WorkEffect = Exclude<Effect, { readonly kind: "lock" }>;

/** The tables of this database that a statement works on in a way. */
export function works({ effects }: StatementContext, kind: Work): WorkEffect[] {
  return effects.flatMap((effect) =>
    effect.kind !== "lock" && effect.kind === kind ? [effect] : []
  );
}

/** The finding, accepted if the migration says so. */
export function accepted(draft: Draft, { accept }: RecordedStep): Finding {
  const reason = Object.hasOwn(accept, draft.rule)
    ? accept[draft.rule]
    : undefined;
  return { ...draft, ...(reason !== undefined && { accepted: reason }) };
}
