/** What a backfill waits for: standbys that are behind, and an archive that takes nothing. */
import { assertEquals } from "@std/assert";
import { backfill } from "../support/program/backfills.ts";
import { startMigrate } from "../support/program/cli.ts";
import { withProject } from "../support/program/project.ts";
import { startFalseStandby } from "../support/server/false_standby.ts";
import { type OwnServer, serverTest } from "../support/server/server.ts";
import { startStandby } from "../support/server/standby.ts";
import { waitFor } from "../support/program/wait.ts";

const FILL = { "0001_fill": backfill() };

async function fillTable({ query }: OwnServer): Promise<void> {
  await query(
    `create table t (id bigint primary key, n integer not null default 0, pad text default repeat('x', 500));
     insert into t (id) select g from generate_series(1, 20000) g; analyze t`,
  );
}

async function position({ query }: OwnServer): Promise<string> {
  const [row] = await query<{ lsn: string }>(
    "select pg_current_wal_flush_lsn()::text as lsn",
  );
  return row!.lsn;
}

serverTest(
  "a backfill is held while a standby is too far behind, and goes on when it has caught up",
  async (server) => {
    await fillTable(server);
    await using standby = await startFalseStandby(
      server.url(),
      "sb1",
      await position(server),
    );
    standby.replayed(await position(server));
    await waitFor(
      "the standby is seen",
      async () =>
        (await server.query(
          "select from pg_stat_replication where replay_lsn is not null",
        )).length > 0,
    );
    await server.query("create table other as select repeat('y', 2000000)");
    await server.query(
      "alter table other alter repeat set storage external; update other set repeat = repeat || 'z'",
    );
    await withProject(FILL, async (project) => {
      await using up = startMigrate(["up", "--max-lag=512KiB"], {
        project,
        env: { DATABASE_URL: server.url() },
      });
      await up.waitFor(
        /^Holding 0001_fill: standby "sb1" is [\d.]+ MiB behind$/m,
      );
      // From now on it is never behind.
      let done = false;
      const follow = (async () => {
        while (!done) standby.replayed(await position(server));
      })();
      const { code, stderr } = await up.result;
      done = true;
      await follow;
      assertEquals(code, 0, stderr);
    });
    assertEquals(
      await server.query("select n, count(*)::int as count from t group by n"),
      [{ n: 1, count: 20_000 }],
    );
  },
  { wal_level: "replica", max_wal_senders: "4" },
);

serverTest(
  "a backfill is held by a real standby that does not replay, and goes on when it does",
  async (server) => {
    await fillTable(server);
    await using standby = await startStandby(server, "sb2");
    await waitFor(
      "the standby follows",
      async () =>
        (await server.query(
          "select from pg_stat_replication where application_name = 'sb2' and replay_lsn is not null",
        )).length > 0,
    );
    await standby.query("select pg_wal_replay_pause()");
    await waitFor(
      "it replays no more",
      async () =>
        (await standby.query(
          "select from (select pg_get_wal_replay_pause_state() as state) s where state = 'paused'",
        )).length > 0,
    );
    await server.query(
      "create table other as select repeat(md5(i::text), 4) as pad from generate_series(1, 30000) i",
    );
    await withProject(FILL, async (project) => {
      await using up = startMigrate(["up", "--max-lag=512KiB"], {
        project,
        env: { DATABASE_URL: server.url() },
      });
      await up.waitFor(
        /^Holding 0001_fill: standby "sb2" is [\d.]+ [KM]iB behind$/m,
      );
      await standby.query("select pg_wal_replay_resume()");
      const { code, stderr } = await up.result;
      assertEquals(code, 0, stderr);
    });
    assertEquals(
      await server.query("select n, count(*)::int as count from t group by n"),
      [{ n: 1, count: 20_000 }],
    );
  },
  { wal_level: "replica", max_wal_senders: "4", hot_standby: "on" },
);

serverTest(
  "a role that may not see how far a standby is behind is told so once, and the backfill goes on",
  async (server) => {
    await fillTable(server);
    await server.query(
      "create role plain login password 'plain-secret'; alter table t owner to plain; grant create on schema public to plain",
    );
    await using _standby = await startFalseStandby(
      server.url(),
      "sb1",
      await position(server),
    );
    const url = new URL(server.url());
    [url.username, url.password] = ["plain", "plain-secret"];
    await withProject(FILL, async (project) => {
      await using up = startMigrate(["up"], {
        project,
        env: { DATABASE_URL: url.href },
      });
      const { code, stderr } = await up.result;
      assertEquals(code, 0, stderr);
      assertEquals(
        stderr.split("\n").filter((line) => line.startsWith("warning")),
        [
          'warning: Cannot see how far the standby "sb1" is behind: the backfill does not wait for it; grant pg_read_all_stats to this role',
        ],
      );
    });
  },
  { wal_level: "replica", max_wal_senders: "4" },
);

serverTest(
  "a backfill is held while the archive takes nothing",
  async (server) => {
    await fillTable(server);
    await server.query("select pg_switch_wal()");
    await waitFor(
      "the archive has failed",
      async () =>
        (await server.query(
          "select from pg_stat_archiver where last_failed_time is not null",
        )).length > 0,
    );
    await withProject(FILL, async (project) => {
      await using up = startMigrate(["up"], {
        project,
        env: { DATABASE_URL: server.url() },
      });
      await up.waitFor(
        /^Holding 0001_fill: the WAL archive does not take [0-9A-F]{24}$/m,
      );
      await server.query("alter system set archive_command = 'true'");
      await server.query("select pg_reload_conf()");
      const { code, stderr } = await up.result;
      assertEquals(code, 0, stderr);
    });
  },
  {
    wal_level: "replica",
    max_wal_senders: "0",
    archive_mode: "on",
    archive_command: "false",
  },
);
