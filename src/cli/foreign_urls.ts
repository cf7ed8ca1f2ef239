/** What connection strings of other tools hold, and what to write in its place. */

/** How connection strings of other tools begin, and what to write in their place. */
export const FOREIGN_FORMS: readonly (readonly [RegExp, string])[] = [
  [
    /^["'`]/,
    "it begins with a quotation mark; env files keep quotes, so write it without",
  ],
  [
    /^jdbc:/i,
    'it is one of JDBC; leave out "jdbc:", and write user and password before the host: postgres://USER:PASSWORD@host/database',
  ],
  [
    /^postgres(?:ql)?\+[a-z\d_]+:\/\//i,
    'it names a driver, as SQLAlchemy has it; leave that out: what is between "+" and ":" is not needed here',
  ],
  [
    /^\s*(?:host|hostaddr|port|dbname|user|password|service|sslmode)\s*=/i,
    "it is a list of keywords; write it as a URL: postgres://USER:PASSWORD@HOST:PORT/DATABASE",
  ],
  [
    /^postgres(?:ql)?:\/\//i,
    "its scheme has capital letters; write postgres://",
  ],
];

const SCHEMA = "is another tool's: leave it out, and pass --schema NAME";
const POOL =
  "is another tool's: leave it out, the program needs one or two connections";

/** Parameters that other tools know, and what to do here. */
export const FOREIGN_PARAMETERS: Readonly<Record<string, string>> = {
  // Prisma
  schema: SCHEMA,
  connection_limit: POOL,
  pool_timeout: POOL,
  pgbouncer:
    "is another tool's: leave it out, a pooler is recognised by itself",
  sslaccept: "is another tool's: write sslmode, verify-full for strict",
  sslidentity: "is another tool's: write sslcert and sslkey, in PEM",
  // JDBC, pgx and others
  currentSchema: SCHEMA,
  search_path: SCHEMA,
  pool_max_conns: POOL,
  ApplicationName: "is another tool's: write application_name",
  statement_timeout: "is set otherwise: pass --statement-timeout DURATION",
  lock_timeout: "is set otherwise: pass --lock-timeout DURATION",
};
