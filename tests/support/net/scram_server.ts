/**
 * The server's side of SCRAM-SHA-256, written apart from the program's side: it knows what a server stores, not the password.
 *
 * RFC 5802 and 7677
 *
 * @module
 */
import { Buffer } from "node:buffer";
import {
  createHash,
  createHmac,
  pbkdf2Sync,
  randomBytes,
  timingSafeEqual,
} from "node:crypto";

export interface ScramServerOptions {
  /** Its part of the nonce. @default {of chance} */
  readonly nonce?: string;
  /** @default {of chance} */
  readonly salt?: Uint8Array;
  /** @default {4096} */
  readonly iterations?: number;
  /** What the client must begin with. @default {"n,,"} */
  readonly header?: string;
  /** What the client must be bound to. @default {nothing} */
  readonly bound?: Uint8Array;
}

/** One exchange: {@link first}, then {@link final}. */
export class ScramServer {
  readonly #storedKey: Buffer;
  readonly #serverKey: Buffer;
  readonly #salt: Buffer;
  readonly #iterations: number;
  readonly #nonce: string;
  readonly #header: string;
  readonly #bound: Uint8Array;
  #clientFirstBare = "";
  #serverFirst = "";

  constructor(password: string, options: ScramServerOptions = {}) {
    this.#salt = Buffer.from(options.salt ?? randomBytes(16));
    this.#iterations = options.iterations ?? 4_096;
    this.#header = options.header ?? "n,,";
    this.#bound = options.bound ?? new Uint8Array();
    this.#nonce = options.nonce ?? randomBytes(18).toString("base64");
    const salted = pbkdf2Sync(
      Buffer.from(password, "utf8"),
      this.#salt,
      this.#iterations,
      32,
      "sha256",
    );
    this.#storedKey = sha256(hmac(salted, "Client Key"));
    this.#serverKey = hmac(salted, "Server Key");
  }

  /** Its first message, in answer to the client's. */
  first(clientFirst: string): string {
    const [, header, bare, clientNonce] =
      /^([^,]+,,)(n=[^,]*,r=([!-+\--~]+))$/.exec(clientFirst) ?? [];
    if (bare === undefined || header !== this.#header) {
      throw new Error(`Not a client's first message: ${clientFirst}`);
    }
    this.#clientFirstBare = bare;
    const salt = this.#salt.toString("base64");
    return this.#serverFirst =
      `r=${clientNonce}${this.#nonce},s=${salt},i=${this.#iterations}`;
  }

  /** Its final message. @throws {Error} when the client has not proved that it knows the password */
  final(clientFinal: string): string {
    const [, bare, bound, nonce, proof] =
      /^(c=([^,]+),r=([^,]+)),p=([^,]+)$/.exec(clientFinal) ?? [];
    const wanted = Buffer.concat([Buffer.from(this.#header), this.#bound]);
    if (
      bare === undefined || bound !== wanted.toString("base64") ||
      !this.#serverFirst.startsWith(`r=${nonce},`)
    ) {
      throw new Error(`Not a client's final message: ${clientFinal}`);
    }
    const signed = `${this.#clientFirstBare},${this.#serverFirst},${bare}`;
    const signature = hmac(this.#storedKey, signed);
    const claimed = Buffer.from(proof!, "base64");
    if (claimed.length !== signature.length) throw new Error("No proof");
    const clientKey = Buffer.from(
      claimed.map((byte, i) => byte ^ signature[i]!),
    );
    if (!timingSafeEqual(sha256(clientKey), this.#storedKey)) {
      throw new Error("The client does not know the password");
    }
    return `v=${hmac(this.#serverKey, signed).toString("base64")}`;
  }
}

function hmac(key: Uint8Array, text: string): Buffer {
  return createHmac("sha256", key).update(text, "utf8").digest();
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}
