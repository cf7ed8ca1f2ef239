/**
 * Bodies of PostgreSQL's messages as bytes, for tests of what reads them.
 *
 * @module
 */
import { concat, uint32 } from "../../../src/postgres/wire/protocol.ts";

/** Bytes as the protocol's documentation writes them: texts and numbers. */
export function bytes(...parts: readonly (string | number)[]): Uint8Array {
  return concat(
    parts.map((part) =>
      typeof part === "number"
        ? Uint8Array.of(part)
        : new TextEncoder().encode(part)
    ),
  );
}

/** The same in the middle of a larger piece of memory, as sockets hand it over. */
export function within(data: Uint8Array): Uint8Array {
  const all = new Uint8Array(data.length + 14).fill(0xff);
  all.set(data, 7);
  return all.subarray(7, 7 + data.length);
}

export function uint16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 0xff);
}

/** A `DataRow` without its head. */
export function dataRow(...values: readonly (string | null)[]): Uint8Array {
  return concat([
    uint16(values.length),
    ...values.flatMap((value) => {
      if (value === null) return [uint32(0xffffffff)];
      const text = new TextEncoder().encode(value);
      return [uint32(text.length), text];
    }),
  ]);
}

/** An `ErrorResponse` of these fields, without its head. */
export function fields(values: Readonly<Record<string, string>>): Uint8Array {
  return concat([
    ...Object.entries(values).map(([code, text]) => bytes(code, text, 0)),
    bytes(0),
  ]);
}

/** The fields of an error that does not end the session. */
export const ERROR = { S: "ERROR", V: "ERROR", C: "42P01", M: "no such table" };
