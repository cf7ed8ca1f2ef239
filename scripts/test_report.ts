/**
 * What `deno test` has done, read from its report (JUnit), which no test can write into.
 *
 * @module
 */

/** A test that was left out because of what it needs. */
export interface LeftOut {
  readonly file: string;
  readonly needs: string;
}

export interface Report {
  readonly passed: number;
  readonly failed: number;
  readonly leftOut: readonly LeftOut[];
  /** Tests that were left out and do not say why. They count as failed. */
  readonly ignored: readonly string[];
}

/** Names of tests that need something end like this: see `tests/support/needs.ts`. */
const NEEDS = / \(needs ([^)]+)\)$/;

/** The same, for `--filter`. */
export const NEEDS_FILTER = String.raw`/ \(needs [^)]+\)$/`;

/** Reads a report. */
export function readReport(xml: string): Report {
  let passed = 0;
  let failed = 0;
  for (const [suite] of xml.matchAll(/<testsuite .*?>/g)) {
    const value = (name: string) =>
      Number(new RegExp(` ${name}="(\\d+)"`).exec(suite)?.[1] ?? 0);
    const faults = value("failures") + value("errors");
    failed += faults;
    passed += value("tests") - value("disabled") - faults;
  }
  const leftOut: LeftOut[] = [];
  const ignored: string[] = [];
  // One that a filter has kept out is skipped, too, but has no time.
  const skipped =
    /<testcase name="([^"]*)" classname="([^"]*)" time="[^>]*>\s*<skipped\/>/g;
  for (const [, name = "", file = ""] of xml.matchAll(skipped)) {
    const needs = NEEDS.exec(name)?.[1];
    const path = file.replace(/^\.\//, "");
    if (needs === undefined) ignored.push(`${path}: ${name}`);
    else leftOut.push({ file: path, needs });
  }
  return { passed, failed: failed + ignored.length, leftOut, ignored };
}
