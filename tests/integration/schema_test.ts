/**
 * The schema that the migrations create, against a description of it that is written by hand.
 *
 * @module
 */
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { readCatalog } from "../support/server/catalog.ts";
import { applyBattlescope } from "../../scripts/dev/kysely.ts";
import {
  pgTest,
  queryUrl,
  type TestDatabase,
} from "../support/server/postgres.ts";

const ID = "id uuid not null default gen_random_uuid()";
const TIME = "timestamp with time zone";
const CREATED = `created_at ${TIME} not null default now()`;
const UPDATED = `updated_at ${TIME} not null default now()`;
const IDS = "bigint[] not null default '{}'::bigint[]";
const FLAG = "boolean not null default false";

interface Table {
  readonly columns: readonly string[];
  readonly constraints: Readonly<Record<string, string>>;
  /** Beyond those of the primary key and the unique constraints. */
  readonly indexes?: Readonly<Record<string, string>>;
}

const TABLES: Readonly<Record<string, Table>> = {
  battles: {
    columns: [
      ID,
      "system_id bigint not null",
      "security_type security_type not null",
      `start_time ${TIME} not null`,
      `end_time ${TIME} not null`,
      "total_kills bigint not null default 0",
      "total_isk_destroyed numeric not null default 0",
      "zkill_related_url text not null",
      CREATED,
    ],
    constraints: {
      battles_id_pkey: "PRIMARY KEY (id)",
      battles_end_time_start_time_check: "CHECK ((end_time >= start_time))",
      battles_total_kills_check: "CHECK ((total_kills >= 0))",
      battles_total_isk_destroyed_check:
        "CHECK ((total_isk_destroyed >= (0)::numeric))",
    },
    indexes: {
      battles_system_id_start_time_end_time_idx:
        "(system_id, start_time, end_time)",
      battles_start_time_idx: "(start_time DESC)",
    },
  },
  killmails: {
    columns: [
      "killmail_id bigint not null",
      "system_id bigint not null",
      `occurred_at ${TIME} not null`,
      "victim_alliance_id bigint",
      "victim_corp_id bigint",
      "victim_character_id bigint",
      `attacker_alliance_ids ${IDS}`,
      `attacker_corp_ids ${IDS}`,
      `attacker_character_ids ${IDS}`,
      "isk_value numeric",
      "zkb_url text not null",
      `fetched_at ${TIME} not null default now()`,
      `processed_at ${TIME}`,
      "battle_id uuid",
    ],
    constraints: {
      killmails_killmail_id_pkey: "PRIMARY KEY (killmail_id)",
      killmails_battle_id_fkey:
        "FOREIGN KEY (battle_id) REFERENCES battles(id) ON DELETE SET NULL",
    },
    indexes: {
      killmails_occurred_at_killmail_id_idx:
        "(occurred_at, killmail_id) WHERE (processed_at IS NULL)",
      killmails_system_id_occurred_at_idx: "(system_id, occurred_at)",
      killmails_occurred_at_idx: "(occurred_at)",
      killmails_battle_id_idx: "(battle_id)",
    },
  },
  battle_killmails: {
    columns: [
      "battle_id uuid not null",
      "killmail_id bigint not null",
      "zkb_url text not null",
      `occurred_at ${TIME} not null`,
      "victim_alliance_id bigint",
      "victim_corp_id bigint",
      "victim_character_id bigint",
      "victim_ship_type_id bigint",
      `attacker_alliance_ids ${IDS}`,
      "isk_value numeric",
      "side_id smallint",
      "payload jsonb",
      `enriched_at ${TIME}`,
    ],
    constraints: {
      battle_killmails_battle_id_killmail_id_pkey:
        "PRIMARY KEY (battle_id, killmail_id)",
      battle_killmails_battle_id_fkey:
        "FOREIGN KEY (battle_id) REFERENCES battles(id) ON DELETE CASCADE",
    },
    indexes: { battle_killmails_killmail_id_idx: "(killmail_id)" },
  },
  battle_participants: {
    columns: [
      "battle_id uuid not null",
      "character_id bigint not null",
      "alliance_id bigint",
      "corp_id bigint",
      "ship_type_id bigint",
      "side_id smallint",
      `is_victim ${FLAG}`,
    ],
    constraints: {
      battle_participants_battle_id_character_id_pkey:
        "PRIMARY KEY (battle_id, character_id)",
      battle_participants_battle_id_fkey:
        "FOREIGN KEY (battle_id) REFERENCES battles(id) ON DELETE CASCADE",
    },
    indexes: {
      battle_participants_character_id_battle_id_idx:
        "(character_id, battle_id)",
      battle_participants_alliance_id_idx: "(alliance_id)",
      battle_participants_corp_id_idx: "(corp_id)",
    },
  },
  rulesets: {
    columns: [
      ID,
      "min_pilots integer not null default 1",
      `tracked_alliance_ids ${IDS}`,
      `tracked_corp_ids ${IDS}`,
      `tracked_system_ids ${IDS}`,
      "tracked_security_types security_type[] not null default '{}'::security_type[]",
      `ignore_unlisted ${FLAG}`,
      "updated_by text",
      CREATED,
      UPDATED,
    ],
    constraints: {
      rulesets_id_pkey: "PRIMARY KEY (id)",
      rulesets_min_pilots_check: "CHECK ((min_pilots >= 1))",
    },
  },
  accounts: {
    columns: [
      ID,
      "email text",
      "display_name text not null",
      "primary_character_id uuid",
      `is_blocked ${FLAG}`,
      `is_deleted ${FLAG}`,
      `is_super_admin ${FLAG}`,
      `last_login_at ${TIME}`,
      CREATED,
      UPDATED,
    ],
    constraints: {
      accounts_id_pkey: "PRIMARY KEY (id)",
      accounts_email_key: "UNIQUE (email)",
      accounts_primary_character_id_fkey:
        "FOREIGN KEY (primary_character_id) REFERENCES characters(id) ON DELETE SET NULL",
    },
    indexes: { accounts_primary_character_id_idx: "(primary_character_id)" },
  },
  characters: {
    columns: [
      ID,
      "account_id uuid not null",
      "eve_character_id bigint not null",
      "eve_character_name text not null",
      "corp_id bigint not null",
      "corp_name text not null",
      "alliance_id bigint",
      "alliance_name text",
      "portrait_url text",
      "esi_access_token bytea",
      "esi_refresh_token bytea",
      `esi_token_expires_at ${TIME}`,
      "scopes text[] not null default '{}'::text[]",
      `last_verified_at ${TIME}`,
      CREATED,
      UPDATED,
    ],
    constraints: {
      characters_id_pkey: "PRIMARY KEY (id)",
      characters_eve_character_id_key: "UNIQUE (eve_character_id)",
      characters_account_id_fkey:
        "FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE",
    },
    indexes: {
      characters_account_id_idx: "(account_id)",
      characters_corp_id_idx: "(corp_id)",
      characters_alliance_id_idx: "(alliance_id)",
    },
  },
  features: {
    columns: [
      ID,
      "key text not null",
      "name text not null",
      "description text not null",
      CREATED,
      UPDATED,
    ],
    constraints: {
      features_id_pkey: "PRIMARY KEY (id)",
      features_key_key: "UNIQUE (key)",
    },
  },
  roles: {
    columns: [
      ID,
      "key text not null",
      "name text not null",
      "rank integer not null",
      CREATED,
      UPDATED,
    ],
    constraints: {
      roles_id_pkey: "PRIMARY KEY (id)",
      roles_key_key: "UNIQUE (key)",
      roles_rank_key: "UNIQUE (rank)",
    },
  },
  account_feature_roles: {
    columns: [
      ID,
      "account_id uuid not null",
      "feature_id uuid not null",
      "role_id uuid not null",
      "granted_by uuid",
      CREATED,
    ],
    constraints: {
      account_feature_roles_id_pkey: "PRIMARY KEY (id)",
      account_feature_roles_account_id_feature_id_key:
        "UNIQUE (account_id, feature_id)",
      account_feature_roles_account_id_fkey:
        "FOREIGN KEY (account_id) REFERENCES accounts(id) ON DELETE CASCADE",
      account_feature_roles_feature_id_fkey:
        "FOREIGN KEY (feature_id) REFERENCES features(id) ON DELETE CASCADE",
      account_feature_roles_role_id_fkey:
        "FOREIGN KEY (role_id) REFERENCES roles(id) ON DELETE RESTRICT",
      account_feature_roles_granted_by_fkey:
        "FOREIGN KEY (granted_by) REFERENCES accounts(id) ON DELETE SET NULL",
    },
    indexes: {
      account_feature_roles_feature_id_idx: "(feature_id)",
      account_feature_roles_role_id_idx: "(role_id)",
      account_feature_roles_granted_by_idx: "(granted_by)",
    },
  },
  feature_settings: {
    columns: [
      ID,
      "feature_id uuid not null",
      "key text not null",
      "value jsonb not null default '{}'::jsonb",
      "updated_by uuid",
      CREATED,
      UPDATED,
    ],
    constraints: {
      feature_settings_id_pkey: "PRIMARY KEY (id)",
      feature_settings_feature_id_key_key: "UNIQUE (feature_id, key)",
      feature_settings_feature_id_fkey:
        "FOREIGN KEY (feature_id) REFERENCES features(id) ON DELETE CASCADE",
      feature_settings_updated_by_fkey:
        "FOREIGN KEY (updated_by) REFERENCES accounts(id) ON DELETE SET NULL",
    },
    indexes: { feature_settings_updated_by_idx: "(updated_by)" },
  },
  auth_config: {
    columns: [
      "id boolean not null default true",
      "require_membership boolean not null default true",
      `allowed_corp_ids ${IDS}`,
      `allowed_alliance_ids ${IDS}`,
      `denied_corp_ids ${IDS}`,
      `denied_alliance_ids ${IDS}`,
      UPDATED,
    ],
    constraints: {
      auth_config_id_pkey: "PRIMARY KEY (id)",
      auth_config_id_check: "CHECK (id)",
    },
  },
  audit_logs: {
    columns: [
      ID,
      "actor_account_id uuid",
      "action text not null",
      "target_type text not null",
      "target_id text not null",
      "metadata jsonb not null default '{}'::jsonb",
      CREATED,
    ],
    constraints: {
      audit_logs_id_pkey: "PRIMARY KEY (id)",
      audit_logs_actor_account_id_fkey:
        "FOREIGN KEY (actor_account_id) REFERENCES accounts(id) ON DELETE SET NULL",
    },
    indexes: {
      audit_logs_actor_account_id_idx: "(actor_account_id)",
      audit_logs_target_type_target_id_idx: "(target_type, target_id)",
      audit_logs_created_at_idx: "(created_at DESC)",
    },
  },
};

