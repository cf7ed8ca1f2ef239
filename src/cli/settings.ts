/**
 * The table of the options that every command has. The parser, the help texts and the README are made from it.
 *
 * @module
 */
import type { Option } from "./options.ts";

/** The options that every command has. */
export const SETTINGS: readonly Option[] = [
  {
    flag: "database-url",
    value: "URL",
    variable: "DATABASE_URL",
    text:
      "connection string; DATABASE_URL_FILE names a file that holds it; wins over POSTGRES_*",
  },
  {
    flag: "connect-timeout",
    value: "DURATION",
    variable: "MIGRATE_CONNECT_TIMEOUT",
    default: "10s",
    text: "limit of one connection attempt",
  },
  {
    flag: "wait-for-db",
    value: "DURATION",
    variable: "MIGRATE_WAIT_FOR_DB",
    default: "30s",
    text:
      "keep trying while the server is starting, refusing or not resolvable",
  },
  {
    flag: "lock-wait",
    value: "DURATION",
    variable: "MIGRATE_LOCK_WAIT",
    default: "60s",
    text: "how long to wait for another migrator to finish",
  },
  {
    flag: "lock-timeout",
    value: "DURATION",
    variable: "MIGRATE_LOCK_TIMEOUT",
    default: "5s",
    text: "lock_timeout of each statement; 0 waits for ever",
  },
  {
    flag: "lock-retry",
    value: "DURATION",
    variable: "MIGRATE_LOCK_RETRY",
    default: "5m",
    text: "how long to retry a transaction that hit lock_timeout or a deadlock",
  },
  {
    flag: "statement-timeout",
    value: "DURATION",
    variable: "MIGRATE_STATEMENT_TIMEOUT",
    default: "0",
    text: "statement_timeout of each statement; 0 is none",
  },
  {
    flag: "transaction",
    value: "all|each",
    variable: "MIGRATE_TRANSACTION",
    default: "all",
    text: "one transaction for the whole run, or one for each migration",
  },
  {
    flag: "phase",
    value: "all|pre|post",
    variable: "MIGRATE_PHASE",
    default: "all",
    text:
      "which migrations up and status look at: those before the release, those after it, or all",
  },
  {
    flag: "time-limit",
    value: "DURATION",
    variable: "MIGRATE_TIME_LIMIT",
    text:
      "end the backfill at work after this time, with exit 4; the next up goes on",
  },
  {
    flag: "max-lag",
    value: "SIZE",
    variable: "MIGRATE_MAX_LAG",
    default: "64MiB",
    text: "hold a backfill while a standby is further behind",
  },
  {
    flag: "hold-query",
    value: "SQL",
    variable: "MIGRATE_HOLD_QUERY",
    text: "hold a backfill while this query says true, or fails",
  },
  {
    flag: "no-pipeline",
    text: "wait for the answer to each statement before the next is sent",
  },
  {
    flag: "schema",
    value: "NAME",
    variable: "MIGRATE_SCHEMA",
    text:
      "schema for search_path and the history table; the connection's by default",
  },
  {
    flag: "trust-history-owner",
    value: "ROLE",
    variable: "MIGRATE_TRUST_HISTORY_OWNER",
    text: "write to a history that belongs to a role which is not the user's",
  },
  {
    flag: "grant-status",
    value: "ROLE",
    variable: "MIGRATE_GRANT_STATUS",
    text: "up lets this role read the history, as status needs it",
  },
  {
    flag: "format",
    value: "text|json",
    variable: "MIGRATE_FORMAT",
    default: "text",
    text:
      "form of the output; plan also has markdown, schema markdown, mermaid and types",
  },
  {
    flag: "verbose",
    text: "also print every statement, with its time, to stderr",
  },
  { flag: "quiet", text: "print results, warnings and errors only" },
  {
    flag: "no-color",
    variable: "NO_COLOR",
    text: "no colour, also on a terminal",
  },
];
