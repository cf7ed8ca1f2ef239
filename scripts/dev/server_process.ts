/**
 * The processes of the embedded PostgreSQL: under which user they run, how they are started and how they are found.
 *
 * @module
 */
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { kill } from "node:process";

/** A user that server programs run as; none means the one that we are. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** The main process of a server, as its `postmaster.pid` describes it. */
export interface Postmaster {
  readonly pid: number;
  readonly port: number;
  readonly ready: boolean;
}

/** Everything about one data folder that its programs need to know. */
export interface Cluster {
  readonly version: number;
  readonly data: string;
  /** The folder of `initdb` and `pg_ctl`. */
  readonly programs: string;
  readonly account: Account | undefined;
}

/**
 * The user that owns the data folder, or is going to. PostgreSQL refuses to run as root, so root hands the work to a
 * user that nobody can log in as.
 */
export async function clusterAccount(
  data: string,
): Promise<Account | undefined> {
  if (Deno.uid() !== 0) return undefined;
  const info = await Deno.stat(data).catch(() => undefined);
  if (info && info.uid !== null && info.gid !== null) {
    return { uid: info.uid, gid: info.gid };
  }
  const taken = new Set((await accounts()).map(({ uid }) => uid));
  // A range that no distribution hands out (systemd lists it as unused).
  let uid = 60818;
  while (taken.has(uid)) uid++;
  return { uid, gid: uid };
}

/** `initdb` insists on a user with a name. These have one everywhere, and no process of their own anywhere. */
export async function initAccount(): Promise<Account | undefined> {
  if (Deno.uid() !== 0) return undefined;
  const known = await accounts();
  for (const name of ["bin", "daemon", "nobody"]) {
    const found = known.find((account) => account.name === name);
    if (found) return found;
  }
  throw new Error(
    'Cannot initialise a database as root: /etc/passwd has no user "bin" to do it as; run as another user',
  );
}

async function accounts(): Promise<(Account & { name: string })[]> {
  const passwd = await Deno.readTextFile("/etc/passwd");
  return passwd.split("\n").filter(Boolean).map((line) => {
    const [name = "", , uid, gid] = line.split(":");
    return { name, uid: Number(uid), gid: Number(gid) };
  });
}

/**
 * The data folder as its programs are told it. Under another user they may be unable to walk there (a checkout below
 * /root), so they are born in it and stay. PostgreSQL 15 leaves its working folder for a moment: it needs a real path.
 */
export function dataPath({ account, version, data }: Cluster): string {
  return entersFolder(account) && version > 15 ? "/proc/self/cwd" : data;
}

/** Runs a server program in a data folder, out of reach of the terminal's Ctrl-C. */
export async function runProgram(
  { programs, account, data }: Cluster,
  name: "initdb" | "pg_ctl",
  args: readonly string[],
): Promise<{ success: boolean; output: string }> {
  const program = join(programs, name);
  // The handle is opened with our rights and entered by the child after it has given them up.
  const handle = entersFolder(account) ? openSync(data, "r") : undefined;
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command(program, {
      args: [...args],
      cwd: handle === undefined ? data : `/proc/self/fd/${handle}`,
      clearEnv: true,
      env: { PATH: "/usr/local/bin:/usr/bin:/bin", LC_ALL: "C" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      detached: true,
      ...account,
    }).spawn();
  } catch (error) {
    throw new Error(
      `Cannot run "${program}" in "${data}": ${
        error instanceof Error ? error.message : error
      }`,
    );
  } finally {
    if (handle !== undefined) closeSync(handle);
  }
  const { success, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return {
    success,
    output: (decoder.decode(stdout) + decoder.decode(stderr)).trim(),
  };
}

function entersFolder(account: Account | undefined): boolean {
  return account !== undefined && Deno.build.os === "linux";
}

/** The server that is at work in a data folder; none if it has ended, however it ended. */
export async function findPostmaster(
  data: string,
): Promise<Postmaster | undefined> {
  const file = await Deno.readTextFile(join(data, "postmaster.pid"))
    .catch((error) => {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    });
  if (file === undefined) return undefined;
  const lines = file.split("\n").map((line) => line.trim());
  const pid = Number(lines[0]);
  // The number may belong to another program by now: after a reboot, in a new container.
  if (!isAlive(pid) || !await worksIn(pid, data)) return undefined;
  return { pid, port: Number(lines[3]), ready: lines[7] === "ready" };
}

/** Whether a process has that number, whosever it is. */
export function isAlive(pid: number): boolean {
  try {
    return kill(pid, 0);
  } catch (error) {
    return (error as { code?: string }).code === "EPERM";
  }
}

async function worksIn(pid: number, data: string): Promise<boolean> {
  const folder = await Deno.realPath(data);
  // Deno.readLink refuses /proc without --allow-all.
  const [program, ...args] = Deno.build.os === "linux"
    ? ["readlink", `/proc/${pid}/cwd`] as const
    : ["ps", "-o", "command=", "-p", `${pid}`] as const;
  const { stdout } = await new Deno.Command(program, { args, stderr: "null" })
    .output();
  const answer = new TextDecoder().decode(stdout).trim();
  return Deno.build.os === "linux"
    ? answer === folder
    : answer.includes(folder) || answer.includes(data);
}
