/** What the session of a migration is set to, by flags, by variables and by default. */
import { assertEquals, assertMatch } from "@std/assert";
import { migration, table } from "../support/program/migrations.ts";
import { scenario } from "../support/program/scenario.ts";
import { waitFor } from "../support/program/wait.ts";

const NAMES = [
  "lock_timeout",
  "statement_timeout",
  "idle_in_transaction_session_timeout",
  "client_connection_check_interval",
  "default_transaction_isolation",
  "transaction_isolation",
];

const list = NAMES.map((name) => `'${name}'`).join(", ");

const RECORD = (options?: string) =>
  migration({
    up:
      `create table settings as select name, current_setting(name) as value from unnest(array[${list}]) name`,
    down: "drop table settings",
    ...(options !== undefined && { options }),
  });

const DEFAULTS = {
  lock_timeout: "5s",
  statement_timeout: "0",
  idle_in_transaction_session_timeout: "1min",
  client_connection_check_interval: "1s",
  default_transaction_isolation: "serializable",
  transaction_isolation: "read committed",
};

for (
  const [kind, options] of [["in", undefined], [
    "outside",
    "{ transaction: false }",
  ]] as const
) {
  scenario(
    `a migration ${kind} a transaction runs with the program's settings, not with the role's`,
    { "0001_s": RECORD(options) },
    async (s) => {
      const role = await s.db.createRole((name) => [
        `grant usage, create on schema public to ${name}`,
        `alter role ${name} set statement_timeout = '1h'`,
        `alter role ${name} set lock_timeout = 0`,
        `alter role ${name} set idle_in_transaction_session_timeout = 0`,
        `alter role ${name} set default_transaction_isolation = serializable`,
      ]);
      const settings = async () => {
        const rows = await s.db.query<{ name: string; value: string }>(
          "select name, value from settings",
        );
        return Object.fromEntries(rows.map(({ name, value }) => [name, value]));
      };
      const isolation = kind === "in"
        ? {}
        : { transaction_isolation: "serializable" };
      assertEquals((await s.run("up", { as: role })).code, 0);
      assertEquals(await settings(), { ...DEFAULTS, ...isolation });

      const env = {
        MIGRATE_LOCK_TIMEOUT: "7s",
        MIGRATE_STATEMENT_TIMEOUT: "8m",
      };
      assertEquals(
        (await s.run("redo --yes --lock-timeout 1500ms", { as: role, env }))
          .code,
        0,
      );
      assertEquals(await settings(), {
        ...DEFAULTS,
        ...isolation,
        lock_timeout: "1500ms",
        statement_timeout: "8min",
      });
    },
  );
}

scenario(
  "--statement-timeout ends a statement that takes too long",
  { "0001_a": migration({ up: "select pg_sleep(600)" }) },
  async (s) => {
    const { code, stderr } = await s.run("up --statement-timeout 1s");
    assertEquals(code, 1);
    assertMatch(
      stderr,
      /^error: Cannot apply "0001_a": canceling statement due to statement timeout \(SQLSTATE 57014\)$/m,
    );
    assertEquals(await s.history(), ["0001_a failed"]);
  },
);

scenario(
  "a lock that somebody else keeps is given up after --lock-timeout, and tried again for --lock-retry",
  {
    "0001_a": table("a"),
    "0002_b": migration({ up: "alter table a add column n int" }),
  },
  async (s) => {
    assertEquals((await s.run("up --to 0001_a")).code, 0);
    const keeper =
      "begin; lock table a in access share mode; select pg_sleep(600)";
    const held = s.db.query(keeper).catch(() => {});
    try {
      await waitFor("the lock to be kept", async () => {
        const rows = await s.db.query(
          "select from pg_locks where relation = 'a'::regclass and granted",
        );
        return rows.length > 0;
      });
      const { code, stdout, stderr } = await s.run(
        "up --lock-timeout 100ms --lock-retry 5s",
      );
      assertEquals([code, stdout], [1, ""]);
      assertMatch(
        stderr,
        /^Trying again in [\d.]+ m?s, T left: .*lock timeout/m,
      );
      assertMatch(
        stderr,
        /^error: Cannot apply "0002_b": canceling statement due to lock timeout \(SQLSTATE 55P03\)$/m,
      );
      await using waiting = s.start("up --lock-timeout 100ms");
      await waiting.waitFor("Trying again in ");
      await letGo();
      assertEquals((await waiting.result).code, 0);
    } finally {
      await letGo();
      await held;
    }

    async function letGo(): Promise<void> {
      await s.db.query(
        "select pg_cancel_backend(pid) from pg_stat_activity where query = $1",
        [keeper],
      );
    }
  },
);
