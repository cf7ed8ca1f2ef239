/** Whose history it is: nothing of a stranger's runs with our rights, neither when his table is read nor when it is not written. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { table } from "../support/program/migrations.ts";
import { queryUrl, type TestRole } from "../support/server/postgres.ts";
import { type Scenario, scenario } from "../support/program/scenario.ts";

const AB = { "0001_a": table("a"), "0002_b": table("b") };

/** This program's history, as anybody can make it. */
const LAID = `create table public.migration_history (
  id bigint generated always as identity primary key, name text not null, checksum text not null, status text not null,
  started_at timestamptz not null, finished_at timestamptz, duration_ms integer, run_id uuid not null, applied_by text not null,
  host text, binary_version text not null, error text, rolled_back_at timestamptz, rolled_back_by text, rolled_back_run uuid
);
insert into public.migration_history (name, checksum, status, started_at, run_id, applied_by, binary_version)
  values ('0001_a', '', 'applied', now(), gen_random_uuid(), 'me', '0.1.0');
grant all on public.migration_history to public;`;

interface Stranger extends TestRole {
  /** Runs SQL as that role. `strange.ran(text)` is a function of its that tells {@link ran} when it is called. */
  lay(text: string): Promise<void>;
  /** How often something of that role's ran since it was last asked. */
  ran(): Promise<number>;
}

/** A role that may create objects in `public`, and waits for somebody to run them. */
async function strangerIn(s: Scenario): Promise<Stranger> {
  const role = await s.db.createRole((name) => [
    `grant create on schema public to ${name}`,
    `create schema strange authorization ${name}`,
  ]);
  const lay = async (text: string) => void await queryUrl(role.url, text);
  // A sequence keeps its number when the transaction is rolled back.
  await lay(`
    create sequence strange.calls;
    grant usage on schema strange to public; grant usage on sequence strange.calls to public;
    create function strange.told(text) returns text language plpgsql volatile as
      $$ begin perform nextval('strange.calls'); return $1; end $$;
    create function strange.ran(text) returns text language plpgsql immutable as
      $$ begin return strange.told($1); end $$`);
  let before = 0;
  return {
    ...role,
    lay,
    ran: async () => {
      const [row] = await s.db.query<{ calls: number }>(
        "select case when is_called then last_value else 0 end::int as calls from strange.calls",
      );
      const calls = row!.calls - before;
      before = row!.calls;
      return calls;
    },
  };
}

/** What a stranger can lay in `public`, whether it can be read as a history, and what would run it. */
const TRAPS: Readonly<
  Record<
    string,
    { readonly lay: string; readonly reads: boolean; readonly proof?: string }
  >
> = {
  "an index on an expression": {
    lay:
      `${LAID} create index on public.migration_history (strange.ran('expression'));`,
    reads: true,
  },
  "an index with a condition": {
    lay:
      `${LAID} create index on public.migration_history (id) where strange.ran('condition') is not null;`,
    reads: true,
  },
  "statistics on an expression": {
    lay:
      `${LAID} create statistics strange.s on (strange.ran('statistics') || name), status from public.migration_history;`,
    reads: true,
  },
  "a view": {
    lay:
      `create view public.migration_history as select 1 as id, strange.told('view') as name;
      grant select on public.migration_history to public`,
    reads: false,
    proof: "select name from public.migration_history",
  },
  "a table that has become a view": {
    lay: `${LAID}
      alter table public.migration_history rename to other;
      create view public.migration_history as select *, strange.told(name) as told from public.other;
      grant select on public.migration_history to public`,
    reads: false,
    proof: "select told from public.migration_history",
  },
  "a policy": {
    lay:
      `${LAID} alter table public.migration_history enable row level security;
      create policy p on public.migration_history using (strange.told(name) is not null)`,
    reads: false,
  },
  "a child table": {
    lay: `${LAID}
      create table strange.child () inherits (public.migration_history);
      create index on strange.child (strange.ran('child'));
      insert into strange.child (id, name, checksum, status, started_at, run_id, applied_by, binary_version)
        values (7, '0002_b', '', 'applied', now(), gen_random_uuid(), 'me', '0.1.0');`,
    reads: true,
  },
  "a domain in the place of a type": {
    lay: `
      create domain strange.word as text check (strange.told(value) is not null);
      ${LAID} alter table public.migration_history alter name type strange.word`,
    reads: false,
    proof: "select 'x'::strange.word",
  },
  "a type with casts of its own": {
    lay: `
      create type strange.pair as (a text);
      create function strange.to_text(strange.pair) returns text language sql as $$ select strange.told('cast') $$;
      create cast (strange.pair as text) with function strange.to_text as implicit;
      create table public.migration_history (name strange.pair, "timestamp" text);
      insert into public.migration_history values (row('0001_a')::strange.pair, '2024-01-01');
      grant all on public.migration_history to public`,
    reads: false,
    proof: "select name::text from public.migration_history",
  },
  "a check": {
    lay:
      `${LAID} alter table public.migration_history add check (strange.ran('check') is not null)`,
    reads: true,
    proof:
      "set constraint_exclusion = on; select * from public.migration_history where id > 0",
  },
  "Kysely's table with an index on an expression": {
    lay: `
      create table public.migration_history (name varchar(255) primary key, timestamp varchar(255) not null);
      insert into public.migration_history values ('0001_a', '2024-01-01T00:00:00Z');
      create index on public.migration_history (strange.ran('kysely'));
      grant all on public.migration_history to public`,
    reads: true,
  },
};

