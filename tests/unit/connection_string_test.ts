import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  type ConnectionString,
  isHost,
  parseConnectionString,
  parsePort,
} from "../../src/cli/connection_string.ts";
import { hostile, isClean } from "../support/net/hostile.ts";

const PLAIN: ConnectionString = {
  hosts: [{ host: "localhost", port: 5432 }],
  user: "app",
  password: undefined,
  database: "db",
  sslMode: "prefer",
  sslRootCert: undefined,
  sslCert: undefined,
  sslKey: undefined,
  channelBinding: "prefer",
  applicationName: undefined,
  options: undefined,
  connectTimeoutMs: undefined,
};

const KNOWN =
  "known are application_name, channel_binding, connect_timeout, dbname, host, " +
  "options, password, port, sslcert, sslkey, sslmode, sslrootcert, user";
const PORT_FAULT =
  "its port is not a number from 1 to 65535; if that is part of a password, " +
  'write ":" as %3A, "/" as %2F and "@" as %40';
const HOST_FAULT =
  "its host is not a name or an address (IPv6 goes in brackets)";
const AT_FAULT =
  'it holds "@" or "/" where none may stand; write them in a password as %40 and %2F';

Deno.test("parseConnectionString() says what to write in the place of another tool's form", () => {
  const keywords =
    "it is a list of keywords; write it as a URL: postgres://USER:PASSWORD@HOST:PORT/DATABASE";
  const driver =
    'it names a driver, as SQLAlchemy has it; leave that out: what is between "+" and ":" is not needed here';
  const faults: Record<string, string> = {
    "host=db user=app password=s3cret": keywords,
    " dbname = db": keywords,
    "jdbc:postgresql://db:5432/db?user=app&password=s3cret":
      'it is one of JDBC; leave out "jdbc:", and write user and password before the host: postgres://USER:PASSWORD@host/database',
    "postgresql+psycopg://app:s3cret@db/db": driver,
    "postgres+asyncpg://app:s3cret@db/db": driver,
    "Postgres://app:s3cret@db/db":
      "its scheme has capital letters; write postgres://",
  };
  for (const [text, fault] of Object.entries(faults)) {
    assertEquals(parseConnectionString(text), [fault], text);
  }
  const parameters: Record<string, string> = {
    "schema=tenant":
      "its parameter schema is another tool's: leave it out, and pass --schema NAME",
    "connection_limit=1":
      "its parameter connection_limit is another tool's: leave it out, the program needs one or two connections",
    "pgbouncer=true":
      "its parameter pgbouncer is another tool's: leave it out, a pooler is recognised by itself",
    "currentSchema=tenant":
      "its parameter currentSchema is another tool's: leave it out, and pass --schema NAME",
    "statement_timeout=5000":
      "its parameter statement_timeout is set otherwise: pass --statement-timeout DURATION",
  };
  for (const [parameter, fault] of Object.entries(parameters)) {
    const url = `postgres://app:s3cret@db/db?${parameter}`;
    assertEquals(parseConnectionString(url), [fault], parameter);
  }
});

