/**
 * All rules, and those about a migration as a whole.
 *
 * @module
 */
import type { DatabaseFacts } from "./facts.ts";
import type { Finding } from "./findings.ts";
import type { Footprint } from "./footprint.ts";
import type { RecordedStep } from "./forecast_values.ts";
import { DATA_RULES } from "./data_rules.ts";
import { LOCK_RULES } from "./lock_rules.ts";
import { PLACE_RULES } from "./place_rules.ts";
import {
  accepted,
  type Draft,
  type StatementContext,
  type StatementRule,
} from "./rule.ts";

/** What is found about one statement. */
export function statementFindings(context: StatementContext): Finding[] {
  return STATEMENT_RULES.flatMap((rule) => rule(context))
    .map((draft) => accepted(draft, context.step));
}

/** What is found about a migration as a whole. */
export function stepFindings(
  step: RecordedStep,
  footprint: Footprint,
  facts: DatabaseFacts,
): Finding[] {
  const each = (
    objects: readonly string[] | undefined,
    draft: Omit<Draft, "object">,
  ): Draft[] => (objects ?? []).map((object) => ({ ...draft, object }));
  const drafts: Draft[] = [
    ...each(footprint.unindexed, {
      rule: "foreign-key-without-index",
      level: "warning",
      message:
        "no index begins with the columns of this foreign key: each delete of a referenced row reads the whole table",
      advice: "create an index on its columns",
    }),
    ...each(footprint.intKeys, {
      rule: "int-key",
      level: "note",
      message: "a key of type integer ends at 2,147,483,647",
      advice: "make it bigint, which costs nothing now and a rewrite later",
    }),
    ...each(footprint.zoneless, {
      rule: "timestamp-without-zone",
      level: "note",
      message:
        "a timestamp without time zone is another moment for each session's zone",
      advice: "make it timestamptz",
    }),
    ...each(footprint.cutNames, {
      rule: "name-too-long",
      level: "warning",
      message:
        "the server cuts this name to 63 bytes: what looks for it by the whole name does not find it",
      advice: "give it a shorter name",
    }),
    ...each(footprint.readsData, {
      rule: "reads-data",
      level: "note",
      message:
        "the migration reads this table and may go on by what it finds: the plan is that for an empty table",
    }),
  ];
  if (step.superuser && !facts.superuser) {
    drafts.push({
      rule: "needs-superuser",
      level: "error",
      object: step.name,
      message:
        "it failed for an ordinary owner of the database and worked for a superuser; this role is none",
      advice: "run it as a superuser, or have one do that part beforehand",
    });
  }
  if (step.direction === "up" && step.exact === false) {
    drafts.push({
      rule: "down-not-exact",
      level: "warning",
      object: step.name,
      message: "its down does not restore the schema that was there before",
      advice:
        "mend the down, or leave it out: a migration without one cannot be rolled back, and says so",
    });
  }
  return drafts.map((draft) => accepted(draft, step));
}

const STATEMENT_RULES: readonly StatementRule[] = [
  ...PLACE_RULES,
  ...DATA_RULES,
  ...LOCK_RULES,
];
