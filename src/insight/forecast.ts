/**
 * (What migrations were seen to do, what this database is like, how they will run) → what the run will do here. No I/O.
 *
 * @module
 */
import { effectsOf, estimateOf } from "./effects.ts";
import type { DatabaseFacts } from "./facts.ts";
import type { Finding } from "./findings.ts";
import type { StatementFootprint } from "./footprint.ts";
import type {
  Forecast,
  MigrationForecast,
  RecordedStep,
  SegmentForecast,
} from "./forecast_values.ts";
import { blockersOf, holdsOf, type Placed } from "./holds.ts";
import { isStronger, type LockMode } from "./locks.ts";
import { segmentFindings } from "./lock_rules.ts";
import type { Probed } from "./probe_values.ts";
import { probeFinding } from "./probes.ts";
import { accepted } from "./rule.ts";
import { statementFindings, stepFindings } from "./rules.ts";
import { Tables } from "./tables.ts";

/**
 * @param transaction as `--transaction` has it
 * @param probed what the rows that are there were asked; missing when they were not
 */
export function forecast(
  steps: readonly RecordedStep[],
  facts: DatabaseFacts,
  transaction: "all" | "each",
  probed?: readonly Probed[],
): Forecast {
  const tables = new Tables(facts);
  const segments = segmentsOf(steps, transaction)
    .map((segment) => forecastSegment(segment, tables, facts, probed));
  const migrations = segments.flatMap((segment) => segment.migrations);
  const findings = migrations.flatMap((one) => [
    ...one.findings,
    ...one.statements.flatMap(({ findings }) => findings),
  ]);
  const open = findings.filter(({ accepted }) => accepted === undefined);
  return {
    segments,
    blockers: blockersOf(segments, facts),
    cannotSee: facts.seesOthers ? [] : [
      "what sessions of other roles do, and since when: that takes a role with pg_read_all_stats",
    ],
    facts,
    summary: {
      migrations: migrations.length,
      errors: open.filter(({ level }) => level === "error").length,
      warnings: open.filter(({ level }) => level === "warning").length,
      accepted: findings.length - open.length,
      unknown: migrations.filter(({ status }) => status === "unknown").length,
      uncertain:
        migrations.filter(({ readsData }) => readsData.length > 0).length,
    },
  };
}

/** What is committed together. */
function segmentsOf(
  steps: readonly RecordedStep[],
  transaction: "all" | "each",
): RecordedStep[][] {
  const segments: RecordedStep[][] = [];
  for (const step of steps) {
    const last = segments.at(-1);
    const joins = transaction === "all" && step.transaction &&
      step.backfill === undefined && last?.[0]?.transaction === true &&
      last[0].backfill === undefined;
    if (joins) last.push(step);
    else segments.push([step]);
  }
  return segments;
}

interface Found extends Placed {
  readonly statement: StatementFootprint;
  readonly findings: readonly Finding[];
}

function forecastSegment(
  steps: readonly RecordedStep[],
  tables: Tables,
  facts: DatabaseFacts,
  probed: readonly Probed[] | undefined,
): SegmentForecast {
  const held = new Map<string, LockMode>();
  const placed: Found[] = [];
  const first = steps[0]!;
  const transaction = first.transaction && first.backfill === undefined;
  const migrations: MigrationForecast[] = [];
  for (const step of steps) {
    const { footprint } = step;
    if (typeof footprint === "string") continue;
    for (const statement of footprint.statements) {
      if (!transaction || statement.outside) held.clear();
      const effects = effectsOf(statement, tables);
      const estimate = estimateOf(effects);
      const findings = statementFindings({
        step,
        statement,
        effects,
        estimate,
        held,
        tables,
        facts,
      });
      for (const effect of effects) {
        if (effect.kind !== "lock") continue;
        if (isStronger(effect.mode, held.get(effect.table))) {
          held.set(effect.table, effect.mode);
        }
      }
      placed.push({ step, statement, effects, estimate, findings });
      tables.passStatement(statement);
    }
    tables.pass(footprint);
  }
  const holds = holdsOf(placed, transaction);
  const long = segmentFindings(holds, placed);
  for (const step of steps) {
    const { name, direction, footprint, backfill } = step;
    const probes = probed?.filter(({ migration }) => migration === name);
    const own = {
      name,
      direction,
      ...(backfill !== undefined && { backfill }),
    };
    migrations.push(
      typeof footprint === "string"
        ? {
          ...own,
          status: "unknown",
          reason: footprint,
          readsData: [],
          statements: [],
          findings: [],
        }
        : {
          ...own,
          status: "recorded",
          readsData: (footprint.readsData ?? []).filter((table) =>
            tables.find(table) !== undefined
          ),
          statements: placed.filter((one) => one.step === step).map((one) => ({
            sql: one.statement.sql,
            ...(one.statement.parameters !== undefined &&
              { parameters: one.statement.parameters }),
            effects: one.effects,
            estimate: one.estimate,
            findings: [
              ...one.findings,
              ...long.filter(({ of }) => of === one).map(({ finding }) =>
                finding
              ),
            ],
          })),
          findings: [
            ...stepFindings(step, footprint, facts),
            ...(probes ?? []).flatMap((one) => {
              const finding = probeFinding(one);
              return finding === undefined ? [] : [accepted(finding, step)];
            }),
          ],
          ...(probes && { probes }),
        },
    );
  }
  return { transaction, migrations, holds };
}
