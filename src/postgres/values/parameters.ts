/**
 * The values of a statement as the texts that the server gets, as node-postgres writes them (`prepareValue` in its
 * `lib/utils.js`): the server decides what a text means, by the type that it wants in its place.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { writeArray } from "./array_text.ts";
import { writeDate } from "./date_text.ts";
import { BYTEA, JSON_TYPE, JSONB, UUID, type ValueType } from "./value_type.ts";

/** A parameter as it is sent; an array and bytes are written by the type that the server wants in their place. */
export type Parameter = string | null | ((wanted: ValueType) => string);

/** The count of parameters has 16 bits: https://www.postgresql.org/docs/current/protocol-message-formats.html. */
const MOST_PARAMETERS = 65_535;

/** The longest beginning of a statement that an error repeats, in characters. */
const STATEMENT_LIMIT = 100;

/**
 * What is sent for the values of a statement.
 *
 * @throws {Error} for what cannot be sent, with the statement and the place; a function among the results may do so, too
 */
export function writeParameters(
  statement: string,
  values: readonly unknown[],
): Parameter[] {
  if (values.length > MOST_PARAMETERS) {
    throw refusal(
      statement,
      `it has ${values.length} parameters, and PostgreSQL takes at most ${MOST_PARAMETERS}; make several statements of it`,
    );
  }
  return Array.from(
    values,
    (value, i) => new ParameterWriter(statement, i + 1).write(value),
  );
}

/** Writes the parameter in one place. */
class ParameterWriter {
  readonly #statement: string;
  /** The n of `$n`. */
  readonly #place: number;

  constructor(statement: string, place: number) {
    this.#statement = statement;
    this.#place = place;
  }

  /** @param seen the objects whose `toPostgres` has led here */
  write(value: unknown, seen: readonly unknown[] = []): Parameter {
    if (value === null) return null;
    switch (typeof value) {
      case "undefined":
        throw this.#refusal("is undefined; to write NULL pass null");
      case "function":
      case "symbol":
        throw this.#refusal(
          `is a ${typeof value}, which is no value for a column`,
        );
      case "string":
        return this.#text(value);
      case "object":
        return this.#object(value, seen);
      default:
        return String(value);
    }
  }

  #text(text: string): string {
    if (text.isWellFormed()) return text;
    throw this.#refusal(
      "holds half of a surrogate pair, which is no character and has no form in UTF-8",
    );
  }

  #object(value: object, seen: readonly unknown[]): Parameter {
    if (Array.isArray(value)) {
      return ({ oid, elements }) =>
        oid === JSON_TYPE || oid === JSONB
          ? this.#json(value)
          : this.#array(value, elements?.delimiter ?? ",");
    }
    const bytes = bytesOf(value);
    if (bytes !== undefined) return (wanted) => this.#bytes(bytes, wanted);
    if (value instanceof Date) {
      return Number.isNaN(value.getTime())
        ? ({ isText }) => this.#invalidDate(value, isText)
        : writeDate(value);
    }
    if ("toPostgres" in value && typeof value.toPostgres === "function") {
      if (seen.includes(value)) {
        throw this.#refusal("has a toPostgres that leads back to itself");
      }
      const next = [...seen, value];
      // Its argument is what a class needs that holds other values: node-postgres gives the texts of them.
      return this.write(
        value.toPostgres((inner: unknown) => this.#element(inner, next)),
        next,
      );
    }
    return this.#json(value);
  }

  /** A value within another one. */
  #element(value: unknown, seen?: readonly unknown[]): string | null {
    if (value === undefined) return null;
    const written = this.write(value, seen);
    return typeof written === "function"
      ? written({ oid: BYTEA, isText: false })
      : written;
  }

  #array(values: readonly unknown[], delimiter: string): string {
    return writeArray(values, delimiter, (value) => this.#element(value));
  }

  #bytes(bytes: Buffer, wanted: ValueType): string {
    if (wanted.oid === UUID) return bytes.toString("hex");
    if (!wanted.isText) return `\\x${bytes.toString("hex")}`;
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
        .decode(bytes);
    } catch {
      throw this.#refusal("is to be a text, and its bytes are no UTF-8");
    }
  }

  /** The server says what is wrong with it, unless it would take any text. */
  #invalidDate(date: Date, isText: boolean): string {
    if (isText) throw this.#refusal("is an invalid Date");
    return String(date);
  }

  /** A `bigint` in it becomes a number, of which JSON and PostgreSQL keep every digit. */
  #json(value: object): string {
    let json: string | undefined;
    try {
      json = JSON.stringify(
        value,
        (_, one) => typeof one === "bigint" ? rawJson(String(one)) : one,
      );
    } catch (cause) {
      throw this.#refusal("cannot be written as JSON", { cause });
    }
    if (json === undefined) {
      throw this.#refusal("is undefined as JSON; to write NULL pass null");
    }
    return json;
  }

  #refusal(why: string, options?: ErrorOptions): Error {
    const parameter = `parameter $${this.#place} ${why}`;
    return refusal(this.#statement, parameter, options);
  }
}

function refusal(
  statement: string,
  why: string,
  options?: ErrorOptions,
): Error {
  return new Error(`Cannot run "${shortened(statement)}": ${why}`, options);
}

function bytesOf(value: object): Buffer | undefined {
  if (ArrayBuffer.isView(value)) {
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  }
  return value instanceof ArrayBuffer ? Buffer.from(value) : undefined;
}

/** A number with all its digits, for `JSON.stringify`. */
function rawJson(text: string): unknown {
  return (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(text);
}

/** The beginning of a statement, on one line. */
function shortened(statement: string): string {
  const line = statement.replace(/\s+/g, " ").trim();
  return line.length > STATEMENT_LIMIT
    ? `${line.slice(0, STATEMENT_LIMIT)}…`
    : line;
}
