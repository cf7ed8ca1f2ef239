/**
 * The environment variables that the program reads, beside those of the table of options.
 *
 * @module
 */
import { SETTINGS } from "./options.ts";

/** The variables that are read when no URL is given. */
export const POSTGRES_VARIABLES: readonly {
  readonly name: string;
  readonly text: string;
}[] = [
  { name: "POSTGRES_HOST", text: "default localhost" },
  { name: "POSTGRES_PORT", text: "default 5432" },
  { name: "POSTGRES_DB", text: "default battlescope" },
  { name: "POSTGRES_USER", text: "required" },
  {
    name: "POSTGRES_PASSWORD",
    text: "or POSTGRES_PASSWORD_FILE, the path of a file that holds it",
  },
  {
    name: "POSTGRES_SSL",
    text: "true verifies the server's certificate and name; default false",
  },
  {
    name: "POSTGRES_SSL_CA",
    text:
      "path of a PEM file with the server's authority, also for a URL without sslrootcert",
  },
];

/**
 * Every environment variable that the program reads: the executable is allowed these and no others. The last two are
 * read by postgres.js whatever its options say.
 */
export const VARIABLES: readonly string[] = [
  ...SETTINGS.flatMap(({ variable }) => variable ?? []),
  "DATABASE_URL_FILE",
  ...POSTGRES_VARIABLES.map(({ name }) => name),
  "POSTGRES_PASSWORD_FILE",
  "SSL_CERT_FILE",
  "HOSTNAME",
  "PGAPPNAME",
  "PGTARGETSESSIONATTRS",
];
