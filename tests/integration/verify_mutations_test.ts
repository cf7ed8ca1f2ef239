/**
 * What can change in a schema, one by one: `verify` finds every change, and nothing else, on every version, against what was
 * recorded on the newest.
 */
import { assertEquals } from "@std/assert";
import postgres from "postgres";
import {
  compareSchemas,
  type Side,
  sideOf,
} from "../../src/insight/differences.ts";
import { readRecording } from "../../src/insight/recording.ts";
import { foldSnapshot } from "../../src/insight/snapshot.ts";
import { snapshotQuery } from "../../src/postgres/catalog/snapshot_query.ts";
import { migration } from "../support/program/migrations.ts";
import { recorded } from "../support/program/recording.ts";
import { pgTest } from "../support/server/postgres.ts";

const SCHEMA = [
  "create type security as enum ('high', 'low', 'null')",
  "create domain isk as numeric(20,2) default 0 constraint positive check (value >= 0)",
  'create type pair as (a integer, b text collate "C")',
  "create type span as range (subtype = float8)",
  "create function double(a integer, b text default 'x') returns integer language sql immutable as 'select a * 2'",
  "create function low(s security) returns boolean language sql return s = 'low'",
  "create function touch() returns trigger language plpgsql set search_path from current as 'begin return new; end'",
  "create procedure tidy() language plpgsql as 'begin end'",
  "create aggregate total(integer) (sfunc = int4pl, stype = integer, initcond = '0')",
  "create sequence ticket cache 5",
  `create table alliances (id bigint generated always as identity primary key, name text not null unique,
    "Odd ""Name" text default 'a', safety security default 'low', worth isk, since timestamptz default '2020-01-01 00:00:00+00',
    raw bytea default '\\x01', every interval default '1 day', constraint named check (length(name) > 1))`,
  `create table corps (id serial primary key, alliance bigint, twice integer generated always as (id * 2) stored,
    seats int4range, couple pair, note varchar(40), exclude using gist (seats with &&),
    constraint corps_alliance_fkey foreign key (alliance) references alliances on delete cascade) with (fillfactor = 70)`,
  "create index corps_note_idx on corps (lower(note)) where id > 0",
  "create unique index corps_pair_idx on corps (alliance, note)",
  "create trigger touched before update on corps for each row execute function touch()",
  "alter table corps enable row level security",
  "create policy seen on corps for select using (id > 1)",
  "create rule quiet as on delete to corps where old.id < 0 do instead nothing",
  "comment on table corps is 'the corporations'",
  "comment on column corps.note is 'a note'",
  "create view names as select name, id from alliances where id > 3",
  "create view members as select a.name, c.id from alliances a join corps c on c.alliance = a.id",
  "create materialized view counts as select count(*) as n from corps",
  "create unique index counts_n_idx on counts (n)",
  "create table events (id bigint, at timestamptz not null, kind text, primary key (id, at)) partition by range (at)",
  "create table events_old partition of events for values from ('2020-01-01') to ('2021-01-01')",
  "create index events_kind_idx on events (kind)",
  "create table parent (x integer)",
  "create table child (y integer) inherits (parent)",
];

const MIGRATIONS = { "0001_schema": migration({ up: SCHEMA }) };

