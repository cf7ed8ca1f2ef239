/**
 * A forecast as text, and as JSON.
 *
 * @module
 */
import type { Range } from "../insight/estimate.ts";
import type { DatabaseFacts } from "../insight/facts.ts";
import type { LockMode } from "../insight/locks.ts";
import type {
  Effect,
  Forecast,
  Hold,
  MigrationForecast,
  StatementForecast,
} from "../insight/forecast_values.ts";
import type { Finding } from "../insight/findings.ts";
import type { Probed } from "../insight/probe_values.ts";
import { formatDuration, visible } from "../text.ts";
import { bytesText, rangeText, rowsText } from "./amounts.ts";

/** WAL that writing a table anew was seen to make, in times of the table and its indexes. */
const WAL_SHARE = 1.6;

/** More of a statement than this is for the source. */
const SQL_LENGTH = 300;

/** The lines that a person reads. */
export function forecastLines(forecast: Forecast): string[] {
  return [
    ...forecast.segments.flatMap(({ migrations }) =>
      migrations.flatMap((one) => migrationLines(one, forecast.facts))
    ),
    ...forecast.segments.flatMap(({ transaction, migrations, holds }) =>
      transaction && migrations.length > 1 && holds.length > 0
        ? [`Together, in one transaction, to the commit:`, ...holdLines(holds)]
        : []
    ),
    ...blockerLines(forecast),
    ...forecast.cannotSee.map((what) => `Cannot see ${what}`),
    ...rateLines(forecast),
    summaryLine(forecast),
  ];
}

/** The same for programs. */
export function forecastJson(
  { segments, blockers, cannotSee, facts, summary }: Forecast,
): Record<string, unknown> {
  return {
    segments,
    blockers,
    cannotSee,
    tables: Object.fromEntries(
      [...facts.tables].map((
        [name, { holders: _, columns: __, ...rest }],
      ) => [name, rest]),
    ),
    standbys: facts.standbys,
    prepared: facts.prepared,
    oldTransactions: facts.oldTransactions,
    timeZone: facts.timeZone,
    rates: facts.rates ?? {},
    summary,
  };
}

function migrationLines(
  migration: MigrationForecast,
  facts: DatabaseFacts,
): string[] {
  const { name, direction } = migration;
  const verb = direction === "up" ? "Would apply" : "Would roll back";
  return [`${verb} ${visible(name)}`, ...detailLines(migration, facts)];
}

/** What stands below the name of a migration. */
export function detailLines(
  { status, reason, readsData, statements, findings, probes = [], backfill }:
    MigrationForecast,
  facts: DatabaseFacts,
): string[] {
  if (status === "unknown") {
    return [`  what it does is not known: ${visible(reason ?? "")}`];
  }
  const table = backfill === undefined ? undefined : facts.tables.get(backfill);
  const size = table === undefined ? "" : ` (${sizeText(table)})`;
  return [
    ...(backfill === undefined ? [] : [
      `  in batches over ${
        visible(backfill)
      }${size}, each in a transaction of its own:`,
    ]),
    ...(readsData.length === 0 ? [] : [
      `  reads ${
        readsData.map(visible).join(", ")
      } and may go on by what it finds: this is the plan for an empty table`,
    ]),
    ...statements.flatMap((one) => statementLines(one, facts)),
    // That it reads is said above.
    ...findings.filter(({ rule }) => rule !== "reads-data").map((finding) =>
      `  ${findingLine(finding)}`
    ),
    ...probes.flatMap(probeLines).map((line) => `  ${line}`),
  ];
}

/** What was asked of the rows; what they do not satisfy is a finding. */
export function probeLines(probed: Probed): string[] {
  const { object, demand, outcome } = probed;
  if (outcome === "fails") return [];
  const answer = outcome === "holds"
    ? "all rows satisfy it now"
    : `not known: ${visible(probed.reason)}`;
  return [`probe ${visible(object)}: ${demand.kind}: ${answer}`];
}

function statementLines(
  { sql, effects, findings }: StatementForecast,
  facts: DatabaseFacts,
): string[] {
  return [
    `  ${oneLine(sql)}`,
    ...effects.map((effect) => `    ${effectText(effect, facts)}`),
    ...findings.map((finding) => `    ${findingLine(finding)}`),
  ];
}

