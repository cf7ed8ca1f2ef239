/**
 * What the released program must do, whether it is started as an executable or in a container.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import postgres from "postgres";
import config from "../../../deno.json" with { type: "json" };
import type { NeedName } from "../../../scripts/dev/test_needs.ts";
import type { MigrateResult, RunningMigrate } from "./cli.ts";
import { battlescope } from "../../../scripts/dev/kysely.ts";
import { startCollector } from "../net/collector.ts";
import { testWith } from "./needs.ts";
import { pgTest, queryUrl, type TestDatabase } from "../server/postgres.ts";
import { startTlsServer } from "../server/tls_server.ts";
import { waitFor } from "./wait.ts";

export interface StartOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Files that it may read: the path that the program knows → the content. */
  readonly files?: Readonly<Record<string, string>>;
  /** Whether it has a network. @default {true} */
  readonly network?: boolean;
}

/** A program that can be told to stop. */
export interface Released extends RunningMigrate {
  signal(signal: "SIGTERM" | "SIGINT"): Promise<void>;
}

export type Start = (
  args: readonly string[],
  options: StartOptions,
) => Promise<Released>;

const LAST = battlescope.at(-1)!.name;
const COUNT = battlescope.length;

/** What the tests need besides Node. */
export interface ReleasedNeeds {
  readonly always?: readonly NeedName[];
  /** @default {nothing more} */
  readonly withoutNetwork?: readonly NeedName[];
}

