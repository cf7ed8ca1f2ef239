/**
 * A real PgBouncer before a test's database.
 *
 * @module
 */
import postgres from "postgres";
import { assertSaid } from "../program/needs.ts";
import type { Certificate } from "./certificates.ts";
import { queryUrl } from "./postgres.ts";
import { waitFor } from "../program/wait.ts";

export interface Pooler {
  /** The connection string of the server, led through the pooler. */
  url(direct: string): string;
  /** How many clients wait for a connection to the server. */
  waiting(): Promise<number>;
}

export interface PoolerOptions {
  /** @default {"transaction"} */
  readonly mode?: "transaction" | "session";
  /** Connections to the server for each database and user. @default {2} */
  readonly poolSize?: number;
  /** Shown to clients that come over TLS. @default {no TLS} */
  readonly certificate?: Certificate;
}

/** Where Debian puts it; a user's own path may lack the folder. */
const PATH = `${Deno.env.get("PATH") ?? ""}:/usr/sbin`;

/** PgBouncer refuses to run as root. */
const NOBODY = 65_534;

/** Runs a PgBouncer that leads every database of a server, and ends it afterwards. */
export async function withPgBouncer<T>(
  server: { readonly adminUrl: string },
  use: (pooler: Pooler) => Promise<T>,
  options: PoolerOptions = {},
): Promise<T> {
  assertSaid("pgbouncer");
  const direct = new URL(server.adminUrl);
  const folder = await Deno.makeTempDir({ prefix: "pgbouncer-" });
  const port = freePort();
  const files: Record<string, string> = {
    ...await tlsFiles(options.certificate),
    "users.txt": `"${direct.username}" "${direct.password}"\n`,
    "pgbouncer.ini": `[databases]
* = host=${direct.hostname} port=${direct.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${folder}/users.txt
logfile = ${folder}/pgbouncer.log
pool_mode = ${options.mode ?? "transaction"}
default_pool_size = ${options.poolSize ?? 2}
max_client_conn = 100
admin_users = ${direct.username}
${
      options.certificate === undefined ? "" : `client_tls_sslmode = allow
client_tls_cert_file = ${folder}/client.crt
client_tls_key_file = ${folder}/client.key
`
    }`,
  };
  const account = Deno.uid() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
  for (const [name, content] of Object.entries(files)) {
    await Deno.writeTextFile(`${folder}/${name}`, content);
  }
  if (Deno.uid() === 0) {
    for (const path of ["", ...Object.keys(files)]) {
      await Deno.chown(`${folder}/${path}`, NOBODY, NOBODY);
    }
  }
  const child = new Deno.Command("pgbouncer", {
    args: ["--quiet", `${folder}/pgbouncer.ini`],
    env: { PATH },
    stdin: "null",
    stdout: "null",
    stderr: "null",
    ...account,
  }).spawn();
  try {
    const url = (to: string) => {
      const through = new URL(to);
      through.port = `${port}`;
      return through.href;
    };
    await waitFor(
      "PgBouncer takes connections",
      () =>
        queryUrl(url(server.adminUrl), "select 1").then(
          () => true,
          () => false,
        ),
    );
    return await use({
      url,
      waiting: () => countWaiting(url(server.adminUrl)),
    });
  } finally {
    child.kill("SIGTERM");
    await child.status;
    await Deno.remove(folder, { recursive: true });
  }
}

/** Copies of its own, which it may read. */
async function tlsFiles(
  certificate: Certificate | undefined,
): Promise<Record<string, string>> {
  if (certificate === undefined) return {};
  return {
    "client.crt": await Deno.readTextFile(certificate.certificate),
    "client.key": await Deno.readTextFile(certificate.key),
  };
}

/** Asks PgBouncer's own console, which knows nothing but `show`. */
async function countWaiting(url: string): Promise<number> {
  const console = new URL(url);
  console.pathname = "/pgbouncer";
  const sql = postgres(console.href, { max: 1, fetch_types: false });
  try {
    const rows = await sql.unsafe("show pools").simple();
    return rows.reduce((sum, row) => sum + Number(row.cl_waiting), 0);
  } finally {
    await sql.end();
  }
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
