/**
 * What TLS must do, whatever runs the program: from source and compiled, on Deno 2.9 and on Deno 2.4.
 *
 * @module
 */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { MigrateResult } from "./cli.ts";
import { type Answer, startFalseServer } from "../net/false_server.ts";
import { areMet, testWith } from "./needs.ts";
import {
  type Shown,
  startTlsServer,
  type TlsServer,
} from "../server/tls_server.ts";

/** Runs the program's `status` with nothing but this environment. */
export type RunStatus = (
  env: Readonly<Record<string, string>>,
) => Promise<MigrateResult>;

interface Case {
  readonly name: string;
  /** @default {"good"} */
  readonly shown?: Shown;
  readonly env: (server: TlsServer) => Record<string, string>;
  /** How the login is encrypted, or why there is none. */
  readonly expected: Expected;
  /** Where Deno 2.4 differs. */
  readonly onDeno24?: Expected;
}

type Expected = "TLSv1.3" | "plain" | Readonly<{ refused: string }>;

/** What the two runtimes say of the same fault. */
const UNKNOWN_AUTHORITY = {
  expected: {
    refused: "TLS failed: self-signed certificate in certificate chain",
  },
  onDeno24: { refused: "TLS failed: invalid peer certificate: UnknownIssuer" },
};

const query = (sslmode: string, authority?: string) =>
  `sslmode=${sslmode}${authority ? `&sslrootcert=${authority}` : ""}`;

