/**
 * PostgreSQL's arrays as text: https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO.
 *
 * @module
 */

/** Reads an array; `null` elements are `null`, nested arrays are arrays. */
export function parseArray(
  text: string,
  delimiter: string,
  parse: (element: string) => unknown = (element) => element,
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

/** Writes an array: `write` makes the text of an element that is no array, `null` for NULL. */
export function writeArray(
  values: readonly unknown[],
  delimiter: string,
  write: (element: unknown) => string | null,
): string {
  // Unlike `map`, this visits the holes of a sparse array.
  const elements = Array.from(values, (value) => {
    if (Array.isArray(value)) return writeArray(value, delimiter, write);
    const text = write(value);
    return text === null ? "NULL" : `"${text.replace(/["\\]/g, "\\$&")}"`;
  });
  return `{${elements.join(delimiter)}}`;
}
