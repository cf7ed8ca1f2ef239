/**
 * A fresh database on a real server for every test, on each of the versions that `deno task test` has started.
 *
 * @module
 */
import postgres from "postgres";
import { SERVERS_VARIABLE } from "../../../scripts/dev/test_environment.ts";
import type { NeedName } from "../../../scripts/dev/test_needs.ts";
import { withNeeds } from "../program/needs.ts";

export interface TestServer {
  readonly version: number;
  /** The superuser's connection string of the maintenance database. */
  readonly url: string;
}

export interface TestDatabase {
  /** 15, 16, 17 or 18. */
  readonly version: number;
  readonly name: string;
  /** The superuser's connection string of this database. */
  readonly url: string;
  /** The superuser's connection string of the maintenance database. */
  readonly adminUrl: string;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** Runs SQL as the superuser, on a connection of its own. Of several statements the last one's rows count. */
  query<Row = Record<string, unknown>>(
    text: string,
    parameters?: readonly unknown[],
  ): Promise<Row[]>;
  /** Creates a login role. `grants` gets its name and returns the statements to run in this database. */
  createRole(grants?: (name: string) => readonly string[]): Promise<TestRole>;
  /** Creates another database on the same server. */
  createDatabase(): Promise<{ readonly name: string; readonly url: string }>;
}

export interface TestRole {
  readonly name: string;
  readonly password: string;
  /** The role's connection string of the test's database. */
  readonly url: string;
}

export interface PgTestOptions {
  /** Only on these versions. @default {every version that is running} */
  readonly versions?: readonly number[];
  /** Settings of the fresh database: `alter database … set`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** What it needs besides Node. @default {nothing} */
  readonly needs?: readonly NeedName[];
}

/** Registers a test for each running version, `<name> [pg18]`, with a fresh database that is dropped afterwards. */
export function pgTest(
  name: string,
  test: (db: TestDatabase, context: Deno.TestContext) => Promise<void> | void,
  options: PgTestOptions = {},
): void {
  for (const server of testServers()) {
    const { version } = server;
    if (options.versions && !options.versions.includes(version)) continue;
    Deno.test({
      ...withNeeds(`${name} [pg${version}]`, options.needs),
      fn: (context) =>
        withDatabase(server, (db) => test(db, context), options.settings),
    });
  }
}

/** The running servers, oldest first. Without any there is no test to pass: that is a failure, not a skip. */
export function testServers(): readonly TestServer[] {
  const value = Deno.env.get(SERVERS_VARIABLE);
  if (value) return JSON.parse(value);
  throw new Error(
    `Cannot test without a server: ${SERVERS_VARIABLE} is not set; run the tests with "deno task test [FILE]"`,
  );
}

/** Runs SQL on a connection of its own. Of several statements the last one's rows count. */
export async function queryUrl<Row = Record<string, unknown>>(
  url: string,
  text: string,
  parameters: readonly unknown[] = [],
): Promise<Row[]> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    const result = await sql.unsafe(text, [...parameters] as never[]);
    const last: unknown = result.at(-1);
    return [...(Array.isArray(last) ? last : result)] as Row[];
  } finally {
    await sql.end();
  }
}

async function withDatabase(
  server: TestServer,
  test: (db: TestDatabase) => Promise<void> | void,
  settings: Readonly<Record<string, string>> = {},
): Promise<void> {
  const admin = (text: string) => queryUrl(server.url, text);
  const cleanup: string[] = [];
  const { hostname, port, username, password } = new URL(server.url);
  try {
    const name = randomName("test");
    cleanup.push(`drop database if exists ${name} with (force)`);
    await admin(`create database ${name}`);
    const url = urlOf(server.url, { database: name });
    for (const [key, value] of Object.entries(settings)) {
      const literal = value.replaceAll("'", "''");
      await admin(`alter database ${name} set ${key} = '${literal}'`);
    }
    await test({
      version: server.version,
      name,
      url,
      adminUrl: server.url,
      host: hostname,
      port: Number(port),
      user: username,
      password,
      query: (text, parameters) => queryUrl(url, text, parameters),
      createRole: async (grants = () => []) => {
        const role = randomName("role");
        // Last in, last out: what a role owns and may do goes with the databases.
        cleanup.push(`drop role if exists ${role}`);
        const secret = randomName("secret");
        await admin(`create role ${role} login password '${secret}'`);
        const statements = grants(role);
        if (statements.length > 0) await queryUrl(url, statements.join(";\n"));
        return {
          name: role,
          password: secret,
          url: urlOf(url, { user: role, password: secret }),
        };
      },
      createDatabase: async () => {
        const other = randomName("test");
        cleanup.unshift(`drop database if exists ${other} with (force)`);
        await admin(`create database ${other}`);
        return { name: other, url: urlOf(server.url, { database: other }) };
      },
    });
  } finally {
    for (const statement of cleanup) await admin(statement);
  }
}

function urlOf(
  base: string,
  parts: { database?: string; user?: string; password?: string },
): string {
  const url = new URL(base);
  if (parts.database) url.pathname = `/${parts.database}`;
  if (parts.user) url.username = parts.user;
  if (parts.password) url.password = parts.password;
  return url.href;
}

/** Lower case and digits only, so that it needs no quoting. */
function randomName(prefix: string): string {
  return `${prefix}_${crypto.randomUUID().replaceAll("-", "").slice(0, 20)}`;
}
