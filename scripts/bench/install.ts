/**
 * What the program is compared with: fetched from npm and from Debian into a folder of its own.
 *
 * @module
 */
import { join } from "node:path";
import { makePrivateFolder } from "../dev/postgres_binaries.ts";
import { run } from "./process.ts";

/** The tools that there are, and why the others are missing. */
export interface Installation {
  /** Holds `node_modules`: what lies below finds the packages in it. */
  readonly folder: string;
  readonly node: Found | undefined;
  readonly dbmate: Found | undefined;
  readonly sqlMigrate: Found | undefined;
  readonly psql: Found | undefined;
  /** By the names under which the tools are shown. */
  readonly missing: ReadonlyMap<string, string>;
}

/** A program that can be run. */
export interface Found {
  readonly path: string;
  readonly version: string;
}

/** From npm, for the benchmark alone. */
export const PACKAGES = {
  "kysely": "0.29.9",
  "pg": "8.23.1",
  "node-pg-migrate": "9.0.0",
  "dbmate": "2.36.0",
} as const;

/** Finds the tools, or fetches them. What cannot be had is left out, with the reason. */
export async function install(
  say: (line: string) => void,
): Promise<Installation> {
  const folder = join(await makePrivateFolder(), "bench");
  await Deno.mkdir(folder, { recursive: true });
  const missing = new Map<string, string>();
  const find = async (names: readonly string[], use: () => Promise<Found>) => {
    try {
      return await use();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      for (const name of names) missing.set(name, reason.split("\n")[0]!);
      return undefined;
    }
  };
  const packages = await find(
    ["Kysely's Migrator", "node-pg-migrate", "dbmate"],
    () => npmPackages(folder, say),
  );
  return {
    folder,
    missing,
    node: packages &&
      await find(["Kysely's Migrator", "node-pg-migrate"], findNode),
    dbmate: packages && await find(["dbmate"], () => findDbmate(folder)),
    sqlMigrate: await find(["sql-migrate"], () => findSqlMigrate(folder, say)),
    psql: await find(["psql -1 -f"], () => findPsql(folder, say)),
  };
}

async function npmPackages(
  folder: string,
  say: (line: string) => void,
): Promise<Found> {
  const manifest = JSON.stringify({ private: true, dependencies: PACKAGES });
  const path = join(folder, "package.json");
  const known = await Deno.readTextFile(path).catch(() => "");
  if (known !== manifest) {
    say("Fetching the other tools from npm");
    await Deno.writeTextFile(path, manifest);
    try {
      const quiet = ["--no-audit", "--no-fund", "--ignore-scripts"];
      await run(["npm", "install", "--silent", ...quiet], { cwd: folder });
    } catch (error) {
      await Deno.remove(path);
      throw error;
    }
  }
  return { path: join(folder, "node_modules"), version: "" };
}

async function findNode(): Promise<Found> {
  const version = await run(["node", "--version"]);
  return { path: "node", version: version.trim().replace(/^v/, "") };
}

async function findDbmate(folder: string): Promise<Found> {
  const { os, arch } = Deno.build;
  const platform = `${os}-${arch === "aarch64" ? "arm64" : "x64"}`;
  const path = join(folder, `node_modules/@dbmate/${platform}/bin/dbmate`);
  await run([path, "--version"]);
  return { path, version: PACKAGES.dbmate };
}

async function findSqlMigrate(
  folder: string,
  say: (line: string) => void,
): Promise<Found> {
  const path = join(folder, "debian/usr/bin/sql-migrate");
  await debianPackage("sql-migrate", path, folder, say);
  const info = await run(["dpkg-deb", "--field", `${folder}/sql-migrate.deb`]);
  const version = /^Version: (.*)$/m.exec(info)?.[1] ?? "";
  return { path, version: version.replace(/\+b\d+$/, "") };
}

async function findPsql(
  folder: string,
  say: (line: string) => void,
): Promise<Found> {
  const find = async (path: string): Promise<Found> => {
    const said = await run([path, "--version"]);
    return { path, version: /\d+\.\d+/.exec(said)?.[0] ?? "" };
  };
  try {
    return await find("psql");
  } catch {
    const path = join(folder, "debian/usr/lib/postgresql/15/bin/psql");
    await debianPackage("postgresql-client-15", path, folder, say);
    return await find(path);
  }
}

/** Unpacks a package of Debian without installing it. */
async function debianPackage(
  name: string,
  path: string,
  folder: string,
  say: (line: string) => void,
): Promise<void> {
  if (await Deno.stat(path).then(() => true, () => false)) return;
  say(`Fetching ${name} from Debian`);
  const draft = await Deno.makeTempDir({ dir: folder });
  try {
    await run(["apt-get", "download", name], { cwd: draft }).catch(async () => {
      await run(["apt-get", "update"]);
      await run(["apt-get", "download", name], { cwd: draft });
    });
    const [file] = await Array.fromAsync(Deno.readDir(draft));
    const archive = `${folder}/${name}.deb`;
    await Deno.rename(join(draft, file!.name), archive);
    await run(["dpkg-deb", "--extract", archive, join(folder, "debian")]);
  } finally {
    await Deno.remove(draft, { recursive: true });
  }
}
