/**
 * Something that listens where a PostgreSQL should be, and answers the request for TLS wrongly.
 *
 * @module
 */

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

export interface FalseServer extends AsyncDisposable {
  readonly port: number;
}

const S = "S";

/** Starts one that gives every connection this answer. */
export function startFalseServer(answer: Answer): FalseServer {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open = new Set<Deno.Conn>();
  const serving = serve();
  return {
    port: listener.addr.port,
    async [Symbol.asyncDispose]() {
      listener.close();
      for (const connection of open) close(connection);
      await serving;
    },
  };

  async function serve(): Promise<void> {
    const answers: Promise<void>[] = [];
    try {
      for await (const connection of listener) {
        open.add(connection);
        answers.push(respond(connection, answer).catch(() => {}));
      }
    } catch {
      // The listener was closed while it waited.
    }
    await Promise.all(answers);
  }
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
  close(connection);
}

function close(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // It was closed already.
  }
}