Deno.test("parseConnectionString() reads the forms of libpq", () => {
  const urls: Record<string, Partial<ConnectionString>> = {
    "postgres://app@/db": {},
    "postgresql://app@localhost:5432/db": {},
    "postgres://app@:6432/db": { hosts: [{ host: "localhost", port: 6432 }] },
    "postgres://app:@localhost/db": {},
    "postgres://app:pass:word@localhost/db": { password: "pass:word" },
    "postgres://app:pass=w[o]r!d,&@localhost/db": {
      password: "pass=w[o]r!d,&",
    },
    "postgres://a%40b:p%40s%2Fs%23%3F%25%20+@localhost/d%2Fb": {
      user: "a@b",
      password: "p@s/s#?% +",
      database: "d/b",
    },
    "postgres://%C3%A9:%F0%9F%98%80@localhost/db": {
      user: "é",
      password: "😀",
    },
    "postgres://app@db-1.internal:65535/db": {
      hosts: [{ host: "db-1.internal", port: 65_535 }],
    },
    "postgres://app@db_1/db": { hosts: [{ host: "db_1", port: 5432 }] },
    "postgres://app@10.0.0.1:1/db": { hosts: [{ host: "10.0.0.1", port: 1 }] },
    "postgres://app@[::1]/db": { hosts: [{ host: "::1", port: 5432 }] },
    "postgres://app@[2001:db8::1.2.3.4]:6432/db": {
      hosts: [{ host: "2001:db8::1.2.3.4", port: 6432 }],
    },
    "postgres://app@[fe80::1%25eth0]/db": {
      hosts: [{ host: "fe80::1%eth0", port: 5432 }],
    },
    "postgres://app@a,b:6432,[::1]:7432,,10.0.0.1/db": {
      hosts: [
        { host: "a", port: 5432 },
        { host: "b", port: 6432 },
        { host: "::1", port: 7432 },
        { host: "localhost", port: 5432 },
        { host: "10.0.0.1", port: 5432 },
      ],
    },
    "postgres://app@%2Fvar%2Frun%2Fpostgresql/db": {
      hosts: [{ host: "/var/run/postgresql", port: 5432 }],
    },
    "postgres:///db?user=app&password=p%26w&host=/run/pg&port=6432": {
      hosts: [{ host: "/run/pg", port: 6432 }],
      password: "p&w",
    },
    "postgres://?user=app&dbname=db": {},
    "postgres://app@?dbname=db": {},
  };

  for (const [url, expected] of Object.entries(urls)) {
    assertEquals(parseConnectionString(url), { ...PLAIN, ...expected }, url);
  }
});

Deno.test("parseConnectionString() lets a parameter replace what stands before the question mark", () => {
  const urls: Record<string, Partial<ConnectionString>> = {
    "postgres://other:secret@far:1/none?user=app&password=p&host=near&port=2&dbname=db":
      {
        hosts: [{ host: "near", port: 2 }],
        password: "p",
      },
    "postgres://app@a,b:6432/db?port=7432": {
      hosts: [{ host: "a", port: 7432 }, { host: "b", port: 7432 }],
    },
    "postgres://app@a,b/db?port=1,2": {
      hosts: [{ host: "a", port: 1 }, { host: "b", port: 2 }],
    },
    "postgres://app@:6432/db?host=/run/pg": {
      hosts: [{ host: "/run/pg", port: 6432 }],
    },
    "postgres://app@far/db?host=a,,b&port=,2,3": {
      hosts: [
        { host: "a", port: 5432 },
        { host: "localhost", port: 2 },
        { host: "b", port: 3 },
      ],
    },
    "postgres://app@/db?host=::1": { hosts: [{ host: "::1", port: 5432 }] },
  };

  for (const [url, expected] of Object.entries(urls)) {
    assertEquals(parseConnectionString(url), { ...PLAIN, ...expected }, url);
  }
});

Deno.test("parseConnectionString() reads the parameters", () => {
  const queries: Record<string, Partial<ConnectionString>> = {
    "": {},
    "&&": {},
    "sslmode=disable": { sslMode: "disable" },
    "sslmode=prefer": { sslMode: "prefer" },
    "sslmode=require": { sslMode: "require" },
    "sslmode=verify-ca": { sslMode: "verify-ca" },
    "sslmode=verify%2Dfull": { sslMode: "verify-full" },
    "ssl=true": { sslMode: "require" },
    "sslmode=verify-full&sslrootcert=/ca.pem": {
      sslMode: "verify-full",
      sslRootCert: "/ca.pem",
    },
    "sslrootcert=system": { sslMode: "verify-full", sslRootCert: "system" },
    "sslmode=verify-full&sslrootcert=system": {
      sslMode: "verify-full",
      sslRootCert: "system",
    },
    "sslcert=/c.pem&sslkey=/k.pem": { sslCert: "/c.pem", sslKey: "/k.pem" },
    "application_name=a%20b+c@d": { applicationName: "a b+c@d" },
    "options=-c%20work_mem%3D64MB": { options: "-c work_mem=64MB" },
    "connect_timeout=1": { connectTimeoutMs: 1_000 },
    "connect_timeout=999999": { connectTimeoutMs: 999_999_000 },
    "target_session_attrs=read-write&gssencmode=disable": {},
    "channel_binding=disable": { channelBinding: "disable" },
    "channel_binding=prefer": { channelBinding: "prefer" },
    "channel_binding=require": { channelBinding: "require" },
    "sslmode=disable&channel_binding=disable": {
      sslMode: "disable",
      channelBinding: "disable",
    },
    "target_session_attrs=primary&target_session_attrs=any&sslnegotiation=postgres&load_balance_hosts=disable":
      {},
  };

  for (const [query, expected] of Object.entries(queries)) {
    assertEquals(
      parseConnectionString(`postgres://app@localhost/db?${query}`),
      { ...PLAIN, ...expected },
      query,
    );
  }
});

