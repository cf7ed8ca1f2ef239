/**
 * A forecast as Markdown, for a pull request.
 *
 * @module
 */
import type {
  Forecast,
  MigrationForecast,
} from "../insight/forecast_values.ts";
import type { Finding } from "../insight/findings.ts";
import { visible } from "../text.ts";
import { rangeText } from "./amounts.ts";
import {
  blockerLines,
  effectText,
  findingText,
  levelText,
  modeText,
  oneLine,
  probeLines,
  summaryLine,
} from "./forecast.ts";

/** A table of what is found, and the statements folded away. */
export function forecastMarkdown(forecast: Forecast): string[] {
  const migrations = forecast.segments.flatMap((segment) => segment.migrations);
  const rows = migrations.flatMap((migration) =>
    allFindings(migration).map((finding) =>
      `| ${levelText(finding)} | ${finding.rule} | ${cell(finding.object)} | ${
        cell(findingText(finding))
      } |`
    )
  );
  return [
    `### ${summaryLine(forecast)}`,
    "",
    ...(rows.length === 0 ? ["Nothing was found.", ""] : [
      "| | rule | on | |",
      "| --- | --- | --- | --- |",
      ...rows,
      "",
    ]),
    ...migrations.flatMap((migration) => [
      `<details><summary><code>${
        escapeHtml(visible(migration.name))
      }</code></summary>`,
      "",
      "```sql",
      ...(migration.status === "unknown"
        ? [`-- not recorded: ${migration.reason}`]
        : migration.statements.flatMap((one) => [
          ...one.effects.map((effect) =>
            `-- ${effectText(effect, forecast.facts)}`
          ),
          `${oneLine(one.sql)};`,
        ])),
      "```",
      "",
      "</details>",
      "",
    ]),
    ...forecast.segments.flatMap(({ transaction, holds }) =>
      transaction && holds.length > 0
        ? [
          "| table | lock | held |",
          "| --- | --- | --- |",
          ...holds.map(({ table, mode, ...range }) =>
            `| ${cell(table)} | ${modeText(mode)} | ${rangeText(range)} |`
          ),
          "",
        ]
        : []
    ),
    ...[
      ...migrations.flatMap(({ probes = [] }) => probes.flatMap(probeLines)),
      ...blockerLines(forecast),
    ].map((line) => `- ${line.trim()}`),
  ];
}

function allFindings(
  { statements, findings }: MigrationForecast,
): readonly Finding[] {
  return [...statements.flatMap((one) => one.findings), ...findings];
}

function cell(text: string): string {
  return visible(text).replaceAll("|", "\\|");
}

function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