/** What is done, and what of it is found. */
const MUTATIONS: Readonly<Record<string, readonly string[]>> = {
  // Tables.
  "create table backup ()": ["extra table backup"],
  "drop table child": ["missing table child"],
  "alter table child rename to heir": [
    "missing table child",
    "extra table heir",
  ],
  "alter table parent set unlogged": ["different table parent persistence"],
  "alter table corps set (fillfactor = 80)": ["different table corps options"],
  "alter table corps set (toast.autovacuum_enabled = false)": [
    "different table corps toastOptions",
  ],
  "alter table corps reset (fillfactor)": ["different table corps options"],
  "alter table corps replica identity full": [
    "different table corps replicaIdentity",
  ],
  "alter table corps disable row level security": [
    "different table corps rowSecurity",
  ],
  "alter table corps force row level security": [
    "different table corps rowSecurity",
  ],
  "comment on table corps is 'others'": ["different table corps comment"],
  "comment on table corps is null": ["different table corps comment"],
  "alter table child no inherit parent": ["different table child parents"],
  // Columns.
  "alter table corps add more integer": ["extra column corps.more"],
  "alter table parent drop x": [
    "missing column child.x",
    "missing column parent.x",
  ],
  "alter table parent rename x to z": [
    "missing column child.x",
    "extra column child.z",
    "missing column parent.x",
    "extra column parent.z",
  ],
  "alter table corps alter note type varchar(41)": [
    "different column corps.note type",
  ],
  "alter table events_old alter kind set default 'k'": [
    "different column events_old.kind default",
  ],
  "alter table alliances alter worth type numeric": [
    "different column alliances.worth type",
  ],
  'alter table alliances alter "Odd ""Name" set default \'b\'': [
    'different column alliances.Odd "Name default',
  ],
  "alter table alliances alter since drop default": [
    "different column alliances.since default",
  ],
  "alter table corps alter note set not null": [
    "different column corps.note notNull",
  ],
  "alter table alliances drop constraint alliances_name_key, alter name drop not null":
    [
      "different column alliances.name notNull",
      "missing constraint alliances.alliances_name_key",
    ],
  "alter table alliances alter id set generated by default": [
    "different column alliances.id identity",
  ],
  "alter table alliances alter id set increment 5": [
    "different column alliances.id sequence.increment",
  ],
  "alter table alliances alter id drop identity": [
    "different column alliances.id identity",
    "different column alliances.id sequence",
  ],
  "alter table corps alter twice drop expression": [
    "different column corps.twice generated",
  ],
  "alter table corps drop twice": ["missing column corps.twice"],
  "alter table corps alter note set storage external": [
    "different column corps.note storage",
  ],
  "alter table corps alter note set compression pglz": [
    "different column corps.note compression",
  ],
  'alter table corps alter note type varchar(40) collate "C"': [
    "different column corps.note collation",
  ],
  "comment on column corps.note is 'another'": [
    "different column corps.note comment",
  ],
  // Keys and constraints.
  "alter table alliances drop constraint named": [
    "missing constraint alliances.named",
  ],
  "alter table alliances rename constraint named to called": [
    "extra constraint alliances.called",
    "missing constraint alliances.named",
  ],
  "alter table alliances drop constraint named, add constraint named check (length(name) > 2)":
    ["different constraint alliances.named expression"],
  "alter table alliances drop constraint named, add constraint named check (length(name) > 1) not valid":
    ["different constraint alliances.named notValid"],
  "alter table alliances drop constraint named, add constraint named check (length(name) > 1) no inherit":
    ["different constraint alliances.named noInherit"],
  "comment on constraint named on alliances is 'why'": [
    "different constraint alliances.named comment",
  ],
  "alter table alliances drop constraint alliances_name_key": [
    "missing constraint alliances.alliances_name_key",
  ],
  "alter table parent add primary key (x)": [
    "different column child.x notNull",
    // The child has its nullness from there since 18, which tells it as a constraint.
    "extra constraint parent.parent_pkey",
    "different column parent.x notNull",
  ],
  "alter table corps drop constraint corps_alliance_fkey": [
    "missing constraint corps.corps_alliance_fkey",
  ],
  "alter table corps drop constraint corps_alliance_fkey, add constraint corps_alliance_fkey foreign key (alliance) references alliances on delete restrict":
    ["different constraint corps.corps_alliance_fkey onDelete"],
  "alter table corps drop constraint corps_alliance_fkey, add constraint corps_alliance_fkey foreign key (alliance) references alliances on delete cascade on update set null":
    ["different constraint corps.corps_alliance_fkey onUpdate"],
  "alter table corps drop constraint corps_alliance_fkey, add constraint corps_alliance_fkey foreign key (alliance) references alliances on delete cascade not valid":
    ["different constraint corps.corps_alliance_fkey notValid"],
  "alter table corps alter constraint corps_alliance_fkey deferrable initially deferred":
    [
      "different constraint corps.corps_alliance_fkey deferrable",
      "different constraint corps.corps_alliance_fkey deferred",
    ],
  "alter table corps drop constraint corps_seats_excl": [
    "missing constraint corps.corps_seats_excl",
  ],
  // Indexes.
  "drop index corps_note_idx": ["missing index corps.corps_note_idx"],
  "create index extra_idx on corps (note)": ["extra index corps.extra_idx"],
  "drop index corps_note_idx; create index corps_note_idx on corps (lower(note)) where id > 1":
    ["different index corps.corps_note_idx definition"],
  "drop index corps_note_idx; create index corps_note_idx on corps using hash (lower(note)) where id > 0":
    ["different index corps.corps_note_idx definition"],
  "drop index corps_pair_idx; create index corps_pair_idx on corps (alliance, note)":
    ["different index corps.corps_pair_idx definition"],
  "drop index corps_pair_idx; create unique index corps_pair_idx on corps (alliance, note) nulls not distinct":
    ["different index corps.corps_pair_idx definition"],
  "alter index corps_note_idx set (fillfactor = 50)": [
    "different index corps.corps_note_idx definition",
  ],
  "update pg_index set indisvalid = false where indexrelid = 'corps_note_idx'::regclass":
    ["different index corps.corps_note_idx invalid"],
  "cluster corps using corps_pair_idx": [
    "different index corps.corps_pair_idx clustered",
  ],
  "drop index events_kind_idx": ["missing index events.events_kind_idx"],
  "create index partition_idx on events_old (at)": [
    "extra index events_old.partition_idx",
  ],
  "drop index counts_n_idx": [
    "missing index counts.counts_n_idx",
  ],
  // Triggers, rules, policies.
  "drop trigger touched on corps": ["missing trigger corps.touched"],
  "alter table corps disable trigger touched": [
    "different trigger corps.touched enabled",
  ],
  "alter table corps enable replica trigger touched": [
    "different trigger corps.touched enabled",
  ],
  "create or replace trigger touched before update of id on corps for each row execute function touch()":
    ["different trigger corps.touched definition"],
  "create trigger other after insert on corps execute function touch()": [
    "extra trigger corps.other",
  ],
  "drop rule quiet on corps": ["missing rule corps.quiet"],
  "drop policy seen on corps": ["missing policy corps.seen"],
  "alter policy seen on corps using (id > 2)": [
    "different policy corps.seen using",
  ],
  "alter policy seen on corps to postgres": [
    "different policy corps.seen roles",
  ],
  "create policy other on corps as restrictive for delete using (true)": [
    "extra policy corps.other",
  ],
  // Views.
  "drop view members": ["missing view members"],
  "create or replace view names as select name, id from alliances where id > 4":
    ["different view names definition"],
  "alter view names set (security_barrier = true)": [
    "different view names options",
  ],
  "create view more as select 1 as one": ["extra view more"],
  "drop materialized view counts": ["missing materialized view counts"],
  "comment on view names is 'names'": ["different view names comment"],
  // Types.
  "alter type security add value 'none'": ["different enum security values"],
  "alter type security rename value 'null' to 'zero'": [
    "different enum security values",
  ],
  "alter type pair add attribute c integer": ["different type pair attributes"],
  "create type extra as enum ()": ["extra enum extra"],
  "drop type span": ["missing range span"],
  "alter domain isk set not null": ["different domain isk notNull"],
  "alter domain isk set default 1": ["different domain isk default"],
  "alter domain isk drop constraint positive": [
    "missing constraint isk.positive",
  ],
  "comment on type security is 'how safe'": ["different enum security comment"],
  // Functions.
  "drop procedure tidy()": ["missing procedure tidy()"],
  "create function more() returns void language sql as ''": [
    "extra function more()",
  ],
  "create or replace function double(a integer, b text default 'x') returns integer language sql immutable as 'select a * 3'":
    ["different function double(integer, text) body"],
  "create or replace function double(a integer, b text default 'y') returns integer language sql immutable as 'select a * 2'":
    ["different function double(integer, text) arguments"],
  "alter function double(integer, text) volatile": [
    "different function double(integer, text) volatility",
  ],
  "alter function double(integer, text) strict security definer": [
    "different function double(integer, text) securityDefiner",
    "different function double(integer, text) strict",
  ],
  "alter function touch() set search_path = pg_catalog": [
    "different function touch() settings",
  ],
  "alter function touch() set work_mem = '8MB'": [
    "different function touch() settings",
  ],
  "drop aggregate total(integer)": ["missing aggregate total(integer)"],
  // Sequences.
  "drop sequence ticket": ["missing sequence ticket"],
  "create sequence other": ["extra sequence other"],
  "alter sequence ticket increment 2 cycle": [
    "different sequence ticket options.cycle",
    "different sequence ticket options.increment",
  ],
  "alter sequence ticket owned by corps.note": [
    "different sequence ticket ownedBy",
  ],
  // Grants.
  "grant select on corps to public": ["different table corps grants to public"],
  "grant select (note), update (note) on corps to public": [
    "different table corps grants to public",
  ],
  "revoke execute on procedure tidy() from public": [
    "different procedure tidy() grants to public",
  ],
  // What is none of a schema's business, and no difference.
  "create table events_new partition of events for values from ('2021-01-01') to ('2022-01-01')":
    [],
  "create extension citext": [],
  "create extension hstore; create schema elsewhere; create table elsewhere.t (id integer)":
    [],
  "create statistics s on id, alliance from corps": [],
  "alter table corps alter note set statistics 500": [],
  "insert into parent values (1); analyze parent": [],
  "refresh materialized view counts": [],
  "select nextval('ticket')": [],
  "create table migration_history (id integer); create table migration_backfills (id serial)":
    [],
};

