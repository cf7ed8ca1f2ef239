/**
 * Names and texts as parts of a statement:
 * https://www.postgresql.org/docs/current/sql-syntax-lexical.html.
 *
 * @module
 */

/** Quotes a text as a literal that does not depend on `standard_conforming_strings`. */
export function quoteLiteral(text: string): string {
  const quoted = text.replaceAll("'", "''");
  return quoted.includes("\\")
    ? `E'${quoted.replaceAll("\\", "\\\\")}'`
    : `'${quoted}'`;
}

/** Quotes an identifier. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