const CASES: readonly Case[] = [
  {
    name: "disable sends everything in the clear",
    env: ({ url }) => ({ DATABASE_URL: url(query("disable")) }),
    expected: "plain",
  },
  {
    name: "without a mode TLS is used where the server has it",
    env: ({ url }) => ({ DATABASE_URL: url("") }),
    expected: "TLSv1.3",
  },
  {
    name: "without a mode a server without TLS is spoken to in the clear",
    shown: "none",
    env: ({ url }) => ({ DATABASE_URL: url("") }),
    expected: "plain",
  },
  {
    name: "require encrypts, and looks at neither name",
    shown: "other name",
    env: ({ url }) => ({ DATABASE_URL: url(query("require")) }),
    expected: "TLSv1.3",
  },
  {
    name: "require encrypts, and looks at neither date nor authority",
    shown: "expired",
    env: ({ url }) => ({ DATABASE_URL: url(query("require")) }),
    expected: "TLSv1.3",
  },
  {
    name: "require refuses a server without TLS",
    shown: "none",
    env: ({ url }) => ({ DATABASE_URL: url(query("require")) }),
    expected: { refused: "the server does not offer TLS" },
  },
  {
    name: "require with an authority checks the authority",
    env: ({ url, otherAuthority }) => ({
      DATABASE_URL: url(query("require", otherAuthority)),
    }),
    ...UNKNOWN_AUTHORITY,
  },
  {
    name: "verify-ca takes the right authority",
    env: ({ url, authority }) => ({
      DATABASE_URL: url(query("verify-ca", authority)),
    }),
    expected: "TLSv1.3",
  },
  {
    name: "verify-ca takes another name",
    shown: "other name",
    env: ({ url, authority }) => ({
      DATABASE_URL: url(query("verify-ca", authority)),
    }),
    expected: "TLSv1.3",
    onDeno24: {
      refused:
        'TLS failed: invalid peer certificate: certificate not valid for name "localhost"; certificate is only ' +
        'valid for DnsName("db.example.org"); this build runs on Deno 2.4.2, which checks the name under verify-ca too',
    },
  },
  {
    name: "verify-ca refuses another authority",
    env: ({ url, otherAuthority }) => ({
      DATABASE_URL: url(query("verify-ca", otherAuthority)),
    }),
    ...UNKNOWN_AUTHORITY,
  },
  {
    name: "verify-full takes the right authority and name",
    env: ({ url, authority }) => ({
      DATABASE_URL: url(query("verify-full", authority)),
    }),
    expected: "TLSv1.3",
  },
  {
    name: "verify-full refuses another authority",
    env: ({ url, otherAuthority }) => ({
      DATABASE_URL: url(query("verify-full", otherAuthority)),
    }),
    ...UNKNOWN_AUTHORITY,
  },
  {
    name: "verify-full refuses another authority, whatever Node is told",
    env: ({ url, otherAuthority }) => ({
      DATABASE_URL: url(query("verify-full", otherAuthority)),
      NODE_TLS_REJECT_UNAUTHORIZED: "0",
    }),
    ...UNKNOWN_AUTHORITY,
  },
  {
    name: "verify-full refuses another name",
    shown: "other name",
    env: ({ url, authority }) => ({
      DATABASE_URL: url(query("verify-full", authority)),
    }),
    expected: {
      refused:
        "TLS failed: Hostname/IP does not match certificate's altnames: Host: localhost. is not in the cert's " +
        "altnames: DNS:db.example.org",
    },
    onDeno24: {
      refused:
        'TLS failed: invalid peer certificate: certificate not valid for name "localhost"; certificate is only ' +
        'valid for DnsName("db.example.org")',
    },
  },
  {
    name: "verify-full refuses a certificate that has expired",
    shown: "expired",
    env: ({ url, authority }) => ({
      DATABASE_URL: url(query("verify-full", authority)),
    }),
    expected: {
      refused:
        "TLS failed: unable to verify the first certificate; its authority is not trusted, or it has expired",
    },
    onDeno24: {
      refused: "TLS failed: invalid peer certificate: certificate expired",
    },
  },
  {
    name: "verify-full refuses a server without TLS",
    shown: "none",
    env: ({ url, authority }) => ({
      DATABASE_URL: url(query("verify-full", authority)),
    }),
    expected: { refused: "the server does not offer TLS" },
  },
  {
    name: "verify-full takes an address that the certificate names",
    env: ({ url, authority }) => ({
      DATABASE_URL: url(query("verify-full", authority), { host: "127.0.0.1" }),
    }),
    expected: "TLSv1.3",
  },
  {
    name: "verify-full refuses an address that the certificate does not name",
    shown: "name only",
    env: ({ url, authority }) => ({
      DATABASE_URL: url(query("verify-full", authority), { host: "127.0.0.1" }),
    }),
    expected: {
      refused:
        "TLS failed: Hostname/IP does not match certificate's altnames: IP: 127.0.0.1 is not in the cert's list: ",
    },
    onDeno24: {
      refused:
        'TLS failed: invalid peer certificate: certificate not valid for name "127.0.0.1"; certificate is only ' +
        'valid for DnsName("localhost")',
    },
  },
  {
    name: "verify-full without an authority trusts none but the system's",
    env: ({ url }) => ({ DATABASE_URL: url(query("verify-full")) }),
    ...UNKNOWN_AUTHORITY,
  },
  {
    name: "verify-full takes the system's authorities from SSL_CERT_FILE",
    env: ({ url, authority }) => ({
      DATABASE_URL: url(query("verify-full")),
      SSL_CERT_FILE: authority,
    }),
    expected: "TLSv1.3",
  },
  {
    name: "sslrootcert=system means verify-full",
    shown: "other name",
    env: ({ url, authority }) => ({
      DATABASE_URL: url("sslrootcert=system"),
      SSL_CERT_FILE: authority,
    }),
    expected: {
      refused: "TLS failed: Hostname/IP does not match certificate's altnames",
    },
    onDeno24: {
      refused:
        'TLS failed: invalid peer certificate: certificate not valid for name "localhost"',
    },
  },
  {
    name: "POSTGRES_SSL=true takes the authority of POSTGRES_SSL_CA",
    env: (server) => ({
      ...variables(server),
      POSTGRES_SSL_CA: server.authority,
    }),
    expected: "TLSv1.3",
  },
  {
    name: "POSTGRES_SSL=true refuses another authority",
    env: (server) => ({
      ...variables(server),
      POSTGRES_SSL_CA: server.otherAuthority,
    }),
    ...UNKNOWN_AUTHORITY,
  },
  {
    name: "POSTGRES_SSL=true refuses another name",
    shown: "other name",
    env: (server) => ({
      ...variables(server),
      POSTGRES_SSL_CA: server.authority,
    }),
    expected: {
      refused: "TLS failed: Hostname/IP does not match certificate's altnames",
    },
    onDeno24: {
      refused:
        'TLS failed: invalid peer certificate: certificate not valid for name "localhost"',
    },
  },
  ...bindingCases(),
  {
    name: "a client certificate logs in",
    env: ({ url, authority, clientCertificate: { certificate, key } }) => ({
      DATABASE_URL: url(
        `${
          query("verify-full", authority)
        }&sslcert=${certificate}&sslkey=${key}`,
        { user: "with_certificate" },
      ),
    }),
    expected: "TLSv1.3",
    onDeno24: {
      refused: "this build runs on Deno 2.4.2, whose TLS cannot present a " +
        "client certificate (sslcert); use a release build",
    },
  },
  {
    name: "a role that needs a client certificate does not log in without one",
    env: ({ url, authority }) => ({
      DATABASE_URL: url(query("verify-full", authority), {
        user: "with_certificate",
      }),
    }),
    expected: {
      refused: "connection requires a valid client certificate",
    },
  },
];

