/** Channel binding: with a real server, with those who end TLS on the way to it, and with servers that lie. */
import { assertEquals, assertMatch } from "@std/assert";
import { message, uint32 } from "../../src/postgres/wire/protocol.ts";
import { type MigrateResult, runMigrate } from "../support/program/cli.ts";
import {
  authentication,
  FALSE_PASSWORD,
  startFalseLogIn,
} from "../support/net/false_log_in.ts";
import { startTlsEnd, type TlsEnd } from "../support/net/tls_end.ts";
import { assertNoSecret } from "../support/program/scenario.ts";
import { withPgBouncer } from "../support/server/pgbouncer.ts";
import {
  startTlsServer,
  type TlsServer,
} from "../support/server/tls_server.ts";
import { table } from "../support/program/migrations.ts";
import { withProject } from "../support/program/project.ts";
import { areMet, testWith } from "../support/program/needs.ts";
import type { Message } from "../../scripts/dev/protocol_messages.ts";

const test = testWith("openssl");
let server: TlsServer;

Deno.test.beforeAll(async () => {
  if (!areMet(["openssl"])) return;
  server = await startTlsServer();
  await server.show("good");
});
Deno.test.afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
});

const BINDINGS = ["prefer", "require", "disable"] as const;

const PROXY =
  "if it is a proxy that you know, write channel_binding=disable into the URL, with sslmode=verify-full";
const OTHER_CERTIFICATE = {
  reason: "SCRAM channel binding check failed (SQLSTATE 28000)",
  hint:
    `PostgreSQL refuses like this when somebody on the way ends TLS, and shows another certificate than its own; ${PROXY}`,
};
const STRIPPED = {
  reason: "SCRAM channel binding negotiation error (SQLSTATE 28000)",
  detail:
    "The client supports SCRAM channel binding but thinks the server does not.  However, this server does support channel binding.",
  hint:
    `PostgreSQL refuses like this when somebody on the way ends TLS, and strips its offer of channel binding; ${PROXY}`,
};
const NOT_OFFERED = {
  reason:
    "the server does not offer SCRAM-SHA-256-PLUS, which channel_binding=require demands",
  hint:
    "A pooler or a proxy that ends TLS cannot offer it: connect to the server itself, or write channel_binding=prefer " +
    "with sslmode=verify-full; where there is none, look for who strips the offer on the way",
};

for (const binding of ["prefer", "require"] as const) {
  test(`channel_binding=${binding}: the proof is bound to the certificate that is shown`, async () => {
    await using end = await startTlsEnd(server, {
      certificate: server.certificates.good,
    });
    const result = await status(end, binding);
    assertEquals(result.code, 0, result.stderr);
    const [first = "", final = ""] = end.proofs;
    assertMatch(
      first,
      /^SCRAM-SHA-256-PLUS\0[^]{4}p=tls-server-end-point,,n=,r=/,
    );
    // The header and 32 bytes of SHA-256.
    assertMatch(final, /^c=cD10bHMtc2VydmVyLWVuZC1wb2ludCws[^,]{44},r=/);
  });

  for (const shown of ["name only", "RSA, SHA-512", "RSA, SHA-1"] as const) {
    test(`channel_binding=${binding}: who shows a certificate of his own is refused, ${shown}`, async () => {
      await using end = await startTlsEnd(server, {
        certificate: server.certificates[shown],
      });
      await assertRefused(end, binding, OTHER_CERTIFICATE);
      assertEquals(end.proofs.length, 2);
    });
  }
}

test("channel_binding=prefer, require: who shows a certificate that nothing can be bound to is refused", async () => {
  await using end = await startTlsEnd(server, {
    certificate: server.certificates.Ed25519,
  });
  for (const binding of ["prefer", "require"] as const) {
    await assertRefused(end, binding, {
      reason:
        "the log-in cannot be bound to the server's certificate: how that is signed names no hash that is known",
      hint:
        "Give the server a certificate that is signed with RSA or ECDSA, or write channel_binding=disable into the URL, with sslmode=verify-full",
    });
  }
  assertEquals(end.proofs, []);
});

