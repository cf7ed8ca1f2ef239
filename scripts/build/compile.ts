// deno-lint-ignore-file no-console -- a script for the terminal
/**
 * Builds the executables: `deno task compile [--all] [--runtime npm] [--output FOLDER]`.
 *
 * Each is `battlescope-migrate-<os>-<arch>`; with them go their `SHA256SUMS` and the source maps of the code inside.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { VARIABLES } from "../../src/cli/variables.ts";
import { RECORDING_FILE } from "../../src/insight/recording.ts";
import type { ProgramInfo } from "../../src/cli/version.ts";
import { type Bundle, bundle, currentCommit } from "./bundle.ts";
import { npmRuntime } from "./npm_runtime.ts";
import { judgeFolder } from "./folder_faults.ts";
import { staleRecording } from "./recording.ts";
import { MIGRATIONS_FOLDER, staleRegistry } from "./registry.ts";

const CHECKOUT = new URL("../../", import.meta.url);

/** The name that we give to a platform → Deno's. */
const TARGETS = {
  "linux-x64": "x86_64-unknown-linux-gnu",
  "linux-arm64": "aarch64-unknown-linux-gnu",
  "macos-x64": "x86_64-apple-darwin",
  "macos-arm64": "aarch64-apple-darwin",
} as const;

type Target = keyof typeof TARGETS;

const NAMES = Object.keys(TARGETS) as Target[];

/** Where this script runs; only such an executable can be tried out here. */
const HOST = NAMES.find((name) => TARGETS[name] === Deno.build.target);

/** Secrets and certificates may lie anywhere, and the database too; nothing else is needed, so nothing else is allowed. */
const PERMISSIONS = [
  "--no-prompt",
  // Otherwise code could be imported from a few well-known hosts.
  "--deny-import",
  "--allow-net",
  "--allow-read",
  // A Unix socket is opened only where the program may write; PostgreSQL's own folder holds nothing else.
  "--allow-write=/run/postgresql,/var/run/postgresql",
];

const USAGE =
  "Usage: deno task compile [--all] [--runtime npm] [--output FOLDER]";

interface Options {
  readonly targets: readonly Target[];
  readonly runtime: "deno" | "npm";
  readonly output: string;
}

/** What compiles, and what the executables begin with. */
interface Compiler {
  readonly deno: string;
  readonly version: string;
  readonly env: Readonly<Record<string, string>>;
}

async function compile(
  { targets, runtime, output }: Options,
): Promise<void> {
  await refuseStaleRegistry();
  await refuseFaults();
  await refuseStaleRecording();
  await Deno.mkdir(output, { recursive: true });
  const commit = await currentCommit();
  const compiler = await findCompiler(runtime);
  const work = await Deno.makeTempDir({ dir: output, prefix: ".compile-" });
  try {
    const program = await bundle(work, commit, runtime);
    const built: string[] = [];
    for (const target of targets) {
      const draft = await compileFor(target, program, compiler, work);
      if (target === HOST) {
        await tryOut(draft, { deno: compiler.version, commit });
      }
      built.push(await publish(draft, output));
    }
    for (const map of program.maps) built.push(await publish(map, output));
    await removeOldMaps(output, built);
    const sums = await Promise.all(built.map((name) => checksum(output, name)));
    await Deno.writeTextFile(join(output, "SHA256SUMS"), sums.join(""));
    for (const name of built) console.log(join(output, name));
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

async function refuseStaleRegistry(): Promise<void> {
  const differences = await staleRegistry(MIGRATIONS_FOLDER);
  if (differences.length === 0) return;
  throw new Error(
    `Cannot compile with a stale registry:\n  ${differences.join("\n  ")}\n` +
      'Run "deno task registry" first',
  );
}

/** A folder that was never recorded has no file, and an executable that says so; a stale one would say what is not so. */
async function refuseStaleRecording(): Promise<void> {
  const differences = await staleRecording(MIGRATIONS_FOLDER);
  if (differences === undefined || differences.length === 0) return;
  throw new Error(
    `Cannot compile with a stale ${RECORDING_FILE}:\n  ${
      differences.join("\n  ")
    }\nRun "deno task insight" first, or delete it`,
  );
}

async function refuseFaults(): Promise<void> {
  const { faults } = await judgeFolder(CHECKOUT);
  if (faults.length > 0) {
    throw new Error(`Cannot compile:\n  ${faults.join("\n  ")}`);
  }
}

async function findCompiler(runtime: "deno" | "npm"): Promise<Compiler> {
  if (runtime === "deno") {
    return { deno: Deno.execPath(), version: Deno.version.deno, env: {} };
  }
  const { deno, denort, version } = await npmRuntime(console.error);
  return { deno, version, env: { DENORT_BIN: denort } };
}

async function compileFor(
  target: Target,
  { code, data, environment }: Bundle,
  { deno, env }: Compiler,
  folder: string,
): Promise<string> {
  const path = join(folder, `battlescope-migrate-${target}`);
  const { success, stderr } = await new Deno.Command(deno, {
    args: [
      ...["compile", "--quiet", `--target=${TARGETS[target]}`],
      // The bundle is complete: whatever else there may be to resolve, check or cache, it is not wanted.
      ...["--no-check", "--no-config", "--no-lock", "--no-npm", "--no-remote"],
      ...["--no-code-cache", ...PERMISSIONS],
      `--allow-env=${[...VARIABLES, ...environment].join(",")}`,
      ...data.map((path) => `--include=${path}`),
      ...[`--output=${path}`, code],
    ],
    // Otherwise the executable would send telemetry of Deno's own, whatever it is told.
    env: { ...env, NO_COLOR: "1", OTEL_DENO: "false" },
  }).output();
  if (success) return path;
  const said = new TextDecoder().decode(stderr)
    .replace(/\n\nStack backtrace:[^]*/, "").trim();
  throw new Error(
    `Cannot compile for ${target}: ${said}\n${await wayOut(target, said)}`
      .trim(),
  );
}

/** What to do on a machine that cannot download Deno's runtime. */
async function wayOut(target: Target, said: string): Promise<string> {
  const archive = `denort-${TARGETS[target]}.zip`;
  if (!said.includes(archive)) return "";
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json"],
  }).output();
  const { denoDir } = JSON.parse(new TextDecoder().decode(stdout));
  const release = `v${Deno.version.deno}`;
  return `Deno downloads its runtime once. Where it cannot, put ${archive} of Deno ${release} at ` +
    `${join(denoDir, "dl", "release", release, archive)}, or unpack it and ` +
    "set DENORT_BIN to the program; for tests there is also --runtime npm";
}