Deno.test("parseConnectionString() says what is wrong, all of it", () => {
  const faults: Record<string, string[]> = {
    "": ["it does not begin with postgres:// or postgresql://"],
    "POSTGRES://app@db/db": [
      "its scheme has capital letters; write postgres://",
    ],
    "mysql://app@db/db": [
      "it does not begin with postgres:// or postgresql://",
    ],
    '"postgres://app@db/db"': [
      "it begins with a quotation mark; env files keep quotes, so write it without",
    ],
    "postgres://app:a b@db/db": [
      "it holds a space or a line break; write a space in a password as %20",
    ],
    "postgres://app:a#b@db/db": ['it holds "#"; write it in a password as %23'],
    "postgres://app:a@b@db/db": [AT_FAULT],
    "postgres://app:a/b@db/db": [AT_FAULT],
    "postgres://app:1/b@db/db": [AT_FAULT],
    "postgres://db/db": [
      "it names no user, as in postgres://USER@host/database",
    ],
    "postgres://:secret@db/db": [
      "it names no user, as in postgres://USER@host/database",
    ],
    "postgres://app@db": [
      "it names no database, as in postgres://user@host/DATABASE",
    ],
    "postgres://app@db/": [
      "it names no database, as in postgres://user@host/DATABASE",
    ],
    "postgres://app@db/a/b": ['its database name holds "/"; write it as %2F'],
    "postgres://a%zz@db/db": [
      'its user has a "%" that no two hexadecimal digits follow; write "%" as %25',
    ],
    "postgres://app:100%@db/db": [
      'its password has a "%" that no two hexadecimal digits follow; write "%" as %25',
    ],
    "postgres://app:%e9@db/db": [
      'its password has bytes behind "%" that are not UTF-8',
    ],
    "postgres://app:%00@db/db": ["its password holds a zero byte"],
    "postgres://app@db:0/db": [PORT_FAULT],
    "postgres://app@db:65536/db": [PORT_FAULT],
    "postgres://app@db:54x/db": [PORT_FAULT],
    "postgres://app@db:-1/db": [PORT_FAULT],
    "postgres://app@db/db?port=0": [PORT_FAULT],
    "postgres://app@::1/db": [PORT_FAULT],
    "postgres://app@[::1]x/db": [HOST_FAULT],
    "postgres://app@[db]/db": [HOST_FAULT],
    "postgres://app@[]/db": [HOST_FAULT],
    "postgres://app@[::1/db": [HOST_FAULT],
    "postgres://app@d%20b/db": [HOST_FAULT],
    "postgres://app@/db?host=db:6432": [HOST_FAULT],
    "postgres://app@/db?host=postgres://db": [HOST_FAULT],
    "postgres://app@a,b/db?port=1,2,3": ["it names 2 hosts but 3 ports"],
    "postgres://app@db/db?sslmode=allow": [
      'its sslmode "allow" is not one of disable, prefer, require, verify-ca, verify-full',
    ],
    "postgres://app@db/db?sslmode=VERIFY-FULL": [
      'its sslmode "VERIFY-FULL" is not one of disable, prefer, require, verify-ca, verify-full',
    ],
    "postgres://app@db/db?sslmode=require&sslrootcert=system": [
      "its sslrootcert=system needs sslmode=verify-full",
    ],
    "postgres://app@db/db?sslcert=/c.pem": [
      "its sslcert and sslkey go together: only one is given",
    ],
    "postgres://app@db/db?connect_timeout=0": [
      'its connect_timeout "0" is not a number of seconds from 1 to 999999',
    ],
    "postgres://app@db/db?connect_timeout=5s": [
      'its connect_timeout "5s" is not a number of seconds from 1 to 999999',
    ],
    "postgres://app@db/db?channel_binding=allow": [
      'its channel_binding "allow" is not one of disable, prefer, require',
    ],
    "postgres:///db?user=app&channel_binding=allow": [
      "its channel_binding is not one of disable, prefer, require",
    ],
    "postgres://app@db/db?channel_binding=Require": [
      'its channel_binding "Require" is not one of disable, prefer, require',
    ],
    "postgres://app@db/db?channel_binding=": [
      "its parameter channel_binding has no value",
    ],
    "postgres://app@db/db?channel_binding=require&channel_binding=prefer": [
      "its parameter channel_binding is given twice",
    ],
    "postgres://app@db/db?channel_binding=require&sslmode=disable": [
      "its channel_binding=require needs TLS, and its sslmode is disable",
    ],
    "postgres://app@db/db?target_session_attrs=standby": [
      "its target_session_attrs is none of any, primary, read-write",
    ],
    "postgres://app@db/db?pgbouncer=true": [
      "its parameter pgbouncer is another tool's: leave it out, a pooler is recognised by itself",
    ],
    "postgres://@db/db?user=app&nope": [
      `its parameter "nope" is not known; ${KNOWN}`,
    ],
    "postgres:///db?user=app&nope": [`its parameter is not known; ${KNOWN}`],
    "postgres://app@db/db?SSLMODE=require": [
      `its parameter "SSLMODE" is not known; ${KNOWN}`,
    ],
    "postgres://app@db/db?toString=1": [
      `its parameter "toString" is not known; ${KNOWN}`,
    ],
    "postgres://app@db/db?sslmode": ["its parameter sslmode has no value"],
    "postgres://app@db/db?user=": ["its parameter user has no value"],
    "postgres://app@db/db?sslmode=require&sslmode=disable": [
      "its parameter sslmode is given twice",
    ],
    "postgres://%@[x]:0,db:0/?sslmode=x&port=&nope&sslkey=/k": [
      HOST_FAULT,
      'its user has a "%" that no two hexadecimal digits follow; write "%" as %25',
      "its parameter port has no value",
      `its parameter "nope" is not known; ${KNOWN}`,
      "it names no database, as in postgres://user@host/DATABASE",
      "its sslcert and sslkey go together: only one is given",
      PORT_FAULT,
      'its sslmode "x" is not one of disable, prefer, require, verify-ca, verify-full',
    ],
  };

  for (const [url, expected] of Object.entries(faults)) {
    assertEquals(parseConnectionString(url), expected as unknown, url);
  }
});