// So it is the binding, and nothing else, that stops him in the other tests.
test("channel_binding=disable: who shows a certificate of his own gets through", async () => {
  await using end = await startTlsEnd(server, {
    certificate: server.certificates["name only"],
    rewrite: stripped,
  });
  await using honest = await startTlsEnd(server, {
    certificate: server.certificates["name only"],
  });
  for (const one of [end, honest]) {
    const result = await status(one, "disable");
    assertEquals(result.code, 0, result.stderr);
    assertMatch(one.proofs[0]!, /^SCRAM-SHA-256\0[^]{4}n,,n=,r=/);
  }
});

for (const shown of ["good", "name only", "Ed25519"] as const) {
  test(`who strips the offer of channel binding is refused, and shows ${shown}`, async () => {
    await using end = await startTlsEnd(server, {
      certificate: server.certificates[shown],
      rewrite: stripped,
    });
    await assertRefused(end, "prefer", STRIPPED);
    assertEquals(end.proofs.length, 1, "no proof was given");
    assertMatch(end.proofs[0]!, /^SCRAM-SHA-256\0[^]{4}y,,n=,r=/);
    await assertRefused(end, "require", NOT_OFFERED);
    assertEquals(end.proofs.length, 1, "nothing more was said");
  });
}

test("channel_binding=require: migrations are applied and rolled back", async () => {
  await server.query("create database bound");
  const url = new URL(server.url("sslmode=require&channel_binding=require"));
  url.pathname = "/bound";
  await withProject(
    { "0001_a": table("a"), "0002_b": table("b") },
    async (project) => {
      const run = (...args: string[]) =>
        runMigrate(args, { env: { DATABASE_URL: url.href }, project });
      const said = [
        await run("up"),
        await run("up"),
        await run("down", "--all", "--yes"),
      ].map(({ stdout }) => stdout.replace(/ in [^\n]+\n$/, "").split("\n"));
      assertEquals(said.map((lines) => lines.at(-1) || lines[0]), [
        "Applied 2 migrations",
        "Nothing to apply: the database is up to date",
        "Rolled back 2 migrations",
      ]);
    },
  );
});

test("a wrong password is told as one on a bound log-in, in each of its forms", async () => {
  await using end = await startTlsEnd(server, {
    certificate: server.certificates.good,
  });
  const { username } = new URL(server.url(""));
  await assertRefused(end, "require", {
    reason:
      `password authentication failed for user "${username}" (SQLSTATE 28P01)`,
    hint: `Check the password of the role "${username}"`,
  }, "I \u2764\ufe0f pg");
  const mechanisms = end.proofs.map((proof) => proof.split("\0")[0]);
  const bound = mechanisms.filter((name) => name === "SCRAM-SHA-256-PLUS");
  assertEquals([bound.length, mechanisms.length], [2, 4]);
});

const OTHER_WAYS = {
  "asks for the password as it is": authentication(3),
  "asks for the password as MD5": authentication(5, Uint8Array.of(1, 2, 3, 4)),
  "asks for no proof": authentication(0),
};

for (const [what, request] of Object.entries(OTHER_WAYS)) {
  test(`channel_binding=require: a server that ${what} gets none`, async () => {
    await using liar = startFalseLogIn(async (guest) => {
      await guest.hear();
      await guest.say(request);
      await guest.listen();
    });
    await using end = await startTlsEnd(liar, {
      certificate: server.certificates.good,
    });
    const result = await status(end, "require", FALSE_PASSWORD);
    assertRefusal(result, end, {
      reason:
        `the server ${what}, and channel_binding=require demands SCRAM-SHA-256-PLUS`,
      hint:
        "Have pg_hba.conf ask for scram-sha-256, and set the password again if it is kept as md5; or leave channel_binding out",
    });
    assertEquals(end.proofs, []);
  });
}

test("channel_binding=require: a server that breaks off a bound log-in is refused", async () => {
  await using liar = startFalseLogIn(async (guest) => {
    await guest.hear();
    await guest.say(OFFER);
    await guest.hear();
    await guest.say(authentication(0));
    await guest.listen();
  });
  await using end = await startTlsEnd(liar, {
    certificate: server.certificates.good,
  });
  const result = await status(end, "require", FALSE_PASSWORD);
  assertRefusal(result, end, {
    reason: "the server broke off the log-in and let us in",
  });
});

