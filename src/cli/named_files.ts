/**
 * Files that the configuration names: secrets and certificates.
 *
 * @module
 */
import { quote } from "../text.ts";
import { type Checked, checked } from "./checked.ts";

/** Reads a text file; rejects with an error whose `name` says why it cannot be read. */
export type ReadText = (path: string) => Promise<string>;

/** A file that is there and cannot be used; the message says why. */
export class FileError extends Error {
  override readonly name = "FileError";
}

const REASONS: Readonly<Record<string, string>> = {
  NotFound: "there is no such file",
  PermissionDenied: "permission denied",
  IsADirectory: "it is a folder",
  NotADirectory: "a part of its path is not a folder",
  NotCapable: "it is none that this program may read",
};

/** Where systems keep the authorities that they trust; the first that exists counts. */
export const SYSTEM_AUTHORITIES: readonly string[] = [
  "/etc/ssl/certs/ca-certificates.crt", // Debian and its kin, distroless images, Arch
  "/etc/pki/tls/certs/ca-bundle.crt", // Fedora, RHEL
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/ssl/ca-bundle.pem", // openSUSE
  "/etc/ssl/cert.pem", // Alpine, macOS
];

const PEM = {
  certificate: /-----BEGIN [A-Z0-9 ]*CERTIFICATE-----/,
  "private key": /-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----/,
} as const;

/** Reads named files. One that cannot be used is a fault that names its source, never its content. */
export class NamedFiles {
  constructor(readonly readText: ReadText) {}

  /** The content without the line break that editors and `echo` add at the end. */
  async read(
    path: string | undefined,
    source: string,
  ): Promise<Checked<string | undefined>> {
    if (!path) return checked(undefined);
    const file = `file${shown(path)}`;
    try {
      const content = (await this.readText(path)).replace(/\r?\n$/, "");
      if (content !== "") return checked(content);
      return checked(undefined, `${source}: the ${file} is empty`);
    } catch (error) {
      // The message of the operating system repeats the path.
      const { name, message } = error as Error;
      const reason = error instanceof FileError
        ? message
        : REASONS[name] ?? name;
      return checked(
        undefined,
        `${source}: cannot read the ${file}: ${reason}`,
      );
    }
  }

  async readPem(
    path: string | undefined,
    source: string,
    what: keyof typeof PEM,
  ): Promise<Checked<string | undefined>> {
    const content = await this.read(path, source);
    const { value: text } = content;
    if (text === undefined || PEM[what].test(text)) return content;
    return checked(
      undefined,
      `${source}: the file${shown(path!)} has no ${what} in PEM form`,
    );
  }
}

/** A secret may stand where the path of its file should: only what is a path without doubt is repeated. */
function shown(path: string): string {
  return /^(?:\.{0,2}\/|[A-Z]:\\)/i.test(path) ? ` ${quote(path)}` : "";
}