const WITH_UPDATED_AT = [
  "accounts",
  "auth_config",
  "characters",
  "feature_settings",
  "features",
  "roles",
  "rulesets",
];

const tables = Object.entries(TABLES);
const columnLines = tables.flatMap(([name, { columns }]) =>
  columns.map((column, index) =>
    `${name}.${String(index + 1).padStart(3, "0")} ${column}`
  )
).sort();
const constraintNames = tables.flatMap(([, { constraints }]) =>
  Object.keys(constraints)
).sort();
const indexNames = tables.flatMap(([, { indexes = {} }]) =>
  Object.keys(indexes)
);

pgTest(
  "the migrations create the schema as it is described, and nothing else",
  async (db) => {
    const empty = await readCatalog(db.url);
    await applyBattlescope(db.url);
    const { functions, ...catalog } = await readCatalog(db.url);

    // The function is looked at below, the rows in the next test.
    assertEquals({ ...catalog, functions: [], rows: [] }, {
      ...empty,
      tables: tables.map(([name]) => `${name} r p`).sort(),
      columns: columnLines,
      constraints: tables.flatMap(([name, { constraints }]) =>
        Object.entries(constraints).map(([constraint, definition]) =>
          `${name} ${constraint} ${definition}`
        )
      ).sort(),
      indexes: tables.flatMap(indexLines).sort(),
      triggers: WITH_UPDATED_AT.map((name) =>
        `CREATE TRIGGER ${name}_set_updated_at BEFORE UPDATE ON public.${name} ` +
        "FOR EACH ROW EXECUTE FUNCTION set_updated_at() O"
      ),
      types: [
        "security_type e 'highsec', 'lowsec', 'nullsec', 'wormhole', 'pochven'",
      ],
    });
    assertEquals(functions?.length, 1);
    assertMatch(
      functions?.[0] ?? "",
      /^CREATE OR REPLACE FUNCTION public\.set_updated_at\(\)\s+RETURNS trigger\s+LANGUAGE plpgsql\s+SET search_path TO 'pg_catalog', 'pg_temp'/,
    );
  },
);

