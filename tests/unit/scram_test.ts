import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  MECHANISM,
  passwordForms,
  ScramClient,
  UNBOUND,
} from "../../src/postgres/wire/scram.ts";
import {
  ScramServer,
  type ScramServerOptions,
} from "../support/net/scram_server.ts";

/** RFC 7677, section 3. */
const RFC = {
  password: "pencil",
  nonce: "rOprNGfwEbeRWgbNEkqO",
  clientFirst: "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
  serverFirst:
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
  bare: "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
  proof: "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
  serverFinal: "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
};

const RFC_SERVER: ScramServerOptions = {
  nonce: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
  salt: Uint8Array.from(
    atob("W22ZaJ0SNY7soEsUEjb6gQ=="),
    (letter) => letter.charCodeAt(0),
  ),
  iterations: 4_096,
};

const NOT_SCRAM = "the server's part of the log-in is not SCRAM's";
const NOT_PROVED =
  "the server has not proved that it knows the password: it may be somebody else's";

/** Both sides up to the server's final message, which is returned with the client that must judge it. */
async function exchange(
  clientPassword: string,
  server: ScramServer,
): Promise<{ client: ScramClient; serverFinal: string }> {
  const client = new ScramClient(clientPassword);
  const serverFirst = server.first(client.first());
  return { client, serverFinal: server.final(await client.final(serverFirst)) };
}

/** What a client of the RFC's nonce makes of this answer to its first message. */
function answered(serverFirst: string): Promise<string> {
  return new ScramClient(RFC.password, UNBOUND, RFC.nonce).final(serverFirst);
}

Deno.test("the server of these tests says what RFC 7677 says", () => {
  const server = new ScramServer(RFC.password, RFC_SERVER);
  assertEquals(server.first(RFC.clientFirst), RFC.serverFirst);
  assertEquals(server.final(`${RFC.bare},p=${RFC.proof}`), RFC.serverFinal);
});

// PostgreSQL takes the user from the session, so the client names none; but for that it is the exchange of the RFC.
Deno.test("ScramClient says what RFC 7677 says, without the user", async () => {
  const server = new ScramServer(RFC.password, RFC_SERVER);
  const client = new ScramClient(RFC.password, UNBOUND, RFC.nonce);
  assertEquals(client.first(), RFC.clientFirst.replace("n=user", "n="));
  assertEquals(server.first(client.first()), RFC.serverFirst);
  const final = await client.final(RFC.serverFirst);
  assertEquals(final.split(",p=")[0], RFC.bare);
  client.assertServer(server.final(final));
});

Deno.test("ScramClient names the mechanism as servers offer it", () => {
  assertEquals(MECHANISM, "SCRAM-SHA-256");
});

Deno.test("ScramClient and a server with the same password agree", async () => {
  const servers = [
    new ScramServer("s3cret"),
    new ScramServer("s3cret", { iterations: 1 }),
    new ScramServer("s3cret", { iterations: 10_000 }),
    new ScramServer("s3cret", { salt: new Uint8Array(1) }),
    new ScramServer("s3cret", { salt: new Uint8Array(300).fill(255) }),
    new ScramServer("s3cret", { nonce: "=" }),
  ];
  for (const server of servers) {
    const { client, serverFinal } = await exchange("s3cret", server);
    client.assertServer(serverFinal);
  }
});

Deno.test("ScramClient takes passwords of any kind", async () => {
  const passwords = [
    "",
    " ",
    "a,b=c,n=d",
    "%00 \\ ' \"",
    // HMAC treats a key longer than a block in another way.
    "x".repeat(64),
    "x".repeat(65),
    "x".repeat(4_096),
    "пароль",
    "密碼",
    "🔑",
  ];
  for (const password of passwords) {
    const server = new ScramServer(password, { iterations: 1 });
    const { client, serverFinal } = await exchange(password, server);
    client.assertServer(serverFinal);
  }
});

Deno.test("ScramClient has another nonce each time", () => {
  const firsts = Array.from(
    { length: 50 },
    () => new ScramClient("s3cret").first(),
  );
  assertEquals(new Set(firsts).size, firsts.length);
  for (const first of firsts) {
    assertEquals(/^n,,n=,r=[A-Za-z0-9+/]{24}$/.test(first), true, first);
  }
});

Deno.test("a server recognises the proof of another password", async () => {
  for (const wrong of ["", "S3cret", "s3cret ", "s3cre"]) {
    await assertRejects(
      () => exchange(wrong, new ScramServer("s3cret")),
      Error,
      "The client does not know the password",
    );
  }
});

Deno.test("passwordForms() is the password itself where SASLprep leaves it alone", () => {
  for (
    const password of ["", "pencil", " s3cret ~", "p\u00e9ncil", "\u{1f600}"]
  ) {
    assertEquals(passwordForms(password), [password]);
  }
});

Deno.test("passwordForms() begins with what SASLprep makes of a password", () => {
  const prepared = {
    "pe\u0301ncil": "p\u00e9ncil",
    // A ligature, a wide letter and a no-break space are their plain forms.
    "\ufb01\uff21\u00a0": "fiA ",
    "pen\u00adcil": "pencil",
    "I \u2764\ufe0f pg": "I \u2764 pg",
    "a\u200bb\u1680c\u200cd": "a b cd",
  };
  for (const [password, form] of Object.entries(prepared)) {
    assertEquals(passwordForms(password), [form, password]);
  }
});

