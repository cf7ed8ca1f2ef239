/**
 * The values of the options of `schema`.
 *
 * @module
 */
import { quoteValue } from "../text.ts";
import { type Checked, checked } from "./checked.ts";
import type { Options } from "./command_values.ts";
import { SCHEMA_FORMS, type SchemaForm } from "./options.ts";

/** What `schema` is asked to print. */
export interface SchemaRequest {
  /** The migration up to which the schema is printed; all of them when missing. */
  readonly to?: string;
  readonly as: SchemaForm;
}

export function readSchema(options: Options): Checked<SchemaRequest> {
  const to = options.get("to");
  const word = options.get("as") ?? "markdown";
  const as = SCHEMA_FORMS.find((form) => form === word);
  return checked(
    { ...(to !== undefined && { to }), as: as ?? "markdown" },
    as === undefined &&
      `Option --as: ${quoteValue(word)} is not one of ${
        SCHEMA_FORMS.join(", ")
      }`,
  );
}