type Rows = readonly Readonly<Record<string, string | null>>[];

async function snapshot(sql: postgres.Sql, version: number): Promise<Side> {
  const results = await sql.unsafe(snapshotQuery({
    schema: "public",
    versionNumber: version * 10_000,
    without: ["migration_history", "migration_backfills"],
    bodies: true,
    grants: true,
    lockTimeoutMs: 0,
  })) as unknown as readonly Rows[];
  return sideOf(
    new Map(
      results.at(-1)!.map(({ identity, hash, parent, grants, body }) => [
        identity!,
        {
          hash: hash!,
          body: JSON.parse(body!),
          ...(parent !== null && { parent: parent! }),
          ...(grants !== null && { grants: JSON.parse(grants!) }),
        },
      ]),
    ),
  );
}

function compared(expected: Side, found: Side): string[] {
  const { differences } = compareSchemas(expected, found, { grants: true });
  return differences.map(({ kind, type, object, part }) =>
    [kind, type, object, ...(part === null ? [] : [part])].join(" ")
  );
}

pgTest("verify finds each of many changes, and nothing else", async (db) => {
  const { "insight.json": text = "" } = await recorded(MIGRATIONS);
  const { migrations } = readRecording(text);
  const expected = sideOf(foldSnapshot(migrations, db.version));
  const sql = postgres(db.url, { max: 1, onnotice: () => {} });
  try {
    for (const statement of SCHEMA) await sql.unsafe(statement);
    assertEquals(compared(expected, await snapshot(sql, db.version)), []);
    const found: Record<string, readonly string[]> = {};
    for (const mutation of Object.keys(MUTATIONS)) {
      await sql.unsafe("begin");
      try {
        await sql.unsafe(mutation);
        found[mutation] = compared(expected, await snapshot(sql, db.version));
      } catch (error) {
        throw new Error(mutation, { cause: error });
      } finally {
        await sql.unsafe("rollback");
      }
    }
    const sorted = (all: Readonly<Record<string, readonly string[]>>) =>
      Object.fromEntries(
        Object.entries(all).map(([key, list]) => [key, list.toSorted()]),
      );
    assertEquals(sorted(found), sorted(MUTATIONS));
  } finally {
    await sql.end();
  }
});
