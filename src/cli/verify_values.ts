/**
 * The values of the options of `verify`.
 *
 * @module
 */
import { quoteValue } from "../text.ts";
import { type Checked, checked } from "./checked.ts";
import type { Options } from "./command_values.ts";

/** What `verify` is asked to compare. */
export interface VerifyRequest {
  /** The migration up to which the schema is expected; the newest applied one when missing. */
  readonly to?: string;
  /** Whether it is compared who may do what. */
  readonly grants: boolean;
  /** Whether what is extra is let pass. */
  readonly allowExtra: boolean;
  /** What is left out, with all that belongs to it. */
  readonly ignore: readonly IgnoredObject[];
}

export interface IgnoredObject {
  readonly type: string;
  readonly object: string;
}

/** The kinds of objects, and of what belongs to a table. */
export const OBJECT_KINDS = [
  ...["table", "view", "materialized view", "sequence", "enum", "domain"],
  ...["type", "range", "function", "procedure", "aggregate"],
  ...["column", "constraint", "index", "trigger", "rule", "policy"],
] as const;

export function readVerify(options: Options): Checked<VerifyRequest> {
  const to = options.get("to");
  const words = options.get("ignore")?.split("\n") ?? [];
  return checked(
    {
      ...(to !== undefined && { to }),
      grants: options.has("grants"),
      allowExtra: options.has("allow-extra"),
      ignore: words.flatMap((word) => readIgnored(word) ?? []),
    },
    ...words.map((word) =>
      readIgnored(word) === undefined &&
      `Option --ignore: ${quoteValue(word)} is not KIND:NAME; kinds are ${
        OBJECT_KINDS.join(", ")
      }`
    ),
  );
}

function readIgnored(word: string): IgnoredObject | undefined {
  const at = word.indexOf(":");
  const [type, object] = [word.slice(0, at), word.slice(at + 1)];
  return OBJECT_KINDS.some((kind) => kind === type) && object !== ""
    ? { type, object }
    : undefined;
}
