/**
 * What the program and every migration build on, and a migration could replace.
 *
 * @module
 */

/** Not all that there is: what patches of the common kind replace, and what the program cannot do without. */
const KEPT: readonly (readonly [object, readonly string[]])[] = [
  [globalThis, [
    ...["console", "Promise", "AbortController", "AbortSignal"],
    ...["TextEncoder", "TextDecoder", "queueMicrotask"],
    ...["setTimeout", "clearTimeout", "setInterval", "clearInterval"],
  ]],
  [console, ["log", "info", "debug", "warn", "error"]],
  [JSON, ["parse", "stringify"]],
  [Date, ["now"]],
  [Date.prototype, ["toISOString", "toJSON"]],
];

/** Remembers them as they are. @returns what puts back those that were replaced */
export function keepGlobals(): () => void {
  const kept = KEPT.flatMap(([owner, names]) =>
    names.map((name) => ({
      owner,
      name,
      property: Object.getOwnPropertyDescriptor(owner, name)!,
    }))
  );
  return () => {
    for (const { owner, name, property } of kept) {
      const { get, value } = Object.getOwnPropertyDescriptor(owner, name) ?? {};
      if (get === property.get && value === property.value) continue;
      Object.defineProperty(owner, name, property);
    }
  };
}
