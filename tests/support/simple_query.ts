/**
 * What a server makes of a text that is sent as it is: the answer to each of its statements, told apart as the server tells
 * them, which no driver shows.
 *
 * @module
 */
import { connect } from "node:net";
import postgres from "postgres";
import { type Message, MessageReader } from "./protocol.ts";

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
  /** Whether a transaction is open now: `I`, `T`, or `E` when it has failed. */
  readonly status: string;
}

/** A session that shows whole answers. */
export interface SimpleSession {
  ask(text: string): Promise<Answer>;
}

/** Opens a session for the time of a test. */
export async function withSimpleSession(
  url: string,
  test: (session: SimpleSession) => Promise<void>,
): Promise<void> {
  const { hostname, port } = new URL(url);
  const reader = new MessageReader("server");
  let received: Message[] = [];
  let ready = () => {};
  // The driver's types say nothing of the option.
  const options = {
    max: 1,
    fetch_types: false,
    onnotice: () => {},
    socket: () => {
      const socket = connect(Number(port), hostname);
      socket.on("data", (chunk: Uint8Array) => {
        received.push(...reader.push(chunk));
        if (received.at(-1)?.type === "Z") ready();
      });
      return socket;
    },
  };
  const sql = postgres(url, options as postgres.Options<never>);
  try {
    await sql.unsafe("select 1");
    await test({
      ask: async (text) => {
        received = [];
        const complete = new Promise<void>((resolve) => ready = resolve);
        await sql.unsafe(text).catch(() => {});
        if (received.at(-1)?.type !== "Z") await complete;
        return answerOf(received);
      },
    });
  } finally {
    await sql.end();
  }
}

const decoder = new TextDecoder();

function answerOf(messages: readonly Message[]): Answer {
  const results: Result[] = [];
  let rows: string[] = [];
  let error: Answer["error"];
  let status = "";
  for (const { type, bytes } of messages) {
    const text = decoder.decode(bytes.subarray(5));
    if (type === "D") rows.push(text);
    if (type === "C") {
      results.push({ tag: text.slice(0, -1), rows });
      rows = [];
    }
    if (type === "E") {
      const fields = text.split("\0");
      const field = (letter: string) =>
        fields.find((one) => one.startsWith(letter))?.slice(1) ?? "";
      error = { code: field("C"), message: field("M") };
    }
    if (type === "Z") status = text;
  }
  return { results, status, ...(error && { error }) };
}