pgTest(
  "the migrations insert the rows that the application needs",
  async (db) => {
    await applyBattlescope(db.url);
    const { rows = [] } = await readCatalog(db.url);

    assertEquals(
      rows.map((line) => line.slice(0, line.indexOf(" "))),
      [
        "auth_config",
        ...["features", "features"],
        ...["roles", "roles", "roles", "roles"],
        "rulesets",
      ],
    );
    assertEquals(
      await db.query("select key, name, rank from roles order by rank"),
      [
        { key: "user", name: "User", rank: 10 },
        { key: "fc", name: "Fleet Commander", rank: 20 },
        { key: "director", name: "Director", rank: 30 },
        { key: "admin", name: "Admin", rank: 40 },
      ],
    );
    assertEquals(
      await db.query("select key, name from features order by key"),
      [
        { key: "battle-intel", name: "Battle Intel" },
        { key: "battle-reports", name: "Battle Reports" },
      ],
    );
    assertEquals(
      await db.query(
        "select id, min_pilots, cardinality(tracked_security_types) as types, ignore_unlisted from rulesets",
      ),
      [{
        id: "00000000-0000-0000-0000-000000000001",
        min_pilots: 1,
        types: 0,
        ignore_unlisted: false,
      }],
    );
    assertEquals(
      await db.query("select id, require_membership from auth_config"),
      [
        { id: true, require_membership: true },
      ],
    );
  },
);