/** A runtime of another version makes an executable that does not start, or that is not what it says. */
async function tryOut(
  path: string,
  expected: { deno: string; commit: string },
): Promise<void> {
  const { success, stdout, stderr } = await new Deno.Command(path, {
    args: ["version", "--format", "json"],
    clearEnv: true,
    env: { NO_COLOR: "1" },
  }).output();
  const reason = success
    ? differenceFrom(JSON.parse(new TextDecoder().decode(stdout)), expected)
    : new TextDecoder().decode(stderr).trim().split("\n")[0];
  if (reason === undefined) return;
  throw new Error(
    `Cannot use the executable: ${reason}` +
      (Deno.env.has("DENORT_BIN")
        ? `; DENORT_BIN must be the runtime of Deno ${expected.deno}`
        : ""),
  );
}

function differenceFrom(
  program: ProgramInfo,
  expected: { deno: string; commit: string },
): string | undefined {
  if (program.deno !== expected.deno) {
    return `it runs on Deno ${program.deno}, not ${expected.deno}`;
  }
  return program.commit === expected.commit
    ? undefined
    : `it says that its commit is ${program.commit}, not ${expected.commit}`;
}

/** Renamed, not written: nobody sees half an executable, and one that runs can be replaced. */
async function publish(path: string, output: string): Promise<string> {
  const name = path.slice(path.lastIndexOf("/") + 1);
  await Deno.rename(path, join(output, name));
  return name;
}

/** Their names change with the code: those of another build would stay for ever. */
async function removeOldMaps(
  output: string,
  built: readonly string[],
): Promise<void> {
  for await (const { name } of Deno.readDir(output)) {
    if (name.endsWith(".js.map") && !built.includes(name)) {
      await Deno.remove(join(output, name));
    }
  }
}

async function checksum(folder: string, name: string): Promise<string> {
  const content = await Deno.readFile(join(folder, name));
  return `${createHash("sha256").update(content).digest("hex")}  ${name}\n`;
}

/** Throws a `TypeError` that says what is wrong with the arguments. */
function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      all: { type: "boolean", default: false },
      runtime: { type: "string", default: "deno" },
      output: { type: "string", default: "dist" },
    },
  });
  const { all, runtime, output } = values;
  if (runtime !== "deno" && runtime !== "npm") {
    throw new TypeError(`Option --runtime: "${runtime}" is not npm`);
  }
  if (!all && HOST === undefined) {
    throw new TypeError(
      `There is no executable for "${Deno.build.target}": pass --all for those that there are`,
    );
  }
  if (all && runtime === "npm") {
    throw new TypeError("Option --all: npm has the runtime of linux-x64 only");
  }
  if (Deno.env.has("DENORT_BIN")) {
    if (all) {
      throw new TypeError(
        "Option --all: DENORT_BIN is the runtime of one target; unset it, or leave --all out",
      );
    }
    if (runtime === "npm") {
      throw new TypeError(
        "Option --runtime: DENORT_BIN is set and says otherwise; unset it, or leave --runtime out",
      );
    }
  }
  return {
    targets: all ? NAMES : [HOST!],
    runtime,
    output: resolve(fileURLToPath(new URL("../../", import.meta.url)), output),
  };
}

async function main(args: readonly string[]): Promise<number> {
  let options: Options;
  try {
    options = parseOptions(args);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    console.error(USAGE);
    return 2;
  }
  try {
    await compile(options);
    return 0;
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
