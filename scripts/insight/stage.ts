/**
 * A fresh database of an ordinary owner, as migrations find it in production, and what the server says of its schema.
 *
 * @module
 */
import postgres, { type Sql } from "postgres";
import { type Json, type SchemaObject } from "../../src/insight/recording.ts";
import type { Snapshot } from "../../src/insight/snapshot.ts";
import { snapshotQuery } from "../../src/postgres/catalog/snapshot_query.ts";
import { OWN_TABLES } from "../../src/postgres/history/place.ts";
import type { Server } from "../dev/embedded_postgres.ts";

/** Who runs the migrations. */
const OWNER = "insight";

/**
 * As in production: what a migration writes as a time without a zone (the bound of a partition, a default) becomes a moment in
 * the zone of the session.
 */
const SETTINGS = { TimeZone: "UTC", lc_messages: "C" };

/** A database that only its owner and a superuser use. */
export interface Stage extends AsyncDisposable {
  /** The owner's connection string. */
  readonly url: string;
  /** What the server says its version is, `18.4`. */
  readonly version: string;
  /** Runs SQL as the superuser. */
  run(text: string): Promise<void>;
  /** Does the work while the owner is a superuser, if it is to be one: what it makes still belongs to it. */
  elevated<T>(isSuperuser: boolean, work: () => Promise<T>): Promise<T>;
  snapshot(): Promise<Snapshot>;
}

/**
 * @param setup what a superuser runs first
 * @param settings of the database, besides those of every stage
 */
export async function openStage(
  server: Server,
  setup: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<Stage> {
  const name = `insight_${
    crypto.randomUUID().replaceAll("-", "").slice(0, 12)
  }`;
  const roles = await withAdmin(server, async (admin) => {
    await admin.unsafe(
      `do $$ begin create role ${OWNER} login password '${server.password}';
      exception when duplicate_object then null; end $$`,
    );
    await admin.unsafe(`create database ${name} owner ${OWNER}`);
    const all = { ...SETTINGS, ...settings };
    for (const [setting, value] of Object.entries(all)) {
      await admin.unsafe(`alter database ${name} set ${setting} = '${value}'`);
    }
    return await roleNames(admin);
  });
  const sql = postgres(server.url(name), { max: 1, onnotice: () => {} });
  const stage: Stage = {
    url: ownerUrl(server, name),
    version: "",
    run: async (text) => void await sql.unsafe(text),
    elevated: async (isSuperuser, work) => {
      if (!isSuperuser) return await work();
      await sql.unsafe(`alter role ${OWNER} superuser`);
      try {
        return await work();
      } finally {
        await sql.unsafe(`alter role ${OWNER} nosuperuser`);
      }
    },
    snapshot: async () => {
      const results = await sql.unsafe(snapshotQuery({
        schema: "public",
        versionNumber: server.version * 10_000,
        without: OWN_TABLES,
        bodies: true,
        grants: true,
        lockTimeoutMs: 0,
      })) as unknown as readonly (readonly SnapshotRow[])[];
      return new Map(
        results.at(-1)!.map((row) => [row.identity, objectOf(row)]),
      );
    },
    [Symbol.asyncDispose]: async () => {
      await sql.end({ timeout: 5 });
      await withAdmin(server, async (admin) => {
        await admin.unsafe(`drop database ${name} with (force)`);
        if (setup !== "") await removeRoles(admin, roles);
      });
    },
  };
  try {
    if (setup.trim() !== "") await stage.run(setup);
    const [row] = await sql`show server_version`;
    const [version = ""] = String(row!.server_version).split(" ");
    return { ...stage, version };
  } catch (error) {
    await stage[Symbol.asyncDispose]();
    throw error;
  }
}

async function withAdmin<T>(
  server: Server,
  use: (admin: Sql) => Promise<T>,
): Promise<T> {
  const admin = postgres(server.url(), { max: 1, onnotice: () => {} });
  try {
    return await use(admin);
  } finally {
    await admin.end();
  }
}

async function roleNames(admin: Sql): Promise<readonly string[]> {
  const rows = await admin`select quote_ident(rolname) as name from pg_roles`;
  return rows.map(({ name }) => String(name));
}

/** The roles that the setup has made outlast the database, and would be there before the next. */
async function removeRoles(
  admin: Sql,
  before: readonly string[],
): Promise<void> {
  for (const role of await roleNames(admin)) {
    if (!before.includes(role)) await admin.unsafe(`drop role ${role}`);
  }
}

interface SnapshotRow {
  readonly identity: string;
  readonly parent: string | null;
  readonly hash: string;
  readonly body: string;
  readonly grants: string | null;
}

function objectOf({ hash, parent, body, grants }: SnapshotRow): SchemaObject {
  return {
    hash,
    body: JSON.parse(body) as Json,
    ...(parent !== null && { parent }),
    ...(grants !== null && { grants: JSON.parse(grants) }),
  };
}

function ownerUrl(server: Server, database: string): string {
  const url = new URL(server.url(database));
  url.username = OWNER;
  return url.href;
}
