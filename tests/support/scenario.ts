/**
 * The program at work on a database of the test's own, with migrations of the test's own.
 *
 * What differs from run to run is masked, so that a test compares every output in full; and every output is searched for
 * the passwords that were used.
 *
 * @module
 */
import { assert } from "@std/assert";
import {
  type MigrateOptions,
  type MigrateResult,
  type RunningMigrate,
  startMigrate,
} from "./cli.ts";
import {
  pgTest,
  type PgTestOptions,
  type TestDatabase,
  type TestRole,
} from "./postgres.ts";
import { makeProject, type Project } from "./project.ts";
import { startOnTerminal } from "./terminal.ts";

/** `up --to 0002_b`, or words when one of them holds a space. */
export type CommandLine = string | readonly string[];

/** Migrations by name: their sources. */
export type Migrations = Readonly<Record<string, string>>;

export interface RunOptions extends Pick<MigrateOptions, "env" | "timeoutMs"> {
  /** @default {the superuser} */
  readonly as?: TestRole;
  /** Replaces the connection string. */
  readonly url?: string;
}

/** What the program wrote to a stream of JSON, each line as a value. */
export interface JsonResult {
  readonly code: number;
  readonly lines: readonly Readonly<Record<string, unknown>>[];
  readonly stderr: string;
}

export interface Scenario {
  readonly db: TestDatabase;
  /** Runs the program to its end. */
  run(command: CommandLine, options?: RunOptions): Promise<MigrateResult>;
  /** The same with `--format json`. */
  json(command: CommandLine, options?: RunOptions): Promise<JsonResult>;
  /** The same with standard input, and nothing else, on a terminal where somebody types `input`. */
  answer(
    command: CommandLine,
    input: string,
    options?: RunOptions,
  ): Promise<MigrateResult>;
  /** Starts the program and returns while it works. Its result is masked, its output on the way is not. */
  start(command: CommandLine, options?: RunOptions): RunningMigrate;
  /** From now on the program carries these migrations instead. */
  release(migrations: Migrations): Promise<void>;
  /** The names of the tables in a schema, without the history. */
  tables(schema?: string): Promise<string[]>;
  /** The rows of the history, oldest first, as `name status`. */
  history(schema?: string): Promise<string[]>;
}

/** The first line that a command with a database writes, masked. */
export const CONNECTED = 'Connected to "DB" at HOST:PORT (PostgreSQL V)\n';

/** Registers a test on each running version, with a fresh database and a program that carries `migrations`. */
export function scenario(
  name: string,
  migrations: Migrations,
  test: (scenario: Scenario) => Promise<void>,
  options?: PgTestOptions,
): void {
  pgTest(name, async (db) => {
    await using cleanup = new AsyncDisposableStack();
    let project: Project = cleanup.use(await makeProject(migrations));
    const start = (command: CommandLine, options: RunOptions = {}) => {
      const { env, password } = environment(db, options);
      const running = startMigrate(words(command), {
        ...options,
        project,
        env,
      });
      const result = running.result.then((raw) => {
        assertNoSecret(raw, [password, db.password]);
        return raw;
      });
      result.catch(() => {});
      return { ...running, result };
    };
    const masked = async (running: RunningMigrate, options?: RunOptions) => {
      await using started = running;
      const { code, stdout, stderr } = await started.result;
      const mask = masker(db, options);
      return { code, stdout: mask(stdout), stderr: mask(stderr) };
    };
    await test({
      db,
      run: (command, options) => masked(start(command, options), options),
      json: async (command, options) => {
        const args = [...words(command), "--format=json"];
        await using started = start(args, options);
        const { code, stdout, stderr } = await started.result;
        const mask = masker(db, options);
        const lines = stdout.split("\n");
        assert(lines.pop() === "", `The last line has no end: ${stdout}`);
        return {
          code,
          lines: lines.map((line) => JSON.parse(mask(line), maskValue)),
          stderr: mask(stderr),
        };
      },
      answer: async (command, input, options = {}) => {
        const { env, password } = environment(db, options);
        await using started = await startOnTerminal(words(command), {
          ...options,
          project,
          env,
          stdin: input,
        });
        const raw = await started.result;
        assertNoSecret(raw, [password, db.password]);
        const mask = masker(db, options);
        return { ...raw, stdout: mask(raw.stdout), stderr: mask(raw.stderr) };
      },
      start: (command, options) => {
        const running = start(command, options);
        const mask = masker(db, options);
        const result = running.result.then((raw) => ({
          ...raw,
          stdout: mask(raw.stdout),
          stderr: mask(raw.stderr),
        }));
        result.catch(() => {});
        return { ...running, result };
      },
      release: async (next) => {
        project = cleanup.use(await makeProject(next));
      },
      tables: async (schema = "public") => {
        const rows = await db.query<{ tablename: string }>(
          `select tablename from pg_tables where schemaname = $1 and tablename <> 'migration_history'
           order by tablename collate "C"`,
          [schema],
        );
        return rows.map(({ tablename }) => tablename);
      },
      history: async (schema = "public") => {
        const quoted = schema.replaceAll('"', '""');
        const rows = await db.query<{ line: string }>(
          `select name || ' ' || status as line from "${quoted}".migration_history order by id`,
        );
        return rows.map(({ line }) => line);
      },
    });
  }, options);
}

