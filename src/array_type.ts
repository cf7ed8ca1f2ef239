/**
 * PostgreSQL's arrays as text: https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO.
 *
 * The driver would fetch the list of array types at every log-in, in a flight of its own. Here it comes with a flight
 * that is under way anyway, and only when there is something to run.
 *
 * @module
 */

type Convert = (value: unknown) => unknown;

/** The driver's tables of conversions, by type OID. */
export interface Conversions {
  readonly parsers: Record<number, Convert | undefined>;
  readonly serializers: Record<number, Convert | undefined>;
}

/** Lists the array types of the database: `element`, `array`, `delimiter`. */
export const ARRAY_TYPES_QUERY =
  "select e.oid::pg_catalog.text as element, e.typarray::pg_catalog.text as array, " +
  "e.typdelim::pg_catalog.text as delimiter from pg_catalog.pg_type e where e.typarray operator(pg_catalog.<>) 0";

/** Teaches the driver the array types that {@link ARRAY_TYPES_QUERY} has listed. */
export function addArrayTypes(
  conversions: Conversions,
  rows: readonly Readonly<Record<string, unknown>>[],
): void {
  const { parsers, serializers } = conversions;
  for (const row of rows) {
    const element = Number(row.element);
    const array = Number(row.array);
    const delimiter = String(row.delimiter);
    parsers[array] = (text) =>
      parseArray(String(text), delimiter, parsers[element]);
    serializers[array] = (value) =>
      Array.isArray(value)
        ? writeArray(value, delimiter, serializers[element])
        : value;
  }
}

/** Reads an array; `null` elements are `null`, nested arrays are arrays. */
export function parseArray(
  text: string,
  delimiter: string,
  parse: Convert = (value) => value,
): unknown[] {
  // Bounds other than 1 stand before the array: [2:3]={a,b}
  let at = text.indexOf("{");
  const list = (): unknown[] => {
    const values: unknown[] = [];
    at++;
    while (text[at] !== "}") {
      if (at >= text.length) {
        throw new SyntaxError("Cannot read an array: it does not end");
      }
      if (text[at] === delimiter) at++;
      else if (text[at] === "{") values.push(list());
      else if (text[at] === '"') values.push(parse(quoted()));
      else values.push(plain());
    }
    at++;
    return values;
  };
  const quoted = (): string => {
    let value = "";
    for (at++; text[at] !== '"' && at < text.length; at++) {
      if (text[at] === "\\") at++;
      value += text[at];
    }
    at++;
    return value;
  };
  const plain = (): unknown => {
    const start = at;
    while (at < text.length && text[at] !== delimiter && text[at] !== "}") at++;
    const value = text.slice(start, at);
    return value.toUpperCase() === "NULL" ? null : parse(value);
  };
  return list();
}

/** Writes an array. */
export function writeArray(
  values: readonly unknown[],
  delimiter: string,
  write: Convert = (value) => value,
): string {
  const elements = values.map((value) => {
    if (value === null || value === undefined) return "null";
    if (Array.isArray(value)) return writeArray(value, delimiter, write);
    return `"${String(write(value)).replace(/["\\]/g, "\\$&")}"`;
  });
  return `{${elements.join(delimiter)}}`;
}