/** Registers a test for each scenario. */
export function releasedTests(
  subject: string,
  start: Start,
  { always: needs = [], withoutNetwork = [] }: ReleasedNeeds = {},
): void {
  const onNewest = { versions: [18], needs };
  const withTls = [...needs, "openssl"] as const;
  const run = async (
    args: readonly string[],
    options: StartOptions = {},
  ): Promise<MigrateResult> => {
    await using running = await start(args, options);
    return await running.result;
  };

  pgTest(`${subject} goes up and down, and says with its code`, async (db) => {
    const env = { DATABASE_URL: db.url };
    const go = (...args: string[]) => run(args, { env });

    const none = await go("status", "--check");
    assertEquals(none.code, 3, none.stderr);
    assertMatch(none.stdout, new RegExp(`\n0 applied, ${COUNT} pending\n$`));

    const up = await go();
    assertEquals(up.code, 0, up.stderr);
    assertMatch(up.stdout, new RegExp(`^Applied ${LAST} \\(`, "m"));
    assertMatch(up.stdout, new RegExp(`\nApplied ${COUNT} migrations in `));
    assertEquals(await applied(db), COUNT);

    const again = await go("up");
    assertEquals(again.code, 0, again.stderr);
    assertEquals(
      again.stdout,
      "Nothing to apply: the database is up to date\n",
    );

    const checked = await go("status", "--check");
    assertEquals(checked.code, 0, checked.stderr);
    assertMatch(checked.stdout, new RegExp(`\n${COUNT} applied, 0 pending\n$`));

    const asked = await go("down");
    assertEquals([asked.code, asked.stdout], [2, ""], asked.stderr);
    assertMatch(asked.stderr, /pass --yes where there is no terminal/);
    assertEquals(await applied(db), COUNT);

    const down = await go("down", "--yes");
    assertEquals(down.code, 0, down.stderr);
    assertMatch(down.stdout, new RegExp(`^Rolled back ${LAST} \\(`));
    assertEquals(await applied(db), COUNT - 1);
    assertEquals((await go("status", "--check")).code, 3);

    const all = await go("down", "--all", "--yes");
    assertEquals(all.code, 0, all.stderr);
    assertEquals(await applied(db), 0);
    assertEquals(
      await db.query(
        "select relname from pg_class where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace",
      ),
      [{ relname: "migration_history" }],
    );
  }, { needs });

  pgTest(`${subject} sends traces of a run, and nothing else`, async (db) => {
    await using collector = startCollector();
    const { code, stderr } = await run(["up"], {
      env: {
        DATABASE_URL: db.url,
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
        // Of Deno's own.
        OTEL_DENO: "true",
      },
    });
    assertEquals([code, stderr.includes("warning")], [0, false], stderr);
    assertEquals(
      collector.requests.map(({ path, headers }) => [
        path,
        headers.get("user-agent"),
      ]),
      [["/v1/traces", `battlescope-migrate/${config.version}`]],
    );
    assertEquals(collector.spans().map(({ name }) => name), [
      "battlescope-migrate up",
      "transaction",
      ...battlescope.map(({ name }) => `up ${name}`),
    ]);
  }, { needs });

  pgTest(`${subject} reads the connection string from a file`, async (db) => {
    const { code, stdout, stderr } = await run(["status"], {
      env: { DATABASE_URL_FILE: "/run/secrets/database-url" },
      files: { "/run/secrets/database-url": `${db.url}\n` },
    });
    assertEquals(code, 0, stderr);
    assertMatch(stdout, /\n0 applied, /);
  }, onNewest);

  pgTest(`${subject} reads the password from a file`, async (db) => {
    const { code, stdout, stderr } = await run(["status"], {
      env: {
        POSTGRES_HOST: db.host,
        POSTGRES_PORT: `${db.port}`,
        POSTGRES_DB: db.name,
        POSTGRES_USER: db.user,
        POSTGRES_PASSWORD_FILE: "/run/secrets/password",
      },
      files: { "/run/secrets/password": `${db.password}\n` },
    });
    assertEquals(code, 0, stderr);
    assertMatch(stdout, /\n0 applied, /);
  }, onNewest);

  testWith(...withTls)(
    `${subject} trusts an authority from a file`,
    async () => {
      await using server = await startTlsServer();
      await server.show("good");
      const files = {
        "/run/secrets/ca.pem": await Deno.readTextFile(server.authority),
        "/run/secrets/other.pem": await Deno.readTextFile(
          server.otherAuthority,
        ),
      };
      const url = (file: string) =>
        server.url(`sslmode=verify-full&sslrootcert=/run/secrets/${file}`);
      const right = await run(["status"], {
        env: { DATABASE_URL: url("ca.pem") },
        files,
      });
      assertEquals(right.code, 0, right.stderr);
      assertEquals(await server.lastLogin(), "TLSv1.3");
      const wrong = await run(["status"], {
        env: { DATABASE_URL: url("other.pem") },
        files,
      });
      assertEquals([wrong.code, wrong.stdout], [1, ""], wrong.stderr);
      assertMatch(wrong.stderr, /: TLS failed: /);
    },
  );

  for (const [signal, code] of [["SIGTERM", 143], ["SIGINT", 130]] as const) {
    pgTest(
      `${subject} undoes its work on ${signal}, and ends with ${code}`,
      async (db) => {
        await using busy = await makeBusy(db);
        await using up = await start(["up", "--lock-timeout", "0"], {
          env: { DATABASE_URL: db.url },
        });
        await waitFor("the program to wait for a lock", busy.hasWaiter);
        await up.signal(signal);
        const { code: actual, stdout, stderr } = await up.result;
        assertEquals([actual, stdout], [code, ""], stderr);
        assertMatch(stderr, new RegExp(`^error: Stopped by ${signal}$`, "m"));
        await waitFor("its session to end", busy.isAlone);
      },
      onNewest,
    );
  }

  pgTest(`${subject} undoes its work on SIGTERM over TLS`, async () => {
    await using server = await startTlsServer();
    await server.show("good");
    const url = server.url("sslmode=require");
    await using busy = await makeBusy({
      url,
      query: (text) => queryUrl(server.url("sslmode=disable"), text),
    });
    await using up = await start(["up", "--lock-timeout", "0"], {
      env: { DATABASE_URL: url },
    });
    await waitFor("the program to wait for a lock", busy.hasWaiter);
    await up.signal("SIGTERM");
    const { code, stderr } = await up.result;
    assertEquals(code, 143, stderr);
    await waitFor("its session to end", busy.isAlone);
  }, { versions: [18], needs: withTls });

  const offline = testWith(...needs, ...withoutNetwork);
  for (const host of ["127.0.0.1", "database.example.org"]) {
    offline(`${subject} gives up on "${host}" without a network`, async () => {
      const { code, stdout, stderr } = await run(["up"], {
        env: {
          DATABASE_URL: `postgres://me:secret@${host}/db`,
          MIGRATE_WAIT_FOR_DB: "2s",
        },
        network: false,
      });
      assertEquals(code, 1, stderr);
      assertMatch(
        stderr,
        host === "127.0.0.1"
          ? /^error: Cannot connect to the database "db" at 127\.0\.0\.1:5432: the (?:connection was refused|network cannot be reached)$/m
          : /^error: Cannot connect to the database "db" at database\.example\.org:5432: the host name cannot be resolved$/m,
      );
      assertEquals(stdout, "");
      assert(!stderr.includes("secret"), stderr);
    });
  }

  offline(`${subject} refuses wrong options before it connects`, async () => {
    const { code, stdout, stderr } = await run(["up", "--bogus"], {
      env: { DATABASE_URL: "postgres://me@192.0.2.1/db" },
      network: false,
    });
    assertEquals({ code, stdout, stderr }, {
      code: 2,
      stdout: "",
      stderr: 'error: Unknown option "--bogus"\n',
    });
  });
}

async function applied(db: TestDatabase): Promise<number> {
  const [row] = await db.query<{ count: string }>(
    "select count(*) from migration_history where status = 'applied'",
  );
  return Number(row!.count);
}

interface Busy extends AsyncDisposable {
  hasWaiter(): Promise<boolean>;
  /** Whether the migrator has no session left. */
  isAlone(): Promise<boolean>;
}

/** Makes a table that the migrator wants to make too, in a transaction that stays open: the migrator has to wait for it. */
async function makeBusy(
  { url, query }: Pick<TestDatabase, "url" | "query">,
): Promise<Busy> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  const session = await sql.reserve();
  await session.unsafe("begin; create table migration_history (x integer)");
  const count = async (condition: string) => {
    const [row] = await query<{ count: string }>(
      `select count(*) from pg_stat_activity where datname = current_database()
        and application_name like 'battlescope-migrate%' and ${condition}`,
    );
    return Number(row!.count);
  };
  return {
    hasWaiter: async () => await count("wait_event_type = 'Lock'") > 0,
    isAlone: async () => await count("true") === 0,
    async [Symbol.asyncDispose]() {
      await session.unsafe("rollback");
      session.release();
      await sql.end();
    },
  };
}