test("a server that offers channel binding without TLS is not spoken to", async () => {
  for (const offer of [OFFER, authentication(10, "SCRAM-SHA-256-PLUS\0\0")]) {
    await using liar = startFalseLogIn(async (guest) => {
      await guest.hear();
      await guest.say(offer);
      await guest.listen();
    });
    const result = await status(liar, "prefer", FALSE_PASSWORD, "prefer");
    assertRefusal(result, liar, {
      reason:
        "the server offers SCRAM-SHA-256-PLUS, which is for TLS, and this connection has none",
      hint:
        "Look for who ends or strips TLS on the way; if it is a tunnel that you know, write channel_binding=disable into the URL",
    });
  }
});

test("channel_binding=require: nothing is said to a server without TLS", async () => {
  let heard = 0;
  await using liar = startFalseLogIn(async (guest) => {
    await guest.hear();
    heard++;
  });
  const result = await status(liar, "require", FALSE_PASSWORD, "prefer");
  assertRefusal(result, liar, {
    reason: "channel_binding=require needs TLS, and this connection has none",
    hint:
      "Switch TLS on in the server, or look for what strips it on the way; a Unix socket has none",
  });
  assertEquals(heard, 0);
});

testWith("openssl", "pgbouncer")(
  "PgBouncer, which ends TLS and offers no channel binding, is logged in to unless it is required",
  async () => {
    const certificate = server.certificates.good;
    await withPgBouncer(
      { adminUrl: server.url("", { host: "127.0.0.1" }) },
      async (pooler) => {
        const port = Number(new URL(pooler.url(server.url(""))).port);
        for (const binding of BINDINGS) {
          const result = await status({ port }, binding);
          if (binding === "require") {
            assertRefusal(
              result,
              { port },
              NOT_OFFERED,
            );
          } else assertEquals(result.code, 0, result.stderr);
        }
      },
      { certificate },
    );
  },
);

const OFFER = authentication(10, "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0");

/** The server's messages, with no channel binding among the mechanisms. */
function stripped({ type, bytes }: Message): Uint8Array {
  const text = new TextDecoder().decode(bytes);
  return type === "R" && text.includes("SCRAM-SHA-256-PLUS")
    ? message("R", uint32(10), "SCRAM-SHA-256", Uint8Array.of(0))
    : bytes;
}

async function status(
  { port }: { readonly port: number },
  binding: (typeof BINDINGS)[number],
  password?: string,
  sslmode = "require",
): Promise<MigrateResult> {
  const url = new URL(server.url(""));
  url.port = `${port}`;
  if (password !== undefined) url.password = encodeURIComponent(password);
  url.search = `sslmode=${sslmode}&channel_binding=${binding}`;
  const result = await runMigrate(
    ["status", "--wait-for-db=0", "--connect-timeout=10m"],
    { env: { DATABASE_URL: url.href } },
  );
  assertNoSecret(result, [decodeURIComponent(url.password)]);
  return result;
}

interface Refusal {
  readonly reason: string;
  readonly detail?: string;
  readonly hint?: string;
}

/** The program refuses, and the server has let nobody in. */
async function assertRefused(
  end: TlsEnd,
  binding: (typeof BINDINGS)[number],
  refusal: Refusal,
  password?: string,
): Promise<void> {
  await server.lastLogin();
  assertRefusal(await status(end, binding, password), end, refusal);
  assertEquals(await server.lastLogin(), undefined);
}

function assertRefusal(
  { code, stdout, stderr }: MigrateResult,
  { port }: { readonly port: number },
  { reason, detail, hint }: Refusal,
): void {
  assertEquals(
    { code, stdout, stderr },
    {
      code: 1,
      stdout: "",
      stderr:
        `error: Cannot connect to the database "postgres" at localhost:${port}: ${reason}\n` +
        (detail === undefined ? "" : `  detail: ${detail}\n`) +
        (hint === undefined ? "" : `  hint: ${hint}\n`),
    },
  );
}
