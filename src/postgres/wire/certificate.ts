/**
 * With which hash a certificate is signed: all that channel binding wants to know of it.
 *
 * Reads the outer `signatureAlgorithm` and nothing else: RFC 5280, section 4.1, in the encoding of X.690 (DER).
 *
 * @module
 */

/** The classes and kinds of DER that stand on the way. */
const SEQUENCE = 0x30;
const OBJECT_IDENTIFIER = 0x06;
/** `[0]`, constructed: the hash among the parameters of RSA-PSS. */
const FIRST_PARAMETER = 0xa0;

/** An OID of more bytes is none that a hash is known of. */
const MOST_OID_BYTES = 32;

const RSA_PSS = "1.2.840.113549.1.1.10";

/** The hash of RSA-PSS when its parameters name none: RFC 4055, section 3.1. */
const PSS_DEFAULT = "sha1";

/** Signature algorithms that hash with one algorithm, as OpenSSL knows them: RFC 3279, 4055, 5758 and NIST's register. */
const SIGNATURES: Readonly<Record<string, string>> = {
  "1.2.840.113549.1.1.4": "md5", // with RSA, like the next eight
  "1.2.840.113549.1.1.5": "sha1",
  "1.3.14.3.2.29": "sha1",
  "1.2.840.113549.1.1.14": "sha224",
  "1.2.840.113549.1.1.11": "sha256",
  "1.2.840.113549.1.1.12": "sha384",
  "1.2.840.113549.1.1.13": "sha512",
  "1.2.840.113549.1.1.15": "sha512-224",
  "1.2.840.113549.1.1.16": "sha512-256",
  "1.2.840.10045.4.1": "sha1", // with ECDSA, like the next four
  "1.2.840.10045.4.3.1": "sha224",
  "1.2.840.10045.4.3.2": "sha256",
  "1.2.840.10045.4.3.3": "sha384",
  "1.2.840.10045.4.3.4": "sha512",
  "1.2.840.10040.4.3": "sha1", // with DSA, like the next five
  "1.3.14.3.2.27": "sha1",
  "2.16.840.1.101.3.4.3.1": "sha224",
  "2.16.840.1.101.3.4.3.2": "sha256",
  "2.16.840.1.101.3.4.3.3": "sha384",
  "2.16.840.1.101.3.4.3.4": "sha512",
  "2.16.840.1.101.3.4.3.5": "sha3-224", // with DSA, ECDSA and RSA: each four
  "2.16.840.1.101.3.4.3.6": "sha3-256",
  "2.16.840.1.101.3.4.3.7": "sha3-384",
  "2.16.840.1.101.3.4.3.8": "sha3-512",
  "2.16.840.1.101.3.4.3.9": "sha3-224",
  "2.16.840.1.101.3.4.3.10": "sha3-256",
  "2.16.840.1.101.3.4.3.11": "sha3-384",
  "2.16.840.1.101.3.4.3.12": "sha3-512",
  "2.16.840.1.101.3.4.3.13": "sha3-224",
  "2.16.840.1.101.3.4.3.14": "sha3-256",
  "2.16.840.1.101.3.4.3.15": "sha3-384",
  "2.16.840.1.101.3.4.3.16": "sha3-512",
};

/** Hashes by themselves, as the parameters of RSA-PSS name them. */
const HASHES: Readonly<Record<string, string>> = {
  "1.2.840.113549.2.5": "md5",
  "1.3.14.3.2.26": "sha1",
  "2.16.840.1.101.3.4.2.4": "sha224",
  "2.16.840.1.101.3.4.2.1": "sha256",
  "2.16.840.1.101.3.4.2.2": "sha384",
  "2.16.840.1.101.3.4.2.3": "sha512",
  "2.16.840.1.101.3.4.2.5": "sha512-224",
  "2.16.840.1.101.3.4.2.6": "sha512-256",
  "2.16.840.1.101.3.4.2.7": "sha3-224",
  "2.16.840.1.101.3.4.2.8": "sha3-256",
  "2.16.840.1.101.3.4.2.9": "sha3-384",
  "2.16.840.1.101.3.4.2.10": "sha3-512",
};

/** How a certificate is signed. */
export interface Signature {
  /** The algorithm, as its numbers with dots. */
  readonly algorithm: string;
  /** The hash that it signs, by its name in OpenSSL; missing where it has none of its own (Ed25519), or one that is not known. */
  readonly hash: string | undefined;
}

/**
 * Reads how a certificate is signed.
 *
 * @param certificate in DER
 * @throws {RangeError} when it is not a certificate
 */
export function readSignature(certificate: Uint8Array): Signature {
  const parts = new Der(new Der(certificate).take(SEQUENCE));
  parts.take(SEQUENCE); // what is signed
  const identifier = new Der(parts.take(SEQUENCE));
  const algorithm = identifier.takeOid();
  return {
    algorithm,
    hash: algorithm === RSA_PSS ? pssHash(identifier) : SIGNATURES[algorithm],
  };
}

/** The parameters of RSA-PSS begin with the hash, where it is not the default. */
function pssHash(identifier: Der): string | undefined {
  const parameters = new Der(identifier.take(SEQUENCE));
  if (parameters.next !== FIRST_PARAMETER) return PSS_DEFAULT;
  const hash = new Der(
    new Der(parameters.take(FIRST_PARAMETER)).take(SEQUENCE),
  );
  return HASHES[hash.takeOid()];
}

/** Takes values from the front of bytes in DER, and never reads beyond their end. */
class Der {
  #rest: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#rest = bytes;
  }

  /** The tag of the value that comes next. */
  get next(): number | undefined {
    return this.#rest[0];
  }

  /** @throws {RangeError} when what comes next is another value, or ends too early */
  take(tag: number): Uint8Array {
    const [found, first = 0x80] = this.#rest;
    // From 0x80 on it is the number of the bytes that the length takes; four of them are more than any message has.
    const more = first < 0x80 ? 0 : first - 0x80;
    const begin = 2 + more;
    const isSound = found === tag && first !== 0x80 && more <= 4 &&
      begin <= this.#rest.length;
    if (!isSound) throw new RangeError("Not a certificate");
    const length = more === 0 ? first : this.#rest.subarray(2, begin).reduce(
      (sum, byte) => sum * 256 + byte,
      0,
    );
    const end = begin + length;
    if (end > this.#rest.length) throw new RangeError("Not a certificate");
    const content = this.#rest.subarray(begin, end);
    this.#rest = this.#rest.subarray(end);
    return content;
  }

  /** An object identifier, as its numbers with dots. */
  takeOid(): string {
    const bytes = this.take(OBJECT_IDENTIFIER);
    if (bytes.length > MOST_OID_BYTES || (bytes.at(-1) ?? 0x80) >= 0x80) {
      throw new RangeError("Not a certificate");
    }
    const numbers: number[] = [];
    let number = 0;
    for (const byte of bytes) {
      number = number * 128 + (byte & 0x7f);
      if (byte >= 0x80) continue;
      numbers.push(number);
      number = 0;
    }
    const [both = 0, ...others] = numbers;
    const first = Math.min(2, Math.floor(both / 40));
    return [first, both - first * 40, ...others].join(".");
  }
}
