/**
 * What `deno test` has done, read from its report (JUnit), which no test can write into.
 *
 * @module
 */

export interface Report {
  readonly passed: number;
  readonly failed: number;
  /** For each test that was left out because of its needs: these, with commas between them. */
  readonly leftOut: readonly string[];
  /** Names of tests that were left out and do not say why. They count as failed. */
  readonly ignored: readonly string[];
}

/** Names of tests that need something end like this: see `tests/support/program/needs.ts`. */
const NEEDS = / \(needs ([^)]+)\)$/;

/** The same, for `--filter`. */
export const NEEDS_FILTER = String.raw`/ \(needs [^)]+\)$/`;

const SUITE = /<testsuite .*?>/g;

/** One that a filter has kept out is skipped, too, but has no time. */
const SKIPPED = /<testcase name="([^"]*)" [^>]*time="[^>]*>\s*<skipped\/>/g;

/** Reads a report. */
export function readReport(xml: string): Report {
  let passed = 0;
  let failed = 0;
  for (const [suite] of xml.matchAll(SUITE)) {
    const value = (name: string) =>
      Number(new RegExp(` ${name}="(\\d+)"`).exec(suite)?.[1] ?? 0);
    const faults = value("failures") + value("errors");
    failed += faults;
    passed += value("tests") - value("disabled") - faults;
  }
  const leftOut: string[] = [];
  const ignored: string[] = [];
  for (const [, name = ""] of xml.matchAll(SKIPPED)) {
    const needs = NEEDS.exec(name)?.[1];
    if (needs === undefined) ignored.push(name);
    else leftOut.push(needs);
  }
  return { passed, failed: failed + ignored.length, leftOut, ignored };
}
