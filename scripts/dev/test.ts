// deno-lint-ignore-file no-console -- a script for the terminal
/**
 * Runs the tests: `deno task test [--all] [FILE or FOLDER …] [options of deno test]`.
 *
 * The unit tests run first, with no permission at all; then the others, on PostgreSQL servers of their own. Without
 * `--all` Node and npm are all that is needed: what needs more is left out, and so are the faults and losses of tests/fire,
 * tests/hostile and tests/outage, unless they are named; the end lists it. With `--all` nothing is left out, and what is
 * missing on this machine is named before anything starts. Closes with what failed, and the line `N passed, N failed`.
 *
 * @module
 */
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { taskCommand } from "../build/deno_command.ts";
import type { Server } from "./embedded_postgres.ts";
import {
  POSTGRES_VERSIONS,
  type PostgresVersion,
} from "./postgres_binaries.ts";
import {
  NEEDS_VARIABLE,
  OPTIONS_VARIABLE,
  SERVERS_VARIABLE,
} from "./test_environment.ts";
import {
  findMissing,
  givenNeeds,
  NEED_NAMES,
  type NeedName,
} from "./test_needs.ts";
import { NEEDS_FILTER, readReport, type Report } from "./test_report.ts";
import {
  isIn,
  missingRounds,
  planRounds,
  type Round,
  shortFolders,
} from "./test_rounds.ts";
import { withServers } from "./test_servers.ts";
import { notRunLines, refusalText } from "./test_summary.ts";

const SANITIZERS = ["--sanitize-ops", "--sanitize-resources"];

/** What the tests need to start servers, processes and folders of their own; none of it is the program's. */
const PERMISSIONS = [
  "--allow-net",
  "--allow-env",
  "--allow-read",
  "--allow-write",
  "--allow-run",
  "--allow-sys",
];

/** Files of tests at the same time: they wait for others longer than they work. */
const DENO_JOBS = Deno.env.get("DENO_JOBS") ??
  `${3 * navigator.hardwareConcurrency}`;

const CHECKOUT = fileURLToPath(new URL("../../", import.meta.url));

