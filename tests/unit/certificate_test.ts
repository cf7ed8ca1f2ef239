import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { readSignature } from "../../src/postgres/wire/certificate.ts";
import { concat } from "../../src/postgres/wire/protocol.ts";
import { SIGNED_CERTIFICATES } from "../support/net/signed_certificates.ts";

const { der: WHOLE } = SIGNED_CERTIFICATES["RSA-PSS, SHA-512"]!;

/** A value of DER that is shorter than 128 bytes. */
function value(tag: number, ...content: readonly Uint8Array[]): Uint8Array {
  const bytes = concat(content);
  return concat([Uint8Array.of(tag, bytes.length), bytes]);
}

/** A certificate that is signed like this, and says nothing else. */
function certificate(...identifier: readonly Uint8Array[]): Uint8Array {
  return value(0x30, value(0x30), value(0x30, ...identifier));
}

const oid = (...bytes: readonly number[]) => value(6, Uint8Array.of(...bytes));
const PSS = oid(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10);

for (
  const [what, { der, algorithm, hash }] of Object.entries(SIGNED_CERTIFICATES)
) {
  Deno.test(`readSignature() reads a certificate signed with ${what}`, () => {
    assertEquals(readSignature(der), { algorithm, hash });
  });
}

Deno.test("readSignature() knows the parameters of RSA-PSS without the hash, and with one that nobody knows", () => {
  const salt = value(0xa2, value(2, Uint8Array.of(32)));
  const unknown = value(0xa0, value(0x30, oid(0x2a, 3, 4)));
  const hashes = [
    [certificate(PSS, value(0x30, salt)), "sha1"],
    [certificate(PSS, value(0x30, unknown, salt)), undefined],
  ] as const;
  for (const [der, hash] of hashes) {
    assertEquals(readSignature(der).hash, hash);
  }
});

Deno.test("readSignature() refuses a certificate that is cut off anywhere", () => {
  for (let length = 0; length < WHOLE.length; length++) {
    assertThrows(
      () => readSignature(WHOLE.subarray(0, length)),
      RangeError,
      "Not a certificate",
    );
  }
});

Deno.test("readSignature() refuses what is no certificate", () => {
  const wrong: Record<string, Uint8Array> = {
    "a text": new TextEncoder().encode("-----BEGIN CERTIFICATE-----"),
    "no signature": value(0x30, value(0x30)),
    "a signature without an algorithm": certificate(),
    "an algorithm that is no OID": certificate(value(5)),
    "an OID of no bytes": certificate(oid()),
    "an OID that does not end": certificate(oid(0x2a, 0x86)),
    "a long OID": certificate(oid(...Array<number>(33).fill(1))),
    "RSA-PSS without parameters": certificate(PSS),
    "RSA-PSS with a hash that is empty": certificate(
      PSS,
      value(0x30, value(0xa0)),
    ),
    "a length without an end": Uint8Array.of(0x30, 0x80, 0, 0),
    "a length of five bytes": Uint8Array.of(0x30, 0x85, 0, 0, 0, 0, 2, 5, 0),
    "a length of 127 bytes": Uint8Array.of(0x30, 0xff, 1),
    "a length beyond what there is": Uint8Array.of(
      ...[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x30],
    ),
  };
  for (const [what, bytes] of Object.entries(wrong)) {
    assertThrows(
      () => readSignature(bytes),
      RangeError,
      "Not a certificate",
      what,
    );
  }
});

Deno.test("readSignature() comes to an end with whatever bytes", () => {
  const read = (bytes: Uint8Array) => {
    try {
      readSignature(bytes);
    } catch (error) {
      assertEquals((error as Error).name, "RangeError");
    }
  };
  fc.assert(fc.property(fc.uint8Array(), read));
  const positions = fc.nat(WHOLE.length - 1);
  fc.assert(
    fc.property(positions, fc.nat(255), (at, byte) => {
      const changed = WHOLE.slice();
      changed[at] = byte;
      read(changed);
    }),
    { numRuns: 1_000 },
  );
});
