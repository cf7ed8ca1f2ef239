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
  programArguments,
  REPEATED,
  type RunningMigrate,
  startMigrate,
  startProcess,
} from "./cli.ts";
import {
  pgTest,
  type PgTestOptions,
  type TestDatabase,
  type TestRole,
} from "../server/postgres.ts";
import { makeProject, type Project } from "./project.ts";
import { startOnScreen, startOnTerminal } from "./terminal.ts";

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

export interface ScreenOptions extends RunOptions {
  /** Typed when the screen shows the text of `after`. */
  readonly type?: {
    readonly after: string;
    readonly text: string;
    /** Comes between the two. */
    readonly meanwhile?: () => Promise<unknown>;
  };
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
  /** The same with all streams on a terminal; `stdout` is what the screen shows. */
  screen(command: CommandLine, options?: ScreenOptions): Promise<MigrateResult>;
  /** Runs the program as the command `"$@"` of a shell's script. */
  inShell(script: string, command: CommandLine): Promise<MigrateResult>;
  /** Starts it so and returns while it works. */
  startInShell(script: string, command: CommandLine): RunningMigrate;
  /** Runs the program with a standard output that nobody reads. Returns the exit code. */
  intoClosedPipe(command: CommandLine): Promise<number>;
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

/** An output without the lines that say what is being run: statements are sent ahead, so a step may begin before the error of another one comes. */
export function withoutProgress<T extends { readonly stderr: string }>(
  result: T,
): T {
  const stderr = result.stderr.replaceAll(
    /^(?:Applying|Rolling back) .*\n/gm,
    "",
  );
  return { ...result, stderr };
}

/** Registers a test on each running version, with a fresh database and a program that carries `migrations`. */
export function scenario(
  name: string,
  migrations: Migrations,
  test: (scenario: Scenario) => Promise<void>,
  options?: PgTestOptions,
): void {
  pgTest(name, async (db) => {
    await using stage = new Stage(db);
    await stage.release(migrations);
    await test(stage);
  }, options);
}

class Stage implements Scenario, AsyncDisposable {
  readonly #projects = new AsyncDisposableStack();
  #project: Project | undefined;

  constructor(readonly db: TestDatabase) {}

  async release(migrations: Migrations): Promise<void> {
    this.#project = this.#projects.use(await makeProject(migrations));
  }

  async run(
    command: CommandLine,
    options?: RunOptions,
  ): Promise<MigrateResult> {
    await using running = this.start(command, options);
    return await running.result;
  }

  async json(command: CommandLine, options?: RunOptions): Promise<JsonResult> {
    const args = [...words(command), "--format=json"];
    const { code, stdout, stderr } = await this.run(args, options);
    const lines = stdout.split("\n");
    assert(lines.pop() === "", `The last line has no end: ${stdout}`);
    return {
      code,
      lines: lines.map((line) => JSON.parse(line, maskValue)),
      stderr,
    };
  }

  async answer(
    command: CommandLine,
    input: string,
    options: RunOptions = {},
  ): Promise<MigrateResult> {
    const process = { ...this.#process(options), stdin: input };
    const started = await startOnTerminal(words(command), process);
    await using running = this.#judged(started, options);
    return await running.result;
  }

  async screen(
    command: CommandLine,
    options: ScreenOptions = {},
  ): Promise<MigrateResult> {
    const { type } = options;
    const typed = Promise.withResolvers<string>();
    if (type === undefined) typed.resolve("");
    const process = { ...this.#process(options), stdin: typed.promise };
    const started = startOnScreen(words(command), process);
    await using running = this.#judged(started, options);
    try {
      if (type !== undefined) await running.waitFor(type.after);
      await type?.meanwhile?.();
    } finally {
      typed.resolve(type?.text ?? "");
    }
    return await running.result;
  }

  async inShell(
    script: string,
    command: CommandLine,
  ): Promise<MigrateResult> {
    await using running = this.startInShell(script, command);
    return await running.result;
  }

  startInShell(script: string, command: CommandLine): RunningMigrate {
    const { env = {} } = this.#process({});
    const program = [
      Deno.execPath(),
      ...programArguments(words(command), this.#project),
    ];
    const shell = new Deno.Command("sh", {
      args: ["-c", script, "sh", ...program],
      env: { ...env },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    });
    return this.#judged(startProcess(shell), {});
  }

  async intoClosedPipe(command: CommandLine): Promise<number> {
    // The exit code takes another way than the output; `true` ends without reading.
    const { stdout } = await this.inShell(
      '{ { "$@"; echo $? >&3; } | true; } 3>&1',
      command,
    );
    return Number(stdout);
  }

  start(command: CommandLine, options: RunOptions = {}): RunningMigrate {
    const started = startMigrate(words(command), this.#process(options));
    return this.#judged(started, options);
  }

  async tables(schema: string = "public"): Promise<string[]> {
    const rows = await this.db.query<{ tablename: string }>(
      `select tablename from pg_tables where schemaname = $1 and tablename <> 'migration_history'
       order by tablename collate "C"`,
      [schema],
    );
    return rows.map(({ tablename }) => tablename);
  }

  async history(schema: string = "public"): Promise<string[]> {
    const quoted = schema.replaceAll('"', '""');
    const rows = await this.db.query<{ line: string }>(
      `select name || ' ' || status as line from "${quoted}".migration_history order by id`,
    );
    return rows.map(({ line }) => line);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#projects.disposeAsync();
  }

  #process({ as, url, env, timeoutMs }: RunOptions): MigrateOptions {
    return {
      project: this.#project!,
      env: {
        DATABASE_URL: url ?? as?.url ?? this.db.url,
        HOSTNAME: "test-host",
        ...env,
      },
      ...(timeoutMs !== undefined && { timeoutMs }),
    };
  }

  /** The result is masked, and fails the test when it holds a password. */
  #judged(running: RunningMigrate, { as }: RunOptions): RunningMigrate {
    const passwords = [as?.password ?? this.db.password, this.db.password];
    const mask = masker(this.db, as);
    const result = running.result.then((raw) => {
      assertNoSecret(raw, passwords);
      return {
        code: raw.code,
        stdout: mask(raw.stdout),
        stderr: mask(raw.stderr),
      };
    });
    // A test may fail before it looks at the result: that must not be an unhandled rejection on top.
    result.catch(() => {});
    return { ...running, result };
  }
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

/** Times, addresses and generated names become words. */
function masker(
  db: TestDatabase,
  as: TestRole | undefined,
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
      .replaceAll(new RegExp(String.raw`\b${time} left`, "g"), "T left")
      .replaceAll(REPEATED, "$1");
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
