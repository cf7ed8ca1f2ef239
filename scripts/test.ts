// deno-lint-ignore-file no-console -- a script for the terminal
/**
 * Runs the tests: `deno task test [FILE or FOLDER …] [options of deno test]`.
 *
 * The unit tests run first, with no permission at all; then the others, on PostgreSQL servers of their own. Closes with
 * the line `N passed, N failed`.
 *
 * @module
 */
import { join, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { OPTIONS_VARIABLE } from "../tests/support/cli.ts";
import { SERVERS_VARIABLE } from "../tests/support/postgres.ts";
import type { Server } from "./embedded_postgres.ts";
import {
  POSTGRES_VERSIONS,
  type PostgresVersion,
} from "./postgres_binaries.ts";
import { withServers } from "./test_servers.ts";

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

const TESTS = fileURLToPath(new URL("../tests", import.meta.url));

interface Count {
  passed: number;
  failed: number;
}

/** A run of `deno test`: where, and how. */
interface Part {
  readonly paths: readonly string[];
  readonly options: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

async function main(args: readonly string[]): Promise<number> {
  const versions = parseVersions(Deno.env.get("PG_VERSIONS") ?? "15,18");
  const { paths, options } = await splitArguments(args);
  const unit = paths.filter((path) => isIn(path, "unit"));
  const others = paths.filter((path) => !isIn(path, "unit"));
  const total: Count = { passed: 0, failed: 0 };
  const run = async (part: Part) => {
    const { passed, failed } = await runPart(part);
    total.passed += passed;
    total.failed += failed;
  };
  if (unit.length > 0) await run({ paths: unit, options });
  if (others.length > 0) {
    await withServers(versions, console.error, async (servers) => {
      const all = ["--parallel", ...PERMISSIONS, ...options];
      for (const { paths, servers: some, more } of partsOf(others, servers)) {
        const env = {
          [SERVERS_VARIABLE]: JSON.stringify(some.map(describe)),
          ...(more !== undefined && { [OPTIONS_VARIABLE]: more }),
        };
        if (more !== undefined) {
          console.error(`Once more, with ${more}: ${paths.join(" ")}`);
        }
        await run({ paths, options: all, env });
      }
    });
  }
  console.log(`${total.passed} passed, ${total.failed} failed`);
  // A run without a test has proven nothing.
  return total.failed === 0 && total.passed > 0 ? 0 : 1;
}

/** Tests on servers, in one run of `deno test`. */
interface ServerPart {
  readonly paths: readonly string[];
  readonly servers: readonly Server[];
  /** Options that every run of the program gets besides its own. */
  readonly more?: string;
}

/**
 * What the program says to PostgreSQL is tested on every version. What happens around it (networks, processes, containers)
 * takes long and does not depend on the version: the oldest and the newest must do. Faults are survived whether statements
 * are sent ahead or not, for which the newest must do.
 */
function partsOf(
  paths: readonly string[],
  servers: readonly Server[],
): ServerPart[] {
  const onEvery = (path: string) =>
    ["integration", "cli"].some((folder) => isIn(path, folder));
  const [oldest, newest] = [servers[0]!, servers.at(-1)!];
  const parts: ServerPart[] = servers.length <= 2 ? [{ paths, servers }] : [
    { paths: paths.filter(onEvery), servers },
    {
      paths: paths.filter((path) => !onEvery(path)),
      servers: [oldest, newest],
    },
  ];
  parts.push({
    paths: paths.filter((path) => isIn(path, "fire")),
    servers: [newest],
    more: "--no-pipeline",
  });
  return parts.filter(({ paths }) => paths.length > 0);
}

function describe({ version, url }: Server): { version: number; url: string } {
  return { version, url: url() };
}

/** `15,18` → [15, 18]; each at most once, in any order. */
function parseVersions(text: string): PostgresVersion[] {
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

/** What names a file or a folder is a path, the rest is for `deno test`. Without a path, every folder of tests counts. */
async function splitArguments(
  args: readonly string[],
): Promise<{ paths: string[]; options: string[] }> {
  const paths: string[] = [];
  const options: string[] = [];
  for (const argument of args) {
    const isPath = !argument.startsWith("-") &&
      await Deno.stat(argument).then(() => true, () => false);
    if (isPath) paths.push(resolve(argument));
    else options.push(argument);
  }
  return { paths: paths.length > 0 ? paths : await testFolders(), options };
}

async function testFolders(): Promise<string[]> {
  const folders = await Array.fromAsync(Deno.readDir(TESTS));
  return folders
    .filter((entry) => entry.isDirectory)
    .filter(({ name }) => name !== "support" && name !== "testdata")
    .map(({ name }) => join(TESTS, name));
}

function isIn(path: string, folder: string): boolean {
  return (path + sep).startsWith(join(TESTS, folder) + sep);
}

/** Runs `deno test` and counts from its report, which a test cannot write into. */
async function runPart({ paths, options, env = {} }: Part): Promise<Count> {
  const report = await Deno.makeTempFile({ suffix: ".xml" });
  try {
    const { code } = await new Deno.Command(Deno.execPath(), {
      args: [
        ...["test", "--no-prompt", ...SANITIZERS, `--junit-path=${report}`],
        ...options,
        ...paths,
      ],
      env,
      stdin: "null",
    }).spawn().status;
    const count = readReport(await Deno.readTextFile(report));
    // A file that cannot be loaded is in no report.
    if (code !== 0 && count.failed === 0) count.failed = 1;
    return count;
  } finally {
    await Deno.remove(report);
  }
}

function readReport(xml: string): Count {
  const count: Count = { passed: 0, failed: 0 };
  for (const [suite] of xml.matchAll(/<testsuite .*?>/g)) {
    const value = (name: string) =>
      Number(new RegExp(` ${name}="(\\d+)"`).exec(suite)?.[1] ?? 0);
    const failed = value("failures") + value("errors");
    count.failed += failed;
    count.passed += value("tests") - value("disabled") - failed;
  }
  return count;
}

/** Runs to the end even when interrupted: `deno test` gets the terminal's signal too, and the servers must be stopped. */
async function guarded(): Promise<number> {
  let stopped: number | undefined;
  for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    Deno.addSignalListener(signal, () => stopped ??= code);
  }
  try {
    const code = await main(Deno.args);
    return stopped ?? code;
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return stopped ?? 1;
  }
}

Deno.exit(await guarded());