export function effectText(effect: Effect, facts: DatabaseFacts): string {
  const { table } = effect;
  if (effect.kind !== "lock") {
    const took = `${effect.kind} ${visible(table)}: ${rangeText(effect.range)}`;
    if (effect.kind !== "rewrites") return took;
    // All of it is written twice over: the copy, and what standbys get.
    const wal = bytesText(WAL_SHARE * effect.bytes);
    return `${took}, about ${wal} of WAL, ${
      bytesText(effect.bytes)
    } of free disk`;
  }
  const size = facts.tables.get(table);
  const blocks = effect.blocks === "definitions"
    ? "others read and write, and change no definition"
    : `blocks ${effect.blocks}`;
  return `${modeText(effect.mode)} on ${visible(table)}${
    size === undefined ? "" : ` (${sizeText(size)})`
  }: ${blocks}`;
}

function sizeText(
  { bytes, indexBytes, indexes, rows, estimated }: {
    readonly bytes: number;
    readonly indexBytes: number;
    readonly indexes: number;
    readonly rows: number | null;
    readonly estimated: boolean;
  },
): string {
  const about = estimated ? "about " : "";
  const with_ = indexes === 0
    ? ""
    : ` with ${indexes} ${indexes === 1 ? "index" : "indexes"}`;
  const count = rows === null ? "never analysed" : `${rowsText(rows)} rows`;
  return `${about}${bytesText(bytes + indexBytes)}${with_}, ${count}`;
}

function holdLines(holds: readonly Hold[]): string[] {
  const width = Math.max(...holds.map(({ table }) => visible(table).length));
  return holds.map(({ table, mode, own, ...range }) =>
    `  ${visible(table).padEnd(width)}  ${modeText(mode)}  ${rangeText(range)}${
      aloneText(own, range)
    }`
  );
}

/** What it would be if nothing else were done in the transaction. */
function aloneText(own: Range, whole: Range): string {
  const [alone, together] = [rangeText(own), rangeText(whole)];
  return alone === together ? "" : `; for itself ${alone}`;
}

export function blockerLines({ blockers, facts }: Forecast): string[] {
  const age = (ageMs: number | undefined) =>
    ageMs === undefined
      ? ""
      : `, its transaction is ${formatDuration(ageMs)} old`;
  return [
    ...blockers.map(({ pid, application, user, state, ageMs, mode, table }) =>
      `In the way now: backend ${pid} (${
        visible(application || "unnamed")
      }, user ${visible(user || "hidden")}, ${state ?? "state hidden"}${
        age(ageMs)
      }) has ${modeText(mode)} on ${visible(table)}`
    ),
    ...(facts.prepared === 0 ? [] : [
      `Prepared transactions that are not ended: ${facts.prepared}`,
    ]),
  ];
}

/** Where ranges rest on what was seen here. */
function rateLines({ facts: { rates = {} } }: Forecast): string[] {
  return Object.entries(rates).map(([basis, { slow, fast, seen }]) =>
    `Measured here, ${seen} times: ${basis} ${rateText(slow)} to ${
      rateText(fast)
    } MB/s`
  );
}

function rateText(rate: number): string {
  return rate < 10 ? rate.toFixed(1) : String(Math.round(rate));
}

export function summaryLine({ summary }: Forecast): string {
  const { migrations, errors, warnings, accepted, unknown, uncertain } =
    summary;
  const count = (n: number, one: string, many = `${one}s`) =>
    n === 0 ? [] : [`${n} ${n === 1 ? one : many}`];
  return `Plan: ${
    [
      `${migrations} migration${migrations === 1 ? "" : "s"}`,
      ...count(errors, "error"),
      ...count(warnings, "warning"),
      ...count(accepted, "accepted", "accepted"),
      ...count(unknown, "not recorded", "not recorded"),
      ...count(uncertain, "not certain", "not certain"),
    ].join(", ")
  }`;
}

function findingLine(finding: Finding): string {
  return `${levelText(finding)} ${finding.rule}: ${visible(finding.object)}: ${
    findingText(finding)
  }`;
}

export function levelText({ level, accepted }: Finding): string {
  return accepted === undefined ? level : "accepted";
}

export function findingText({ message, advice, accepted }: Finding): string {
  if (accepted !== undefined) return `${message} (${visible(accepted)})`;
  return advice === undefined ? message : `${message}; ${advice}`;
}

/** `AccessExclusive` → `ACCESS EXCLUSIVE`. */
export function modeText(mode: LockMode): string {
  return mode.replaceAll(/(?<=.)(?=[A-Z])/g, " ").toUpperCase();
}

export function oneLine(sql: string): string {
  const line = visible(sql.trim().replaceAll(/\s+/g, " "));
  return line.length <= SQL_LENGTH ? line : `${line.slice(0, SQL_LENGTH)}…`;
}
