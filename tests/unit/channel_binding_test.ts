import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { DatabaseError } from "../../src/errors.ts";
import {
  assertBindable,
  assertNotRequired,
  type BindingRules,
  type Channel,
  chooseBinding,
  exchangeRefusal,
} from "../../src/postgres/wire/channel_binding.ts";
import { ChannelBindingError } from "../../src/postgres/wire/connect_errors.ts";
import { ScramClient, UNBOUND } from "../../src/postgres/wire/scram.ts";
import { ScramServer } from "../support/net/scram_server.ts";
import { SIGNED_CERTIFICATES } from "../support/net/signed_certificates.ts";

const { der: RSA } = SIGNED_CERTIFICATES["RSA, SHA-256"]!;
const { der: ED25519 } = SIGNED_CERTIFICATES["Ed25519"]!;

const CHANNELS = {
  "no TLS": undefined,
  "RSA": channel(() => RSA),
  "Ed25519": channel(() => ED25519),
  "no certificate": channel(() => undefined),
  "noise": channel(() => new Uint8Array(9)),
  "an error": channel(() => {
    throw new Error("no certificate");
  }),
  "Deno 2.4": {
    tellsCertificate: false,
    certificate: () => {
      throw new Error("It is not asked for");
    },
  },
} as const satisfies Record<string, Channel | undefined>;

type ChannelName = keyof typeof CHANNELS;

const OFFERS = {
  both: ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"],
  plain: ["SCRAM-SHA-256"],
} as const;

const NEEDS_TLS =
  "channel_binding=require needs TLS, and this connection has none";
const NEEDS_RUNTIME =
  `channel_binding=require needs the server's certificate, which the TLS of Deno ${Deno.version.deno}, on which this build runs, does not tell`;
const STRIPPED =
  "the server offers SCRAM-SHA-256-PLUS, which is for TLS, and this connection has none";
const NOT_OFFERED =
  "the server does not offer SCRAM-SHA-256-PLUS, which channel_binding=require demands";
const NO_HASH =
  "the log-in cannot be bound to the server's certificate: how that is signed names no hash that is known";
const TO_CERTIFICATE = "p=tls-server-end-point,,";

/** The header that comes of it, or why there is none. */
const CHOICES: Readonly<
  Record<
    `${BindingRules["channelBinding"]}, ${keyof typeof OFFERS}`,
    Readonly<Record<ChannelName, string>>
  >
> = {
  "prefer, both": {
    "no TLS": STRIPPED,
    "RSA": TO_CERTIFICATE,
    "Ed25519": NO_HASH,
    "no certificate": NO_HASH,
    "noise": NO_HASH,
    "an error": NO_HASH,
    "Deno 2.4": "n,,",
  },
  "prefer, plain": {
    "no TLS": "n,,",
    "RSA": "y,,",
    "Ed25519": "y,,",
    "no certificate": "y,,",
    "noise": "y,,",
    "an error": "y,,",
    "Deno 2.4": "n,,",
  },
  "require, both": {
    "no TLS": NEEDS_TLS,
    "RSA": TO_CERTIFICATE,
    "Ed25519": NO_HASH,
    "no certificate": NO_HASH,
    "noise": NO_HASH,
    "an error": NO_HASH,
    "Deno 2.4": NEEDS_RUNTIME,
  },
  "require, plain": {
    "no TLS": NEEDS_TLS,
    "RSA": NOT_OFFERED,
    "Ed25519": NOT_OFFERED,
    "no certificate": NOT_OFFERED,
    "noise": NOT_OFFERED,
    "an error": NOT_OFFERED,
    "Deno 2.4": NEEDS_RUNTIME,
  },
  "disable, both": everywhere("n,,"),
  "disable, plain": everywhere("n,,"),
};

for (const [what, results] of Object.entries(CHOICES)) {
  const [channelBinding, offer] = what.split(", ") as [
    BindingRules["channelBinding"],
    keyof typeof OFFERS,
  ];
  Deno.test(`chooseBinding() comes to what libpq comes to: ${what}`, async () => {
    for (const [name, wanted] of Object.entries(results)) {
      const made = chooseBinding(
        OFFERS[offer],
        { mode: "require", channelBinding },
        CHANNELS[name as ChannelName],
      );
      const said = await made.then(({ header }) => header, (error) => {
        assertEquals(error.name, "ChannelBindingError");
        return error.message;
      });
      assertEquals(said, wanted, name);
    }
  });
}

