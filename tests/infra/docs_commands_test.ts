/**
 * The documents show what the program prints: every command of every block is run on the database that its chapter speaks
 * of, and the shape of what comes is compared with what is shown. What cannot run here is run by another test, or named.
 *
 * A chapter whose commands need more than an empty database has a stage below. When the program says something else than
 * before, the failure holds what to put into the document.
 */
import { assertEquals } from "@std/assert";
import { parseAll } from "@std/yaml";
import { join } from "node:path";
import { withCheckout } from "../support/program/checkout.ts";
import {
  denoEnvironment,
  programArguments,
  REPEATED,
  type RunningMigrate,
  startMigrate,
  startProcess,
} from "../support/program/cli.ts";
import {
  type Block,
  blocksOf,
  CHECKOUT,
  commandsOf,
  differenceOf,
  jsonShape,
  readDocument,
  type ShownCommand,
} from "../support/program/documents.ts";
import { migration } from "../support/program/migrations.ts";
import {
  pgTest,
  queryUrl,
  type TestDatabase,
} from "../support/server/postgres.ts";
import { makeProject, type Project } from "../support/program/project.ts";
import { recorded } from "../support/program/recording.ts";

const DOCUMENTS = ["README.md", "docs/operations.md"];

/** Commands that are not run here: who runs them, or why nobody does. */
const ELSEWHERE: readonly (readonly [RegExp, string])[] = [
  [/^(?:npx -y deno@\S+|deno) task (?:test|ok)$/, "it runs this test"],
  [/^deno task migrate redo$/, "tests/cli/confirmation_test.ts"],
  [/^deno task reset$/, "tests/local/reset_test.ts"],
  [/^deno task db$/, "tests/local/database_test.ts"],
  [/^battlescope-migrate backfill /, "tests/cli/backfill_test.ts"],
  [/^psql .*infra\/sql\//, "tests/integration/privileges_test.ts"],
  [/^(?:helm |kubectl kustomize )/, "tests/infra/helm_test.ts"],
  [/^bash infra\/ci\/wait-for-job\.sh /, "tests/infra/wait_for_job_test.ts"],
  [/^kubectl /, "it needs a cluster"],
  [/^docker compose /, "tests/infra/compose_test.ts"],
  [/^docker run /, "tests/infra/pod_test.ts"],
  [/^curl .*\/install\.sh \| sh$/, "tests/infra/install_test.ts"],
  [
    /^(?:podman save|deno task airgap|sha256sum|tar|cd|sh install\.sh|install) /,
    "tests/infra/airgap_test.ts",
  ],
  [/^export DENO_\w+=/, "it needs a network that inspects TLS"],
  [/^export DATABASE_URL_FILE=/, "tests/cli/usage_test.ts"],
  [/ \| jq /, "tests/cli/output_test.ts"],
  [/^cosign /, "it needs a release that was published"],
];

/** Chapters that are followed from their first block to the last, by a test of their own. */
const FOLLOWED: Readonly<Record<string, string>> = {
  "README.md: Bring your folder": "tests/infra/bring_folder_test.ts",
};

const LAST = "20260105105000_audit_logs";

/** Sources by name. */
type Sources = Readonly<Record<string, string>>;

/** What a block of a chapter needs, besides a database of its own. */
interface Stage {
  /** Migrations that are released besides BattleScope's own. */
  readonly more?: Sources;
  /** All of them are recorded. */
  readonly recorded?: boolean;
  /** Comes before the block, with BattleScope's own migrations alone. */
  readonly before?: (actor: Actor) => Promise<unknown>;
  /** Comes as soon as the command has printed this. */
  readonly meanwhile?: readonly [
    text: string,
    act: (actor: Actor) => Promise<unknown>,
  ];
  /** Goes on while the block runs, from the time that it has printed the text. */
  readonly beside?: readonly [command: string, text: string];
  /** In place of `DATABASE_URL`. */
  readonly env?: (db: TestDatabase) => Readonly<Record<string, string>>;
  /** The command whose output a block of JSON is. */
  readonly json?: string;
}

interface Actor {
  readonly db: TestDatabase;
  /** Runs the program with BattleScope's own migrations; fails when it does. */
  run(command: string): Promise<void>;
}

const applyAll = ({ run }: Actor) => run("up");

const UNIQUE_INDEX =
  "create unique index concurrently rulesets_updated_by_key on rulesets (updated_by)";

/** By chapter: one for each block of it that has commands to run. */
const STAGES: Readonly<Record<string, readonly Stage[]>> = {
  "README.md: Output": [{
    before: async ({ run }) => {
      await run("up");
      await run("down --yes");
    },
    json: "up --format json",
  }, {
    more: {
      "20261122120000_add_battle_tags": migration({
        up:
          `alter table "battles" add constraint "battles_battle_key" unique ("battle")`,
      }),
    },
  }],
  "README.md: What will a run do here?": [{
    before: async ({ db, run }) => {
      await run("up");
      await db.query(
        `insert into killmails (killmail_id, system_id, occurred_at, isk_value, zkb_url)
           select i, 30000142, now() - i * interval '1 s', i * 1.5, 'https://zkillboard.com/kill/' || i || '/'
           from generate_series(1, 1000000) i;
         analyze killmails`,
      );
    },
    more: {
      "20261201090000_battle_tags": migration({
        up: "alter table battles add column tags text[] not null default '{}'",
        down: "alter table battles drop column tags",
      }),
      "20261201100000_isk_exact": migration({
        up: "alter table killmails alter column isk_value type numeric(20,2)",
        down: "alter table killmails alter column isk_value type numeric",
      }),
      "20261201110000_drop_zkb_url": migration({
        up: "alter table killmails drop column zkb_url",
        options: '{ accept: { "loses-data": "unused since 2.3" } }',
      }),
    },
    recorded: true,
  }],
  "README.md: Is the schema what it should be?": [{
    before: async ({ db, run }) => {
      await run("up");
      await db.query(`
        alter table killmails alter isk_value type numeric(30,2);
        drop index killmails_system_id_occurred_at_idx;
        alter type security_type add value 'abyssal';
        create table tmp_backup (id integer)`);
    },
  }],
  "docs/operations.md: Configuration": [{ env: () => ({}) }],
  "docs/operations.md: Waiting for the migrations": [{
    meanwhile: ["Waiting for 12 migrations", applyAll],
  }],
  "docs/operations.md: A migration fails": [{
    before: applyAll,
    more: {
      "20260202000000_bad": migration({ up: "update battles set nte = 'x'" }),
    },
  }],
  "docs/operations.md: Something exists already": [{
    before: async ({ db, run }) => {
      await run("up");
      await db.query("drop table migration_history");
    },
  }, {}],
  "docs/operations.md: The database does not exist": [{
    env: ({ url }) => ({ DATABASE_URL: withPath(url, "/nodb") }),
  }],
  "docs/operations.md: Password, TLS": [{
    env: ({ url }) => {
      const other = new URL(url);
      other.username = "battlescope_migrator";
      other.password = "wrong";
      return { DATABASE_URL: other.href };
    },
  }, { env: ({ url }) => ({ DATABASE_URL: `${url}?sslmode=verify-full` }) }],
  "docs/operations.md: No connection, or a timeout": [{
    env: () => ({ DATABASE_URL: "postgres://someone@127.0.0.1:1/battlescope" }),
  }],
  "docs/operations.md: POSTGRES_PORT is not a number": [{
    env: ({ user, password, name }) => ({
      POSTGRES_PORT: "tcp://10.0.0.1:5432",
      POSTGRES_USER: user,
      POSTGRES_PASSWORD: password,
      POSTGRES_DB: name,
    }),
  }],
  "docs/operations.md: The lock is held": [{
    before: applyAll,
    more: {
      "20260201000000_slow": migration({ up: "select pg_sleep(60)" }),
    },
    beside: ["up", "Applying"],
  }],
  "docs/operations.md: An applied migration was edited": [{
    before: async ({ db, run }) => {
      await run("up");
      await db.query(
        `update migration_history set checksum = repeat('c8e918ef3171', 5) || 'c8e9' where name = '${LAST}'`,
      );
    },
  }, {}],
  "docs/operations.md: The database is newer than the program": [{
    before: async ({ db, run }) => {
      await run("up");
      await db.query(
        `insert into migration_history (name, checksum, status, started_at, run_id, applied_by, binary_version)
         values ('20260201000000_slow', 'a', 'applied', now(), gen_random_uuid(), 'a', '0.2.0')`,
      );
    },
  }],
  "docs/operations.md: A migration outside a transaction failed": [{
    before: async ({ db, run }) => {
      await run("up");
      await db.query(
        "insert into rulesets (updated_by) values ('a'), ('a')",
      );
    },
    more: {
      "20260203000000_unique_updated_by": migration({
        up: UNIQUE_INDEX,
        options: "{ transaction: false }",
      }),
    },
  }, {
    more: {
      "20260203000000_unique_updated_by": migration({
        up: UNIQUE_INDEX,
        options: "{ transaction: false }",
      }),
    },
  }],
  "docs/operations.md: Rollback": [{ before: applyAll }],
  "docs/operations.md: Moving from the Node image": [{
    // What the old image leaves of a database that lacks the last migration.
    before: async ({ db, run }) => {
      await run("up");
      await run("down --yes");
      const rows = await db.query<{ name: string }>(
        "select name from migration_history where status = 'applied' order by name",
      );
      await db.query(
        `drop table migration_history;
         create table migration_history (name varchar(255) primary key, timestamp varchar(255) not null)`,
      );
      for (const { name } of rows) {
        await db.query("insert into migration_history values ($1, $2)", [
          name,
          "2025-11-01T10:00:00.000Z",
        ]);
      }
    },
  }],
};

const used = new Set<string>();

for (const document of DOCUMENTS) {
  const blocks = blocksOf(await readDocument(document));
  for (
    const [heading, chapter] of Map.groupBy(blocks, ({ heading }) => heading)
  ) {
    const printed = chapter.filter(({ language }) => language === "console")
      .flatMap(commandsOf);
    const shown = chapter.filter((block) =>
      block.language === "json" ||
      // Of a block of commands that is repeated with what it prints, the second one counts.
      commandsOf(block).filter(isRunHere).some(({ command, output }) =>
        output !== undefined || !printed.some((one) => one.command === command)
      )
    );
    const key = `${document}: ${heading}`;
    if (shown.length === 0 || key in FOLLOWED) continue;
    used.add(key);
    pgTest(`${key} shows what is printed`, async (db) => {
      const stages = STAGES[key] ?? shown.map(() => ({}));
      assertEquals(stages.length, shown.length, "one stage for each block");
      await withCheckout(async ({ folder: checkout }) => {
        for (const [i, block] of shown.entries()) {
          await runBlock(block, stages[i]!, { document, db, checkout });
        }
      });
    }, { versions: [18] });
  }
}

Deno.test("every stage of the documents belongs to a chapter that has commands", () => {
  assertEquals(Object.keys(STAGES).filter((key) => !used.has(key)), []);
});

Deno.test("every command of the documents that is not run here is accounted for", async () => {
  const all: string[] = [];
  for (const document of DOCUMENTS) {
    for (const block of blocksOf(await readDocument(document))) {
      if (`${document}: ${block.heading}` in FOLLOWED) continue;
      all.push(...commandsOf(block).map(({ command }) => command));
    }
  }
  const others = all.filter((command) => !isRunHere({ command }));
  const count = (pattern: RegExp) =>
    others.filter((command) => pattern.test(command)).length;
  assertEquals(
    others.filter((command) => !ELSEWHERE.some(([one]) => one.test(command))),
    [],
  );
  assertEquals(
    ELSEWHERE.filter(([pattern]) => count(pattern) === 0).map(String),
    [],
  );
  const followed = Object.values(FOLLOWED);
  for (const where of [...ELSEWHERE.map(([, one]) => one), ...followed]) {
    if (where.startsWith("tests/")) await Deno.stat(join(CHECKOUT, where));
  }
});

Deno.test("every block of YAML in the documents is YAML", async () => {
  for (const document of DOCUMENTS) {
    for (const block of blocksOf(await readDocument(document))) {
      if (block.language === "yaml") parseAll(block.text);
    }
  }
});

pgTest(
  "README.md: Writing a migration shows one that is applied, undone and applied again",
  async (db) => {
    const blocks = blocksOf(await readDocument("README.md"));
    const [source] = blocks.filter(({ heading, language }) =>
      heading === "Writing a migration" && language === "ts"
    );
    const more = { "20261122120000_add_battle_tags": source!.text };
    await withProgram({ more }, async (project) => {
      for (const command of ["up", "redo --yes", "down --yes"]) {
        const env = { DATABASE_URL: db.url };
        await using running = startMigrate(command.split(" "), {
          env,
          project,
        });
        const { code, stderr } = await running.result;
        assertEquals(code, 0, stderr);
      }
    });
  },
  { versions: [18] },
);

/** Where the blocks of a chapter are run, one after the other. */
interface Place {
  readonly document: string;
  readonly db: TestDatabase;
  /** A copy of the checkout, for its tasks. */
  readonly checkout: string;
}

async function runBlock(
  block: Block,
  stage: Stage,
  place: Place,
): Promise<void> {
  const { document, db, checkout } = place;
  const actor = actorOn(db);
  const env = stage.env?.(db) ?? { DATABASE_URL: db.url };
  await stage.before?.(actor);
  await withProgram(stage, async (project) => {
    await using _ = await startBeside(stage, { project, env });
    for (const shown of commandsToRun(block, stage)) {
      const running = startShown(shown, { project, env, checkout, db });
      if (stage.meanwhile !== undefined) {
        const [text, act] = stage.meanwhile;
        await running.waitFor(text);
        await act(actor);
      }
      const { code, stdout } = await running.result;
      const where = `${document}, line ${block.line}: ${shown.command}`;
      if (block.language === "json") {
        compareJson(block, stdout, where);
      } else if (shown.output === undefined) {
        // Done, or migrations are pending.
        assertEquals([0, 3].includes(code), true, `${where}: ${stdout}`);
      } else {
        compareLines(shown.output, withNames(stdout, place), where);
      }
    }
  });
}

function commandsToRun(block: Block, stage: Stage): readonly ShownCommand[] {
  return block.language === "json"
    ? [{ command: `battlescope-migrate ${stage.json}`, output: undefined }]
    : commandsOf(block).filter(isRunHere);
}

function actorOn(db: TestDatabase): Actor {
  return {
    db,
    async run(command) {
      const env = { DATABASE_URL: db.url };
      await using running = startMigrate(command.split(" "), { env });
      const { code, stderr } = await running.result;
      assertEquals(code, 0, stderr);
    },
  };
}

/** What was printed, with the names that the documents use. */
function withNames(text: string, { db, checkout }: Place): string {
  return text.replaceAll(db.name, "battlescope")
    .replaceAll(checkout, "/home/you/battlescope-migrate");
}

function compareLines(
  shown: readonly string[],
  printed: string,
  where: string,
): void {
  // The documents show what is on a terminal.
  const lines = printed.replaceAll(REPEATED, "$1").split("\n").slice(0, -1);
  assertEquals(
    differenceOf(shown.filter(isAlways), lines.filter(isAlways)),
    undefined,
    where,
  );
}

/** Only where the programs of the server are not there yet. */
function isAlways(line: string): boolean {
  return !line.startsWith("Fetching PostgreSQL ");
}

function isRunHere({ command }: Pick<ShownCommand, "command">): boolean {
  return !ELSEWHERE.some(([pattern]) => pattern.test(command)) &&
    /^(?:battlescope-migrate|(?:npx -y deno@\S+|deno) task|psql -c)\b/
      .test(command);
}

/** Each object that is shown, beside the first of its event that was printed. */
function compareJson(block: Block, printed: string, where: string): void {
  const objects = printed.split("\n").filter((line) => line.startsWith("{"));
  const shown = block.text.split("\n");
  const same = shown.map((line) =>
    objects.find((one) => JSON.parse(one).event === JSON.parse(line).event) ??
      "{}"
  );
  assertEquals(
    shown.map(jsonShape),
    same.map(jsonShape),
    `${where} prints\n${same.join("\n")}\n`,
  );
}

interface RunOptions {
  readonly project: Project;
  readonly env: Readonly<Record<string, string>>;
  readonly checkout: string;
  readonly db: TestDatabase;
}

/** Starts a command as it is shown. Its stdout is what a terminal would show: both streams in their order. */
function startShown(
  { command }: ShownCommand,
  { project, env, checkout, db }: RunOptions,
): Pick<RunningMigrate, "result" | "waitFor"> {
  const sql = /^psql -c (['"])(.*)\1$/.exec(command)?.[2];
  if (sql !== undefined) return runSql(db.url, sql);
  const words = wordsOf(command);
  const task = words.indexOf("task");
  const [args, options] = task < 0
    ? [programArguments(words.slice(1), project), {
      clearEnv: true,
      env: { ...denoEnvironment(), ...env },
    }]
    : [["task", "--quiet", ...words.slice(task + 1)], {
      cwd: checkout,
      env: { NO_COLOR: "1", DATABASE_URL: "" },
    }];
  return startProcess(
    new Deno.Command("sh", {
      args: ["-c", 'exec "$@" 2>&1', "sh", Deno.execPath(), ...args],
      ...options,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }),
  );
}

/** What `psql` would do; it is not on every machine. */
function runSql(
  url: string,
  text: string,
): Pick<RunningMigrate, "result" | "waitFor"> {
  return {
    result: queryUrl(url, text).then(() => ({
      code: 0,
      stdout: "",
      stderr: "",
    })),
    waitFor: () => Promise.reject(new Error("psql says nothing")),
  };
}

/** Starts what goes on while the block runs. */
async function startBeside(
  { beside }: Stage,
  { project, env }: Pick<RunOptions, "project" | "env">,
): Promise<AsyncDisposable | undefined> {
  if (beside === undefined) return undefined;
  const [command, text] = beside;
  const running = startMigrate(command.split(" "), { project, env });
  await running.waitFor(text);
  return running;
}

/** The program with BattleScope's own migrations and some more. */
async function withProgram(
  { more = {}, recorded: isRecorded = false }: Pick<Stage, "more" | "recorded">,
  use: (project: Project) => Promise<void>,
): Promise<void> {
  const own: Record<string, string> = {};
  for await (const { name } of Deno.readDir(join(CHECKOUT, "migrations"))) {
    if (name === "mod.ts") continue;
    own[name] = await Deno.readTextFile(join(CHECKOUT, "migrations", name));
  }
  const all = { ...own, ...more };
  await using project = await makeProject(
    isRecorded ? await recorded(all) : all,
  );
  await use(project);
}

/** The words of a command line, as a shell would take them; of its quotes the double ones only are used. */
function wordsOf(command: string): string[] {
  return [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) =>
    quoted ?? plain!
  );
}

function withPath(url: string, path: string): string {
  const other = new URL(url);
  other.pathname = path;
  return other.href;
}
