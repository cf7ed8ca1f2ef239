/**
 * The parameters of a connection string that say how the server is proved to be the right one.
 *
 * @module
 */
import { type Checked, checked } from "./checked.ts";

export type SslMode =
  | "disable"
  | "prefer"
  | "require"
  | "verify-ca"
  | "verify-full";

/** Whether a log-in is bound to its TLS connection. */
export type ChannelBinding = "disable" | "prefer" | "require";

const SSL_MODES: readonly string[] = [
  "disable",
  "prefer",
  "require",
  "verify-ca",
  "verify-full",
];

const CHANNEL_BINDINGS: readonly string[] = ["disable", "prefer", "require"];

/** Reads `sslmode`, which `sslrootcert` has a say in. */
export function readSslMode(
  text: string | undefined,
  rootCert: string | undefined,
  shown: (value: string) => string,
): Checked<SslMode> {
  const isSystem = rootCert === "system";
  return checked(
    isSystem ? "verify-full" : (text ?? "prefer") as SslMode,
    text !== undefined && !SSL_MODES.includes(text) &&
      `its sslmode${shown(text)} is not one of ${SSL_MODES.join(", ")}`,
    isSystem && text !== undefined && text !== "verify-full" &&
      "its sslrootcert=system needs sslmode=verify-full",
  );
}

/** Reads `channel_binding`. */
export function readChannelBinding(
  text: string | undefined,
  sslMode: string | undefined,
  shown: (value: string) => string,
): Checked<ChannelBinding> {
  return checked(
    (text ?? "prefer") as ChannelBinding,
    text !== undefined && !CHANNEL_BINDINGS.includes(text) &&
      `its channel_binding${shown(text)} is not one of ${
        CHANNEL_BINDINGS.join(", ")
      }`,
    text === "require" && sslMode === "disable" &&
      "its channel_binding=require needs TLS, and its sslmode is disable",
  );
}
