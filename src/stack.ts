/**
 * Where an error was made, read from its stack.
 *
 * @module
 */
import { causesOf, LocatedError } from "./errors.ts";

/** Finds the place in a migration's source that an error comes from, as `migrations/0002_b.ts:7:13`. */
export type Locate = (error: Error) => string | undefined;

/** A line of a stack. */
export interface Frame {
  /** Of the file of code. */
  readonly url: string;
  /** Counted from 1, as `column`. */
  readonly line: number;
  readonly column: number;
}

/**
 * The lines of an error's stack that are in files, innermost first. Migrations throw what they like: there may be none. Deno
 * ends the messages of a module that cannot be loaded with such a line, at times in colours.
 */
export function framesOf(error: Error): Frame[] {
  const stack: unknown = error.stack;
  if (typeof stack !== "string") return [];
  return Array.from(
    stack.replace(/\p{Cc}\[[\d;]*m/gu, "")
      .matchAll(/(?:^ +at .*?| at )(file:\/\/.+):(\d+):(\d+)\)?$/gm),
    ([, url = "", line, column]) => ({
      url,
      line: Number(line),
      column: Number(column),
    }),
  );
}

/** The error with the place that it, or what caused it, comes from, if there is one. */
export function located(error: unknown, locate: Locate): unknown {
  for (const one of causesOf(error)) {
    const location = locate(one);
    if (location !== undefined) {
      return new LocatedError(location, { cause: error as Error });
    }
  }
  return error;
}