for (
  const [
    what,
    { lay, reads, proof = "select * from public.migration_history" },
  ] of Object.entries(TRAPS)
) {
  scenario(
    `nothing runs of ${what} that a stranger has laid in the place of the history`,
    AB,
    async (s) => {
      const stranger = await strangerIn(s);
      const victim = await s.db.createRole((name) => [
        `grant create on schema public to ${name}`,
      ]);
      await stranger.lay(lay);
      await stranger.ran();
      await queryUrl(victim.url, proof);
      assertEquals(await stranger.ran() > 0, true, "It is no trap");
      const before = await s.tables();

      for (
        const [command, readCode] of [
          ["status", 0],
          ["status --check --format json", 3],
          ["status --schema public", 0],
          ["up --dry-run", 0],
          ["up"],
          ["up --no-pipeline"],
          ["down --yes"],
          ["redo --yes"],
          ["baseline --to 0002_b"],
          ["repair --mark-applied 0001_a", 0],
        ] as const
      ) {
        const { code, stderr } = await s.run(command, { as: victim });
        assertEquals([command, await stranger.ran()], [command, 0]);
        const expected = reads ? readCode ?? 1 : 1;
        assertEquals([command, code], [command, expected], stderr);
        if (!reads || readCode !== undefined) continue;
        assertStringIncludes(
          stderr,
          `error: Cannot write to the history "public.migration_history": it belongs to "${stranger.name}", and what ` +
            'that role has laid on it would run with the rights of "ROLE"; give it to a role that "ROLE" is a member of, ' +
            `or pass --trust-history-owner ${stranger.name}\n`,
        );
      }
      assertEquals(await s.tables(), before);
    },
  );
}

scenario(
  "a history that a stranger has laid is written when its owner is trusted by name",
  AB,
  async (s) => {
    const stranger = await strangerIn(s);
    await stranger.lay(`${LAID}
      truncate public.migration_history;
      create function strange.trap() returns trigger language plpgsql as $$ begin perform strange.told('x'); return new; end $$;
      grant execute on function strange.trap() to public;
      create trigger t before insert on public.migration_history for each row execute function strange.trap()`);

    const refused = await s.run("up");
    assertEquals([refused.code, await stranger.ran()], [1, 0]);
    for (const [name, code] of [["nobody", 1], [stranger.name, 0]] as const) {
      const env = { MIGRATE_TRUST_HISTORY_OWNER: name };
      assertEquals((await s.run("up --to 0001_a", { env })).code, code);
    }
    assertEquals(await stranger.ran(), 1);
    const option = await s.run([
      "up",
      "--trust-history-owner",
      stranger.name,
    ]);
    assertEquals(option.code, 0, option.stderr);
    assertEquals(await s.history(), ["0001_a applied", "0002_b applied"]);
  },
);

/** Who owns the history, seen from the role that runs the program, and whether that role writes to it. */
const OWNERS: Readonly<
  Record<
    string,
    {
      trusted: boolean;
      /** Statements; `me` is the role, `owner` that of the history. */
      grants: (me: string, owner: string, db: string) => readonly string[];
    }
  >
> = {
  "a role that has nothing to do with it": {
    trusted: false,
    grants: () => [],
  },
  "a role that it is a member of": {
    trusted: true,
    grants: (me, owner) => [`grant ${owner} to ${me}`],
  },
  "a role that it is a member of through another one": {
    trusted: true,
    grants: (me, owner) => [
      `create role ${me}_between`,
      `grant ${owner} to ${me}_between`,
      `grant ${me}_between to ${me}`,
      `alter role ${me} noinherit`,
    ],
  },
  "a member of it": {
    trusted: false,
    grants: (me, owner) => [`grant ${me} to ${owner}`],
  },
  "the owner of the database": {
    trusted: true,
    grants: (_, owner, db) => [`alter database ${db} owner to ${owner}`],
  },
  "the owner of the schema": {
    trusted: true,
    grants: (_, owner) => [`alter schema public owner to ${owner}`],
  },
  "a superuser": {
    trusted: true,
    grants: (_, owner) => [`alter role ${owner} superuser`],
  },
  "a role that a superuser has not been made a member of": {
    trusted: false,
    grants: (me) => [`alter role ${me} superuser`],
  },
  "the role that it becomes when it logs in": {
    trusted: true,
    grants: (me, owner) => [
      `alter role ${me} superuser`,
      `alter role ${me} set role ${owner}`,
    ],
  },
};

for (const [what, { trusted, grants }] of Object.entries(OWNERS)) {
  scenario(
    `a history that belongs to ${what} is ${
      trusted ? "written" : "read and not written"
    }`,
    AB,
    async (s) => {
      const owner = await s.db.createRole((name) => [
        `grant create on schema public to ${name}`,
      ]);
      assertEquals((await s.run("up --to 0001_a", { as: owner })).code, 0);
      const me = await s.db.createRole((name) => [
        `grant create on schema public to ${name}`,
        `grant all on migration_history to ${name}`,
        ...grants(name, owner.name, s.db.name),
      ]);
      try {
        assertEquals((await s.run("status --check", { as: me })).code, 3);
        const { code, stderr } = await s.run("up", { as: me });
        assertEquals(code, trusted ? 0 : 1, stderr);
        if (!trusted) {
          assertStringIncludes(
            stderr,
            `error: Cannot write to the history "public.migration_history": it belongs to "${owner.name}", and`,
          );
        }
        assertEquals((await s.history()).length, trusted ? 2 : 1);
      } finally {
        await s.db.query(`drop role if exists ${me.name}_between`);
      }
    },
  );
}