Deno.test("parseConnectionString() does not repeat what may be half of a password", () => {
  const hint =
    'it holds "?" before "@"; if that is part of a password, write it as %3F';
  const faults: Record<string, string[]> = {
    "postgres://app:hunter2?x@db/db": [
      `its parameter is not known; ${KNOWN}`,
      "it names no user, as in postgres://USER@host/database",
      "it names no database, as in postgres://user@host/DATABASE",
      PORT_FAULT,
      hint,
    ],
    "postgres://app@corp:pass?hunter2@db/db": [
      `its parameter is not known; ${KNOWN}`,
      "it names no database, as in postgres://user@host/DATABASE",
      PORT_FAULT,
      hint,
    ],
    "postgres://app@corp:1?sslmode=hunter2@db/db": [
      "it names no database, as in postgres://user@host/DATABASE",
      "its sslmode is not one of disable, prefer, require, verify-ca, verify-full",
      hint,
    ],
    "postgres://app@corp:1?connect_timeout=hunter2@db/db": [
      "it names no database, as in postgres://user@host/DATABASE",
      "its connect_timeout is not a number of seconds from 1 to 999999",
      hint,
    ],
    "postgres://app:hunter2/db": [
      "it names no user, as in postgres://USER@host/database",
      PORT_FAULT,
    ],
  };

  for (const [url, expected] of Object.entries(faults)) {
    assertEquals(parseConnectionString(url), expected as unknown, url);
  }
});