const BAD_FIRST: Readonly<Record<string, string>> = {
  "nothing": "",
  "a nonce of its own": "r=%hvYDpWUa2RaTCAfuxFIlj,s=W22ZaA==,i=4096",
  "a nonce with ours at the end": `r=x${RFC.nonce},s=W22ZaA==,i=4096`,
  "a nonce with the beginning of ours": "r=rOprNGfwEbeRWgbN,s=W22ZaA==,i=4096",
  "a nonce in other capitals":
    `r=${RFC.nonce.toUpperCase()}more,s=W22ZaA==,i=4096`,
  "our nonce and nothing of its own": `r=${RFC.nonce},s=W22ZaA==,i=4096`,
  "no nonce": "s=W22ZaA==,i=4096",
  "no salt": `r=${RFC.nonce}more,i=4096`,
  "an empty salt": `r=${RFC.nonce}more,s=,i=4096`,
  "a salt that is not Base64": `r=${RFC.nonce}more,s=W22Z*A==,i=4096`,
  "a salt with a space": `r=${RFC.nonce}more,s=W22Z aA==,i=4096`,
  "a salt that is cut off": `r=${RFC.nonce}more,s=W22ZaA,i=4096`,
  "a salt of padding": `r=${RFC.nonce}more,s===,i=4096`,
  "no iterations": `r=${RFC.nonce}more,s=W22ZaA==`,
  "empty iterations": `r=${RFC.nonce}more,s=W22ZaA==,i=`,
  "iterations 0": `r=${RFC.nonce}more,s=W22ZaA==,i=0`,
  "iterations 00": `r=${RFC.nonce}more,s=W22ZaA==,i=00`,
  "iterations -1": `r=${RFC.nonce}more,s=W22ZaA==,i=-1`,
  "iterations +1": `r=${RFC.nonce}more,s=W22ZaA==,i=+1`,
  "iterations 4096.5": `r=${RFC.nonce}more,s=W22ZaA==,i=4096.5`,
  "iterations 1e3": `r=${RFC.nonce}more,s=W22ZaA==,i=1e3`,
  "iterations as text": `r=${RFC.nonce}more,s=W22ZaA==,i=many`,
  "iterations without end": `r=${RFC.nonce}more,s=W22ZaA==,i=99999999999`,
  "an error": "e=unknown-user",
  "something else": "HTTP/1.1 400 Bad Request",
};

for (const [what, serverFirst] of Object.entries(BAD_FIRST)) {
  Deno.test(`ScramClient refuses a server's first message: ${what}`, async () => {
    await assertRejects(() => answered(serverFirst), Error, NOT_SCRAM);
  });
}

Deno.test("ScramClient refuses a salt that Base64 cannot end like this", async () => {
  for (const salt of ["A", "AAAAA", "AA=", "AAA=="]) {
    await assertRejects(() => answered(`r=${RFC.nonce}more,s=${salt},i=1`));
  }
});

Deno.test("ScramClient refuses more iterations than there can be", async () => {
  await assertRejects(() =>
    answered(`r=${RFC.nonce}more,s=W22ZaA==,i=9999999999`)
  );
});

Deno.test("ScramClient refuses a server that does not prove itself", async () => {
  const { client, serverFinal } = await exchange(
    "s3cret",
    new ScramServer("s3cret"),
  );
  const of = (value: string) => `v=${value}`;
  const right = serverFinal.slice(2);
  const lies = [
    "",
    "v=",
    "v",
    "e=other-error",
    `e=${right}`,
    right,
    RFC.serverFinal,
    of(right.slice(0, -1)),
    of(right.toLowerCase()),
    of(`${right}=`),
    of(`undefined`),
  ];
  for (const lie of lies) {
    assertThrows(() => client.assertServer(lie), Error, NOT_PROVED);
  }
  client.assertServer(serverFinal);
  // What may follow is not ours to know.
  client.assertServer(`${serverFinal},x=more`);
});

Deno.test("ScramClient refuses a proof of another password, or of another exchange", async () => {
  const { client } = await exchange("s3cret", new ScramServer("s3cret"));
  const { serverFinal } = await exchange("s3cret", new ScramServer("s3cret"));
  assertThrows(() => client.assertServer(serverFinal), Error, NOT_PROVED);
  const other = await exchange("other", new ScramServer("other"));
  assertThrows(
    () => client.assertServer(other.serverFinal),
    Error,
    NOT_PROVED,
  );
});

Deno.test("ScramClient refuses every proof before its own", async () => {
  const finals = ["", "v=", "v=undefined", RFC.serverFinal, "e=other-error"];
  const client = new ScramClient(RFC.password, UNBOUND, RFC.nonce);
  for (const final of finals) {
    assertThrows(() => client.assertServer(final), Error, NOT_PROVED);
  }
  // Nor after an answer that it has refused.
  client.first();
  await assertRejects(() => client.final("r=other,s=W22ZaA==,i=1"));
  for (const final of finals) {
    assertThrows(() => client.assertServer(final), Error, NOT_PROVED);
  }
});
