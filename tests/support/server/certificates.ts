/**
 * Certificates of all kinds, made by openssl.
 *
 * @module
 */
import { join } from "node:path";
import { assertSaid } from "../program/needs.ts";

/** Paths of two PEM files. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

export interface CertificateOptions {
  /** The name that it is for. */
  readonly subject: string;
  /** As openssl writes it: `DNS:localhost,IP:127.0.0.1`. */
  readonly alternatives?: string;
  /** @default {false} */
  readonly expired?: boolean;
}

/** One that signs certificates. */
export interface Authority extends Certificate {
  issue(options: CertificateOptions): Promise<Certificate>;
}

const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];

/** Makes an authority; its files, and those of what it issues, are in the folder and begin with its name. */
export async function makeAuthority(
  folder: string,
  name: string,
): Promise<Authority> {
  const own = pair(folder, name);
  await openssl([
    ...["req", "-x509", ...KEY, "-nodes", "-days", "2", "-subj", `/CN=${name}`],
    ...["-keyout", own.key, "-out", own.certificate],
  ]);
  await Deno.writeTextFile(join(folder, `${name}.issued`), "");
  await Deno.writeTextFile(join(folder, `${name}.serial`), "01\n");
  let count = 0;
  return {
    ...own,
    issue: async ({ subject, alternatives, expired = false }) => {
      const issued = pair(folder, `${name}-${++count}`);
      const config = await writeConfig(folder, name, count, alternatives);
      const request = join(folder, `${name}-${count}.csr`);
      await openssl([
        ...["req", "-new", ...KEY, "-nodes", "-subj", `/CN=${subject}`],
        ...["-keyout", issued.key, "-out", request],
      ]);
      // Only "ca" takes the beginning and the end; a year that has passed is expired, and valid in every other way.
      const [from, to] = expired
        ? ["20200101000000Z", "20210101000000Z"]
        : ["20200101000000Z", "20991231000000Z"];
      await openssl([
        ...["ca", "-batch", "-notext", "-md", "sha256"],
        ...["-config", config, "-startdate", from, "-enddate", to],
        ...["-cert", own.certificate, "-keyfile", own.key],
        ...["-in", request, "-out", issued.certificate],
      ]);
      return issued;
    },
  };
}

/** How a certificate can be signed, as openssl is told. */
export const SIGNATURES = {
  "RSA, SHA-1": ["-newkey", "rsa:2048", "-sha1"],
  "RSA, SHA-256": ["-newkey", "rsa:2048", "-sha256"],
  "RSA, SHA-512": ["-newkey", "rsa:2048", "-sha512"],
  "RSA-PSS, SHA-512": [
    ...["-newkey", "rsa:2048", "-sha512"],
    ...["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:-1"],
  ],
  "ECDSA, SHA-384": [...KEY, "-sha384"],
  "Ed25519": ["-newkey", "ed25519"],
} as const satisfies Record<string, readonly string[]>;

/** Makes a certificate for localhost that is signed with its own key, in that way. */
export async function makeSelfSigned(
  folder: string,
  signature: keyof typeof SIGNATURES,
): Promise<Certificate> {
  const own = pair(folder, signature.replace(/\W+/g, "-"));
  await openssl([
    ...["req", "-x509", ...SIGNATURES[signature], "-nodes", "-days", "2"],
    ...["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
    ...["-keyout", own.key, "-out", own.certificate],
  ]);
  return own;
}

function pair(folder: string, name: string): Certificate {
  return {
    certificate: join(folder, `${name}.pem`),
    key: join(folder, `${name}.key`),
  };
}

async function writeConfig(
  folder: string,
  name: string,
  count: number,
  alternatives: string | undefined,
): Promise<string> {
  const path = join(folder, `${name}-${count}.cnf`);
  const names = alternatives ? `subjectAltName=${alternatives}\n` : "";
  await Deno.writeTextFile(
    path,
    `[ca]
default_ca=this
[this]
database=${join(folder, `${name}.issued`)}
serial=${join(folder, `${name}.serial`)}
new_certs_dir=${folder}
policy=any
x509_extensions=extensions
unique_subject=no
[any]
commonName=supplied
[extensions]
basicConstraints=CA:FALSE
${names}`,
  );
  return path;
}

async function openssl(args: readonly string[]): Promise<void> {
  assertSaid("openssl");
  const { success, stderr } = await new Deno.Command("openssl", {
    args: [...args],
    stdin: "null",
  }).output();
  if (success) return;
  throw new Error(
    `Cannot make certificates: openssl ${args[0]}: ${
      new TextDecoder().decode(stderr)
    }`,
  );
}