Deno.test("isHost() accepts a name, an address and the folder of a socket", () => {
  const texts = [
    "db",
    "db.internal.",
    "db_1",
    "10.0.0.1",
    "::1",
    "fe80::1%eth0",
    "/run/pg",
    "bücher",
  ];

  assertEquals(texts.filter((text) => !isHost(text)), []);
});

Deno.test("isHost() refuses what no name resolves", () => {
  const texts = [
    "",
    " db",
    "db\n",
    "db:5432",
    "ab:80",
    "[::1]",
    "a,b",
    "postgres://db",
    "app@db",
    '"db"',
    "a/b",
  ];

  assertEquals(texts.filter(isHost), []);
});

Deno.test("parsePort() accepts the ports there are", () => {
  assertEquals(["1", "5432", "05432", "65535"].map(parsePort), [
    1,
    5432,
    5432,
    65_535,
  ]);
  for (
    const text of [
      "",
      "0",
      "65536",
      "-1",
      "+1",
      "1.0",
      "1e3",
      " 1",
      "0x1",
      "005432",
      "٣",
    ]
  ) {
    assertEquals(parsePort(text), undefined, text);
  }
});

/** Strings that are often almost right. */
const urls = fc.oneof(
  hostile.map((text) => `postgres://${text}`),
  fc.array(
    fc.oneof(
      fc.constantFrom(..."@:/?&=,%[]#".split("")),
      fc.constantFrom("app", "db", "5432", "::1", "%2F", "%zz", "host", "port"),
      fc.constantFrom("sslmode", "require", "user", "dbname", "sslrootcert"),
      fc.string({ maxLength: 3 }),
    ),
    { maxLength: 20 },
  ).map((parts) => `postgresql://${parts.join("")}`),
  fc.tuple(fc.webUrl({ validSchemes: ["postgres"], withQueryParameters: true }))
    .map(([url]) => url),
);

Deno.test("parseConnectionString() never throws, and accepts only what a connection can be made of", () => {
  fc.assert(
    fc.property(urls, (text) => {
      const result = parseConnectionString(text);
      if (Array.isArray(result)) {
        assertEquals(result.length > 0, true);
        for (const fault of result) assertEquals(isClean(fault), true, fault);
        return;
      }
      const url = result as ConnectionString;
      assertEquals(url.user !== "" && url.database !== "", true);
      assertEquals(url.password !== "", true);
      assertEquals(url.hosts.length > 0, true);
      for (const { host, port } of url.hosts) {
        assertEquals(isHost(host), true, host);
        assertEquals(Number.isInteger(port) && port > 0 && port < 65_536, true);
      }
      assertEquals(
        ["disable", "prefer", "require", "verify-ca", "verify-full"]
          .includes(url.sslMode),
        true,
      );
    }),
    { numRuns: 5_000 },
  );
});

const CANARY = "hunter2";

Deno.test("parseConnectionString() never repeats a password, in whatever part it stands", () => {
  const part = fc.oneof(
    fc.constantFrom(..."@:/?&=,%#".split("")),
    fc.constantFrom(CANARY, "app", "db", "1", "sslmode", "ssl", "port="),
  );
  const texts = fc.array(part, { maxLength: 12 }).map((parts) =>
    `postgres://${parts.join("")}:${CANARY}${parts.reverse().join("")}@db/db`
  );

  fc.assert(
    fc.property(texts, (text) => {
      const result = parseConnectionString(text);
      if (!Array.isArray(result)) return;
      assertEquals(result.filter((fault) => fault.includes(CANARY)), []);
    }),
    { numRuns: 5_000 },
  );
});

Deno.test("parseConnectionString() gives back what was written with percent-encoding", () => {
  const text = fc.string({ unit: "grapheme", minLength: 1 })
    .filter((text) => !text.includes("\0"));

  fc.assert(
    fc.property(
      text,
      text,
      text,
      fc.integer({ min: 1, max: 65_535 }),
      (user, password, database, port) => {
        const parts = [user, password, database].map(encodeURIComponent);
        const result = parseConnectionString(
          `postgres://${parts[0]}:${parts[1]}@db:${port}/${parts[2]}`,
        );
        assertEquals(result, {
          ...PLAIN,
          hosts: [{ host: "db", port }],
          user,
          password,
          database,
        });
      },
    ),
  );
});