for (const [what, { der, digest }] of Object.entries(SIGNED_CERTIFICATES)) {
  Deno.test(`chooseBinding() hashes a certificate as openssl does: ${what}`, async () => {
    const made = chooseBinding(
      OFFERS.both,
      { mode: "prefer", channelBinding: "require" },
      channel(() => der),
    );
    const hash = await made.then(({ data }) => hexOf(data), () => undefined);
    assertEquals(hash, digest);
  });
}

// It is another choice than libpq's, which refuses: there the certificate itself has proved who the server is.
Deno.test("chooseBinding() goes on without a hash where the certificate is verified with its name", async () => {
  const choose = (
    mode: BindingRules["mode"],
    channelBinding: BindingRules["channelBinding"],
  ) => chooseBinding(OFFERS.both, { mode, channelBinding }, CHANNELS.Ed25519);
  assertEquals(await choose("verify-full", "prefer"), UNBOUND);
  const refused = [
    ["verify-full", "require"],
    ["verify-ca", "prefer"],
    ["require", "prefer"],
    ["prefer", "prefer"],
  ] as const;
  for (const [mode, channelBinding] of refused) {
    const error = await assertRejects(
      () => choose(mode, channelBinding),
      ChannelBindingError,
      NO_HASH,
    );
    assertEquals(
      error.hint,
      "Give the server a certificate that is signed with RSA or ECDSA, or write channel_binding=disable into the URL, with sslmode=verify-full",
    );
  }
});

Deno.test("assertBindable() and assertNotRequired() are for channel_binding=require alone", () => {
  for (const channelBinding of ["disable", "prefer"] as const) {
    const rules: BindingRules = { mode: "prefer", channelBinding };
    assertBindable(rules, undefined);
    assertBindable(rules, CHANNELS["Deno 2.4"]);
    assertNotRequired(rules, "asks for no proof");
  }
  const required: BindingRules = { mode: "prefer", channelBinding: "require" };
  assertBindable(required, CHANNELS.RSA);
  const refused: [() => void, string][] = [
    [() => assertBindable(required, undefined), NEEDS_TLS],
    [() => assertBindable(required, CHANNELS["Deno 2.4"]), NEEDS_RUNTIME],
    [
      () => assertNotRequired(required, "asks for no proof"),
      "the server asks for no proof, and channel_binding=require demands SCRAM-SHA-256-PLUS",
    ],
  ];
  for (const [act, message] of refused) {
    assertEquals(assertThrows(act, ChannelBindingError).message, message);
  }
});

Deno.test("exchangeRefusal() explains a refused binding, and nothing else", () => {
  const refused = (code: string) =>
    new DatabaseError({ code, severity: "FATAL", message: "no" });
  const bound = { ...UNBOUND, header: "y,," };
  const others = [[refused("28P01"), bound], [
    refused("28000"),
    UNBOUND,
  ]] as const;
  for (const [error, binding] of others) {
    assertEquals(exchangeRefusal(error, binding), error);
  }
  const error = refused("28000");
  const explained = exchangeRefusal(error, bound);
  assertEquals(explained.name, "ChannelBindingError");
  assertEquals(explained.message, "no");
  assertEquals(explained.cause, error);
});

Deno.test("ScramClient proves what it is bound to, and a server that sees another channel refuses it", async () => {
  const binding = await chooseBinding(
    OFFERS.both,
    { mode: "require", channelBinding: "prefer" },
    CHANNELS.RSA,
  );
  const exchange = async (header: string, bound: Uint8Array) => {
    const client = new ScramClient("s3cret", binding);
    const server = new ScramServer("s3cret", { header, bound });
    const serverFirst = server.first(client.first());
    client.assertServer(server.final(await client.final(serverFirst)));
  };
  await exchange(TO_CERTIFICATE, binding.data);
  await assertRejects(
    () => exchange(TO_CERTIFICATE, binding.data.with(0, binding.data[0]! ^ 1)),
    Error,
    "Not a client's final message",
  );
  await assertRejects(
    () => exchange("y,,", new Uint8Array()),
    Error,
    "Not a client's first message",
  );
});

function channel(certificate: () => Uint8Array | undefined): Channel {
  return { tellsCertificate: true, certificate };
}

function everywhere(said: string): Readonly<Record<ChannelName, string>> {
  const names = Object.keys(CHANNELS) as ChannelName[];
  return Object.fromEntries(names.map((name) => [name, said])) as Record<
    ChannelName,
    string
  >;
}

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}