/** On the source and on the executable alike: that a log-in is bound with every kind of certificate. */
function bindingCases(): readonly Case[] {
  const onDeno24 = {
    refused:
      "channel_binding=require needs the server's certificate, which the TLS of Deno 2.4.2, on which this build runs, does not tell",
  };
  const required = "sslmode=require&channel_binding=require";
  const signed = [
    "RSA, SHA-1",
    "RSA, SHA-256",
    "RSA, SHA-512",
    "RSA-PSS, SHA-512",
    "ECDSA, SHA-384",
  ] as const;
  return [
    ...signed.map((shown): Case => ({
      name:
        `channel_binding=require logs in where the certificate is signed with ${shown}`,
      shown,
      env: ({ url }) => ({ DATABASE_URL: url(required) }),
      expected: "TLSv1.3",
      onDeno24,
    })),
    {
      name: "channel_binding=require logs in beside verify-full",
      env: ({ url, authority }) => ({
        DATABASE_URL: url(
          `${query("verify-full", authority)}&channel_binding=require`,
        ),
      }),
      expected: "TLSv1.3",
      onDeno24,
    },
    {
      name: "channel_binding=require refuses a server without TLS",
      shown: "none",
      env: ({ url }) => ({ DATABASE_URL: url("channel_binding=require") }),
      expected: {
        refused:
          "channel_binding=require needs TLS, and this connection has none",
      },
    },
    {
      name: "channel_binding=disable logs in without it",
      env: ({ url }) => ({
        DATABASE_URL: url("sslmode=require&channel_binding=disable"),
      }),
      expected: "TLSv1.3",
    },
    {
      name:
        "a certificate whose signature names no hash is refused, as by libpq",
      shown: "Ed25519",
      env: ({ url }) => ({ DATABASE_URL: url("sslmode=require") }),
      expected: {
        refused:
          "the log-in cannot be bound to the server's certificate: how that is signed names no hash that is known",
      },
      onDeno24: "TLSv1.3",
    },
    {
      name:
        "channel_binding=disable takes a certificate whose signature names no hash",
      shown: "Ed25519",
      env: ({ url }) => ({
        DATABASE_URL: url("sslmode=require&channel_binding=disable"),
      }),
      expected: "TLSv1.3",
    },
    {
      name: "verify-full takes a certificate whose signature names no hash",
      shown: "Ed25519",
      env: ({ url, certificates }) => ({
        DATABASE_URL: url(
          query("verify-full", certificates.Ed25519.certificate),
        ),
      }),
      expected: "TLSv1.3",
      // It takes no certificate that has signed itself.
      onDeno24: {
        refused:
          "TLS failed: invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))",
      },
    },
  ];
}

const SILENCE: Answer = "S, then silence";

/** What to say of something that is no PostgreSQL; each is tried with a mode that would be content without TLS, and one that would not. */
const FALSE_SERVERS: Readonly<Record<Answer, string | RegExp>> = {
  [SILENCE]: "no answer within 700 ms",
  // The runtime sees it as a reset, or not.
  "S, then the end":
    /^(?:the server closed the connection|the connection was reset)$/,
  "S and more": "the answer to the request for TLS is not PostgreSQL's",
  "S, then no TLS": /^TLS failed: ./,
  "the end": "the server closed the connection",
  "HTTP": "the answer to the request for TLS is not PostgreSQL's",
};

function variables({ url, port }: TlsServer): Record<string, string> {
  const { username, password } = new URL(url(""));
  return {
    POSTGRES_HOST: "localhost",
    POSTGRES_PORT: `${port}`,
    POSTGRES_DB: "postgres",
    POSTGRES_USER: username,
    POSTGRES_PASSWORD: password,
    POSTGRES_SSL: "true",
  };
}

/** Registers a test for each case, on one server for all of them. */
export function tlsTests(
  subject: string,
  run: RunStatus,
  denoVersion: () => Promise<string>,
): void {
  let server: TlsServer | undefined;
  let isDeno24 = false;
  const needs = ["openssl"] as const;
  Deno.test.beforeAll(async () => {
    if (!areMet(needs)) return;
    server = await startTlsServer();
    isDeno24 = (await denoVersion()).startsWith("2.4.");
  });
  Deno.test.afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
  });
  const test = testWith(...needs);
  for (const { name, shown = "good", env, expected, onDeno24 } of CASES) {
    test(`${subject} ${name}`, async () => {
      await server!.show(shown);
      await server!.lastLogin();
      const { code, stdout, stderr } = await run(env(server!));
      const wanted = isDeno24 ? onDeno24 ?? expected : expected;
      const login = await server!.lastLogin();
      if (typeof wanted === "string") {
        assertEquals({ code, login }, { code: 0, login: wanted }, stderr);
        return;
      }
      assertStringIncludes(stderr, wanted.refused);
      assertEquals({ code, stdout, login }, {
        code: 1,
        stdout: "",
        login: undefined,
      }, stderr);
    });
  }
}

/** Registers a test for each way in which a server can fail to agree on TLS. */
export function tlsFaultTests(subject: string, run: RunStatus): void {
  for (const [answer, wanted] of Object.entries(FALSE_SERVERS)) {
    for (const mode of ["prefer", "verify-full"]) {
      Deno.test(`${subject} ${mode} ends with an error after "${answer}"`, async () => {
        await using server = startFalseServer(answer as Answer);
        const { port } = server;
        const { code, stdout, stderr } = await run({
          DATABASE_URL: `postgres://me@127.0.0.1:${port}/db?sslmode=${mode}`,
          MIGRATE_CONNECT_TIMEOUT: answer === SILENCE ? "700ms" : "10m",
          MIGRATE_WAIT_FOR_DB: "0",
        });
        assertEquals([code, stdout], [1, ""], stderr);
        const [, reason = stderr] = stderr.split(
          `error: Cannot connect to the database "db" at 127.0.0.1:${port}: `,
        );
        const [first = ""] = reason.split("\n");
        if (typeof wanted === "string") assertEquals(first, wanted);
        else assertMatch(first, wanted);
      });
    }
  }
}
