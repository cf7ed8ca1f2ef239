/**
 * Has the server refuse: an expression that ends its statement, and with it the transaction, in our own words.
 *
 * SQL has no way to raise an error but PL/pgSQL's, which not every database has. A text that is cast to a number does, and
 * the server repeats it in the error, whatever language it speaks.
 *
 * @module
 */
import { causeOf, DatabaseError } from "../../errors.ts";

const [START, END] = ["<battlescope-migrate ", " battlescope-migrate>"];

/**
 * A value of type integer that cannot be had: the error says `texts`, one after the other. Evaluated only where the
 * statement gets to it.
 *
 * @param kind a word that tells one refusal from another
 * @param texts expressions of any type
 */
export function refusal(kind: string, texts: readonly string[]): string {
  return `pg_catalog.concat('${START}${kind}:', ${
    texts.join(", ")
  }, '${END}')::pg_catalog.int4`;
}

/** What a {@link refusal} of this kind said, if the error comes from one. */
export function refusedText(error: unknown, kind: string): string | undefined {
  const message = causeOf(error, DatabaseError)?.server.message ?? "";
  const start = message.indexOf(`${START}${kind}:`);
  const end = message.lastIndexOf(END);
  return start < 0 || end < 0
    ? undefined
    : message.slice(start + START.length + kind.length + 1, end);
}
