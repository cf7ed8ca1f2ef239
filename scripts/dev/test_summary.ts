/**
 * What a run of the tests says of those that it has left out.
 *
 * @module
 */
import type { Missing } from "./test_needs.ts";
import type { Round } from "./test_rounds.ts";

export interface NotRun {
  /** For each test that was left out: what it needs. */
  readonly leftOut: readonly string[];
  readonly rounds: readonly Round[];
  /** What the tests that were left out need and this machine does not have. */
  readonly missing: Missing;
  /** Runs all of it; undefined when that is what was asked for. */
  readonly command: string | undefined;
}

/** The lines that tell it; none when nothing was left out. */
export function notRunLines(
  { leftOut, rounds, missing, command }: NotRun,
): string[] {
  if (leftOut.length + rounds.length === 0) return [];
  const tests = [...Map.groupBy(leftOut, (needs) => needs)]
    .map(([needs, { length }]) =>
      length === 1
        ? `  1 test needs ${needs}`
        : `  ${length} tests need ${needs}`
    );
  return [
    "Not run:",
    ...tests,
    ...rounds.map(({ paths, versions, more }) =>
      `  on PostgreSQL ${versions.join(", ")}${
        more === undefined ? "" : ` with ${more}`
      }: ${paths.join(", ")}`
    ),
    ...(command === undefined ? [] : [
      `To run everything: ${command}`,
      ...installLines(missing),
      ...missing.obstacles.map((text) => `  in the way: ${text}`),
    ]),
  ];
}

/** Why everything cannot be run here, and what to do first; undefined when nothing is missing. */
export function refusalText(missing: Missing): string | undefined {
  const { programs, obstacles } = missing;
  if (programs.length + obstacles.length === 0) return undefined;
  const faults = programs.length === 0
    ? obstacles
    : [`there is no ${programs.join(", ")}`, ...obstacles];
  return [
    `Cannot run all tests: ${faults.join("; ")}`,
    ...installLines(missing),
  ].join("\n");
}

function installLines({ packages, root }: Missing): string[] {
  if (packages.length === 0) return [];
  const command = "apt-get update && apt-get install --yes " +
    `--no-install-recommends ${packages.join(" ")}`;
  return [`  first: ${root ? command : `sudo sh -c '${command}'`}`];
}
