/**
 * The programs under test, built from a copy of this checkout that carries the generated migrations.
 *
 * @module
 */
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { npmRuntime } from "../build/npm_runtime.ts";
import { run } from "./process.ts";
import { kyselyFiles, type WorkItem } from "./work.ts";

/** Whose runtime executables begin with: that of this Deno, or the one that npm has. */
export type Runtime = "deno" | "npm";

/** A checkout that carries the migrations of a benchmark. */
export interface Build {
  readonly folder: string;
  /** The program's main module. */
  readonly source: string;
  readonly executable: string;
}

/** What the executables need of the checkout; what is not here, `deno task compile` does not read. */
const PARTS = ["deno.json", "deno.lock", "src", "scripts"];

const CHECKOUT = fileURLToPath(new URL("../../", import.meta.url));

export interface BuildOptions {
  /** @default {the migrations of this checkout} */
  readonly items?: readonly WorkItem[];
  readonly runtime: Runtime;
}

/** Makes such a checkout in `folder` and compiles it. */
export async function build(
  folder: string,
  { items, runtime }: BuildOptions,
): Promise<Build> {
  const parts = items === undefined ? [...PARTS, "migrations"] : PARTS;
  for (const part of parts) {
    await cp(join(CHECKOUT, part), join(folder, part), { recursive: true });
  }
  if (items !== undefined) await Deno.mkdir(join(folder, "migrations"));
  for (const [name, source] of kyselyFiles(items ?? [], "ts")) {
    await Deno.writeTextFile(join(folder, "migrations", name), source);
  }
  const task = (...args: string[]) =>
    run([Deno.execPath(), "task", "--quiet", ...args], {
      cwd: folder,
      env: { COMMIT: "benchmark" },
    });
  await task("registry");
  await task("compile", "--runtime", runtime, "--output", "dist");
  const dist = await Array.fromAsync(Deno.readDir(join(folder, "dist")));
  const { name } = dist.find(({ name }) => /-(?:x64|arm64)$/.test(name))!;
  return {
    folder,
    source: join(folder, "src", "main.ts"),
    executable: join(folder, "dist", name),
  };
}

/** Compiles a program that does nothing: what every executable of Deno costs. */
export async function buildEmpty(
  folder: string,
  runtime: Runtime,
): Promise<string> {
  const source = join(folder, "empty.js");
  await Deno.writeTextFile(source, "");
  return await compile(source, join(folder, "empty"), runtime);
}

/** Compiles a program that logs in and asks for the history: what one costs that says what is pending. */
export async function buildAsking(
  folder: string,
  runtime: Runtime,
): Promise<string> {
  const code = join(folder, "ask.js");
  await run([
    ...[Deno.execPath(), "bundle", "--quiet", "--minify", `--output=${code}`],
    join(CHECKOUT, "scripts", "bench", "ask_main.ts"),
  ], { cwd: CHECKOUT });
  return await compile(code, join(folder, "ask"), runtime);
}

async function compile(
  code: string,
  executable: string,
  runtime: Runtime,
): Promise<string> {
  const { deno, env } = runtime === "npm" ? await fromNpm() : {
    deno: Deno.execPath(),
    env: {},
  };
  await run([
    ...[deno, "compile", "--quiet", "--no-check", "--no-config"],
    ...["--allow-net", "--allow-env=DATABASE_URL", "--no-code-cache"],
    ...[`--output=${executable}`, code],
  ], { env });
  return executable;
}

/** The version of Deno that executables of this runtime run on. */
export async function runtimeVersion(runtime: Runtime): Promise<string> {
  return runtime === "npm"
    ? (await npmRuntime(() => {})).version
    : Deno.version.deno;
}

async function fromNpm(): Promise<
  { deno: string; env: { DENORT_BIN: string } }
> {
  const { deno, denort } = await npmRuntime(() => {});
  return { deno, env: { DENORT_BIN: denort } };
}