pgTest(
  "every foreign key has an index that starts with its column",
  async (db) => {
    await applyBattlescope(db.url);

    const keys = await db.query<{ name: string; indexed: boolean }>(`
    select conname as name, exists (
      select from pg_index
      where indrelid = conrelid and indpred is null and indkey[0] = conkey[1]
    ) as indexed
    from pg_constraint where contype = 'f' order by 1
  `);

    assertEquals(
      keys.map(({ name }) => name),
      constraintNames.filter((name) => name.endsWith("_fkey")),
    );
    assertEquals(keys.filter(({ indexed }) => !indexed), []);
  },
);

pgTest(
  "every constraint and index is named after its table, its columns and its kind",
  async (db) => {
    await applyBattlescope(db.url);

    const names = await db.query<{ name: string; expected: string }>(`
    select conname as name, conrelid::regclass || '_' || (
        select string_agg(attname, '_' order by place)
        from unnest(conkey) with ordinality as k (attnum, place)
        join pg_attribute a on a.attrelid = conrelid and a.attnum = k.attnum
      ) || case contype when 'p' then '_pkey' when 'u' then '_key' when 'f' then '_fkey' else '_check' end as expected
    from pg_constraint where connamespace = 'public'::regnamespace and contype in ('p', 'u', 'f', 'c')
    union all
    select indexrelid::regclass::text, indrelid::regclass || '_' || (
        select string_agg(attname, '_' order by place)
        from unnest(indkey) with ordinality as k (attnum, place)
        join pg_attribute a on a.attrelid = indrelid and a.attnum = k.attnum
      ) || '_idx'
    from pg_index
    where not indisunique and indrelid in (select oid from pg_class where relnamespace = 'public'::regnamespace)
  `);

    assertEquals(
      names.length,
      constraintNames.length + indexNames.length,
    );
    assertEquals(names.filter(({ name, expected }) => name !== expected), []);
  },
);

pgTest(
  "a role that owns no more than its schema can apply the migrations, all of them into that schema",
  async (db) => {
    const role = await db.createRole((name) => [
      `create schema "Other" authorization ${name}`,
      `alter role ${name} in database ${db.name} set search_path = "Other"`,
    ]);

    await applyBattlescope(role.url);

    const created = await db.query<{ schema: string; objects: number }>(`
    select nspname as schema, count(*)::int as objects
    from pg_namespace join (
      select relnamespace as oid from pg_class
      union all select pronamespace from pg_proc
      union all select typnamespace from pg_type where typtype = 'e'
    ) objects using (oid)
    where nspname in ('public', 'Other') group by 1
  `);
    // Besides tables and indexes there are the function and the type.
    const objects = tables.length + tables.flatMap(indexLines).length + 2;
    assertEquals(created, [{ schema: "Other", objects }]);
    assertEquals((await readCatalog(role.url)).columns, columnLines);
  },
);

pgTest("an update sets updated_at, whatever it says itself", async (db) => {
  await applyBattlescope(db.url);
  await insertAccount(db);
  await db.query(
    "insert into feature_settings (feature_id, key) select id, 'k' from features limit 1",
  );

  for (const table of WITH_UPDATED_AT) {
    const changed = await db.query<{ later: boolean; kept: boolean }>(
      // The old row is read in the same statement: it still shows what was there before.
      `with old as (select id, updated_at from ${table} limit 1)
      update ${table} set updated_at = '2001-01-01' from old where ${table}.id = old.id
      returning ${table}.updated_at > old.updated_at as later, ${table}.updated_at = now() as kept`,
    );
    assertEquals(changed, [{ later: true, kept: true }], table);
  }
});

