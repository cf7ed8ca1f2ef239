/**
 * The client's side of SCRAM-SHA-256: proves that both know the password without telling it.
 *
 * RFC 5802 and 7677; https://www.postgresql.org/docs/current/sasl-authentication.html#SASL-SCRAM-SHA-256
 *
 * @module
 */

/** The name of the mechanism. */
export const MECHANISM = "SCRAM-SHA-256";

/** What a proof is bound to beside the exchange; see `channel_binding.ts`. */
export interface Binding {
  readonly mechanism: string;
  /** The header of GS2: the beginning of the client's first message. */
  readonly header: string;
  readonly data: Uint8Array;
}

/** To nothing. */
export const UNBOUND: Binding = {
  mechanism: MECHANISM,
  header: "n,,",
  data: new Uint8Array(),
};

/** Half a second of work or so; PostgreSQL's default is 4,096. What asks for more wants to keep us busy. */
const MOST_ITERATIONS = 1_000_000;

/** Characters that SASLprep drops (table B.1 of RFC 3454), and spaces that it takes for the one of ASCII (C.1.2). */
const DROPPED =
  /[\u00ad\u034f\u1806\u180b-\u180d\u200c\u200d\u2060\ufe00-\ufe0f\ufeff]/g;
const SPACES = /[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/g;

const encoder = new TextEncoder();

/**
 * What a server may have stored a password as, the likelier first. It stores the form of SASLprep (RFC 4013), but a
 * password that SASLprep does not allow as it is: which these are depends on the tables of Unicode 3.2, which the server
 * has and this program has not.
 */
export function passwordForms(password: string): readonly string[] {
  const prepared = password.replace(DROPPED, "").replace(SPACES, " ")
    .normalize("NFKC");
  return prepared === password ? [password] : [prepared, password];
}

/** One exchange, in this order: {@link first}, {@link final}, {@link assertServer}. */
export class ScramClient {
  /** Made while the server works on its part. */
  readonly #key: Promise<CryptoKey>;
  readonly #nonce: string;
  readonly #binding: Binding;
  #serverSignature: string | undefined;

  /**
   * @param password one of its {@link passwordForms}
   * @param nonce printable ASCII without a comma; of chance unless told
   */
  constructor(
    password: string,
    binding: Binding = UNBOUND,
    nonce: string = randomNonce(),
  ) {
    const secret = encoder.encode(password);
    this.#key = crypto.subtle.importKey("raw", secret, "PBKDF2", false, [
      "deriveBits",
    ]);
    this.#nonce = nonce;
    this.#binding = binding;
  }

  /** The client's first message. PostgreSQL takes the user from the session, not from here. */
  first(): string {
    return this.#binding.header + this.#firstBare();
  }

  /**
   * The client's final message, with the proof.
   *
   * @throws {Error} when the server's first message is not an answer to {@link first}
   */
  async final(serverFirst: string): Promise<string> {
    const { r: nonce = "", s: salt = "", i = "" } = attributesOf(serverFirst);
    // Who answers with a nonce of another exchange may be replaying one.
    if (
      this.#serverSignature !== undefined || !nonce.startsWith(this.#nonce) ||
      nonce.length === this.#nonce.length ||
      !/^[A-Za-z0-9+/]+={0,2}$/.test(salt) || salt.length % 4 !== 0 ||
      !/^[1-9]\d{0,9}$/.test(i)
    ) {
      throw new Error("the server's part of the log-in is not SCRAM's");
    }
    if (Number(i) > MOST_ITERATIONS) {
      throw new Error(
        `the server asks to hash the password ${i} times, and ${MOST_ITERATIONS} is the most that this program does`,
      );
    }
    const derivation = {
      name: "PBKDF2",
      hash: "SHA-256",
      salt: fromBase64(salt),
      iterations: Number(i),
    };
    const salted = new Uint8Array(
      await crypto.subtle.deriveBits(derivation, await this.#key, 256),
    );
    const { header, data } = this.#binding;
    const bound = toBase64(
      Uint8Array.from([...encoder.encode(header), ...data]),
    );
    const bare = `c=${bound},r=${nonce}`;
    const signed = `${this.#firstBare()},${serverFirst},${bare}`;
    const [serverKey, clientKey] = await Promise.all([
      hmac(salted, "Server Key"),
      hmac(salted, "Client Key"),
    ]);
    const storedKey = await crypto.subtle.digest("SHA-256", clientKey);
    const [expected, signature] = await Promise.all([
      hmac(serverKey, signed),
      hmac(new Uint8Array(storedKey), signed),
    ]);
    this.#serverSignature = toBase64(expected);
    const proof = clientKey.map((byte, index) => byte ^ signature[index]!);
    return `${bare},p=${toBase64(proof)}`;
  }

  /** @throws {Error} when the server's final message does not prove that it knows the password */
  assertServer(serverFinal: string): void {
    const { v } = attributesOf(serverFinal);
    if (this.#serverSignature === undefined || v !== this.#serverSignature) {
      throw new Error(
        "the server has not proved that it knows the password: it may be somebody else's",
      );
    }
  }

  #firstBare(): string {
    return `n=,r=${this.#nonce}`;
  }
}

/** `a=1,b=2` as an object; a value may contain `=`. */
function attributesOf(text: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    text.split(",").map((part) => [part[0] ?? "", part.slice(2)]),
  );
}

function randomNonce(): string {
  return toBase64(crypto.getRandomValues(new Uint8Array(18)));
}

async function hmac(
  key: Uint8Array<ArrayBuffer>,
  text: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const imported = await crypto.subtle.importKey("raw", key, algorithm, false, [
    "sign",
  ]);
  const signature = crypto.subtle.sign("HMAC", imported, encoder.encode(text));
  return new Uint8Array(await signature);
}

// Deno 2.4 has no Uint8Array.prototype.toBase64.
function toBase64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}
