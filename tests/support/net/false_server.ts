/**
 * Something that listens where a PostgreSQL should be, and answers the request for TLS wrongly.
 *
 * @module
 */

import { closeQuietly, type Listener, startListener } from "./listener.ts";

/** What it does once it has been asked. */
export type Answer =
  /** Promises TLS and then says nothing more. */
  | "S, then silence"
  /** Promises TLS and hangs up. */
  | "S, then the end"
  /** Promises TLS and says at once what looks like a part of the conversation (CVE-2021-23222). */
  | "S and more"
  /** Promises TLS, and answers the handshake with something else. */
  | "S, then no TLS"
  | "the end"
  | "HTTP";

const S = "S";

/** Starts one that gives every connection this answer. */
export function startFalseServer(answer: Answer): Listener {
  return startListener((connection) => respond(connection, answer));
}

async function respond(connection: Deno.Conn, answer: Answer): Promise<void> {
  const say = (text: string) =>
    connection.write(new TextEncoder().encode(text));
  const request = new Uint8Array(4_096);
  await connection.read(request);
  switch (answer) {
    case "S, then silence":
      await say(S);
      // Until the program gives up.
      while (await connection.read(request) !== null);
      break;
    case "S, then the end":
      await say(S);
      // The handshake's first message; closing before it would be a reset.
      await connection.read(request);
      break;
    case "S and more":
      await say(`${S}R\0\0\0\u0008\0\0\0\0`);
      await connection.read(request);
      break;
    case "S, then no TLS":
      await say(S);
      await connection.read(request);
      await say("HTTP/1.1 400 Bad Request\r\n\r\n");
      await connection.read(request);
      break;
    case "the end":
      break;
    case "HTTP":
      await say("HTTP/1.1 400 Bad Request\r\n\r\n");
      await connection.read(request);
  }
  closeQuietly(connection);
}
