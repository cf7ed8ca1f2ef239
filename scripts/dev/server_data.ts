/**
 * The data folder of the embedded PostgreSQL: how it comes to be and what is written into it from outside.
 *
 * @module
 */
import { join } from "node:path";
import { WAY_OUT } from "./postgres_binaries.ts";
import {
  type Account,
  type Cluster,
  dataPath,
  findPostmaster,
  initAccount,
  isAlive,
  runProgram,
} from "./server_process.ts";

const DRAFT = "init-";

/** Built aside and renamed when complete: an interrupted start leaves nothing that looks like data. */
export async function createCluster(
  cluster: Cluster,
  folder: string,
): Promise<void> {
  const { account } = cluster;
  // The programs of a creation that was killed may be at work in its draft for a moment: each has a folder of its own.
  const draft = join(folder, `${DRAFT}${crypto.randomUUID()}`);
  const building = {
    ...cluster,
    data: join(draft, "data"),
    account: await initAccount(),
  };
  const path = dataPath(building);
  // Only a server that must walk to its data needs to pass through.
  const mode = account && path === building.data ? 0o711 : 0o700;
  await Deno.mkdir(folder, { recursive: true, mode });
  await Deno.chmod(folder, mode);
  await Deno.mkdir(building.data, { recursive: true, mode: 0o700 });
  // That of data which were thrown away stays good: somebody may have it in a configuration.
  const known = join(folder, "password");
  const password = await exists(known)
    ? (await Deno.readTextFile(known)).trim()
    : randomPassword();
  await writeFor(undefined, known, `${password}\n`);
  await writeFor(undefined, join(draft, "password"), `${password}\n`);
  await giveTo(building.account, draft);
  const { success, output } = await runProgram(building, "initdb", [
    `--pgdata=${path}`,
    `--pwfile=${path}/../password`,
    ...["--username=postgres", "--auth=scram-sha-256"],
    ...["--encoding=UTF8", "--no-locale", "--no-sync"],
  ]);
  if (!success) {
    const reason = output.split("\n").findLast((line) =>
      /^initdb: /.test(line)
    );
    throw new Error(
      `Cannot initialise a database in "${folder}": ${
        reason ?? output
      }; ${WAY_OUT}`,
    );
  }
  await Deno.writeTextFile(
    join(building.data, "postgresql.conf"),
    "include_if_exists = 'server.conf'\n",
    { append: true },
  );
  await giveTo(account, draft);
  await Deno.rename(building.data, cluster.data);
  await removeDrafts(folder);
}

/** Removes the data of a server that does not run. Whatever interrupts it, nothing is left that looks like data. */
export async function removeCluster(folder: string): Promise<void> {
  const draft = join(folder, `${DRAFT}${crypto.randomUUID()}`);
  await Deno.rename(join(folder, "data"), draft);
  await Deno.remove(draft, { recursive: true });
}

/** Removes what this creation and any interrupted one before it have left. */
async function removeDrafts(folder: string): Promise<void> {
  for await (const { name } of Deno.readDir(folder)) {
    if (!name.startsWith(DRAFT)) continue;
    await Deno.remove(join(folder, name), { recursive: true }).catch(() => {});
  }
}

/** Writes the settings of the next start, and empties the log that it will fill. */
export async function configure(
  { account, data }: Cluster,
  port: number,
  settings: Readonly<Record<string, string>>,
): Promise<void> {
  const quote = (value: string) =>
    `'${value.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;
  const lines = Object.entries({
    ...settings,
    port: `${port}`,
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
  }).map(([name, value]) => `${name} = ${quote(value)}\n`);
  await writeFor(account, join(data, "server.conf"), lines.join(""));
  await writeFor(account, join(data, "server.log"), "");
}

/** The port that the server had last time. */
export async function lastPort(data: string): Promise<number | undefined> {
  const file = join(data, "server.conf");
  if (!await exists(file)) return undefined;
  const found = /^port = '(\d+)'$/m.exec(await Deno.readTextFile(file));
  return found ? Number(found[1]) : undefined;
}

/** PostgreSQL takes a living process of that number for its predecessor, whatever program it is, and will not start. */
export async function dropForeignPid(data: string): Promise<void> {
  const file = join(data, "postmaster.pid");
  if (!await exists(file)) return;
  const pid = Number((await Deno.readTextFile(file)).split("\n")[0]);
  if (isAlive(pid) && await findPostmaster(data) === undefined) {
    await Deno.remove(file).catch(() => {});
  }
}

function randomPassword(): string {
  return crypto.getRandomValues(new Uint8Array(24)).toHex();
}

async function writeFor(
  account: Account | undefined,
  path: string,
  content: string,
): Promise<void> {
  await Deno.writeTextFile(path, content, { mode: 0o600 });
  if (account) await Deno.chown(path, account.uid, account.gid);
}

async function giveTo(
  account: Account | undefined,
  folder: string,
): Promise<void> {
  if (account === undefined) return;
  const args = ["-hR", `${account.uid}:${account.gid}`, folder];
  const { success, stderr } = await new Deno.Command("chown", { args })
    .output();
  if (!success) {
    throw new Error(
      `Cannot give "${folder}" to user ${account.uid}: ` +
        new TextDecoder().decode(stderr).trim(),
    );
  }
}

/** Whether there is such a file or folder. */
export async function exists(path: string | URL): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