/** A run of `deno test`: where, and how. */
interface Part {
  readonly paths: readonly string[];
  readonly options: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

async function main(
  args: readonly string[],
  isStopped: () => boolean,
): Promise<number> {
  const versions = parseVersions(Deno.env.get("PG_VERSIONS"));
  const all = args.includes("--all");
  const given = await splitArguments(
    args.filter((argument) => argument !== "--all"),
  );
  const { options } = given;
  const paths = given.paths ?? await testFolders();
  const unit = paths.filter((path) => isIn(path, "tests/unit"));
  const others = paths.filter((path) => !isIn(path, "tests/unit"));
  const rounds = planRounds(
    all || given.paths !== undefined ? others : shortFolders(others),
    { all, ...(versions && { versions }) },
  );
  if (all && others.length > 0) await refuseMissing(await needsOf(others));

  const reports: Report[] = [];
  const begun: Round[] = [];
  if (unit.length > 0) reports.push(await runPart({ paths: unit, options }));
  const wanted = POSTGRES_VERSIONS.filter((version) =>
    rounds.some(({ versions }) => versions.includes(version))
  );
  if (wanted.length > 0 && !isStopped()) {
    await withServers(wanted, console.error, async (servers) => {
      for (const round of rounds) {
        if (isStopped()) break;
        begun.push(round);
        if (round.more !== undefined) {
          console.error(
            `Once more, with ${round.more}: ${round.paths.join(" ")}`,
          );
        }
        reports.push(
          await runPart({
            paths: round.paths,
            options: ["--parallel", ...PERMISSIONS, ...options],
            env: {
              DENO_JOBS,
              ...environmentOf(round, servers, all ? NEED_NAMES : givenNeeds()),
            },
          }),
        );
      }
    });
  }

  const leftOut = reports.flatMap(({ leftOut }) => leftOut);
  const lines = notRunLines({
    leftOut,
    rounds: missingRounds(others, begun),
    missing: await findMissing(namesOf(leftOut)),
    command: all ? undefined : taskCommand("test", "--all", ...args),
  });
  for (const line of lines) console.log(line);
  // Last of all, where somebody who sees only the end of the output finds it.
  for (const failure of reports.flatMap(({ failures }) => failures)) {
    console.log(`Failed: ${failure}`);
  }
  const passed = reports.reduce((sum, { passed }) => sum + passed, 0);
  const failed = reports.reduce((sum, { failed }) => sum + failed, 0);
  console.log(`${passed} passed, ${failed} failed`);
  // A run without a test has proven nothing.
  return failed === 0 && passed > 0 ? 0 : 1;
}

function environmentOf(
  { versions, more }: Round,
  servers: readonly Server[],
  needs: readonly NeedName[],
): Record<string, string> {
  const some = servers.filter(({ version }) => versions.includes(version));
  return {
    [SERVERS_VARIABLE]: JSON.stringify(
      some.map(({ version, url }) => ({ version, url: url() })),
    ),
    [NEEDS_VARIABLE]: needs.join(),
    ...(more !== undefined && { [OPTIONS_VARIABLE]: more }),
  };
}

/** `15,18` → [15, 18]; each at most once, in any order. */
function parseVersions(
  text: string | undefined,
): PostgresVersion[] | undefined {
  if (text === undefined) return undefined;
  const wanted = [...new Set(text.split(",").map((part) => part.trim()))];
  return wanted.map((part) => {
    const version = POSTGRES_VERSIONS.find((known) => `${known}` === part);
    if (version !== undefined) return version;
    throw new TypeError(
      `Cannot test on PG_VERSIONS="${text}": "${part}" is none of ${
        POSTGRES_VERSIONS.join(", ")
      }`,
    );
  }).sort((a, b) => a - b);
}

/** What names a file or a folder is a path, the rest is for `deno test`. */
async function splitArguments(
  args: readonly string[],
): Promise<{ paths: string[] | undefined; options: string[] }> {
  const paths: string[] = [];
  const options: string[] = [];
  for (const argument of args) {
    const isPath = !argument.startsWith("-") &&
      await Deno.stat(argument).then(() => true, () => false);
    if (isPath) paths.push(relative(CHECKOUT, resolve(argument)));
    else options.push(argument);
  }
  if (paths.includes("tests")) return { paths: await testFolders(), options };
  return { paths: paths.length === 0 ? undefined : paths, options };
}

async function testFolders(): Promise<string[]> {
  const folders = await Array.fromAsync(Deno.readDir(join(CHECKOUT, "tests")));
  return folders
    .filter((entry) => entry.isDirectory)
    .filter(({ name }) => name !== "support" && name !== "testdata")
    .map(({ name }) => `tests/${name}`)
    .sort();
}

/** Runs `deno test` and counts from its report. */
async function runPart({ paths, options, env = {} }: Part): Promise<Report> {
  const { success, report } = await denoTest(
    [...SANITIZERS, ...options, ...paths],
    { env },
  );
  for (const test of report.ignored) {
    console.error(`Left out without saying why: ${test}`);
  }
  // A file that cannot be loaded is in no report.
  const failed = !success && report.failed === 0 ? 1 : report.failed;
  return { ...report, failed };
}

/** What the tests need, by their own account: they are registered, and none is run. */
async function needsOf(paths: readonly string[]): Promise<NeedName[]> {
  const servers = POSTGRES_VERSIONS.map((version) => ({ version, url: "" }));
  const { report } = await denoTest(
    ["--no-check", `--filter=${NEEDS_FILTER}`, ...PERMISSIONS, ...paths],
    {
      env: {
        [SERVERS_VARIABLE]: JSON.stringify(servers),
        [NEEDS_VARIABLE]: "",
      },
      // What cannot be loaded says so when it is to run.
      stdout: "null",
      stderr: "null",
    },
  );
  return namesOf(report.leftOut);
}

function namesOf(leftOut: readonly string[]): NeedName[] {
  const names = new Set(leftOut.flatMap((needs) => needs.split(", ")));
  return NEED_NAMES.filter((name) => names.has(name));
}

async function denoTest(
  args: readonly string[],
  options: Pick<Deno.CommandOptions, "env" | "stdout" | "stderr">,
): Promise<{ success: boolean; report: Report }> {
  const file = await Deno.makeTempFile({ suffix: ".xml" });
  try {
    const { success } = await new Deno.Command(Deno.execPath(), {
      args: ["test", "--no-prompt", `--junit-path=${file}`, ...args],
      cwd: CHECKOUT,
      ...options,
      stdin: "null",
    }).spawn().status;
    return { success, report: readReport(await Deno.readTextFile(file)) };
  } finally {
    await Deno.remove(file);
  }
}

async function refuseMissing(needs: readonly NeedName[]): Promise<void> {
  const refusal = refusalText(await findMissing(needs));
  if (refusal !== undefined) throw new Error(refusal);
}

/** Runs to the end even when interrupted: `deno test` gets the terminal's signal too, and the servers must be stopped. */
async function guarded(): Promise<number> {
  let stopped: number | undefined;
  for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    Deno.addSignalListener(signal, () => stopped ??= code);
  }
  try {
    const code = await main(Deno.args, () => stopped !== undefined);
    return stopped ?? code;
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return stopped ?? 1;
  }
}

Deno.exit(await guarded());