/** Fails when a password is in an output, as it is or as a URL or JSON writes it. */
export function assertNoSecret(
  { stdout, stderr }: Pick<MigrateResult, "stdout" | "stderr">,
  passwords: readonly string[],
): void {
  for (const password of passwords) {
    const forms = [
      password,
      encodeURIComponent(password),
      JSON.stringify(password).slice(1, -1),
    ];
    for (const form of forms) {
      assert(!stdout.includes(form), `The password is in stdout:\n${stdout}`);
      assert(!stderr.includes(form), `The password is in stderr:\n${stderr}`);
    }
  }
}

function words(command: CommandLine): readonly string[] {
  return typeof command === "string"
    ? command.split(" ").filter((word) => word !== "")
    : command;
}

function environment(
  db: TestDatabase,
  { as, url, env }: RunOptions,
): { env: Record<string, string>; password: string } {
  return {
    env: {
      DATABASE_URL: url ?? as?.url ?? db.url,
      HOSTNAME: "test-host",
      ...env,
    },
    password: as?.password ?? db.password,
  };
}

/** Times, addresses and generated names become words. */
function masker(
  db: TestDatabase,
  { as }: RunOptions = {},
): (text: string) => string {
  const time = String.raw`(?:\d+(?:\.\d)? m?s|\d+ min(?: \d+ s)?)`;
  return (text) =>
    text
      .replaceAll(db.name, "DB")
      .replaceAll(as?.name ?? db.name, "ROLE")
      .replaceAll(`${db.host}:${db.port}`, "HOST:PORT")
      .replaceAll(/PostgreSQL \d\d\.\d+/g, "PostgreSQL V")
      .replaceAll(new RegExp(String.raw`\(${time}\)`, "g"), "(T)")
      .replaceAll(new RegExp(String.raw`\bin ${time}(?=$|:)`, "gm"), "in T")
      .replaceAll(new RegExp(String.raw`\b${time} left`, "g"), "T left");
}

/** For JSON: times of day and durations by their keys. Anything but a time or a number stays, and so is seen. */
function maskValue(key: string, value: unknown): unknown {
  switch (key) {
    case "at":
    case "appliedAt":
      return typeof value === "string" && !Number.isNaN(Date.parse(value))
        ? "TIME"
        : value;
    case "durationMs":
    case "leftMs":
      return typeof value === "number" ? "MS" : value;
    case "port":
      return typeof value === "number" ? "PORT" : value;
    case "version":
    case "serverVersion":
      return typeof value === "string" && /^\d\d\.\d+$/.test(value)
        ? "V"
        : value;
    default:
      return value;
  }
}
