// deno-lint-ignore-file no-console -- a script for the terminal
/**
 * The software bill of materials of the executable, in CycloneDX 1.6: `deno task sbom [FILE]`.
 *
 * It names what is inside: the packages that `src/main.ts` reaches, with the checksums of `deno.lock`, and Deno's runtime.
 * The same commit gives the same bytes.
 *
 * @module
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import config from "../../deno.json" with { type: "json" };
import { buildTime } from "./build_time.ts";

export interface Package {
  readonly name: string;
  readonly version: string;
  /** The checksum as npm writes it: `sha512-` and base64. */
  readonly integrity: string;
  /** An SPDX expression. */
  readonly license: string;
  /** `name@version` of the packages that it needs. */
  readonly dependencies: readonly string[];
}

export interface BomInput {
  readonly version: string;
  /** The Deno that runs the program. */
  readonly deno: string;
  readonly time: Date;
  /** Everything that the program reaches. */
  readonly packages: readonly Package[];
  /** `name@version` of those that it imports itself. */
  readonly direct: readonly string[];
}

const CHECKOUT = fileURLToPath(new URL("../../", import.meta.url));
const NAME = "battlescope-migrate";

/** The bill as a value; no I/O. */
export async function billOfMaterials(
  { version, deno, time, packages, direct }: BomInput,
): Promise<Record<string, unknown>> {
  const root = `pkg:generic/${NAME}@${version}`;
  const runtime = `pkg:github/denoland/deno@v${deno}`;
  const references = new Map(
    packages.map((one) => [`${one.name}@${one.version}`, npmUrl(one)]),
  );
  const refer = (names: readonly string[]) =>
    names.map((name) => references.get(name) ?? missing(name)).sort();
  const body = {
    metadata: {
      timestamp: time.toISOString(),
      component: {
        type: "application",
        "bom-ref": root,
        name: NAME,
        version,
        purl: root,
      },
    },
    components: [
      {
        type: "platform",
        "bom-ref": runtime,
        name: "deno",
        version: deno,
        purl: runtime,
        licenses: [{ license: { id: "MIT" } }],
      },
      ...packages.map((one) => ({
        type: "library",
        "bom-ref": npmUrl(one),
        name: one.name,
        version: one.version,
        purl: npmUrl(one),
        licenses: [{ expression: one.license }],
        hashes: [{ alg: "SHA-512", content: hex(one.integrity) }],
      })).sort((a, b) => a.purl < b.purl ? -1 : 1),
    ],
    dependencies: [
      { ref: root, dependsOn: [...refer(direct), runtime].sort() },
      { ref: runtime, dependsOn: [] },
      ...packages.map((one) => ({
        ref: npmUrl(one),
        dependsOn: refer(one.dependencies),
      })),
    ].sort((a, b) => a.ref < b.ref ? -1 : 1),
  };
  return {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    serialNumber: `urn:uuid:${await contentUuid(JSON.stringify(body))}`,
    version: 1,
    ...body,
  };
}

/** The bill of this checkout, as text. */
export async function sbom(deno: string = Deno.version.deno): Promise<string> {
  const bill = await billOfMaterials({
    version: config.version,
    deno,
    time: await buildTime(),
    ...await reachedPackages(),
  });
  return JSON.stringify(bill, null, 2) + "\n";
}

interface Info {
  modules: { kind: string; npmPackage?: string }[];
  npmPackages: Record<
    string,
    { name: string; version: string; dependencies: string[]; localPath: string }
  >;
}

/** What `src/main.ts` imports from npm, and what that needs in turn. */
async function reachedPackages(): Promise<
  Pick<BomInput, "packages" | "direct">
> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "src/main.ts"],
    cwd: CHECKOUT,
    env: { NO_COLOR: "1" },
  }).output();
  if (!success) {
    throw new Error(
      `Cannot list the packages: ${new TextDecoder().decode(stderr).trim()}`,
    );
  }
  const info: Info = JSON.parse(new TextDecoder().decode(stdout));
  const known = (key: string) => info.npmPackages[key] ?? missing(key);
  const label = (key: string) => `${known(key).name}@${known(key).version}`;
  const direct = new Set(
    info.modules.flatMap(({ npmPackage }) => npmPackage ? [npmPackage] : []),
  );
  const reached = new Set(direct);
  // A set may grow while it is walked: what is added is walked too.
  for (const key of reached) {
    for (const needed of known(key).dependencies) reached.add(needed);
  }
  const lock = await Deno.readTextFile(join(CHECKOUT, "deno.lock"));
  const locked: Record<string, { integrity: string }> = JSON.parse(lock).npm;
  return {
    direct: [...direct].map(label),
    packages: await Promise.all([...reached].map(async (key) => {
      const { name, version, dependencies, localPath } = known(key);
      return {
        name,
        version,
        integrity: locked[key]?.integrity ?? missing(key),
        license: await readLicense(localPath),
        dependencies: dependencies.map(label),
      };
    })),
  };
}

async function readLicense(folder: string): Promise<string> {
  const path = join(folder, "package.json");
  const { license } = JSON.parse(await Deno.readTextFile(path));
  return typeof license === "string" ? license : missing(`license of ${path}`);
}

function missing(what: string): never {
  throw new Error(`Cannot write the bill of materials: "${what}" is unknown`);
}

function npmUrl({ name, version }: Package): string {
  return `pkg:npm/${name.replace("@", "%40")}@${version}`;
}

function hex(integrity: string): string {
  return Uint8Array.fromBase64(integrity.replace(/^sha512-/, "")).toHex();
}

/** A UUID (version 8: made of whatever one likes) of the content, so that the same content has the same number. */
async function contentUuid(content: string): Promise<string> {
  const bytes = new Uint8Array(
    await crypto.subtle.digest("SHA-256", new TextEncoder().encode(content)),
  ).slice(0, 16);
  bytes[6] = bytes[6]! & 0x0f | 0x80;
  bytes[8] = bytes[8]! & 0x3f | 0x80;
  return bytes.toHex().replace(
    /^(.{8})(.{4})(.{4})(.{4})(.{12})$/,
    "$1-$2-$3-$4-$5",
  );
}

if (import.meta.main) {
  const [file] = Deno.args;
  const text = await sbom();
  if (file === undefined) console.log(text.trimEnd());
  else await Deno.writeTextFile(file, text);
}
