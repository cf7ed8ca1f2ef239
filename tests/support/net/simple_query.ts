/**
 * What a server makes of a text that is sent as it is: the answer to each of its statements, told apart as the server tells
 * them, which no driver shows.
 *
 * @module
 */
import { connect, type Socket } from "node:net";
import postgres from "postgres";
import {
  type Message,
  MessageReader,
} from "../../../scripts/dev/protocol_messages.ts";

/** The answer to one statement. */
export interface Result {
  /** As `SELECT 1`. */
  readonly tag: string;
  /** The bytes of each row, as text. */
  readonly rows: readonly string[];
}

export interface Answer {
  /** Of the statements that ran, without the empty ones. */
  readonly results: readonly Result[];
  readonly error?: { readonly code: string; readonly message: string };
  /** Whether the server wanted data from the client, or had some for it. */
  readonly copies: boolean;
}

/** A session that shows whole answers. */
export interface SimpleSession {
  ask(text: string): Promise<Answer>;
}

/** Opens a session for the time of a test. The driver logs in, and has no part in what follows. */
export async function withSimpleSession(
  url: string,
  test: (session: SimpleSession) => Promise<void>,
): Promise<void> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const options = { max: 1, fetch_types: false, socket: () => socket };
  // The driver's types say nothing of the option.
  const sql = postgres(url, options as postgres.Options<never>);
  try {
    await sql.unsafe("");
    socket.removeAllListeners("data");
    await test({ ask: (text) => ask(socket, text) });
  } finally {
    socket.destroy();
    await sql.end({ timeout: 0 });
  }
}

async function ask(socket: Socket, text: string): Promise<Answer> {
  const reader = new MessageReader("server");
  const received: Message[] = [];
  const complete = Promise.withResolvers<void>();
  const read = (chunk: Uint8Array) => {
    for (const message of reader.push(chunk)) {
      received.push(message);
      if (message.type === "G") socket.write(messageOf("f", "no data"));
      if (message.type === "Z") complete.resolve();
    }
  };
  const lost = () => complete.reject(new Error(`The session ended: ${text}`));
  socket.on("data", read).on("close", lost);
  socket.write(messageOf("Q", text));
  await complete.promise;
  socket.off("data", read).off("close", lost);
  return answerOf(received);
}

function messageOf(type: string, text: string): Uint8Array {
  const content = new TextEncoder().encode(text);
  const bytes = new Uint8Array(content.length + 6);
  bytes[0] = type.charCodeAt(0);
  new DataView(bytes.buffer).setInt32(1, content.length + 5);
  bytes.set(content, 5);
  return bytes;
}

function answerOf(messages: readonly Message[]): Answer {
  const decoder = new TextDecoder();
  const results: Result[] = [];
  let rows: string[] = [];
  let error: Answer["error"];
  for (const { type, bytes } of messages) {
    const text = decoder.decode(bytes.subarray(5));
    if (type === "D") rows.push(text);
    if (type === "C") {
      results.push({ tag: text.slice(0, -1), rows });
      rows = [];
    }
    if (type === "E") {
      const field = (letter: string) =>
        text.split("\0").find((one) => one.startsWith(letter))?.slice(1) ?? "";
      error = { code: field("C"), message: field("M") };
    }
  }
  const copies = messages.some(({ type }) => type === "G" || type === "H");
  return { results, copies, ...(error && { error }) };
}
