/**
 * Who we are: password, MD5 or SCRAM, as the server asks for it.
 *
 * A server asks for one proof, and once SCRAM has begun, only its end lets anybody go on: a server that does not know the password must not get it, nor an
 * easier proof, from somebody in the middle.
 *
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-START-UP
 *
 * @module
 */
import type { Target } from "../../cli/target.ts";
import { visible } from "../../text.ts";
import {
  assertNotRequired,
  type BindingRules,
  type Channel,
  chooseBinding,
  exchangeRefusal,
  MECHANISM_PLUS,
} from "./channel_binding.ts";
import { type Messages, notPostgresql } from "./messages.ts";
import { concat, readError, readUint32, textOf, uint32 } from "./protocol.ts";
import { type Binding, ScramClient, UNBOUND } from "./scram.ts";

/** `Authentication…` of the protocol, by its number. */
const KINDS = { ok: 0, clear: 3, md5: 5, sasl: 10, more: 11, end: 12 };

/** How long the salt of MD5 is, in bytes. */
const SALT_BYTES = 4;

/** Ways to log in that need more than a password. */
const UNSUPPORTED: Readonly<Record<number, string>> = {
  2: "Kerberos",
  6: "SCM credentials",
  7: "GSSAPI",
  9: "SSPI",
};

/** As whom to log in, through what. */
export interface AuthenticationOptions {
  readonly target: Pick<Target, "user" | "password">;
  /** The password in the form in which SCRAM uses it; see `passwordForms`. */
  readonly scramPassword: string;
  readonly tls: BindingRules;
  /** Missing where the connection is not encrypted. */
  readonly channel: Channel | undefined;
}

/**
 * Proves who we are.
 *
 * @throws {DatabaseError} when the server refuses it
 * @throws {ChannelBindingError} when it is not bound to the channel as it has to be
 * @throws {Error} when it asks for what this program cannot, or must not, give
 */
export async function authenticate(
  messages: Messages,
  { target: { user, password = "" }, scramPassword, tls, channel }:
    AuthenticationOptions,
): Promise<void> {
  let scram: ScramClient | undefined;
  let binding = UNBOUND;
  let proved = true;
  /** Whether it has asked for a proof; no honest server asks for two. */
  let isAsked = false;
  for (;;) {
    const { type, body } = await messages.next();
    if (type === "v") continue; // the server knows fewer options of the protocol than we do not use
    if (type === "E") {
      throw proved
        ? readError(body)
        : exchangeRefusal(readError(body), binding);
    }
    if (type !== "R" || body.length < 4) throw notPostgresql();
    const kind = readUint32(body, 0);
    const rest = body.subarray(4);
    if ([KINDS.clear, KINDS.md5, KINDS.sasl].includes(kind)) {
      if (isAsked) {
        throw new Error(
          "the server asks for a second proof: somebody in between may be after the password",
        );
      }
      isAsked = true;
    }
    switch (kind) {
      case KINDS.ok:
        if (!proved) {
          throw new Error("the server broke off the log-in and let us in");
        }
        if (binding.mechanism !== MECHANISM_PLUS) {
          assertNotRequired(tls, "asks for no proof");
        }
        return;
      case KINDS.clear:
        assertNotRequired(tls, "asks for the password as it is");
        messages.send("p", password);
        break;
      case KINDS.md5:
        if (rest.length !== SALT_BYTES) throw notPostgresql();
        assertNotRequired(tls, "asks for the password as MD5");
        messages.send("p", await md5Answer(user, password, rest));
        break;
      case KINDS.sasl:
        binding = await chooseFrom(rest, tls, channel);
        scram = new ScramClient(scramPassword, binding);
        proved = false;
        messages.send("p", ...saslStart(binding, scram.first()));
        break;
      case KINDS.more:
        messages.send("p", encode(await begun(scram).final(textOf(rest))));
        break;
      case KINDS.end:
        begun(scram).assertServer(textOf(rest));
        proved = true;
        break;
      default:
        throw unsupported(UNSUPPORTED[kind] ?? `number ${kind}`);
    }
  }
}

/** Chooses from the mechanisms that the server offers. */
async function chooseFrom(
  offered: Uint8Array,
  tls: BindingRules,
  channel: Channel | undefined,
): Promise<Binding> {
  const mechanisms = new TextDecoder().decode(offered).split("\0")
    .filter(Boolean);
  const binding = await chooseBinding(mechanisms, tls, channel);
  if (mechanisms.includes(binding.mechanism)) return binding;
  throw unsupported(mechanisms.join(", ") || "no mechanism");
}

/** The mechanism, and the client's first message with its length. */
function saslStart(
  { mechanism }: Binding,
  first: string,
): (string | Uint8Array)[] {
  const bytes = encode(first);
  return [mechanism, concat([uint32(bytes.length), bytes])];
}

function begun(scram: ScramClient | undefined): ScramClient {
  if (scram !== undefined) return scram;
  throw new Error("the server continues a log-in that has not begun");
}

/** Deno's own cryptography has no MD5. */
async function md5Answer(
  user: string,
  password: string,
  salt: Uint8Array,
): Promise<string> {
  const { createHash } = await import("node:crypto");
  const inner = createHash("md5").update(password + user).digest("hex");
  return `md5${createHash("md5").update(inner).update(salt).digest("hex")}`;
}

function unsupported(method: string): Error {
  return new Error(
    `the server asks for a log-in by ${
      visible(method)
    }, and this program can log in with a password only`,
  );
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