pgTest(
  "deleting a battle keeps its killmails and takes what was derived from them",
  async (db) => {
    await applyBattlescope(db.url);
    await db.query(`
    insert into battles (id, system_id, security_type, start_time, end_time, zkill_related_url)
      values ('00000000-0000-0000-0000-00000000000b', 30002187, 'wormhole', now(), now(), 'u');
    insert into killmails (killmail_id, system_id, occurred_at, zkb_url, battle_id)
      values (1, 30002187, now(), 'u', '00000000-0000-0000-0000-00000000000b');
    insert into battle_killmails (battle_id, killmail_id, zkb_url, occurred_at)
      values ('00000000-0000-0000-0000-00000000000b', 1, 'u', now());
    insert into battle_participants (battle_id, character_id)
      values ('00000000-0000-0000-0000-00000000000b', 7);
    delete from battles;
  `);

    assertEquals(
      await db.query(`
      select (select count(*)::int from killmails where battle_id is null) as killmails,
        (select count(*)::int from battle_killmails) as battle_killmails,
        (select count(*)::int from battle_participants) as battle_participants
    `),
      [{ killmails: 1, battle_killmails: 0, battle_participants: 0 }],
    );
  },
);

pgTest("retention may delete a killmail whose battle stays", async (db) => {
  await applyBattlescope(db.url);
  await db.query(`
    insert into battles (id, system_id, security_type, start_time, end_time, zkill_related_url)
      values ('00000000-0000-0000-0000-00000000000b', 30002187, 'lowsec', now(), now(), 'u');
    insert into killmails (killmail_id, system_id, occurred_at, zkb_url) values (1, 30002187, now(), 'u');
    insert into battle_killmails (battle_id, killmail_id, zkb_url, occurred_at)
      values ('00000000-0000-0000-0000-00000000000b', 1, 'u', now());
    delete from killmails;
  `);

  assertEquals(
    await db.query("select killmail_id from battle_killmails"),
    [{ killmail_id: "1" }],
  );
});

pgTest("deleting a character unsets it as the primary one", async (db) => {
  await applyBattlescope(db.url);
  await insertAccount(db);
  await db.query("delete from characters");

  assertEquals(
    await db.query("select display_name, primary_character_id from accounts"),
    [{ display_name: "A", primary_character_id: null }],
  );
});

pgTest(
  "deleting an account takes what belongs to it and keeps what it only signed",
  async (db) => {
    await applyBattlescope(db.url);
    await insertAccount(db);
    await db.query(`
    insert into accounts (id, display_name) values ('00000000-0000-0000-0000-0000000000ff', 'Granter');
    insert into account_feature_roles (account_id, feature_id, role_id, granted_by)
      select '00000000-0000-0000-0000-00000000000a', features.id, roles.id, '00000000-0000-0000-0000-0000000000ff'
      from features, roles where features.key = 'battle-intel' and roles.key = 'fc';
    insert into feature_settings (feature_id, key, updated_by)
      select id, 'k', '00000000-0000-0000-0000-0000000000ff' from features where key = 'battle-intel';
    insert into audit_logs (actor_account_id, action, target_type, target_id)
      values ('00000000-0000-0000-0000-0000000000ff', 'grant', 'account', 'a');
    delete from accounts where display_name = 'Granter';
  `);
    const signed = `
    select (select count(*)::int from account_feature_roles where granted_by is null) as roles,
      (select count(*)::int from feature_settings where updated_by is null) as settings,
      (select count(*)::int from audit_logs where actor_account_id is null) as logs,
      (select count(*)::int from characters) as characters
  `;
    assertEquals(await db.query(signed), [
      { roles: 1, settings: 1, logs: 1, characters: 1 },
    ]);

    await db.query("delete from accounts");
    assertEquals(await db.query(signed), [
      { roles: 0, settings: 1, logs: 1, characters: 0 },
    ]);
  },
);

