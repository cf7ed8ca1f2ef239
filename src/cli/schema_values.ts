/**
 * The values of the options of `schema`.
 *
 * @module
 */
import type { Options } from "./command_values.ts";
import { SCHEMA_FORMS, type SchemaForm } from "./options.ts";

/** What `schema` is asked to print. */
export interface SchemaRequest {
  /** The migration up to which the schema is printed; all of them when missing. */
  readonly to?: string;
  readonly as: SchemaForm;
}

export function readSchema(options: Options): SchemaRequest {
  const to = options.get("to");
  const format = options.get("format");
  const as = SCHEMA_FORMS.find((form) => form === format) ?? "markdown";
  return { ...(to !== undefined && { to }), as };
}
