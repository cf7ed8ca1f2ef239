/** A value that was read, with everything that is wrong with it: good without faults, else what could be made out. */
export interface Checked<T> {
  readonly value: T;
  readonly faults: readonly string[];
}

/** A value with its faults; what is false, missing or empty is none. */
export function checked<T>(
  value: T,
  ...faults: readonly (string | false | undefined)[]
): Checked<T> {
  return { value, faults: faults.flatMap((fault) => fault || []) };
}

/** What was given, and where: the words that a fault begins with. */
export interface Given {
  readonly text: string;
  readonly source: string;
}

/** What `parse` makes of a text. An error is a fault, and the value is `otherwise`. */
export function parsed<T>(
  { text, source }: Given,
  parse: (text: string) => T | Error,
  otherwise: T,
): Checked<T> {
  const value = parse(text);
  return value instanceof Error
    ? checked(otherwise, `${source}: ${value.message}`)
    : checked(value);
}

/** Makes something else of the value, with the same faults. */
export function map<T, R>(
  { value, faults }: Checked<T>,
  make: (value: T) => R,
): Checked<R> {
  return { value: make(value), faults };
}

/** Several values as one; their faults come in the order of the keys. */
export function together<T extends object>(
  parts: { readonly [K in keyof T]: Checked<T[K]> },
): Checked<T> {
  const entries: [string, Checked<unknown>][] = Object.entries(parts);
  const values = entries.map(([key, { value }]) => [key, value]);
  return {
    value: Object.fromEntries(values),
    faults: entries.flatMap(([, { faults }]) => faults),
  };
}
