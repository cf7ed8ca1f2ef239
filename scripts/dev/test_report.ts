/**
 * What `deno test` has done, read from its report (JUnit), which no test can write into.
 *
 * @module
 */

export interface Report {
  readonly passed: number;
  readonly failed: number;
  /** For each test that failed: its file, its name and the lines of its error. */
  readonly failures: readonly string[];
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

/** A test whose step failed is there, too, beside its step. */
const FAILED =
  /<testcase name="([^"]*)" [^>]*>\s*<failure message="([^"]*)">([^<]*)/g;

/** Where the errors begin that led to the one of the message: a property that fails has its assertion there. */
const CAUSE = /^Caused by: .*/ms;

/** Enough for the difference that an assertion prints. */
const LINES_OF_ERROR = 40;

const ENTITIES: Readonly<Record<string, string>> = {
  amp: "&",
  apos: "'",
  gt: ">",
  lt: "<",
  quot: '"',
};

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
  const failures = xml.split("<testsuite ").slice(1).flatMap((suite) => {
    const [, file = ""] = /name="([^"]*)"/.exec(suite) ?? [];
    return [...suite.matchAll(FAILED)].map(
      ([, name = "", error = "", whole = ""]) =>
        failureText(
          decode(file),
          decode(name),
          [error, ...CAUSE.exec(whole) ?? []].map((text) =>
            decode(text).trim()
          ),
        ),
    );
  });
  return {
    passed,
    failed: failed + ignored.length,
    failures,
    leftOut,
    ignored,
  };
}

function decode(text: string): string {
  return text.replaceAll(
    /&(?:#(\d+)|#x([\da-f]+)|([a-z]+));/gi,
    (whole, decimal, hex, name) =>
      name === undefined
        ? String.fromCodePoint(
          Number.parseInt(decimal ?? hex, decimal ? 10 : 16),
        )
        : ENTITIES[name] ?? whole,
  );
}

/** @param errors that of the test, and those that led to it */
function failureText(
  file: string,
  name: string,
  errors: readonly string[],
): string {
  const lines = errors.flatMap((error) =>
    error.split("\n").slice(0, LINES_OF_ERROR)
  );
  return [`${file}: ${name}`, ...lines.map((line) => `  ${line}`.trimEnd())]
    .join("\n");
}
