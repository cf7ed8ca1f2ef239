/**
 * A value that was read, with everything that is wrong with it.
 *
 * @module
 */

/** The value is good when there are no faults; else it is what could be made out, for whatever looks at it next. */
export interface Checked<T> {
  readonly value: T;
  readonly faults: readonly string[];
}

/** A value, and those of the faults that it has. */
export function checked<T>(
  value: T,
  ...faults: readonly (string | false | undefined)[]
): Checked<T> {
  return { value, faults: faults.filter((fault) => typeof fault === "string") };
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
  return {
    value: Object.fromEntries(
      entries.map(([key, { value }]) => [key, value]),
    ) as T,
    faults: entries.flatMap(([, { faults }]) => faults),
  };
}