pgTest(
  "a role in use cannot be deleted, a feature takes its grants and settings with it",
  async (db) => {
    await applyBattlescope(db.url);
    await insertAccount(db);
    await db.query(`
    insert into account_feature_roles (account_id, feature_id, role_id)
      select '00000000-0000-0000-0000-00000000000a', features.id, roles.id
      from features, roles where features.key = 'battle-intel' and roles.key = 'fc';
    insert into feature_settings (feature_id, key) select id, 'k' from features where key = 'battle-intel';
  `);

    const error = await assertRejects(() =>
      db.query("delete from roles where key = 'fc'")
    );
    assertMatch(
      (error as Error).message,
      /violates (RESTRICT setting of )?foreign key constraint "account_feature_roles_role_id_fkey"/,
    );

    await db.query("delete from features where key = 'battle-intel'");
    assertEquals(
      await db.query(`
      select (select count(*)::int from account_feature_roles) as roles,
        (select count(*)::int from feature_settings) as settings
    `),
      [{ roles: 0, settings: 0 }],
    );
  },
);

const BATTLE =
  "insert into battles (system_id, security_type, start_time, end_time, zkill_related_url, total_kills, total_isk_destroyed)";
const REFUSED: Readonly<Record<string, string>> = {
  [`${BATTLE} values (1, 'highsec', now(), now() - interval '1 s', 'u', 0, 0)`]:
    'new row for relation "battles" violates check constraint "battles_end_time_start_time_check"',
  [`${BATTLE} values (1, 'highsec', now(), now(), 'u', -1, 0)`]:
    'new row for relation "battles" violates check constraint "battles_total_kills_check"',
  [`${BATTLE} values (1, 'highsec', now(), now(), 'u', 0, -0.01)`]:
    'new row for relation "battles" violates check constraint "battles_total_isk_destroyed_check"',
  [`${BATTLE} values (1, 'abyssal', now(), now(), 'u', 0, 0)`]:
    'invalid input value for enum security_type: "abyssal"',
  "insert into rulesets (min_pilots) values (0)":
    'new row for relation "rulesets" violates check constraint "rulesets_min_pilots_check"',
  "insert into auth_config default values":
    'duplicate key value violates unique constraint "auth_config_id_pkey"',
  "insert into auth_config (id) values (false)":
    'new row for relation "auth_config" violates check constraint "auth_config_id_check"',
  "insert into roles (key, name, rank) values ('fc', 'x', 11)":
    'duplicate key value violates unique constraint "roles_key_key"',
  "insert into roles (key, name, rank) values ('x', 'x', 20)":
    'duplicate key value violates unique constraint "roles_rank_key"',
  "insert into features (key, name, description) values ('battle-intel', 'x', 'x')":
    'duplicate key value violates unique constraint "features_key_key"',
  "insert into accounts (display_name, email) values ('x', 'a@example.org'), ('y', 'a@example.org')":
    'duplicate key value violates unique constraint "accounts_email_key"',
  "insert into killmails (killmail_id, system_id, occurred_at, zkb_url, attacker_corp_ids) values (1, 1, now(), 'u', null)":
    'null value in column "attacker_corp_ids" of relation "killmails" violates not-null constraint',
};

pgTest("the constraints refuse what must not be stored", async (db) => {
  await applyBattlescope(db.url);

  for (const [statement, message] of Object.entries(REFUSED)) {
    const error = await assertRejects(() => db.query(statement), Error);
    assertEquals(error.message, message);
  }
});

function indexLines([table, { constraints, indexes = {} }]: [string, Table]) {
  const unique = Object.entries(constraints).flatMap(([name, definition]) => {
    const columns = /^(?:PRIMARY KEY|UNIQUE) (.+)$/.exec(definition)?.[1];
    return columns === undefined ? [] : [
      `CREATE UNIQUE INDEX ${name} ON public.${table} USING btree ${columns}`,
    ];
  });
  const others = Object.entries(indexes).map(([name, definition]) =>
    `CREATE INDEX ${name} ON public.${table} USING btree ${definition}`
  );
  return [...unique, ...others];
}

/** One account with a character that is its primary one. */
async function insertAccount(db: TestDatabase): Promise<void> {
  await queryUrl(
    db.url,
    `
    insert into accounts (id, display_name) values ('00000000-0000-0000-0000-00000000000a', 'A');
    insert into characters (id, account_id, eve_character_id, eve_character_name, corp_id, corp_name)
      values ('00000000-0000-0000-0000-00000000000c', '00000000-0000-0000-0000-00000000000a', 1, 'C', 2, 'D');
    update accounts set primary_character_id = '00000000-0000-0000-0000-00000000000c';
  `,
  );
}
