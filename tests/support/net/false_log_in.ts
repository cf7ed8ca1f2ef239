/**
 * A server that goes through PostgreSQL's log-in up to a point, and from there on does what a test wants.
 *
 * @module
 */
import { message, uint32 } from "../../../src/postgres/wire/protocol.ts";
import { closeQuietly, type Listener, startListener } from "./listener.ts";
import {
  type Message,
  MessageReader,
} from "../../../scripts/dev/protocol_messages.ts";
import { ScramServer } from "./scram_server.ts";

/** What the server has said, in this order. */
export const STEPS = [
  "nothing",
  "the mechanisms",
  "its first message",
  "its final message",
  "that we are in",
  "that it is ready",
  "half of an answer",
] as const;

export type Step = (typeof STEPS)[number];

/** The server's end of one connection. */
export interface Guest {
  /** Sends messages, or bytes of any kind. */
  say(...parts: readonly Uint8Array[]): Promise<void>;
  /** The next message of the program. @throws {Error} when it hangs up first */
  hear(): Promise<Message>;
  /** The honest log-in, from its beginning until the server has said this. */
  logIn(until: Step): Promise<void>;
  /** Says nothing until the program hangs up. */
  listen(): Promise<void>;
}

export interface FalseLogIn extends Listener {
  /** How many of the connections got to the end of what the test has written. */
  readonly completed: number;
}

export const FALSE_PASSWORD = "hunter2-%26";

const SASL = 10;
const SASL_CONTINUE = 11;
const SASL_FINAL = 12;

/** An `Authentication…` message. */
export function authentication(
  kind: number,
  rest: Uint8Array | string = "",
): Uint8Array {
  const bytes = typeof rest === "string"
    ? new TextEncoder().encode(rest)
    : rest;
  return message("R", uint32(kind), bytes);
}

/** An `ErrorResponse`. */
export function errorResponse(
  fields: Readonly<Record<string, string>>,
): Uint8Array {
  const texts = Object.entries(fields).map(([code, text]) => code + text);
  return message("E", ...texts, Uint8Array.of(0));
}

/** Starts one that receives every connection like this, and hangs up afterwards. */
export function startFalseLogIn(
  receive: (guest: Guest) => Promise<void>,
): FalseLogIn {
  let completed = 0;
  const listener = startListener(async (connection) => {
    try {
      // The program may hang up at any time; whether it got that far is counted.
      await receive(new Conversation(connection));
      completed++;
    } finally {
      closeQuietly(connection);
    }
  });
  return {
    ...listener,
    get completed() {
      return completed;
    },
  };
}

class Conversation implements Guest {
  readonly #connection: Deno.TcpConn;
  readonly #reader = new MessageReader("client");
  readonly #heard: Message[] = [];

  constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
  }

  async say(...parts: readonly Uint8Array[]): Promise<void> {
    for (const part of parts) {
      for (let sent = 0; sent < part.length;) {
        sent += await this.#connection.write(part.subarray(sent));
      }
    }
  }

  async hear(): Promise<Message> {
    const buffer = new Uint8Array(4_096);
    for (;;) {
      const next = this.#heard.shift();
      if (next?.type === "ssl") await this.say(new TextEncoder().encode("N"));
      else if (next !== undefined) return next;
      else {
        const length = await this.#connection.read(buffer);
        if (length === null) throw new Error("The program has hung up");
        this.#heard.push(...this.#reader.push(buffer.subarray(0, length)));
      }
    }
  }

  async logIn(until: Step): Promise<void> {
    const last = STEPS.indexOf(until);
    const scram = new ScramServer(FALSE_PASSWORD);
    await this.hear();
    const saying = [
      () => authentication(SASL, "SCRAM-SHA-256\0\0"),
      async () =>
        // The name of the mechanism and the length of what follows come before it.
        authentication(SASL_CONTINUE, scram.first(await this.#said(18))),
      async () => authentication(SASL_FINAL, scram.final(await this.#said(0))),
      () => authentication(0),
      () => READY,
      async () => {
        await this.hear();
        return HALF_AN_ANSWER;
      },
    ];
    for (const say of saying.slice(0, last)) await this.say(await say());
  }

  async listen(): Promise<void> {
    const buffer = new Uint8Array(4_096);
    while (await this.#connection.read(buffer).catch(() => null) !== null);
  }

  /** The text of the next message, from that byte of it on. */
  async #said(from: number): Promise<string> {
    const { bytes } = await this.hear();
    return new TextDecoder().decode(bytes.subarray(5 + from));
  }
}

const READY = new Uint8Array([
  ...message("S", "client_encoding", "UTF8"),
  ...message("K", uint32(1), uint32(2)),
  ...message("Z", new TextEncoder().encode("I")),
]);

/** A row of no columns is announced, and does not come. */
const HALF_AN_ANSWER = message("T", new Uint8Array(2)).slice(0, 6);
