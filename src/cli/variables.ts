/**
 * The environment variables that the program reads, beside those of the table of options.
 *
 * @module
 */
import { NO_TEXT } from "../text.ts";
import type { Environment } from "./environment.ts";
import { SETTINGS } from "./settings.ts";
import { TRACE_NAMES } from "./trace_variables.ts";

/** Options that every command has, by flag without dashes; a switch is `"true"`. */
export type Settings = Readonly<Record<string, string>>;

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

/** The variables that say which database to use. */
const TARGET_VARIABLES: readonly string[] = [
  "DATABASE_URL",
  "DATABASE_URL_FILE",
  ...POSTGRES_VARIABLES.map(({ name }) => name),
  "POSTGRES_PASSWORD_FILE",
];

/**
 * Every environment variable that the program reads: the executable is allowed these and no others. The last two are
 * read by postgres.js whatever its options say.
 */
export const VARIABLES: readonly string[] = [
  ...SETTINGS.flatMap(({ variable }) => variable ?? []),
  ...TARGET_VARIABLES.slice(1), // the first is an option's, too
  ...TRACE_NAMES,
  "SSL_CERT_FILE",
  "HOSTNAME",
  "PGAPPNAME",
  "PGTARGETSESSIONATTRS",
];

/** Whether anything says which database to use. */
export function isDatabaseConfigured(
  settings: Settings,
  env: Environment,
): boolean {
  return settings["database-url"] !== undefined ||
    TARGET_VARIABLES.some((name) => env[name]);
}

/** The sources of a target and of names that are not text in UTF-8; where one of them stands, nothing can be made of it. */
export function unreadableSources(
  settings: Settings,
  env: Environment,
): string[] {
  const flags = [
    "database-url",
    "schema",
    "trust-history-owner",
    "grant-status",
  ];
  const names = [
    ...TARGET_VARIABLES,
    "MIGRATE_SCHEMA",
    "MIGRATE_TRUST_HISTORY_OWNER",
    "MIGRATE_GRANT_STATUS",
  ];
  return [
    ...flags.filter((flag) => settings[flag]?.includes(NO_TEXT))
      .map((flag) => `Option --${flag}`),
    ...names.filter((name) => env[name]?.includes(NO_TEXT)),
  ];
}
