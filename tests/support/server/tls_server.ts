/**
 * A PostgreSQL server that shows the certificate it is told to, and knows how it was connected to.
 *
 * @module
 */
import { join } from "node:path";
import { startServer } from "../../../scripts/dev/embedded_postgres.ts";
import {
  makePrivateFolder,
  type PostgresVersion,
} from "../../../scripts/dev/postgres_binaries.ts";
import {
  type Certificate,
  makeAuthority,
  makeSelfSigned,
  SIGNATURES,
} from "./certificates.ts";
import { queryUrl, testServers } from "./postgres.ts";
import { waitFor } from "../program/wait.ts";

/** What the server shows: signed by {@link TlsServer.authority}, but for those that say how they are signed, and nothing. */
export type Shown =
  | "good"
  | "other name"
  | "name only"
  | "expired"
  | keyof typeof SIGNATURES
  | "none";

export interface TlsServer extends AsyncDisposable {
  readonly port: number;
  /** The path of the authority that signs the server's certificates. */
  readonly authority: string;
  /** The path of an authority that has signed nothing here. */
  readonly otherAuthority: string;
  /** For the role `with_certificate`, which can log in with it only. */
  readonly clientCertificate: Certificate;
  show(what: Shown): Promise<void>;
  /** The certificates that it may show. */
  readonly certificates: Readonly<Record<Exclude<Shown, "none">, Certificate>>;
  /** A connection string of the superuser, or of `with_certificate`. */
  url(
    query: string,
    options?: { host?: string; user?: "with_certificate" },
  ): string;
  query<Row = Record<string, unknown>>(text: string): Promise<Row[]>;
  /** How the migrator last logged in: `TLSv1.3`, `plain`, or not at all since the last call. */
  lastLogin(): Promise<string | undefined>;
}

/** Starts a server of the newest version that is being tested. */
export async function startTlsServer(): Promise<TlsServer> {
  const folder = await Deno.makeTempDir({
    dir: await makePrivateFolder(),
    prefix: "tls-",
  });
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => Deno.remove(folder, { recursive: true }));
  // The server's user must get through, and so must the one that the program runs as.
  await Deno.chmod(folder, 0o755);
  const files = join(folder, "certificates");
  await Deno.mkdir(files);
  const authority = await makeAuthority(files, "authority");
  const other = await makeAuthority(files, "other");
  const clientCertificate = await authority.issue({
    subject: "with_certificate",
  });
  const server = await startServer({
    version: testServers().at(-1)!.version as PostgresVersion,
    folder: join(folder, "server"),
    settings: { fsync: "off", log_connections: "on" },
  });
  cleanup.defer(() => server.stop());
  const data = join(folder, "server", "data");
  const query = <Row>(text: string) => queryUrl<Row>(server.url(), text);
  const both = "DNS:localhost,IP:127.0.0.1";
  const certificates: Record<Exclude<Shown, "none">, Certificate> = {
    good: await authority.issue({ subject: "good", alternatives: both }),
    "other name": await authority.issue({
      subject: "db.example.org",
      alternatives: "DNS:db.example.org",
    }),
    "name only": await authority.issue({
      subject: "localhost",
      alternatives: "DNS:localhost",
    }),
    expired: await authority.issue({
      subject: "expired",
      alternatives: both,
      expired: true,
    }),
    ...await selfSigned(files),
  };
  await openFiles(files);
  await prepare(data, authority.certificate);
  await query("create role with_certificate login superuser");
  let shown: Shown = "none";
  let read = 0;

  const owned = cleanup.move();
  return {
    port: server.port,
    authority: authority.certificate,
    otherAuthority: other.certificate,
    clientCertificate,
    certificates,
    query,
    show,
    lastLogin,
    url: (parameters, { host = "localhost", user } = {}) => {
      const url = new URL(server.url());
      url.hostname = host;
      url.search = parameters;
      if (user) [url.username, url.password] = [user, ""];
      return url.href;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };

  async function show(what: Shown): Promise<void> {
    if (what === shown) return;
    if (what !== "none") {
      const { certificate, key } = certificates[what];
      await give(data, certificate, "server.crt");
      await give(data, key, "server.key");
    }
    const settings = {
      ssl: what === "none" ? "off" : "on",
      ssl_ca_file: "authority.crt",
    };
    for (const [name, value] of Object.entries(settings)) {
      await query(`alter system set ${name} = '${value}'`);
    }
    const loaded = "select pg_conf_load_time()::text as at";
    const [before] = await query<{ at: string }>(loaded);
    await query("select pg_reload_conf()");
    // Only a session that begins after the reload has the new time.
    await waitFor("the server's new certificate", async () => {
      const [now] = await query<{ at: string }>(loaded);
      return now?.at !== before?.at;
    });
    shown = what;
  }

  async function lastLogin(): Promise<string | undefined> {
    const log = await Deno.readTextFile(join(data, "server.log"));
    const lines = log.slice(read).split("\n");
    read = log.length;
    const line = lines.findLast((line) =>
      line.includes("connection authorized") &&
      line.includes("application_name=battlescope-migrate")
    );
    if (line === undefined) return undefined;
    return /SSL enabled \(protocol=([^,]+)/.exec(line)?.[1] ?? "plain";
  }
}

async function selfSigned(
  folder: string,
): Promise<Record<keyof typeof SIGNATURES, Certificate>> {
  const names = Object.keys(SIGNATURES) as (keyof typeof SIGNATURES)[];
  const made = names.map(async (name) =>
    [name, await makeSelfSigned(folder, name)] as const
  );
  return Object.fromEntries(await Promise.all(made)) as Record<
    keyof typeof SIGNATURES,
    Certificate
  >;
}

async function prepare(data: string, authority: string): Promise<void> {
  await give(data, authority, "authority.crt");
  const hba = join(data, "pg_hba.conf");
  const rules = await Deno.readTextFile(hba);
  await Deno.writeTextFile(
    hba,
    `hostssl all with_certificate all cert\n` +
      `hostnossl all with_certificate all reject\n${rules}`,
  );
}

/** Copies a file into the server's data, where it belongs to the server. */
async function give(data: string, from: string, name: string): Promise<void> {
  const path = join(data, name);
  const { uid, gid } = await Deno.stat(data);
  await Deno.copyFile(from, path);
  await Deno.chmod(path, 0o600);
  await Deno.chown(path, uid, gid);
}

/** The program reads them as another user. */
async function openFiles(folder: string): Promise<void> {
  for await (const { name } of Deno.readDir(folder)) {
    await Deno.chmod(join(folder, name), 0o644);
  }
}
